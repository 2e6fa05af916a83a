/* Runs the job of repairing a tree that another tool unpacked, or that was moved. */

#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "commit/staging.h"
#include "numba/caches.h"
#include "tree/beneath.h"

/* ---- The tree ---------------------------------------------------------------------------- */

bool restore_writes(const struct restore *restore)
{
    return !restore->o->dry_run || (restore->retargets && !restore->retarget_dry_run);
}

/* Completes or removes what a run that was killed has left in DIR. */
static int recover(struct restore *restore, const char *dir, struct wp_error *err)
{
    int r =
        restore_writes(restore) && dir ? staging_recover_in(dir, true, restore->context, err) : 0;

    return r < 0 ? r : 0;
}

/* Likewise what it had not yet put in place of other files: stamps, keys, states; also where this
 * repair puts nothing. Where that fails, the lock stays: it says to the next run that there is
 * something. */
static int sweep(const struct restore *restore, struct repair *repair, struct wp_error *err)
{
    const struct layout *l = repair->layout;
    _cleanup_free_ char *last = NULL;
    int last_fd = -1;
    bool is_left;

    if (!restore_writes(restore))
        return 0;
    is_left = repair->lock.found
                  ? trees_sweep(&restore->trees, repair->t->home) < 0
                  : repair->t->home && beneath_sweep(restore->fd, repair->t->home) < 0;
    for (size_t i = 0; i < l->placed_count; i++) {
        const struct placed_index *placed = &l->placed[i];
        _cleanup_free_ char *dir = path_dir(placed->path);

        if (!dir)
            return error_nomem(err);
        if (placed->fd < 0 || placed->staged ||
            (last && placed->fd == last_fd && strcmp(dir, last) == 0))
            continue;
        is_left |= beneath_sweep(placed->fd, dir) < 0;
        free(last);
        last = take_ptr(dir);
        last_fd = placed->fd;
    }
    repair->lock.stays = is_left;
    return 0;
}

void repair_begin(struct repair *repair, struct tree_manifest *t)
{
    *repair = (struct repair){.t = t,
                              .layout = &repair->own_layout,
                              .lock.fd = -1,
                              .home_fd = -1,
                              .old_fd = -1,
                              .cache_fd = -1,
                              .user_fd = -1};
}

void repair_close(struct repair *repair)
{
    lock_file_release(&repair->lock, repair->home_fd, OWN_LOCK, true);
    cleanup_close(&repair->home_fd);
    cleanup_close(&repair->old_fd);
    cleanup_close(&repair->cache_fd);
    cleanup_close(&repair->user_fd);
}

void repair_clear(struct repair *repair)
{
    repair_close(repair);
    staging_free(repair->staging);
    layout_clear(&repair->own_layout);
    for (size_t i = 0; repair->files && i < repair->t->m.entry_count; i++)
        free(repair->files[i].path);
    free(repair->files);
    free(repair->state_cache_dir);
}

/* ---- One of them ------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const struct manifest_index *const *x = a, *const *y = b;
    int r = strcmp((*x)->source, (*y)->source);

    return r ? r : strcmp(path_base((*x)->index), path_base((*y)->index));
}

/* Valid indexes of sources that are the same. Of those in several places, which may come to lie in
 * one, each counts once. */
static int count_expected(const struct repair *repair, size_t *count)
{
    const struct manifest *m = &repair->t->m;
    _cleanup_free_ const struct manifest_index **lines = calloc(m->index_count + 1, sizeof *lines);
    size_t valid = 0;

    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < m->index_count; i++) {
        const struct manifest_index *line = &m->indexes[i];
        const struct restored *f = restore_valid_source(repair, line);

        if (f && f->status == RESTORED_SAME)
            lines[valid++] = line;
    }
    qsort(lines, valid, sizeof *lines, compare_names);
    *count = 0;
    for (size_t i = 0; i < valid; i++)
        *count += i == 0 || compare_names(&lines[i - 1], &lines[i]) != 0;
    return 0;
}

int restore_report_missing(struct restore *restore, const struct repair *repair,
                           struct wp_error *err)
{
    size_t valid, found = 0;

