/* Indexes that are written from the overloads of others: Python reads in them what it read before,
 * but for what was asked for. With the Numba of $WARMPACK_TEST_PYTHON, else of this machine. */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "numba/index_write.h"
#include "numba/key.h"

enum { LARGEST = 1 << 24, MOST_INDEXES = 64 };

static const struct index_cpu other_cpu = {.name = "znver4",
                                           .features = "+64bit,+adx,+avx2,+avx512f,-sse4a,-xop"};

/* ---- The indexes, made once -------------------------------------------------------------- */

struct read_index {
    char *path;
    struct buf text;
    struct index index;
};

static char dir[] = "/tmp/warmpack-write-XXXXXX";
static struct read_index indexes[MOST_INDEXES];
static size_t index_count;
static FILE *plan; /* what Python is to check in the end */
static unsigned written;

static void run_python(const char *words, const char *argument)
{
    const char *python = getenv("WARMPACK_TEST_PYTHON");
    _cleanup_free_ char *command = NULL;

    assert_true(asprintf(&command, "'%s' -B '%s/numba/rewrite.py' %s '%s'",
                         python ? python : "/usr/bin/python3", TEST_DATA, words, argument) > 0);
    assert_int_equal(system(command), 0);
}

static void read_one(struct read_index *i, const char *path)
{
    struct wp_error err = {0};

    i->path = strdup(path);
    assert_int_equal(file_read(path, LARGEST, &i->text, NULL), 0);
    if (index_read(&i->index, i->text.data, i->text.size, &err) < 0)
        fail_msg("%s: %s", path, err.message);
}

static int make_indexes(void **state)
{
    _cleanup_free_ char *pattern = NULL, *path = NULL;
    glob_t found;

    (void)state;
    assert_non_null(mkdtemp(dir));
    run_python("make", dir);
    assert_true(asprintf(&pattern, "%s/*.nbi", dir) > 0 && asprintf(&path, "%s/plan", dir) > 0);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 20 && found.gl_pathc <= MOST_INDEXES);
    for (size_t i = 0; i < found.gl_pathc; i++)
        read_one(&indexes[index_count++], found.gl_pathv[i]);
    globfree(&found);
    plan = fopen(path, "w");
    return plan ? 0 : -1;
}

static int remove_indexes(void **state)
{
    _cleanup_free_ char *command = NULL;

    (void)state;
    for (size_t i = 0; i < index_count; i++) {
        free(indexes[i].path);
        index_clear(&indexes[i].index);
        buf_free(&indexes[i].text);
    }
    if (plan)
        fclose(plan);
    return asprintf(&command, "rm -rf %s", dir) > 0 ? system(command) : -1;
}

/* The index whose name begins so. */
static struct read_index *find(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < index_count; i++)
        if (strncmp(strrchr(indexes[i].path, '/') + 1, name, n) == 0)
            return &indexes[i];
    fail_msg("there is no %s", name);
    return NULL;
}

/* ---- Writing one, and the line of the plan for it ---------------------------------------- */

struct part {
    const struct read_index *from;
    size_t which;
    const struct index_cpu *cpu;
    const char *data;
};

static void plan_part(const struct part *p, bool first)
{
    fprintf(plan, "%s{\"old\": \"%s\", \"which\": %zu, \"cpu\": ", first ? "" : ", ", p->from->path,
            p->which);
    if (p->cpu)
        fprintf(plan, "[\"%s\", \"%s\"]", p->cpu->name, p->cpu->features);
    else
        fputs("null", plan);
    if (p->data)
        fprintf(plan, ", \"data\": \"%s\"}", p->data);
    else
        fputs(", \"data\": null}", plan);
}

static int write_parts(const struct read_index *base, const struct part *parts, size_t count,
                       struct buf *out, struct wp_error *err)
{
    struct index_writer *w;
    int r = index_writer_new(&w, &base->index, err);

    for (size_t i = 0; i < count && r == 0; i++)
        r = index_writer_add(w, &parts[i].from->index, parts[i].which, parts[i].cpu, parts[i].data,
                             err);
    if (r == 0)
        r = index_writer_finish(w, out, err);
    index_writer_free(w);
    return r;
}

