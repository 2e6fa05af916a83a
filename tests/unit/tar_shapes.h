#pragma once
/* One entry of every shape that a tar archive must carry. */

#include "tar_fixture.h"

enum { SHAPE_COUNT = 40 };

struct shapes {
    struct item items[SHAPE_COUNT];
    size_t count;
    char *strings[SHAPE_COUNT];
    size_t string_count;
};

/* "a/aaaa…/aaaa…" of N bytes, components of at most LONGEST bytes made of UNIT. */
static inline char *long_path(struct shapes *s, const char *unit, size_t longest, size_t n)
{
    char *path = malloc(n + 1);
    size_t step = strlen(unit), component = 0;

    assert_non_null(path);
    for (size_t i = 0; i < n; i++) {
        if (component >= longest && n - i > 1 && component % step == 0) {
            path[i] = '/';
            component = 0;
        } else {
            path[i] = unit[component++ % step];
        }
    }
    path[n] = '\0';
    s->strings[s->string_count++] = path;
    return path;
}

static inline void add_shape(struct shapes *s, struct item i)
{
    assert_true(s->count < SHAPE_COUNT);
    s->items[s->count++] = i;
}

static inline int by_path(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

static inline void make_shapes(struct shapes *s)
{
    const struct timespec t = {1795339396, 456441290};

    *s = (struct shapes){.count = 0};
    add_shape(s, (struct item){.path = "d", .type = ENTRY_DIR, .mode = 0755, .mtime = t});
    add_shape(s, FILE_AT("d/a plain one", 1795339396, 1));
    add_shape(s, FILE_AT("d/whole second", 1000000000, 0));
    add_shape(s, FILE_AT("d/epoch", 0, 0));
    add_shape(s, FILE_AT("d/half a second before 1970", -1, 500000000));
    add_shape(s, FILE_AT("d/a second and a half before 1970", -2, 500000000));
    add_shape(s, FILE_AT("d/a second before 1970", -1, 0));
    add_shape(s, FILE_AT("d/after 2106", 4294967296 + 5, 123456789));
    add_shape(s, FILE_AT("d/beyond eleven octal digits", 8589934592, 0));
    add_shape(s, FILE_AT("d/utf-8 \xc3\xa9\xe2\x82\xac", 5, 5));
    add_shape(s, FILE_AT("d/latin-1 \xe9\xff", 5, 5));
    add_shape(s, FILE_AT("d/new\nline\ttab\\ \x01", 5, 5));
    add_shape(s, FILE_AT("d/-", 5, 5));
    add_shape(s, (struct item){.path = "d/empty", .type = ENTRY_FILE, .mode = 0444, .mtime = t});
    add_shape(s, (struct item){.path = "d/dir", .type = ENTRY_DIR, .mode = 0750, .mtime = t});
    add_shape(s, FILE_AT(long_path(s, "n", 200, 99), 1, 1));
    add_shape(s, FILE_AT(long_path(s, "o", 200, 100), 1, 1));
    add_shape(s, FILE_AT(long_path(s, "p", 200, 101), 1, 1)); /* no slash to split at */
    add_shape(s, FILE_AT(long_path(s, "q", 90, 181), 1, 1));  /* prefix and name */
    add_shape(s, FILE_AT(long_path(s, "r", 155, 256), 1, 1)); /* both filled to the end */
    add_shape(s, FILE_AT(long_path(s, "v", 156, 207), 1, 1)); /* a prefix one byte too long */
    add_shape(s, FILE_AT(long_path(s, "s", 60, 400), 1, 1));
    add_shape(s, FILE_AT(long_path(s, "\xc3\xbc", 120, 333), 1, 1));
    add_shape(s, FILE_AT(long_path(s, "\xe9", 100, 300), 1, 1));
    add_shape(s, FILE_AT(long_path(s, "deep\n", 250, 4000), 1, 1));
    add_shape(s, (struct item){.path = long_path(s, "x", 99, 150), ENTRY_DIR, 0700, {7, 7}});
    add_shape(s, (struct item){.path = "d/link", ENTRY_SYMLINK, 0777, {7, 7}, "../\xe9/./x/"});
    add_shape(
        s,
        (struct item){
            .path = "d/long link", ENTRY_SYMLINK, 0777, {-1, 1}, long_path(s, "t\xe9", 200, 700)});
    add_shape(
        s, (struct item){
               .path = "d/link of 100", ENTRY_SYMLINK, 0777, {7, 7}, long_path(s, "u", 200, 100)});
    add_shape(s,
              (struct item){
                  .path = "d/other name", ENTRY_HARDLINK, 0640, {1795339396, 1}, "d/a plain one"});
    add_shape(s, (struct item){.path = "z/other name",
                               ENTRY_HARDLINK,
                               0640,
                               {1, 1},
                               s->items[21].path}); /* the name of 400 bytes */
    /* As a walk has them: extracting programs finish a directory when they leave it. */
    qsort(s->items, s->count, sizeof(s->items[0]), by_path);
    add_shape(s, (struct item){.path = MANIFEST,
                               .type = ENTRY_FILE,
                               .mode = 0644,
                               .content = "{\"format\": \"warmpack-manifest\"}\n"});
}

static inline void free_shapes(struct shapes *s)
{
    for (size_t i = 0; i < s->string_count; i++)
        free(s->strings[i]);
}