    if (count_expected(repair, &valid) < 0)
        return error_nomem(err);
    for (size_t i = 0; i < repair->layout->placed_count; i++)
        found += repair->layout->placed[i].was_valid;
    if (found < valid)
        report(restore->context, WP_WARNING, repair->t->name,
               "%zu cache indexes of the archive are not here, nor where they were put",
               valid - found);
    return 0;
}

static void set_result(struct restore *restore, const struct repair *repair)
{
    struct wp_restore_result *result = restore->result;

    result->renamed += repair->layout->renamed;
    if (!result->cache_dir) {
        result->layout = repair->layout->where;
        result->set_cache_dir = repair->layout->where == WP_LAYOUT_CACHE_DIR;
        result->cache_dir = repair->layout->where_root ? strdup(repair->layout->where_root) : NULL;
    }
}

/* Finds where the caches lie now, and puts them into staged trees where they belong. */
static int lay_caches(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = restore_begin_layout(restore, repair, err);

    if (r == 0)
        r = restore_add_caches(restore, repair, err);
    return r < 0 ? r : layout_run(repair->layout, err);
}

static int commit(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    _cleanup_free_ char *cache = repair->t->home ? path_join(repair->t->home, "cache") : NULL;
    int r = repair->staging ? staging_commit(repair->staging, err) : 0;

    staging_free(take_ptr(repair->staging));
    if (r < 0)
        return r;
    layout_finish(repair->layout);
    if (cache && !restore->apart)
        (void)beneath_rmdir(restore->fd, cache); /* where nothing lies in it any more */
    return 0;
}

/* Sets what is in place, and puts what is staged there; or neither. */
static int change(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = restore_set_times(restore, repair, err);

    /* Some were made for times that could not be set to the nanosecond. */
    if (r == 0 && repair->rounded)
        r = restore_stamps(restore, repair, STAMPS_STAGED, err);
    if (r == 0)
        r = restore_renew_staged(restore, repair, err);
    if (r == 0)
        r = restore_state_write(restore, repair, err);
    if (r == 0)
        r = commit(restore, repair, err);
    if (r < 0)
        restore_take_back_times(restore, repair);
    else
        restore->changed = true;
    return r;
}

static int put_all(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    bool dry_run = restore->o->dry_run;
    int r = lay_caches(restore, repair, err);

    if (r == 0)
        r = restore_signed_caches(restore, repair, err);
    if (r == 0)
        r = sweep(restore, repair, err);
    if (r == 0)
        r = restore_stamps(restore, repair, STAMPS_STAGED, err);
    if (r == 0 && !dry_run)
        r = change(restore, repair, err);
    if (r == 0)
        r = restore_stamps(restore, repair, STAMPS_STAYING, err);
    if (r == 0)
        r = restore_pycs(restore, repair, err);
    if (r == 0 && !restore->apart)
        r = restore_relocate(restore, repair, err);
    return r == 0 && !dry_run && !restore->apart ? restore_record(restore, repair, err) : r;
}

static int verify(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct wp_restore_result *result = restore->result;

    return layout_verify(repair->layout, restore->pool, &result->verify, &result->was_valid,
                         &result->lost, err);
}

static int take_steps(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    bool dry_run = restore->o->dry_run;
    int r = recover(restore, restore->o->cache_dir, err);

    if (r == 0)
        r = restore_check_files(restore, repair, err);
    if (r == 0)
        r = restore_relocated(restore, repair, err);
    if (r == 0)
        r = restore_count_files(restore, repair, err);
    if (r == 0)
        r = restore_believe(restore, repair, err);
    if (r == 0)
        r = recover(restore, repair->t->old_root, err);
    if (r == 0)
        r = put_all(restore, repair, err);
    if (r == 0) {
        set_result(restore, repair);
        r = restore_report_missing(restore, repair, err);
    }
    if (r == 0 && restore->retargets)
        r = restore_retarget(restore, repair, err);
    if (r == 0 && !dry_run)
        r = verify(restore, repair, err);
    return r;
}

