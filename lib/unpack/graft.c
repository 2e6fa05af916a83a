/* Unpacking the caches alone, onto a tree that came another way: only those whose sources have the
 * content there that was compiled. Times and stamps are then the affair of the repair. */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "manifest/links.h"
#include "numba/caches.h"
#include "numba/index.h"
#include "restore/job.h"
#include "tree/beneath.h"

enum { UNKNOWN, SAME, OTHER }; /* what a source in the target is */

bool unpack_is_cache(const struct entry *e)
{
    return (e->type == ENTRY_FILE || e->type == ENTRY_HARDLINK) &&
           (caches_is_index(e->path) || caches_is_data(e->path));
}

static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    (void)is_end;
    return manifest_find(ctx, path);
}

static bool is_same(const struct unpack *u, const struct entry *e)
{
    unsigned char digest[32];
    bool gone;
    _cleanup_free_ char *path = unpack_name(u, e->path, &gone);
    _cleanup_close_ int fd = -1;
    struct stat st;

    if (!path || !e->has_sha256)
        return false;
    fd = beneath_open(staging_target(u->staging, 0), path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == e->size && sha256_of_file(fd, digest) == 0 &&
           memcmp(digest, e->sha256, sizeof digest) == 0;
}

/* Is the source of the valid index LINE the same in the target? Each is read once. */
static bool fits(struct unpack *u, unsigned char *known, const struct manifest_index *line)
{
    const struct entry *e = NULL;
    unsigned char *status;

    if (!line->source || links_follow(look_up, &u->manifest, line->source, &e) < 0 ||
        e->type != ENTRY_FILE)
        return false;
    status = &known[e - u->manifest.entries];
    if (*status == UNKNOWN) {
        *status = is_same(u, e) ? SAME : OTHER;
        u->result->sources++;
        u->result->matched += *status == SAME;
        if (*status == OTHER)
            report(u->a->context, WP_DETAIL, e->path, "is not the same here: its caches stay out");
    }
    return *status == SAME;
}

static const char *archived_path(const struct unpacked *item)
{
    return item->archived ? item->archived : item->e.path;
}

/* The index that data file ITEM belongs to. */
static struct unpacked *index_of(const struct unpack *u, const struct unpacked *item)
{
    const char *path = item->e.path, *name = path_base(path);
    _cleanup_free_ char *index = NULL;
    size_t stem;

    if (!index_is_data_name(name, &stem) ||
        asprintf(&index, "%.*s.nbi", (int)((size_t)(name - path) + stem), path) < 0) {
        index = NULL;
        return NULL;
    }
    return unpack_find(u, index);
}

int unpack_graft(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ unsigned char *known = calloc(u->manifest.entry_count + 1, 1);
    int r = 0;

    if (!known)
        return error_nomem(err);
    for (size_t i = 0; i < u->count && r == 0; i++) {
        struct unpacked *item = u->items[i];
        const struct manifest_index *line = manifest_find_index(&u->manifest, archived_path(item));

        if (!item->skipped && caches_is_index(item->e.path) &&
            !(line && line->valid && fits(u, known, line)))
            r = unpack_take_out(u, item, err);
    }
    for (size_t i = 0; i < u->count && r == 0; i++) {
        struct unpacked *item = u->items[i], *index;

        if (item->skipped || caches_is_index(item->e.path))
            continue;
        if (item->e.type == ENTRY_DIR) { /* it goes with what is taken out of it */
            item->skipped = true;
            continue;
        }
        index = index_of(u, item);
        if (!index || index->skipped)
            r = unpack_take_out(u, item, err);
    }
    if (r == 0 && !u->result->matched)
        return error_set(err, 0, u->dir,
                         "none of the %zu sources that %s has caches of is in it, or is the same",
                         u->result->sources, u->a->name);
    return r;
}

int unpack_graft_finish(struct unpack *u, struct wp_error *err)
{
    _cleanup_free_ char *home = path_join(u->dir_path, u->home);
    _cleanup_free_ char *manifest = home ? path_join(home, MANIFEST_NAME) : NULL;
    struct wp_restore_options o = {.dir = u->dir,
                                   .manifest = manifest,
                                   .layout = u->o->layout,
                                   .cache_dir = u->o->cache_dir,
                                   .user = u->o->user,
                                   .runtime_roots = u->o->runtime_roots,
                                   .restamp = u->o->restamp};
    struct wp_restore_result done = {0};
    int r = manifest ? restore_graft(u->a->context, &o, &done, err) : error_nomem(err);

    if (r < 0)
        return r;
    u->result->was_valid = done.was_valid;
    u->result->lost = done.lost;
    u->result->restamped = done.restamped;
    u->result->verify = done.verify;
    done.verify = (struct wp_verify_report){0};
    wp_restore_result_clear(&done);
    return 0;
}
