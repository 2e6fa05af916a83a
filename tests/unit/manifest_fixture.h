#pragma once
/* A manifest with every kind of record and names that are hard to write, and a large one. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/error.h"
#include "manifest/manifest.h"
#include "stream/pool.h"

/* Records own their strings elsewhere; here they are literals that nobody frees. */
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wincompatible-pointer-types-discards-qualifiers"
#else
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#endif
/* Not every test uses all of this. */
#pragma GCC diagnostic ignored "-Wunused-function"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct entry sample_entries[] = {
    {.path = "app", .type = ENTRY_DIR, .mode = 0755, .mtime = {1795339396, 0}},
    {.path = "app/\x01\"\\\n\t\x7f", .type = ENTRY_FILE, .mode = 0600, .mtime = {-1, 500000000}},
    {.path = "app/big",
     .type = ENTRY_FILE,
     .mode = 04755,
     .uid = 4294967294,
     .gid = 65534,
     .uname = "al\xe9x",
     .gname = "gr\xc3\xbcn",
     .size = INT64_MAX,
     .mtime = {INT64_MAX, 999999999}},
    {.path = "app/hard", .type = ENTRY_HARDLINK, .mode = 0644, .target = "app/k.py"},
    {.path = "app/k.py",
     .type = ENTRY_FILE,
     .mode = 0644,
     .uname = "root",
     .gname = "root",
     .size = 661,
     .mtime = {1795339396, 456441290},
     .sha256 = {0xab, 0xcd, [31] = 0x01},
     .has_sha256 = true},
    {.path = "app/link",
     .type = ENTRY_SYMLINK,
     .mode = 0777,
     .target = "../../etc/\xff",
     .mtime = {INT64_MIN, 1}},
    {.path = "app/\xc3\xa9.py", .type = ENTRY_FILE, .mode = 07777, .mtime = {INT64_MIN, 0}},
    {.path = "app/\xe9.py", .type = ENTRY_FILE, .mode = 0, .mtime = {0, 1}},
};
static struct manifest_cache sample_caches[] = {
    {"app/.numba_cache/app_0", "app", MANIFEST_CACHE_INSIDE},
    {"app/.warmpack/0123456789abcdef/cache/x_1", "", MANIFEST_CACHE_USER_WIDE},
    {"app/.warmpack/0123456789abcdef/cache/\xe9_2", "app/\xe9", MANIFEST_CACHE_DIR},
};
static struct manifest_index sample_indexes[] = {
    {"a.nbi",
     "app/k.py",
     {WP_STAMP_MTIME, 1795339396.4564414, 661, {0}},
     true,
     true,
     .has_cpus = true},
    {"b.nbi", "app/k.py", {WP_STAMP_SECONDS, -1795339396.0, 0, {0}}, true, false},
    {"c.nbi",
     "app/\xe9.py",
     {WP_STAMP_CONTENT, 0, 0, {[0] = 1, [31] = 0xff}},
     true,
     true,
     .cpus = 5,
     .has_cpus = true},
    {"d.nbi", NULL, {WP_STAMP_UNKNOWN, 0, 0, {0}}, true, false},
    {"e.nbi", NULL, {0}, false, false},
};
static char *sample_roots[] = {"/srv/build", "/srv/\xe9"};
static char *sample_env[] = {"NUMBA_OPT=3", "NUMBA_A=", "NUMBA_B=\xff\"=", "NUMBA_base64=x"};
static char *sample_cpus[] = {"x86_64-pc-linux-gnu generic ", "arm64 m1 +neon", "x y +z"};
static char *sample_needs[] = {"cx8,sse2", "", NULL};

static struct manifest sample(void)
{
    return (struct manifest){
        .creator = "warmpack 0.1.0",
        .roots = sample_roots,
        .root_count = COUNT(sample_roots),
        .env = sample_env,
        .env_count = COUNT(sample_env),
        .cpus = sample_cpus,
        .needs = sample_needs,
        .cpu_count = COUNT(sample_cpus),
        .entries = sample_entries,
        .entry_count = COUNT(sample_entries),
        .caches = sample_caches,
        .cache_count = COUNT(sample_caches),
        .indexes = sample_indexes,
        .index_count = COUNT(sample_indexes),
    };
}

static int add_text(void *out, const void *data, size_t n, struct wp_error *err)
{
    return buf_add(out, data, n) < 0 ? error_nomem(err) : 0;
}

static int write_with(unsigned threads, const struct manifest *m, manifest_taker *take, void *ctx,
                      struct wp_error *err)
{
    struct pool *pool = pool_new(threads);
    int r;

    assert_non_null(pool);
    r = manifest_write(m, pool, take, ctx, err);
    pool_free(pool);
    return r;
}

static struct buf written(const struct manifest *m)
{
    struct wp_error err = {0};
    struct buf out = {0};

    if (write_with(2, m, add_text, &out, &err) < 0)
        fail_msg("%s", err.message);
    return out;
}

static FILE *as_file(const struct buf *text)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(fwrite(text->data, 1, text->size, file), text->size);
    assert_int_equal(fflush(file), 0);
    return file;
}

/* Several hundred kilobytes, so that reading is cut into pieces. */
static struct manifest large(size_t count)
{
    struct manifest m = sample();

    m.entries = calloc(count, sizeof *m.entries);
    m.caches = calloc(count, sizeof *m.caches);
    m.indexes = calloc(count, sizeof *m.indexes);
    assert_true(m.entries && m.caches && m.indexes);
    m.entry_count = m.cache_count = m.index_count = count;
    for (size_t i = 0; i < count; i++) {
        char *path;

        assert_true(asprintf(&path, "app/%08zu/%*s", i, (int)(i % 100) + 1, "x") > 0);
        m.entries[i] = (struct entry){.path = path, .type = ENTRY_FILE, .size = i};
        m.caches[i] = (struct manifest_cache){path, path, MANIFEST_CACHE_INSIDE};
        m.indexes[i] = (struct manifest_index){.index = path, .source = path};
    }
    return m;
}

static void large_clear(struct manifest *m)
{
    for (size_t i = 0; i < m->entry_count; i++)
        free(m->entries[i].path);
    free(m->entries);
    free(m->caches);
    free(m->indexes);
}

/* Runs /usr/bin/python3 on SCRIPT with file arguments A and B; its status must be 0. */
static void run_python(const char *script, const char *a, const char *b)
{
    _cleanup_free_ char *command = NULL;

    assert_true(asprintf(&command, "/usr/bin/python3 -c '%s' %s %s", script, a, b) > 0);
    assert_int_equal(system(command), 0);
}

static void save(char *path, const void *data, size_t size)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}