/* Keys, owners and modes of directories are not among what is looked at first. */
static bool looks_first(const struct restore *restore, const struct repair *repair)
{
    return repair->t->home && restore_writes(restore) && !restore->retargets &&
           !restore->o->group_writable && !(restore->o->user && geteuid() == 0);
}

static int repair_tree(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = looks_first(restore, repair) ? restore_look(restore, repair, take_steps, err) : -EAGAIN;

    if (r == -EAGAIN) {
        r = restore_lock(restore, repair, err);
        if (r == 0)
            r = take_steps(restore, repair, err);
    }
    repair_close(repair);
    return r;
}

/* ---- All of them ------------------------------------------------------------------------- */

static int open_tree(struct restore *restore, struct wp_error *err)
{
    const char *dir = restore->o->dir;
    int r = caches_roots(&restore->roots, dir, restore->o->runtime_roots, err);

    if (r < 0)
        return r;
    restore->dir_path = path_absolute(dir);
    if (!restore->dir_path)
        return error_set(err, errno, dir, "cannot be found");
    restore->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->fd < 0)
        return error_set(err, errno, dir, "cannot open directory");
    r = layout_is_apart(restore->fd, restore->dir_path, restore->o->layout, restore->o->cache_dir,
                        err);
    if (r < 0)
        return r;
    restore->apart = r > 0;
    if (restore->apart)
        report(restore->context, WP_NOTE, dir,
               "cannot be written to: caches are put into %s, and nothing in it changes",
               restore->o->cache_dir);
    restore->pool = pool_new(context_threads(restore->context));
    if (!restore->pool)
        return error_set(err, errno, NULL, "cannot start threads");
    restore->umask = file_umask();
    return 0;
}

static int find_manifests(struct restore *restore, struct wp_error *err)
{
    struct trees *trees = &restore->trees;
    struct wp_error why = {0};
    int r, recovered = 0;

    *trees = (struct trees){.dir = restore->o->dir,
                            .fd = restore->fd,
                            .pool = restore->pool,
                            .context = restore->context,
                            .trust = &restore->trust};
    r = trees_find(trees, restore->o->manifest, &why);
    if (restore_writes(restore))
        recovered = trees_recover(trees, restore->context, err);
    else
        (void)staging_warn_of_unfinished(restore->o->dir, &trees->staged, restore->context);
    if (recovered < 0)
        return recovered;
    if (recovered) {
        trees_clear(trees);
        why = (struct wp_error){0};
        r = trees_find(trees, restore->o->manifest, &why);
    }
    if (r < 0) {
        error_pass(err, &why);
        return r;
    }
    restore->repairs = calloc(trees->count + 1, sizeof *restore->repairs);
    if (!restore->repairs)
        return error_nomem(err);
    for (size_t i = 0; i < trees->count; i++) {
        repair_begin(&restore->repairs[i], &trees->list[i]);
        restore->grafting |= trees->list[i].foreign >= 0;
    }
    restore->result->manifests = trees->count;
    return 0;
}

/* The cache roots of earlier times are among the places, too, where they are there. Whether they
 * are to be believed shows only later. */
static int confine(struct restore *restore, struct wp_error *err)
{
    size_t count = restore->trees.count;
    _cleanup_free_ const char **dirs = calloc(count + 2, sizeof *dirs);

    if (!dirs)
        return error_nomem(err);
    dirs[0] = restore->apart ? NULL : restore->o->dir;
    dirs[1] = restore->o->cache_dir;
    for (size_t i = 0; i < count; i++) {
        const char *old = restore->trees.list[i].old_root;

        dirs[i + 2] = old && access(old, F_OK) == 0 ? old : NULL;
    }
    return layout_confine(restore->context, restore->pool, &restore->verify, dirs,
                          restore_writes(restore) ? count + 2 : 0, err);
}

/* Which files there should be, and which manifest speaks for each. */
static int plan(struct restore *restore, struct wp_error *err)
{
    for (size_t i = 0; i < restore->trees.count; i++) {
        int r = restore_links(restore, &restore->repairs[i], err);

        if (r == 0)
            r = restore_plan(restore, &restore->repairs[i], err);
        if (r < 0)
            return r;
    }
    return restore_share(restore, err);
}

