/* Reads the sections and symbols of object code. */

#include "numba/object_code.h"

#include <string.h>

static bool lies_within(const struct object_code *o, uint64_t at, uint64_t size)
{
    return at <= o->size && size <= o->size - at;
}

static bool section(const struct object_code *o, size_t i, Elf64_Shdr *out)
{
    if (i >= o->header.e_shnum)
        return false;
    memcpy(out, o->data + o->header.e_shoff + i * sizeof *out, sizeof *out);
    return true;
}

/* Is everything there that the headers speak of? */
static bool is_whole(const struct object_code *o)
{
    Elf64_Shdr s;

    if (o->header.e_shnum == 0)
        return true;
    if (o->header.e_shentsize != sizeof s ||
        !lies_within(o, o->header.e_shoff, (uint64_t)o->header.e_shnum * sizeof s))
        return false;
    for (size_t i = 0; section(o, i, &s); i++)
        if (s.sh_type != SHT_NULL && s.sh_type != SHT_NOBITS &&
            !lies_within(o, s.sh_offset, s.sh_size))
            return false;
    return true;
}

bool object_is_elf(const unsigned char *data, size_t size)
{
    return size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

enum object_kind object_read(struct object_code *o, const unsigned char *data, size_t size)
{
    static const unsigned char kind[] = {
        ELFMAG0, ELFMAG1,    ELFMAG2,
        ELFMAG3, ELFCLASS64, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB};

    *o = (struct object_code){.data = data, .size = size};
    if (size > EI_DATA && memcmp(data, kind, sizeof kind) != 0)
        return OBJECT_FOREIGN;
    if (size < sizeof o->header)
        return OBJECT_CUT;
    memcpy(&o->header, data, sizeof o->header);
    return is_whole(o) ? OBJECT_WHOLE : OBJECT_CUT;
}

void object_each_symbol(const struct object_code *o, const char *prefix, object_symbol *fn,
                        void *arg)
{
    Elf64_Shdr table, strings;
    size_t i = 0, n = strlen(prefix);

    while (section(o, i, &table) && table.sh_type != SHT_SYMTAB) /* there is one at most */
        i++;
    if (!section(o, i, &table) || !section(o, table.sh_link, &strings) ||
        strings.sh_type != SHT_STRTAB)
        return;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
        const char *name;
        Elf64_Sym s;
        size_t room;

        memcpy(&s, o->data + table.sh_offset + at, sizeof s);
        if (s.st_name >= strings.sh_size)
            continue;
        name = (const char *)o->data + strings.sh_offset + s.st_name;
        room = strings.sh_size - s.st_name;
        if (room > n && memcmp(name, prefix, n) == 0 &&
            !fn(arg, name, room, s.st_shndx == SHN_UNDEF))
            return;
    }
}