static void keep(const struct read_index *base, const struct part *parts, size_t count,
                 const struct buf *out)
{
    _cleanup_free_ char *path = NULL;

    assert_true(asprintf(&path, "%s/new-%u", dir, written++) > 0);
    _cleanup_fclose_ FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(out->data, 1, out->size, f), out->size);
    fprintf(plan, "{\"new\": \"%s\", \"base\": \"%s\", \"parts\": [", path, base->path);
    for (size_t i = 0; i < count; i++)
        plan_part(&parts[i], i == 0);
    fputs("]}\n", plan);
}

static void assert_written(const struct read_index *base, const struct part *parts, size_t count)
{
    _cleanup_buf_ struct buf out = {0};
    struct wp_error err = {0};

    if (write_parts(base, parts, count, &out, &err) < 0)
        fail_msg("%s: %s", base->path, err.message);
    keep(base, parts, count, &out);
}

/* Runs Python on all that was written so far. */
static void assert_python_agrees(void)
{
    _cleanup_free_ char *path = NULL;

    assert_true(asprintf(&path, "%s/plan", dir) > 0);
    assert_int_equal(fflush(plan), 0);
    run_python("check", path);
    assert_int_equal(ftruncate(fileno(plan), 0), 0);
    rewind(plan);
}

/* ---- The tests --------------------------------------------------------------------------- */

static size_t with_cpu_where(const struct read_index *i, struct part *parts, size_t every,
                             size_t from)
{
    size_t chosen = 0;

    for (size_t k = 0; k < i->index.count; k++) {
        bool is_chosen = every && k % every == from && key_is_for_cpu(i->index.overloads[k].key);

        parts[k] = (struct part){.from = i, .which = k, .cpu = is_chosen ? &other_cpu : NULL};
        chosen += is_chosen;
    }
    return chosen;
}

static void chosen_keys_get_another_cpu_and_all_else_stays(void **state)
{
    (void)state;
    static const struct {
        size_t every, from;
    } patterns[] = {{0, 0}, {1, 0}, {2, 0}, {2, 1}, {3, 1}};
    size_t chosen = 0;

    for (size_t i = 0; i < index_count; i++)
        for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
            struct part *parts = calloc(indexes[i].index.count + 1, sizeof *parts);

            chosen += with_cpu_where(&indexes[i], parts, patterns[p].every, patterns[p].from);
            assert_written(&indexes[i], parts, indexes[i].index.count);
            free(parts);
        }
    assert_true(chosen > 1000);
    assert_python_agrees();
}

/* Back, and again for another machine: what was written can be rewritten as what Numba wrote. */
static void what_was_written_can_be_rewritten(void **state)
{
    (void)state;
    static const struct index_cpu third = {.name = "", .features = ""};

    for (size_t i = 0; i < index_count; i++) {
        _cleanup_buf_ struct buf out = {0}, again = {0};
        _cleanup_(index_clear) struct index now = {0};
        struct part *parts = calloc(indexes[i].index.count + 1, sizeof *parts);
        bool *chosen = calloc(indexes[i].index.count + 1, sizeof *chosen);
        struct wp_error err = {0};

        with_cpu_where(&indexes[i], parts, 2, 1);
        assert_int_equal(write_parts(&indexes[i], parts, indexes[i].index.count, &out, &err), 0);
        assert_int_equal(index_read(&now, out.data, out.size, NULL), 0);
        for (size_t k = 0; k < now.count; k++) {
            chosen[k] = parts[k].cpu != NULL;
            parts[k].cpu = chosen[k] ? &third : NULL;
        }
        if (index_retarget(&now, chosen, &third, &again, &err) < 0)
            fail_msg("%s: %s", indexes[i].path, err.message);
        keep(&indexes[i], parts, now.count, &again);
        free(parts);
        free(chosen);
    }
    assert_python_agrees();
}

/* What was shared with an overload that is left out is written where it is used. */
static void overloads_can_be_left_out_and_turned_round(void **state)
{
    (void)state;
    for (size_t i = 0; i < index_count; i++) {
        size_t n = indexes[i].index.count, count = 0;
        struct part *parts = calloc(n + 1, sizeof *parts);

        for (size_t k = n; k-- > 0;)
            if (k % 3 != 0)
                parts[count++] = (struct part){.from = &indexes[i], .which = k};
        assert_written(&indexes[i], parts, count);
        for (size_t k = 0; k < n && k < 4; k++) {
            struct part alone = {.from = &indexes[i], .which = k};

            assert_written(&indexes[i], &alone, 1);
        }
        free(parts);
    }
    assert_python_agrees();
}

