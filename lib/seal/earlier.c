/* Sealing a tree that has a manifest already: leaves the same one as it is; an older one is
 * replaced, but one that knows how to make caches valid which are none now is kept. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "tree/beneath.h"
#include "trees/trees.h"

/* ---- Is it the same? --------------------------------------------------------------------- */

static int same_content(int a, int b, uint64_t size)
{
    enum { PIECE = 64 << 10 };
    _cleanup_free_ char *buffer = malloc(2 * (size_t)PIECE);

    if (!buffer)
        return -ENOMEM;
    for (uint64_t at = 0; at < size; at += PIECE) {
        ssize_t n = file_read_at(a, buffer, PIECE, at);
        ssize_t other = n < 0 ? n : file_read_at(b, buffer + PIECE, PIECE, at);

        if (other < 0)
            return (int)other;
        if (n != other || n == 0 || memcmp(buffer, buffer + PIECE, (size_t)n) != 0)
            return 0;
    }
    return 1;
}

/* Is E, which was staged, in DIR as well? */
static int is_same(const struct seal *s, const struct entry *e)
{
    _cleanup_close_ int staged = beneath_open_read(staging_tree(s->staging, 0), e->path);
    _cleanup_close_ int there = beneath_open_read(staging_target(s->staging, 0), e->path);
    struct stat new, old;

    if (staged < 0)
        return staged;
    if (there < 0)
        return beneath_is_no_file(there) ? 0 : there;
    if (fstat(staged, &new) < 0 || fstat(there, &old) < 0)
        return -errno;
    if ((old.st_mode & S_IFMT) != (new.st_mode &S_IFMT))
        return 0;
    if (!S_ISREG(new.st_mode))
        return 1;
    if (old.st_mode != new.st_mode || old.st_size != new.st_size ||
        !time_is(old.st_mtim, new.st_mtim))
        return 0;
    return same_content(staged, there, (uint64_t) new.st_size);
}

/* The directories of manifests at the top of DIR. */
static int find_homes(const struct seal *s, struct path_list *homes, struct wp_error *err)
{
    const int r = trees_homes(staging_target(s->staging, 0), MANIFEST_DIR, homes);

    return r < 0 ? error_set(err, -r, MANIFEST_DIR, "cannot find the manifests in it") : 0;
}

/* Would git pass over the seal, since an archive was unpacked here before? 1, 0 or negative errno.
 */
static int is_ignored(const struct seal *s)
{
    return trees_ignore_is_ours(staging_target(s->staging, 0), MANIFEST_DIR "/" OWN_IGNORE);
}

int seal_is_there(struct seal *s, struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list homes = {0};
    int r = find_homes(s, &homes, err), ignored = r == 0 ? is_ignored(s) : 0;

    if (r == 0 && ignored < 0)
        r = error_set(err, -ignored, MANIFEST_DIR "/" OWN_IGNORE, "cannot be read");
    else if (r == 0)
        r = homes.count == 1 && !ignored;
    for (size_t i = 0; i < s->entry_count && r == 1; i++) {
        r = is_same(s, &s->entries[i]);
        if (r < 0)
            error_set(err, -r, s->entries[i].path, "cannot be compared");
    }
    return r;
}

/* ---- Is it better? ----------------------------------------------------------------------- */

/* A pointer to each index of the report, by source and name. */
struct by_source {
    const struct wp_index_status **v; /* owned */
    size_t count;
};

static int compare_names(const char *source, const char *index, const struct wp_index_status *s)
{
    int order = strcmp(source, s->source ? s->source : "");

    return order ? order : strcmp(path_base(index), path_base(s->index));
}

static int compare_statuses(const void *a, const void *b)
{
    const struct wp_index_status *first = *(const struct wp_index_status *const *)a;

    return compare_names(first->source ? first->source : "", first->index,
                         *(const struct wp_index_status *const *)b);
}

static int sort_by_source(struct by_source *by, const struct wp_verify_report *report)
{
    by->count = report->count;
    by->v = calloc(report->count + 1, sizeof(const struct wp_index_status *));
    if (!by->v)
        return -ENOMEM;
    for (size_t i = 0; i < report->count; i++)
        by->v[i] = &report->indexes[i];
    qsort(by->v, by->count, sizeof *by->v, compare_statuses);
    return 0;
}

/* Looks up index INDEX of SOURCE: is one of that name valid now, or at least there? */
static void look_up(const struct by_source *by, const char *source, const char *index, bool *valid,
                    bool *there)
{
    size_t low = array_first(i, by->count, compare_names(source, index, by->v[i]) > 0);

    for (; low < by->count && compare_names(source, index, by->v[low]) == 0; low++) {
        *valid |= by->v[low]->status == WP_VALID;
        *there |= by->v[low]->status == WP_STALE || by->v[low]->status == WP_MISPLACED;
    }
}

