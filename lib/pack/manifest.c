/* Packing, last step: writes files that are in no tree, and the manifest, which knows of all the
 * others. Its size stands before it, so it is written twice where it is too large to be kept: first
 * only to count, then into the archive as it is made. */

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "manifest/wheel_record.h"
#include "numba/settings.h"

extern char **environ;

/* Does the manifest record VARIABLE, "NAME=VALUE"? 1, 0 or -ENOMEM. */
static int is_recorded(const struct pack *p, const char *variable)
{
    const char *equals = strchr(variable, '=');
    _cleanup_free_ char *name = NULL;

    if (!equals || settings_change_code(variable))
        return equals != NULL;
    name = strndup(variable, (size_t)(equals - variable));
    for (const char *const *pattern = p->o->record_env; name && pattern && *pattern; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return 1;
    return name ? 0 : -ENOMEM;
}

static int record_environment(struct pack *p, struct wp_error *err)
{
    struct manifest *m = &p->manifest;

    for (char **e = environ; e && *e; e++) {
        int r = is_recorded(p, *e);

        if (r == 0)
            continue;
        if (r < 0 || array_grow(m->env, m->env_count) < 0 || !(m->env[m->env_count] = strdup(*e)))
            return error_nomem(err);
        m->env_count++;
    }
    array_sort(m->env, m->env_count, path_compare);
    return 0;
}

static int record_recipe(struct pack *p, struct wp_error *err)
{
    const char *command = p->o->command;

    if (command && !(p->manifest.command = strdup(command)))
        return error_nomem(err);
    return p->has_env ? 0 : record_environment(p, err);
}

int pack_make(struct pack *p, const char *path, const char *text, struct wp_error *err)
{
    struct made_file *f;

    if (array_grow(p->made, p->made_count) < 0)
        return error_nomem(err);
    f = &p->made[p->made_count++];
    *f = (struct made_file){.entry = {.path = strdup(path), .mode = 0644}};
    if (!f->entry.path || buf_add_str(&f->text, text) < 0)
        return error_nomem(err);
    f->entry.size = f->text.size;
    sha256_of(f->text.data, f->text.size, f->entry.sha256);
    f->entry.has_sha256 = true;
    return 0;
}

static bool is_gone(const struct walk_item *item, void *ctx)
{
    (void)ctx;
    return item->gone;
}

/* The walk's entries become the manifest's, as all have been packed. A million are too many to have
 * them twice: the walk gives its memory back bit by bit, from its end. */
static void take_walk(struct walk *w, struct entry *entries)
{
    enum { STEP = 4096 }; /* items between one return of memory and the next */

    while (w->count) {
        struct walk_item *item = &w->items[--w->count], *less;

        entries[w->count] = item->entry;
        free(item->name);
        if (w->count % STEP != 0)
            continue;
        less = reallocarray(w->items, w->count ? w->count : 1, sizeof *less);
        if (less) {
            w->items = less;
            w->room = w->count ? w->count : 1;
        }
    }
}

/* Entries of what was made are copied. */
static int take_entries(struct pack *p, struct wp_error *err)
{
    struct manifest *m = &p->manifest;

    walk_drop(&p->walk, 0, is_gone, NULL);
    m->entries = reallocarray(NULL, p->walk.count + p->made_count + 1, sizeof *m->entries);
    if (!m->entries)
        return error_nomem(err);
    m->entry_count = p->walk.count;
    take_walk(&p->walk, m->entries);
    for (size_t i = 0; i < p->made_count; i++) {
        if (entry_copy(&m->entries[m->entry_count], &p->made[i].entry) < 0)
            return error_nomem(err);
        m->entry_count++;
    }
    if (p->made_count)
        array_sort(m->entries, m->entry_count, path_compare);
    return 0;
}

/* The newest time of what is packed, so that the same tree gives the same bytes. */
static struct timespec time_of_made(const struct pack *p)
{
    struct timespec t = {0};

    for (size_t i = 0; i < p->walk.count; i++)
        if (i == 0 || p->walk.items[i].entry.mtime.tv_sec > t.tv_sec)
            t.tv_sec = p->walk.items[i].entry.mtime.tv_sec;
    return t;
}

/* ---- What it will be --------------------------------------------------------------------- */

enum { MOST_KEPT = 8 << 20 }; /* bytes of the text: of some thirty thousand files */

struct measure {
    uint64_t size;
    struct buf text;    /* all of it, if it is not larger than that; else nothing */
    struct sha256 *sha; /* owned, or NULL */
};

static void measure_end(struct measure *m)
{
    buf_free(&m->text);
    sha256_free(m->sha);
}

static int count_text(void *ctx, const void *data, size_t n, struct wp_error *err)
{
    struct measure *m = ctx;

    m->size += n;
    if (m->sha)
        sha256_add(m->sha, data, n);
    if (m->size > MOST_KEPT)
        buf_free(&m->text);
    else if (buf_add(&m->text, data, n) < 0)
        return error_nomem(err);
    return 0;
}

/* A wheel's RECORD has the manifest's digest, and the manifest has RECORD's size: both are written
 * until the size is the one that was assumed. It only ever grows, by the digits of the other. */
static int measure_with_record(struct pack *p, struct made_file *record, struct measure *m,
                               struct wp_error *err)
{
    struct entry *listed = (struct entry *)manifest_find(&p->manifest, record->entry.path);
    unsigned char digest[SHA256_SIZE];

    m->sha = sha256_new();
    if (!m->sha)
        return error_nomem(err);
    for (;;) {
        int r;

        m->size = 0;
        buf_clear(&m->text);
        r = manifest_write(&p->manifest, p->pool, count_text, m, err);
        buf_clear(&record->text);
        if (r == 0)
            sha256_end(m->sha, digest);
        if (r == 0 && wheel_record_write(&p->manifest, p->home, digest, m->size, &record->text) < 0)
            r = error_nomem(err);
        if (r < 0 || record->entry.size == record->text.size)
            return r;
        record->entry.size = listed->size = record->text.size;
    }
}

static int measure_manifest(struct pack *p, struct measure *all, struct wp_error *err)
{
    struct manifest *m = &p->manifest;
    int r;

    m->creator = strdup("warmpack " WP_VERSION);
    m->home = strdup(p->home);
    m->signer = p->key;
    if (!m->creator || !m->home)
        return error_nomem(err);
    r = record_recipe(p, err);
    r = r < 0 ? r : take_entries(p, err);
    for (size_t i = 0; i < p->made_count && r == 0; i++)
        if (!p->made[i].entry.has_sha256)
            return measure_with_record(p, &p->made[i], all, err);
    return r < 0 ? r : manifest_write(m, p->pool, count_text, all, err);
}

/* ---- Into the archive -------------------------------------------------------------------- */

/* An entry that is packed by itself, in a block of its own or, if it is large, in several. */
struct alone {
    struct format_writer *w;
    struct output *out;
    struct format_block block;
    size_t most; /* bytes of the stream at which a block is full */
};

static int alone_begin(struct alone *a, const struct entry *e, struct wp_error *err)
{
    int r = a->w->ops->begin_block(a->w, &a->block, err);

    a->most = e->size <= a->w->whole_size ? SIZE_MAX : a->w->block_size;
    return r < 0 ? r : a->w->ops->add_header(a->w, &a->block, e, err);
}

static int alone_seal(struct alone *a, struct wp_error *err)
{
    int r = a->w->ops->seal(a->w, &a->block, err);

    return r < 0 ? r : pack_write(a->w, a->out, &a->block, err);
}

static int alone_add(void *ctx, const void *data, size_t n, struct wp_error *err)
{
    struct alone *a = ctx;
    const unsigned char *at = data;

    while (n) {
        size_t room = a->block.plain.size < a->most ? a->most - a->block.plain.size : 0;
        size_t now = n < room ? n : room;
        int r;

        if (buf_add(&a->block.plain, at, now) < 0)
            return error_nomem(err);
        at += now;
        n -= now;
        if (!n)
            break;
        r = alone_seal(a, err);
        buf_clear(&a->block.plain);
        buf_clear(&a->block.packed);
        r = r < 0 ? r : a->w->ops->begin_block(a->w, &a->block, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int alone_end(struct alone *a, const struct entry *e, struct wp_error *err)
{
    int r = a->w->ops->add_end(a->w, &a->block, e, err);

    return r < 0 ? r : alone_seal(a, err);
}

/* Packs E, whose content is TEXT; NULL: it is the manifest's, which is written as it is packed. */
static int put_alone(struct pack *p, struct format_writer *w, struct output *out,
                     const struct entry *e, const struct buf *text, struct wp_error *err)
{
    struct alone a = {.w = w, .out = out};
    int r = alone_begin(&a, e, err);

    if (r == 0)
        r = text ? alone_add(&a, text->data, text->size, err)
                 : manifest_write(&p->manifest, p->pool, alone_add, &a, err);
    if (r == 0)
        r = alone_end(&a, e, err);
    format_block_free(&a.block);
    return r;
}

int pack_manifest(struct pack *p, struct format_writer *w, struct output *out, uint64_t *at,
                  struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(p->home, MANIFEST_NAME);
    struct entry e = {.path = path, .mode = 0644, .mtime = time_of_made(p)};
    _cleanup_(measure_end) struct measure m = {0};
    int r;

    if (!path)
        return error_nomem(err);
    for (size_t i = 0; i < p->made_count; i++)
        p->made[i].entry.mtime = e.mtime;
    r = measure_manifest(p, &m, err);
    e.size = m.size;
    for (size_t i = 0; i < p->made_count && r == 0; i++)
        r = put_alone(p, w, out, &p->made[i].entry, &p->made[i].text, err);
    *at = out->written;
    return r < 0 ? r : put_alone(p, w, out, &e, m.text.size ? &m.text : NULL, err);
}