static void indexes_of_one_version_become_one(void **state)
{
    (void)state;
    static const struct index_cpu cpus[] = {{"x86-64-v2", ""}, {"x86-64-v3", "+avx2"}};
    static const char *const names[][2] = {{"app.every-1.", "app.p3c0-1."},
                                           {"app.p5py0-1.", "app.p4c0-1."},
                                           {"app.add-5.", "app.ask-54."},
                                           {"app.p4c1-1.", "app.many-2."}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct read_index *both[] = {find(names[i][0]), find(names[i][1])};
        struct part *parts = calloc(both[0]->index.count + both[1]->index.count + 1, sizeof *parts);
        char(*data)[64] = calloc(both[0]->index.count + both[1]->index.count + 1, sizeof *data);
        size_t count = 0;

        for (size_t k = 0; k < 2; k++)
            for (size_t n = 0; n < both[k]->index.count; n++) {
                if (!key_is_for_cpu(both[k]->index.overloads[n].key))
                    continue;
                snprintf(data[count], sizeof *data, "app.merged-1.py311.%zu.nbc", count + 1);
                parts[count] = (struct part){both[k], n, &cpus[k], data[count]};
                count++;
            }
        assert_true(count > both[0]->index.count);
        assert_written(both[0], parts, count);
        free(parts);
        free(data);
    }
    assert_python_agrees();
}

static void a_data_file_may_have_any_name(void **state)
{
    (void)state;
    const struct read_index *base = find("app.add-5.");
    const struct part part = {base, 0, NULL, "\xc3\xb6.\xff\xed\xa0\x80\xc3.1.nbc"};
    _cleanup_buf_ struct buf out = {0};
    _cleanup_(index_clear) struct index now = {0};

    assert_int_equal(write_parts(base, &part, 1, &out, NULL), 0);
    assert_int_equal(index_read(&now, out.data, out.size, NULL), 0);
    assert_string_equal(now.overloads[0].data, part.data);
    /* Python's own opinion. */
    const unsigned char escaped[] = "\xc3\xb6.\xed\xb3\xbf\xed\xb3\xad\xed\xb2\xa0\xed\xb2\x80";
    assert_non_null(memmem(out.data, out.size, escaped, sizeof escaped - 1));
}

static void two_overloads_with_one_key_are_refused(void **state)
{
    (void)state;
    const struct read_index *add = find("app.add-5."), *every = find("app.p4c0-1."),
                            *again = find("app.p5py0-1.");
    const struct part twice[] = {{add, 0, NULL, NULL}, {add, 1, NULL, NULL}, {add, 0, NULL, "x"}};
    const struct part made_so[] = {{every, 2, &other_cpu, NULL}, {again, 2, &other_cpu, NULL}};
    _cleanup_buf_ struct buf out = {0};
    struct wp_error err = {0};

    assert_int_equal(write_parts(add, twice, 3, &out, &err), -EEXIST);
    assert_non_null(strstr(err.message, "one key"));
    assert_int_equal(write_parts(every, made_so, 2, &out, NULL), -EEXIST);
    assert_int_equal(out.size, 0);
}

static void what_is_not_for_a_cpu_gets_none(void **state)
{
    (void)state;
    const struct read_index *every = find("app.every-1.");
    _cleanup_buf_ struct buf out = {0};
    size_t refused = 0;

    for (size_t i = 0; i < every->index.count; i++) {
        const struct part part = {every, i, &other_cpu, NULL};
        int r = write_parts(every, &part, 1, &out, NULL);

        assert_int_equal(r, key_is_for_cpu(every->index.overloads[i].key) ? 0 : -ENOTSUP);
        refused += r != 0;
    }
    assert_int_equal(refused, 2);
}