/* Would the index that LINE of OLD tells of be valid after a restore, and is it not now? */
static int would_be_lost(const struct seal *s, const struct by_source *by,
                         const struct tree_manifest *old, const struct manifest *new,
                         const struct manifest_index *line)
{
    bool gone, index_gone, valid = false, there = false;
    int r = 0;
    _cleanup_free_ char *source = tree_path(old, line->source, &gone);
    _cleanup_free_ char *index = tree_path(old, line->index, &index_gone);
    const struct entry *then, *now;
    struct stat st;

    if ((!source && !gone) || (!index && !index_gone))
        return -ENOMEM;
    if (!source)
        return 0;
    then = manifest_find(&old->m, line->source);
    now = manifest_find(new, source);
    if (!then || !now || !then->has_sha256 || !now->has_sha256 ||
        memcmp(then->sha256, now->sha256, sizeof then->sha256) != 0)
        return 0;
    look_up(by, source, line->index, &valid, &there);
    if (index && !there)
        r = beneath_look(staging_target(s->staging, 0), index, &st);
    return r < 0 ? r : (there || r > 0) && !valid;
}

static int count_lost(const struct seal *s, const struct by_source *by,
                      const struct tree_manifest *old, const struct manifest *new, size_t *lost)
{
    for (size_t i = 0; i < old->m.index_count; i++) {
        const struct manifest_index *line = &old->m.indexes[i];
        int r = line->valid && line->source ? would_be_lost(s, by, old, new, line) : 0;

        if (r < 0)
            return r;
        *lost += (size_t)r;
    }
    return 0;
}

/* One that is damaged tells nothing. */
static int check_home(struct seal *s, const struct by_source *by, const struct manifest *new,
                      const char *home, struct wp_error *err)
{
    const struct trees trees = {
        .dir = s->o->dir, .fd = staging_target(s->staging, 0), .context = s->context};
    _cleanup_(tree_manifest_clear) struct tree_manifest old = {.foreign = -1};
    size_t lost = 0;
    int r = tree_manifest_and_state_read(&trees, &old, home, err);

    if (r < 0)
        return r;
    s->was_signed |= r > 0 && old.m.signature_count;
    if (r > 0)
        r = count_lost(s, by, &old, new, &lost);
    if (r < 0)
        return error_set(err, -r, home, "cannot be compared with what is there");
    if (!lost)
        return 0;
    return error_set(err, 0, s->o->dir,
                     "not sealed: %zu cache %s valid by the manifest that is there, and not by the "
                     "times of the files: run warmpack restore first",
                     lost, lost == 1 ? "index is" : "indexes are");
}

int seal_check_earlier(struct seal *s, struct wp_error *err)
{
    const struct trees staged = {
        .dir = s->o->dir, .fd = staging_tree(s->staging, 0), .context = s->context};
    _cleanup_free_ char *home = path_dir(s->entries[s->entry_count - 1].path);
    _cleanup_(tree_manifest_clear) struct tree_manifest new = {.foreign = -1};
    _cleanup_(path_list_clear) struct path_list homes = {0};
    struct by_source by = {0};
    int r = home ? find_homes(s, &homes, err) : error_nomem(err);

    if (r == 0 && homes.count) {
        r = tree_manifest_read(&staged, &new, home, err);
        if (r >= 0)
            r = sort_by_source(&by, &s->result->made.verify) < 0 ? error_nomem(err) : 0;
    }
    for (size_t i = 0; i < homes.count && r == 0; i++)
        r = check_home(s, &by, &new.m, homes.v[i], err);
    free(by.v);
    return r;
}

/* ---- Giving way -------------------------------------------------------------------------- */

int seal_find_earlier(struct seal *s, struct wp_error *err)
{
    _cleanup_free_ char *home = path_dir(s->entries[s->entry_count - 1].path);
    _cleanup_free_ char *state = home ? path_join(home, STATE_NAME) : NULL;
    int r = state ? find_homes(s, &s->earlier, err) : error_nomem(err), ignored = 0;

    s->result->replaced = s->earlier.count > 0;
    /* What was done with another manifest of that name says nothing of this one. */
    if (r == 0 && staging_set_remove(s->staging, 0, state) < 0)
        r = error_nomem(err);
    if (r == 0 && (ignored = is_ignored(s)) < 0)
        r = error_set(err, -ignored, MANIFEST_DIR "/" OWN_IGNORE, "cannot be read");
    if (r == 0 && ignored && staging_set_remove(s->staging, 0, MANIFEST_DIR "/" OWN_IGNORE) < 0)
        r = error_nomem(err);
    if (r == 0 && !s->o->with_locator &&
        staging_set_remove(s->staging, 0, MANIFEST_DIR "/" OWN_PYTHON) < 0)
        r = error_nomem(err);
    for (size_t i = 0; i < s->earlier.count && r == 0; i++)
        if (strcmp(s->earlier.v[i], home) == 0)
            *s->earlier.v[i] = '\0'; /* the same directory gets the new manifest */
    return r;
}

/* Without its manifest a directory is nothing: that goes first. */
static int remove_home(const struct seal *s, const char *home)
{
    _cleanup_free_ char *manifest = path_join(home, MANIFEST_NAME);
    int r = manifest ? beneath_remove(staging_target(s->staging, 0), manifest) : -ENOMEM;

    return r < 0 ? r : beneath_remove(staging_target(s->staging, 0), home);
}

void seal_remove_earlier(struct seal *s)
{
    for (size_t i = 0; i < s->earlier.count; i++) {
        const char *home = s->earlier.v[i];
        int r = *home ? remove_home(s, home) : 0;

        if (r < 0)
            report(s->context, WP_WARNING, home, "is out of date and cannot be removed: %s",
                   strerror(-r));
    }
}
