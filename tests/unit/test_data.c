/* Looking into data files: object code that lacks something, symbols, paths. */

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "numba/data.h"

#define STRINGS "\0__svml_sin4\0main\0"
#define PATH "/srv/build/app/k.py"
#define OWN_ORDER (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB)

/* An object of three sections: none, strings, symbols. */
struct object {
    Elf64_Ehdr header;
    char strings[sizeof STRINGS];
    char path[sizeof PATH];
    Elf64_Sym symbols[2];
    Elf64_Shdr sections[3];
};

static struct object whole_object(void)
{
    struct object o = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, OWN_ORDER},
                   .e_shoff = offsetof(struct object, sections),
                   .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = 3},
        .strings = STRINGS,
        .path = PATH,
        .symbols = {{0}, {.st_name = 1, .st_shndx = SHN_UNDEF}},
        .sections = {{.sh_type = SHT_NULL, .sh_offset = 1 << 30},
                     {.sh_type = SHT_STRTAB,
                      .sh_offset = offsetof(struct object, strings),
                      .sh_size = sizeof STRINGS},
                     {.sh_type = SHT_SYMTAB,
                      .sh_offset = offsetof(struct object, symbols),
                      .sh_size = sizeof(Elf64_Sym) * 2,
                      .sh_link = 1}},
    };
    return o;
}

/* What is found in a data file such as Numba writes with SIZE bytes of object code. The copy ends
 * with its last byte, so that a sanitizer sees reading beyond it. */
static struct data_facts facts_of(const void *object, size_t size, const char *text)
{
    _cleanup_buf_ struct buf b = {0};
    unsigned char length[4] = {(unsigned char)size, (unsigned char)(size >> 8)};
    struct data_facts facts;

    /* (("f", "object", (b"...", b"BC")), 1) */
    assert_int_equal(buf_add(&b,
                             "\x80\x04\x8c\x01"
                             "f\x8c\x06object"
                             "B",
                             14),
                     0);
    assert_int_equal(buf_add(&b, length, 4), 0);
    assert_int_equal(buf_add(&b, object, size), 0);
    assert_int_equal(buf_add(&b,
                             "C\x02"
                             "BC\x86\x87K\x01\x86.",
                             10),
                     0);
    _cleanup_free_ unsigned char *copy = malloc(b.size);
    assert_non_null(copy);
    memcpy(copy, b.data, b.size);
    assert_int_equal(data_read(copy, b.size, text, &facts, NULL), 0);
    return facts;
}

static void finds_symbols_and_text_in_a_whole_object(void **state)
{
    (void)state;
    struct object o = whole_object();
    struct data_facts facts = facts_of(&o, sizeof o, "/srv/build/app/");

    assert_true(facts.whole && facts.has_text);
    assert_string_equal(facts.svml, "__svml_sin4");
    o.symbols[1].st_shndx = 1; /* defined here */
    facts = facts_of(&o, sizeof o, "/srv/build/apple/");
    assert_true(facts.whole && !facts.has_text);
    assert_string_equal(facts.svml, "");
}

static void every_cut_of_an_object_is_noticed(void **state)
{
    (void)state;
    struct object o = whole_object();

    for (size_t n = 6; n < sizeof o; n++)
        if (facts_of(&o, n, NULL).whole)
            fail_msg("%zu of %zu bytes are called whole", n, sizeof o);
}

static void lies_of_headers_are_not_believed(void **state)
{
    (void)state;
    struct object good = whole_object(), o;

    o = good;
    o.header.e_shoff = UINT64_MAX - 8;
    assert_false(facts_of(&o, sizeof o, NULL).whole);
    o = good;
    o.header.e_shnum = UINT16_MAX;
    assert_false(facts_of(&o, sizeof o, NULL).whole);
    o = good;
    o.header.e_shentsize = 1;
    assert_false(facts_of(&o, sizeof o, NULL).whole);
    o = good;
    o.sections[1].sh_size = UINT64_MAX;
    assert_false(facts_of(&o, sizeof o, NULL).whole);
    o = good;
    o.sections[2].sh_offset = sizeof o - 1;
    assert_false(facts_of(&o, sizeof o, NULL).whole);
    o = good;
    o.sections[2].sh_type = SHT_NOBITS;
    o.sections[2].sh_size = UINT64_MAX;
    assert_true(facts_of(&o, sizeof o, NULL).whole);
    o = good;
    o.sections[2].sh_link = UINT32_MAX;
    assert_string_equal(facts_of(&o, sizeof o, NULL).svml, "");
    o = good;
    o.symbols[1].st_name = UINT32_MAX;
    assert_string_equal(facts_of(&o, sizeof o, NULL).svml, "");
    o = good;
    o.sections[1].sh_size = 6; /* the name goes on behind its section */
    assert_string_equal(facts_of(&o, sizeof o, NULL).svml, "");
}

static void what_is_no_pickle_is_refused(void **state)
{
    (void)state;
    struct data_facts facts;

    assert_int_equal(data_read((const unsigned char *)"", 0, NULL, &facts, NULL), -EINVAL);
    assert_int_equal(data_read((const unsigned char *)"\x80\x04K", 3, NULL, &facts, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_symbols_and_text_in_a_whole_object),
        cmocka_unit_test(every_cut_of_an_object_is_noticed),
        cmocka_unit_test(lies_of_headers_are_not_believed),
        cmocka_unit_test(what_is_no_pickle_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
