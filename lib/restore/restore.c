/* The job of repairing a tree that another tool unpacked, or that was moved. */

#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "numba/caches.h"
#include "tree/beneath.h"

/* ---- The tree ---------------------------------------------------------------------------- */

static int add_root(struct restore *r, size_t *n, char *path, struct wp_error *err)
{
    if (!path)
        return error_set(err, errno, r->dir, "cannot be found");
    if (*n && strcmp(r->roots[*n - 1], path) == 0)
        free(path);
    else
        r->roots[(*n)++] = path;
    return 0;
}

/* The paths that Python may see the tree by. */
static int plan_roots(struct restore *r, struct wp_error *err)
{
    const char *const *given = r->o->runtime_roots;
    size_t count = 0, n = 0;
    int res = 0;

    while (given && given[count])
        count++;
    r->dir_path = path_absolute(r->dir);
    r->roots = calloc(count + 3, sizeof *r->roots);
    if (!r->dir_path || !r->roots)
        return error_nomem(err);
    for (size_t i = 0; i < count && res == 0; i++)
        res = add_root(r, &n, path_absolute(given[i]), err);
    if (!count)
        res = add_root(r, &n, strdup(r->dir_path), err);
    if (!count && res == 0)
        res = add_root(r, &n, path_physical(r->dir), err);
    return res;
}

static bool has_staging(const char *dir)
{
    _cleanup_closedir_ DIR *d = opendir(dir);
    struct dirent *item;

    if (!d)
        return false;
    while ((item = readdir(d)))
        if (strncmp(item->d_name, STAGING_PREFIX, strlen(STAGING_PREFIX)) == 0)
            return true;
    return false;
}

/* Completes or removes what a run that was killed has left in DIR. */
static int recover(struct restore *r, const char *dir, struct wp_error *err)
{
    struct staging_options options = {.report = r->o->report, .interrupted = r->o->interrupted};
    struct staging *s = NULL;
    int res;

    if (r->o->dry_run || !dir || !has_staging(dir))
        return 0;
    res = staging_new(&s, &options, err);
    if (res == 0)
        res = staging_add_area(s, dir, err);
    staging_free(s);
    return res < 0 ? res : 0;
}

/* ---- The job ----------------------------------------------------------------------------- */

/* Indexes that were packed and are nowhere: nothing is wrong, but Numba will compile. */
static void count_missing(struct restore *r, const struct restore_tree *t)
{
    size_t valid = 0, found = 0;

    for (size_t i = 0; i < t->m.index_count; i++) {
        const struct manifest_index *line = &t->m.indexes[i];
        const struct restored *f =
            line->valid && line->source ? restore_file_of(t, line->source) : NULL;

        valid += f && f->status == RESTORED_SAME;
    }
    for (size_t i = 0; i < t->layout.laid_count; i++)
        found += t->layout.laid[i].was_valid;
    if (found < valid)
        report(r->o->report, WP_WARNING, t->name,
               "%zu cache indexes of the archive are not here, nor where they were put",
               valid - found);
}

static void tell_result(struct restore *r, const struct restore_tree *t)
{
    struct wp_restore_result *result = r->result;

    result->renamed += t->layout.renamed;
    if (!result->cache_dir) {
        result->layout = t->layout.where;
        result->set_cache_dir = t->layout.where == WP_LAYOUT_CACHE_DIR;
        result->cache_dir = t->layout.where_root ? strdup(t->layout.where_root) : NULL;
    }
}

/* The home's cache directory that nothing lies in any more. */
static void remove_empty_cache(const struct restore *r, const struct restore_tree *t)
{
    _cleanup_free_ char *cache = t->home ? path_join(t->home, "cache") : NULL;
    const char *name;
    _cleanup_close_ int parent = cache ? beneath_parent(r->fd, cache, &name) : -1;

    if (parent >= 0)
        unlinkat(parent, name, AT_REMOVEDIR); /* where it is empty */
}

