#include "numba/data.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "numba/index.h"

/* How far objects are looked for: real ones are the second member of the first member's third. */
enum { DEEPEST = 6, MOST_VALUES = 10000 };

#define SVML "__svml_"

struct search {
    const char *text;
    struct data_facts *facts;
    size_t visited;
};

/* An ELF file of 64 bits, in this machine's byte order. */
struct object {
    const unsigned char *data;
    size_t size;
    Elf64_Ehdr header;
};

static bool lies_within(const struct object *o, uint64_t at, uint64_t size)
{
    return at <= o->size && size <= o->size - at;
}

static bool section(const struct object *o, size_t i, Elf64_Shdr *out)
{
    if (i >= o->header.e_shnum)
        return false;
    memcpy(out, o->data + o->header.e_shoff + i * sizeof *out, sizeof *out);
    return true;
}

/* Is everything there that the headers speak of? */
static bool is_whole(const struct object *o)
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

/* Notes the first undefined symbol of SVML. The object is whole. */
static void find_svml(const struct object *o, const Elf64_Shdr *symbols, struct data_facts *facts)
{
    Elf64_Shdr strings;

    if (!section(o, symbols->sh_link, &strings) || strings.sh_type != SHT_STRTAB)
        return;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols->sh_size; at += sizeof(Elf64_Sym)) {
        const char *name;
        Elf64_Sym s;
        size_t room;

        memcpy(&s, o->data + symbols->sh_offset + at, sizeof s);
        if (s.st_shndx != SHN_UNDEF || s.st_name >= strings.sh_size)
            continue;
        name = (const char *)o->data + strings.sh_offset + s.st_name;
        room = strings.sh_size - s.st_name;
        if (room <= strlen(SVML) || memcmp(name, SVML, strlen(SVML)) != 0)
            continue;
        room = strnlen(name, room);
        room = room < sizeof facts->svml ? room : sizeof facts->svml - 1;
        memcpy(facts->svml, name, room);
        facts->svml[room] = '\0';
        return;
    }
}

static void look_at_object(struct search *s, const unsigned char *data, size_t size)
{
    static const unsigned char kind[] = {
        ELFMAG0, ELFMAG1,    ELFMAG2,
        ELFMAG3, ELFCLASS64, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB};
    struct object o = {.data = data, .size = size};
    Elf64_Shdr section_header;

    if (s->text && memmem(data, size, s->text, strlen(s->text)))
        s->facts->has_text = true;
    if (size > EI_DATA && memcmp(data, kind, sizeof kind) != 0)
        return; /* of another kind of machine: nothing is known of it */
    if (size < sizeof o.header) {
        s->facts->whole = false;
        return;
    }
    memcpy(&o.header, data, sizeof o.header);
    if (!is_whole(&o)) {
        s->facts->whole = false;
        return;
    }
    for (size_t i = 0; !*s->facts->svml && section(&o, i, &section_header); i++)
        if (section_header.sh_type == SHT_SYMTAB)
            find_svml(&o, &section_header, s->facts);
}

static void look(struct search *s, const struct pickle_value *v, unsigned depth)
{
    if (++s->visited > MOST_VALUES || depth > DEEPEST)
        return;
    if (v->type == PICKLE_BYTES && v->size >= SELFMAG && memcmp(v->data, ELFMAG, SELFMAG) == 0) {
        look_at_object(s, v->data, v->size);
        return;
    }
    for (size_t i = 0; i < v->count; i++)
        look(s, v->items[i], depth + 1);
}

int data_read(const unsigned char *data, size_t size, const char *text, struct data_facts *out,
              struct wp_error *err)
{
    struct search s = {.text = text, .facts = out};
    struct pickle *p;
    int r = index_read_data(&p, data, size, err);

    *out = (struct data_facts){.whole = true};
    if (r < 0)
        return r == -ENOTSUP ? 0 : r; /* nothing is known of it */
    look(&s, pickle_root(p), 0);
    pickle_free(p);
    return 0;
}
