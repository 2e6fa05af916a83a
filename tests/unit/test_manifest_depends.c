/* What an index's code can come from, as a manifest says it. */

#include "manifest_fixture.h"

#include "manifest/depends.h"
#include "stream/pool.h"

static char **texts(const char *a, const char *b, size_t *count)
{
    char **list = calloc(2, sizeof *list);

    assert_non_null(list);
    list[0] = strdup(a);
    list[1] = b ? strdup(b) : NULL;
    *count = b ? 2 : 1;
    return list;
}

/* Sets 0: low; 1: a and b, which use 0; 2: other. Indexes: of a (set 1), of other (2), of old,
 * which does not say. */
static void make(struct manifest *m)
{
    static const char *const paths[] = {
        "app/a.py",        "app/b.py",     "app/low.py",  "app/old/__init__.py",
        "app/old/in/x.py", "app/old/k.py", "app/other.py"};
    static const char *const sources[] = {"app/a.py", "app/old/k.py", "app/other.py"};

    *m = (struct manifest){.root_count = 1, .entry_count = 7, .set_count = 3, .index_count = 3};
    m->roots = calloc(1, sizeof *m->roots);
    m->roots[0] = strdup("/srv");
    m->entries = calloc(7, sizeof *m->entries);
    for (size_t i = 0; i < 7; i++)
        m->entries[i] = (struct entry){.path = strdup(paths[i]), .type = ENTRY_FILE, .mode = 0644};
    m->sets = calloc(3, sizeof *m->sets);
    m->sets[0].files = texts("app/low.py", NULL, &m->sets[0].file_count);
    m->sets[0].outside = texts("math", "numpy", &m->sets[0].outside_count);
    m->sets[1].files = texts("app/a.py", "app/b.py", &m->sets[1].file_count);
    m->sets[1].uses = calloc(1, sizeof *m->sets[1].uses);
    m->sets[1].use_count = 1;
    m->sets[2].files = texts("app/other.py", NULL, &m->sets[2].file_count);
    m->distributions = texts("Fast.Steps=1.0", "numpy=1.24.2+a=b", &m->distribution_count);
    m->numba_users = texts("Fast.Steps", NULL, &m->numba_user_count);
    m->indexes = calloc(3, sizeof *m->indexes);
    for (size_t i = 0; i < 3; i++) {
        char name[64];

        snprintf(name, sizeof name, "app/__pycache__/%zu.nbi", i);
        m->indexes[i] = (struct manifest_index){.index = strdup(name),
                                                .source = strdup(sources[i]),
                                                .valid = true,
                                                .depends = (uint32_t)(i ? 2 : 1),
                                                .has_depends = i != 1,
                                                .svml = i == 2};
    }
}

struct asked {
    const char *changed;
    unsigned count;
    int error;
};

static int same(void *ctx, const char *path)
{
    struct asked *a = ctx;

    a->count++;
    return a->error ? a->error : !a->changed || strcmp(path, a->changed) != 0;
}

static const char *changed_of(const struct manifest *m, size_t index, const char *changed)
{
    struct asked a = {.changed = changed};
    const char **out = NULL, *path;

    assert_int_equal(manifest_changed(m, same, &a, &out, NULL), 0);
    path = out[index];
    free(out);
    return path;
}

static void a_change_reaches_what_uses_its_set(void **state)
{
    struct manifest m;

    (void)state;
    make(&m);
    assert_string_equal(changed_of(&m, 0, "app/low.py"), "app/low.py");
    assert_string_equal(changed_of(&m, 0, "app/b.py"), "app/b.py");
    assert_null(changed_of(&m, 0, "app/other.py"));
    assert_null(changed_of(&m, 2, "app/low.py"));
    assert_string_equal(changed_of(&m, 2, "app/other.py"), "app/other.py");
    manifest_clear(&m);
}

static void an_index_that_does_not_say_depends_on_its_topmost_package(void **state)
{
    struct manifest m;

    (void)state;
    make(&m);
    assert_string_equal(changed_of(&m, 1, "app/old/in/x.py"), "app/old/in/x.py");
    assert_string_equal(changed_of(&m, 1, "app/old/__init__.py"), "app/old/__init__.py");
    assert_null(changed_of(&m, 1, "app/low.py"));
    manifest_clear(&m);
}

static void a_package_is_looked_at_once_wherever_its_indexes_stand(void **state)
{
    static const char *const sources[] = {"app/old/k.py", "app/a.py", "app/old/__init__.py"};
    struct asked a = {0};
    const char **out = NULL;
    struct manifest m;

    (void)state;
    make(&m);
    for (int i = 0; i < 3; i++) {
        free(m.indexes[i].source);
        m.indexes[i].source = strdup(sources[i]);
        m.indexes[i].has_depends = false;
    }
    m.set_count = 0;
    assert_int_equal(manifest_changed(&m, same, &a, &out, NULL), 0);
    assert_int_equal(a.count, 3 + 7); /* what lies in app/old, and in app */
    free(out);
    m.set_count = 3;
    manifest_clear(&m);
}