static int repair(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    struct wp_restore_result *result = r->result;
    int res = restore_lock(r, t, err);

    if (res == 0)
        res = recover(r, r->o->cache_dir, err);
    if (res == 0)
        res = restore_files(r, t, err);
    if (res == 0 && restore_dirs_find(t) < 0)
        res = error_nomem(err);
    if (res == 0)
        res = restore_trust(r, t, err);
    if (res == 0)
        res = recover(r, t->old_root, err);
    if (res == 0)
        res = restore_caches(r, t, err);
    if (res == 0)
        res = layout_run(&t->layout, err);
    if (res == 0)
        res = restore_stamps(r, t, err);
    if (res == 0 && !r->o->dry_run)
        res = restore_state_write(r, t, err);
    if (res == 0 && t->staging)
        res = staging_commit(t->staging, err);
    staging_free(take_ptr(t->staging));
    if (res == 0 && !r->o->dry_run)
        layout_finish(&t->layout);
    if (res == 0 && !r->o->dry_run)
        res = restore_record(r, t, err);
    if (res < 0)
        return res;
    if (!r->o->dry_run)
        remove_empty_cache(r, t);
    tell_result(r, t);
    count_missing(r, t);
    return r->o->dry_run ? 0
                         : layout_verify(&t->layout, r->pool, &result->verify, &result->was_valid,
                                         &result->lost, err);
}

static int restore_tree(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    int res = repair(r, t, err);

    restore_tree_close(t);
    return res;
}

/* Manifests that cannot be used do not keep the others from being so. */
static void tell_damaged(struct restore *r)
{
    for (size_t i = 0; i < r->damaged_count; i++)
        report(r->o->report, WP_FAILED, NULL, "%s", r->damaged[i].message);
    r->result->damaged = r->damaged_count;
}

static int run(struct restore *r, struct wp_error *err)
{
    int res = verify_begin(&r->verify, r->o->user, err);

    if (res == 0)
        res = plan_roots(r, err);
    if (res < 0)
        return res;
    r->fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0)
        return error_set(err, errno, r->dir, "cannot open directory");
    r->pool = pool_new(r->o->threads);
    if (!r->pool)
        return error_set(err, errno, NULL, "cannot start threads");
    r->umask = file_umask();
    res = recover(r, r->dir, err);
    if (res == 0)
        res = restore_find(r, err);
    for (size_t i = 0; i < r->tree_count && res == 0; i++) {
        res = restore_links(r, &r->trees[i], err);
        if (res == 0)
            res = restore_plan(r, &r->trees[i], err);
    }
    if (res == 0)
        res = restore_share(r, err);
    for (size_t i = 0; i < r->tree_count && res == 0; i++)
        res = restore_tree(r, &r->trees[i], err);
    if (res == 0)
        res = restore_extra(r, err);
    if (res == 0)
        tell_damaged(r);
    r->result->manifests = r->tree_count;
    return res;
}

static int restore(const struct wp_restore_options *o, bool grafting,
                   struct wp_restore_result *result, struct wp_error *err)
{
    struct restore r = {.o = o, .result = result, .grafting = grafting, .dir = o->dir, .fd = -1};
    int res;

    *result = (struct wp_restore_result){.layout = WP_LAYOUT_IN_TREE};
    res = run(&r, err);
    for (size_t i = 0; i < r.tree_count; i++)
        restore_tree_clear(&r.trees[i]);
    pool_free(r.pool);
    cleanup_close(&r.fd);
    verify_end(&r.verify);
    caches_free_bases(r.roots);
    free(r.trees);
    free(r.damaged);
    free(r.owners);
    free(r.dir_path);
    if (res < 0)
        wp_restore_result_clear(result);
    return res;
}

int wp_restore(const struct wp_restore_options *o, struct wp_restore_result *result,
               struct wp_error *err)
{
    return restore(o, false, result, err);
}

int restore_graft(const struct wp_restore_options *o, struct wp_restore_result *result,
                  struct wp_error *err)
{
    return restore(o, true, result, err);
}

void wp_restore_result_clear(struct wp_restore_result *r)
{
    free(r->cache_dir);
    wp_verify_report_clear(&r->verify);
    *r = (struct wp_restore_result){0};
}
