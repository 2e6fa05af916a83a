/* Reading an archive from its first entry to its last, of a format that is made up. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/indexes.h"
#include "archive/patterns.h"
#include "archive/reading.h"
#include "archive/spool.h"

#define HOME "app/.warmpack/0123456789abcdef"
#define MANIFEST HOME "/manifest.jsonl"
#define OTHER "app/.warmpack/fedcba9876543210/manifest.jsonl"

struct member {
    const char *path, *content;
    enum entry_type type;
    const char *target;
};

struct made_up {
    struct format_reader base;
    const struct member *members; /* the last has no path */
    size_t next;
    struct entry e;
    bool has_data;
};

static int next(struct format_reader *base, const struct entry **e, struct wp_error *err)
{
    struct made_up *m = (struct made_up *)base;
    const struct member *now = &m->members[m->next];

    (void)err;
    if (!now->path)
        return 0;
    m->e = (struct entry){.path = (char *)now->path,
                          .target = (char *)now->target,
                          .type = now->type,
                          .size = now->content ? strlen(now->content) : 0};
    m->has_data = now->content != NULL;
    m->next++;
    *e = &m->e;
    return 1;
}

static int data(struct format_reader *base, const void **to, size_t *n, uint64_t *offset,
                struct wp_error *err)
{
    struct made_up *m = (struct made_up *)base;
    bool had = m->has_data;

    (void)err;
    *to = m->members[m->next - 1].content;
    *n = had ? strlen(*to) : 0;
    *offset = 0;
    m->has_data = false;
    return had;
}

static const struct format_reader_ops ops = {.next = next, .data = data};

struct opened {
    struct made_up format;
    struct wp_archive a;
    struct archive_reading in;
    struct wp_error err;
};

static void open_made_up(struct opened *o, const char *mark, const struct member *members)
{
    *o =
        (struct opened){.format = {.base = {.ops = &ops, .mark = (char *)mark}, .members = members},
                        .a = {.name = (char *)"a.tgz"}};
    o->a.reader = &o->format.base;
    o->in.a = &o->a;
}

static void assert_steps(struct opened *o, const enum archive_step *steps)
{
    do
        assert_int_equal(archive_next(&o->in, &o->err), *steps);
    while (*steps++ != ARCHIVE_END);
}

static void only_the_file_that_the_mark_names_is_the_manifest(void **state)
{
    static const struct member first[] = {{""}, {OTHER, "x"}, {MANIFEST, "y"}, {0}};
    static const struct member last[] = {{MANIFEST, "y"}, {OTHER, "x"}, {0}};
    struct opened o;

    (void)state;
    open_made_up(&o, MANIFEST, first);
    assert_steps(&o, (enum archive_step[]){ARCHIVE_TOP, ARCHIVE_ENTRY, ARCHIVE_MANIFEST, 0});
    assert_true(o.in.has_manifest);
    open_made_up(&o, MANIFEST, last);
    assert_steps(&o, (enum archive_step[]){ARCHIVE_MANIFEST, ARCHIVE_ENTRY, 0});
    open_made_up(&o, NULL, first);
    assert_steps(&o, (enum archive_step[]){ARCHIVE_TOP, ARCHIVE_ENTRY, ARCHIVE_ENTRY, 0});
    assert_false(o.in.has_manifest);
}

static void an_archive_without_the_manifest_that_it_names_is_refused(void **state)
{
    static const struct member other[] = {{OTHER, "x"}, {0}};
    static const struct member plain[] = {{"app/k.py", "x"}, {0}};
    struct opened o;

    (void)state;
    open_made_up(&o, MANIFEST, other);
    assert_int_equal(archive_next(&o.in, &o.err), ARCHIVE_ENTRY);
    assert_int_equal(archive_next(&o.in, &o.err), -EBADMSG);
    assert_non_null(strstr(o.err.message, "its manifest is missing"));
    open_made_up(&o, "app/k.py", plain); /* no name that a manifest may have */
    assert_int_equal(archive_next(&o.in, &o.err), ARCHIVE_ENTRY);
    assert_int_equal(archive_next(&o.in, &o.err), -EBADMSG);
}

static void a_second_manifest_is_refused(void **state)
{
    static const struct member twice[] = {{MANIFEST, "x"}, {MANIFEST, "x"}, {0}};
    struct opened o;

    (void)state;
    open_made_up(&o, MANIFEST, twice);
    assert_int_equal(archive_next(&o.in, &o.err), ARCHIVE_MANIFEST);
    assert_int_equal(archive_next(&o.in, &o.err), -EBADMSG);
    assert_non_null(strstr(o.err.message, "a second manifest"));
}

