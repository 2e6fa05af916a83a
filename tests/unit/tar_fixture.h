#pragma once
/* Packing and reading whole archives in a test, as the jobs do it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "formats.h"
#include "stream/pool.h"

struct item {
    const char *path;
    enum entry_type type;
    mode_t mode;
    struct timespec mtime;
    const char *target, *content; /* or NULL */
    const char *uname;
    uid_t uid;
};

#define FILE_AT(name, sec, nsec)                                                                   \
    ((struct item){.path = (name),                                                                 \
                   .type = ENTRY_FILE,                                                             \
                   .mode = 0640,                                                                   \
                   .mtime = {(sec), (nsec)},                                                       \
                   .content = "content of a file\n"})

#define MARK "warmpack-manifest=z/.warmpack/0123456789abcdef/manifest.jsonl"
#define MANIFEST "z/.warmpack/0123456789abcdef/manifest.jsonl"

struct packer {
    struct format_writer *w;
    struct format_block b;
    struct buf *out;
};

static inline void put_block(struct packer *p)
{
    assert_int_equal(p->w->ops->written(p->w, &p->b, p->out->size, NULL), 0);
    assert_int_equal(buf_add(p->out, p->b.packed.data, p->b.packed.size), 0);
}

static inline void pack_item(struct packer *p, const struct item *i)
{
    size_t size = i->type == ENTRY_FILE && i->content ? strlen(i->content) : 0;
    struct entry e = {.path = (char *)i->path,
                      .target = (char *)i->target,
                      .type = i->type,
                      .mode = i->mode,
                      .uid = i->uid,
                      .uname = (char *)i->uname,
                      .size = size,
                      .mtime = i->mtime};
    struct wp_error err = {0};

    if (p->w->ops->add_header(p->w, &p->b, &e, &err) < 0)
        fail_msg("%s", err.message);
    if (size)
        assert_int_equal(buf_add(&p->b.plain, i->content, size), 0);
    assert_int_equal(p->w->ops->add_end(p->w, &p->b, &e, &err), 0);
}

/* The archive of N items; the last one stands in a block of its own, as a manifest does. */
static inline void pack(struct buf *out, const struct wp_format *f, bool one_member,
                        const struct item *items, size_t n)
{
    struct format_write_options o = {.level = -1, .mark = MARK, .one_member = one_member};
    struct packer p = {.out = out};
    struct wp_error err = {0};
    uint64_t last = 0;

    if (f->open_writer(&p.w, f, &o, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(p.w->ops->head(p.w, &p.b, NULL), 0);
    put_block(&p);
    for (size_t i = 0; i < n; i++) {
        if (i % 3 == 0 || i + 1 == n)
            assert_int_equal(p.w->ops->begin_block(p.w, &p.b, NULL), 0);
        pack_item(&p, &items[i]);
        if (i % 3 == 2 || i + 2 >= n) {
            assert_int_equal(p.w->ops->seal(p.w, &p.b, NULL), 0);
            last = out->size;
            put_block(&p);
        }
    }
    assert_int_equal(p.w->ops->tail(p.w, &p.b, last, NULL), 0);
    assert_int_equal(buf_add(out, p.b.packed.data, p.b.packed.size), 0);
    format_block_free(&p.b);
    p.w->ops->free(p.w);
}

static inline int memory_file(const void *data, size_t n)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);

    assert_true(fd >= 0);
    for (size_t done = 0; done < n;) {
        ssize_t got = write(fd, (const char *)data + done, n - done);

        assert_true(got > 0);
        done += (size_t)got;
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* What reading an archive gave: entries with their whole content. */
struct contents {
    struct entry *entries;
    struct buf *data; /* holes filled with zeros */
    size_t count;
    bool mark;
    struct wp_error err;
};

static inline void contents_clear(struct contents *c)
{
    for (size_t i = 0; i < c->count; i++) {
        entry_clear(&c->entries[i]);
        buf_free(&c->data[i]);
    }
    free(c->entries);
    free(c->data);
    *c = (struct contents){0};
}

static inline int read_content(struct format_reader *r, const struct entry *e, struct buf *to,
                               struct wp_error *err)
{
    const void *data;
    uint64_t offset;
    size_t n;
    int rc;

    while ((rc = r->ops->data(r, &data, &n, &offset, err)) == 1) {
        assert_true(offset >= to->size && offset + n <= e->size);
        assert_int_equal(buf_add_zeros(to, offset - to->size), 0);
        assert_int_equal(buf_add(to, data, n), 0);
    }
    if (rc == 0 && e->type == ENTRY_FILE && e->size - to->size < 1 << 26)
        assert_int_equal(buf_add_zeros(to, e->size - to->size), 0);
    return rc;
}

/* Reads all of FD (taken over): 0, or what the reader failed with. */
static inline int read_all(struct contents *c, int fd, const struct wp_context *context)
{
    struct pool *pool = pool_new(1);
    struct format_open_options o = {.name = "archive", .pool = pool, .context = context};
    struct format_reader *r = NULL;
    const struct entry *e;
    int rc = formats_open_reader(&r, fd, &o, &c->err);

    assert_true(rc <= 0);
    while (rc == 0 && (rc = r->ops->next(r, &e, &c->err)) == 1) {
        c->entries = realloc(c->entries, (c->count + 1) * sizeof(*c->entries));
        c->data = realloc(c->data, (c->count + 1) * sizeof(*c->data));
        c->data[c->count] = (struct buf){0};
        assert_int_equal(entry_copy(&c->entries[c->count], e), 0);
        rc = read_content(r, e, &c->data[c->count++], &c->err);
        c->mark = r->mark != NULL;
        if (rc == 0)
            continue;
        break;
    }
    if (rc < 0)
        assert_true(c->err.message[0] != '\0');
    if (r)
        r->ops->free(r);
    pool_free(pool);
    return rc;
}

static inline void read_bytes(struct contents *c, const struct buf *b)
{
    if (read_all(c, memory_file(b->data, b->size), NULL) < 0)
        fail_msg("%s", c->err.message);
}

/* ---- Other programs ---------------------------------------------------------------------- */

static inline void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void run(const char *fmt, ...)
{
    char *command;
    va_list ap;

    va_start(ap, fmt);
    assert_true(vasprintf(&command, fmt, ap) >= 0);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
    free(command);
}

static inline bool have(const char *program)
{
    char command[256];

    snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
    return system(command) == 0;
}

static inline void write_file(const char *path, const struct buf *b)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->size, f), b->size);
    assert_int_equal(fclose(f), 0);
}

static inline char *new_dir(void)
{
    char *dir = strdup("/tmp/tar-test-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void remove_dir(char *dir)
{
    run("chmod -R u+rwx '%s' && rm -rf '%s'", dir, dir);
    free(dir);
}