/* Manifests that cannot be used do not keep the others from being so. */
static void report_damaged(struct restore *restore)
{
    for (size_t i = 0; i < restore->trees.damaged_count; i++)
        report(restore->context, WP_FAILED, NULL, "%s%s", restore->trees.damaged[i].message,
               restore->changed ? "; what other manifests know was repaired" : "");
    restore->result->damaged = restore->trees.damaged_count;
}

static int run(struct restore *restore, struct wp_error *err)
{
    int r = verify_begin(&restore->verify, restore->o->user, err);

    if (r == 0)
        r = trust_read(&restore->trust, restore->o->trust, err);
    if (r == 0)
        r = open_tree(restore, err);
    if (r == 0)
        r = recover(restore, restore->o->dir, err);
    if (r == 0)
        r = find_manifests(restore, err);
    if (r == 0)
        r = confine(restore, err);
    if (r == 0)
        r = restore_signed_begin(restore, err);
    if (r == 0)
        r = plan(restore, err);
    for (size_t i = 0; i < restore->trees.count && r == 0; i++)
        r = repair_tree(restore, &restore->repairs[i], err);
    if (r == 0 && !restore->keys_alone)
        r = restore_extra(restore, err);
    if (r == 0)
        report_damaged(restore);
    if (r == 0 && restore->o->sync && restore_writes(restore) && syncfs(restore->fd) < 0)
        r = error_set(err, errno, restore->o->dir, "cannot be written to the disk");
    return r;
}

static void clear(struct restore *restore)
{
    for (size_t i = 0; restore->repairs && i < restore->trees.count; i++)
        repair_clear(&restore->repairs[i]);
    free(restore->repairs);
    trees_signed_clear(&restore->is_signed);
    trust_clear(&restore->trust);
    trees_clear(&restore->trees);
    pool_free(restore->pool);
    cleanup_close(&restore->fd);
    verify_end(&restore->verify);
    caches_free_bases(restore->roots);
    free(restore->owners);
    free(restore->dir_path);
}

int restore_run(struct restore *restore, struct wp_error *err)
{
    int r;

    *restore->result = (struct wp_restore_result){.layout = WP_LAYOUT_IN_TREE};
    r = run(restore, err);
    if (r < 0 && restore->changed)
        error_note(err,
                   "before that, the tree was changed, and another restore goes on from there");
    clear(restore);
    return r;
}

/* Repairs, and changes keys to those of the interpreter that the options name. */
static int run_retargeting(struct restore *restore, struct wp_error *err)
{
    _cleanup_(retarget_who_clear) struct retarget_who who = {0};
    struct wp_retarget_result retargeted = {0};
    int r = retarget_who_ask(&who, restore->context, restore->o->retarget, err);

    if (r == 0)
        r = restore_retarget_begin(restore, &who, &retargeted, err);
    if (r == 0)
        r = restore_run(restore, err);
    restore->result->retarget = retargeted;
    return r;
}

int wp_restore(const struct wp_context *context, const struct wp_restore_options *o,
               struct wp_restore_result *result, struct wp_error *err)
{
    struct restore restore = {.context = context, .o = o, .result = result, .fd = -1};
    int r = options_check(context, o, err);

    *result = (struct wp_restore_result){0};
    if (r == 0 && o->mtime && o->restamp != WP_RESTAMP_AUTO)
        r = error_set(err, EINVAL, NULL, "one time for all leaves no choice of what is changed");
    if (r == 0)
        r = o->retarget ? run_retargeting(&restore, err) : restore_run(&restore, err);
    if (r < 0)
        wp_restore_result_clear(result);
    return r;
}

void wp_restore_result_clear(struct wp_restore_result *r)
{
    free(r->cache_dir);
    wp_verify_report_clear(&r->verify);
    wp_retarget_result_clear(&r->retarget);
    *r = (struct wp_restore_result){0};
}