static void an_interruption_ends_it(void **state)
{
    static const struct member some[] = {{"a", "x"}, {"b", "x"}, {0}};
    volatile sig_atomic_t interrupted = 0;
    const struct wp_context context = {.interrupted = &interrupted};
    struct opened o;

    (void)state;
    open_made_up(&o, NULL, some);
    o.in.a->context = &context;
    assert_int_equal(archive_next(&o.in, &o.err), ARCHIVE_ENTRY);
    interrupted = 1;
    assert_int_equal(archive_next(&o.in, &o.err), -EINTR);
}

static void content_that_cannot_become_a_manifest_is_not_held(void **state)
{
    static const struct member some[] = {
        {MANIFEST, "no manifest\n"}, {"k.py", "no manifest\n"}, {0}};
    struct buf text = {0};
    struct opened o;

    (void)state;
    open_made_up(&o, MANIFEST, some);
    assert_int_equal(archive_next(&o.in, &o.err), ARCHIVE_MANIFEST);
    assert_true(archive_content(&o.in, &text, &o.err) < 0);
    assert_non_null(strstr(o.err.message, "is no manifest"));
    buf_clear(&text);
    assert_int_equal(archive_next(&o.in, &o.err), ARCHIVE_ENTRY);
    assert_int_equal(archive_content(&o.in, &text, &o.err), 0);
    assert_int_equal(text.size, 12);
    buf_free(&text);
}

static void the_indexes_are_those_of_the_entries_that_count(void **state)
{
    static const struct member some[] = {{"a/k.py", "old"},
                                         {"a/__pycache__/k.f-1.py311.nbi", "old"},
                                         {"a/real.py", "x"},
                                         {"a/k.py", NULL, ENTRY_SYMLINK, "real.py"},
                                         {"a/__pycache__/k.f-1.py311.nbi", "new"},
                                         {"a/out.py", NULL, ENTRY_SYMLINK, "../../x.py"},
                                         {0}};
    struct archive_indexes found;
    const char *misplaced;
    const struct entry *e;
    bool outside, is_there;
    struct opened o;
    char *source;

    (void)state;
    open_made_up(&o, NULL, some);
    assert_int_equal(archive_indexes_read(&found, &o.a, ARCHIVE_SOURCE_DIGESTS, NULL, &o.err), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.items[0].text.size, 3);
    assert_memory_equal(found.items[0].text.data, "new", 3);
    source = archive_indexes_source(&found, &found.items[0], &misplaced, &is_there);
    assert_string_equal(source, "a/k.py");
    assert_true(is_there);
    assert_null(misplaced);
    free(source);
    e = archive_indexes_file(&found, "a/k.py", &outside);
    assert_string_equal(e->path, "a/real.py");
    assert_false(outside);
    assert_null(archive_indexes_file(&found, "a/out.py", &outside));
    assert_true(outside);
    archive_indexes_clear(&found);
}

static void a_spool_turns_hard_links_into_files(void **state)
{
    static const struct member some[] = {{"a", "first"},
                                         {"b", NULL, ENTRY_HARDLINK, "a"},
                                         {".warmpack/0123456789abcdef/state.jsonl", "x"},
                                         {"a", "later"},
                                         {0}};
    static const struct member astray[] = {{"b", NULL, ENTRY_HARDLINK, "a"}, {"a", "x"}, {0}};
    struct spool s = {.fd = -1};
    struct opened o;

    (void)state;
    open_made_up(&o, NULL, some);
    assert_int_equal(spool_read(&s, &o.a, NULL, &o.err), 0);
    assert_int_equal(s.count, 3); /* without warmpack's own */
    assert_int_equal(s.items[1].entry.type, ENTRY_FILE);
    assert_int_equal(s.items[1].at, s.items[0].at);
    assert_int_equal(s.items[1].file, s.items[0].file);
    assert_true(s.items[2].at != s.items[0].at);
    spool_clear(&s);

    open_made_up(&o, NULL, astray);
    assert_int_equal(spool_read(&s, &o.a, NULL, &o.err), -EBADMSG);
    spool_clear(&s);
}

static void patterns_that_matched_nothing_are_told(void **state)
{
    static const char *const given[] = {"./app/", "*.txt", "none", NULL};
    struct patterns p;

    (void)state;
    assert_int_equal(patterns_begin(&p, given), 0);
    assert_true(patterns_match(&p, "app/pkg/k.py"));
    assert_false(patterns_match(&p, "apple"));
    assert_false(p.used[1]);
    assert_true(patterns_match(&p, "a/b.txt"));
    assert_true(p.used[0] && p.used[1] && !p.used[2]);
    patterns_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_file_that_the_mark_names_is_the_manifest),
        cmocka_unit_test(an_archive_without_the_manifest_that_it_names_is_refused),
        cmocka_unit_test(a_second_manifest_is_refused),
        cmocka_unit_test(an_interruption_ends_it),
        cmocka_unit_test(content_that_cannot_become_a_manifest_is_not_held),
        cmocka_unit_test(the_indexes_are_those_of_the_entries_that_count),
        cmocka_unit_test(a_spool_turns_hard_links_into_files),
        cmocka_unit_test(patterns_that_matched_nothing_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