static void another_numba_is_refused(void **state)
{
    (void)state;
    static const unsigned char text[] = "\x80\x04\x8c\x03"
                                        "0.1."
                                        "\x80\x04K\x01K\x01\x86}\x8c\x01k\x8c\x01ns\x86.";
    const struct read_index *base = find("app.add-5.");
    struct read_index theirs = {0};
    const struct part part = {&theirs, 0, NULL, NULL};
    _cleanup_buf_ struct buf out = {0};
    struct wp_error err = {0};

    assert_int_equal(index_read(&theirs.index, text, sizeof text - 1, NULL), 0);
    assert_int_equal(write_parts(&theirs, &part, 1, &out, NULL), 0);
    buf_clear(&out);
    assert_int_equal(write_parts(base, &part, 1, &out, &err), -EINVAL);
    assert_non_null(strstr(err.message, "another of 0.1"));
    index_clear(&theirs.index);
}

/* ---- By hand: what pickles can say ------------------------------------------------------- */

#define BEGIN                                                                                      \
    "\x80\x04\x8c\x01"                                                                             \
    "1."                                                                                           \
    "\x80\x04K\x01K\x01\x86}"
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TEXT(n, s) "\x8c" n s
#define CODE TEXT("\x40", A64) TEXT("\x40", A64) "\x86"
#define MAGIC_OF TEXT("\x01", "t") TEXT("\x01", "c") TEXT("\x01", "f") "\x87"
#define END TEXT("\x01", "n") "s\x86."

static int rewrite(const char *data, size_t size, struct buf *out, struct wp_error *err)
{
    _cleanup_(index_clear) struct index i = {0};
    const bool chosen[] = {true, true, true};
    int r = index_read(&i, (const unsigned char *)data, size, err);

    return r < 0 ? r : index_retarget(&i, chosen, &other_cpu, out, err);
}

static const struct {
    const char *data;
    size_t size;
    int r;
    const char *why;
} cases[] = {
#define P(bytes) bytes, sizeof(bytes) - 1
    {P(BEGIN TEXT("\x01", "s") MAGIC_OF CODE "\x87" END), 0, NULL},
    /* A list changed after it was made, through the memo. */
    {P(BEGIN "]\x94"
             "0" TEXT("\x01", "s") "h\x00K\x01"
                                   "a"
                                   "0" MAGIC_OF CODE "\x87" END),
     -ENOTSUP, "changed after"},
    /* The key as a reference to a tuple that was made elsewhere. */
    {P(BEGIN "(" TEXT("\x01", "s") MAGIC_OF CODE "\x87\x94"
                                                 "0"
                                                 "h\x00" TEXT("\x01", "n") "u\x86."),
     -ENOTSUP, "not known"},
    /* The version's frame goes into the overloads. */
    {P("\x80\x04\x95\x40\0\0\0\0\0\0\0\x8c\x01"
       "1."
       "\x80\x04K\x01K\x01\x86}" TEXT("\x01", "s") MAGIC_OF CODE "\x87" END),
     -ENOTSUP, "not known"},
    /* The stamp holds the overloads. */
    {P("\x80\x04\x8c\x01"
       "1."
       "\x80\x04}\x94\x85h\x00" TEXT("\x01", "s") MAGIC_OF CODE "\x87" END),
     -ENOTSUP, "changed after"},
};

static void what_cannot_be_done_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf out = {0};
        struct wp_error err = {0};
        int r = rewrite(cases[i].data, cases[i].size, &out, &err);

        if (r != cases[i].r || (cases[i].why && !strstr(err.message, cases[i].why)))
            fail_msg("case %zu: %d, %s", i, r, err.message);
        assert_int_equal(out.size > 0, r == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_keys_get_another_cpu_and_all_else_stays),
        cmocka_unit_test(what_was_written_can_be_rewritten),
        cmocka_unit_test(overloads_can_be_left_out_and_turned_round),
        cmocka_unit_test(indexes_of_one_version_become_one),
        cmocka_unit_test(a_data_file_may_have_any_name),
        cmocka_unit_test(two_overloads_with_one_key_are_refused),
        cmocka_unit_test(what_is_not_for_a_cpu_gets_none),
        cmocka_unit_test(another_numba_is_refused),
        cmocka_unit_test(what_cannot_be_done_is_refused),
    };

    return cmocka_run_group_tests(tests, make_indexes, remove_indexes);
}