static void an_error_is_handed_up(void **state)
{
    struct asked a = {.error = -EIO};
    const char **out = NULL;
    struct manifest m;

    (void)state;
    make(&m);
    assert_int_equal(manifest_changed(&m, same, &a, &out, NULL), -EIO);
    assert_int_equal(a.count, 1);
    manifest_clear(&m);
}

static int mtime(void *ctx, const char *path, struct timespec *t)
{
    (void)ctx;
    if (strcmp(path, "app/b.py") == 0)
        return 0;
    *t = (struct timespec){.tv_sec = strcmp(path, "app/low.py") == 0 ? 9 : 5};
    return 1;
}

static void the_newest_file_is_found_through_sets(void **state)
{
    struct manifest_newest *out = NULL;
    struct manifest m;

    (void)state;
    make(&m);
    assert_int_equal(manifest_newest(&m, mtime, NULL, &out, NULL), 0);
    assert_string_equal(out[0].path, "app/low.py");
    assert_int_equal(out[0].time.tv_sec, 9);
    assert_null(out[1].path);
    assert_string_equal(out[2].path, "app/other.py");
    free(out);
    manifest_clear(&m);
}

static int take(void *ctx, const void *data, size_t n, struct wp_error *err)
{
    (void)err;
    return buf_add(ctx, data, n);
}

static void sets_are_read_as_they_were_written(void **state)
{
    struct pool *pool = pool_new(1);
    struct manifest m, back;
    struct buf text = {0};

    (void)state;
    make(&m);
    assert_int_equal(manifest_write(&m, pool, take, &text, NULL), 0);
    assert_int_equal(buf_terminate(&text), 0);
    assert_non_null(strstr((char *)text.data, "{\"set\": 1, \"depends\": [\"app/a.py\", "
                                              "\"app/b.py\"], \"uses\": [0]}\n"));
    assert_non_null(strstr((char *)text.data,
                           "\"distributions\": {\"Fast.Steps\": \"1.0\", \"numpy\": "
                           "\"1.24.2+a=b\"}, \"numba_users\": [\"Fast.Steps\"]"));
    assert_int_equal(manifest_read(&back, text.data, text.size, "m", pool, NULL), 0);
    assert_int_equal(back.distribution_count, 2);
    assert_string_equal(back.distributions[1], "numpy=1.24.2+a=b");
    assert_int_equal(back.numba_user_count, 1);
    assert_true(back.indexes[2].svml);
    assert_false(back.indexes[1].svml);
    assert_int_equal(back.set_count, 3);
    assert_int_equal(back.sets[0].outside_count, 2);
    assert_string_equal(back.sets[0].outside[1], "numpy");
    assert_int_equal(back.sets[1].use_count, 1);
    assert_int_equal(back.sets[1].uses[0], 0);
    assert_true(back.indexes[0].has_depends);
    assert_int_equal(back.indexes[0].depends, 1);
    assert_false(back.indexes[1].has_depends);
    manifest_clear(&back);
    manifest_clear(&m);
    buf_free(&text);
    pool_free(pool);
}

/* A star import leads to modules that others lead to as well. */
static void a_set_may_have_the_files_of_others_alone(void **state)
{
    struct pool *pool = pool_new(1);
    struct manifest m, back;
    struct buf text = {0};

    (void)state;
    make(&m);
    while (m.sets[1].file_count > 0)
        free(m.sets[1].files[--m.sets[1].file_count]);
    assert_int_equal(manifest_write(&m, pool, take, &text, NULL), 0);
    assert_int_equal(manifest_read(&back, text.data, text.size, "m", pool, NULL), 0);
    assert_int_equal(back.set_count, 3);
    assert_int_equal(back.sets[1].file_count, 0);
    assert_string_equal(changed_of(&back, 0, "app/low.py"), "app/low.py");
    assert_null(changed_of(&back, 0, "app/b.py"));
    manifest_clear(&back);
    buf_clear(&text);
    m.sets[1].use_count = 0;
    assert_int_equal(manifest_write(&m, pool, take, &text, NULL), 0);
    assert_true(manifest_read(&back, text.data, text.size, "m", pool, NULL) < 0);
    manifest_clear(&m);
    buf_free(&text);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_reaches_what_uses_its_set),
        cmocka_unit_test(an_index_that_does_not_say_depends_on_its_topmost_package),
        cmocka_unit_test(a_package_is_looked_at_once_wherever_its_indexes_stand),
        cmocka_unit_test(an_error_is_handed_up),
        cmocka_unit_test(the_newest_file_is_found_through_sets),
        cmocka_unit_test(sets_are_read_as_they_were_written),
        cmocka_unit_test(a_set_may_have_the_files_of_others_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
