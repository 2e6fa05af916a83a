/* The job of `verify --fix`: gives times and places back where a manifest knows them, and removes
 * what can only do harm. Numba makes all of that anew. */

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/own_names.h"
#include "base/temporary.h"
#include "commit/staging.h"
#include "fix.h"
#include "trees/trees.h"

/* ---- Times and places -------------------------------------------------------------------- */

/* NUMBA_CACHE_DIR of who will load, as the verdict had it. */
static int find_cache_dir(const struct fix *f, struct wp_python *asked, const char **out,
                          struct wp_error *err)
{
    int r = 0;

    *out = f->o->cache_dir;
    if (*out || !f->o->python)
        return 0;
    r = wp_python_ask(f->context, f->o->python, asked, err);
    *out = asked->cache_dir;
    return r;
}

static void report_restored(const struct fix *f, const struct wp_restore_result *restored)
{
    const char *would = f->dry_run ? "would be " : "";

    if (restored->times)
        report(f->context, WP_NOTE, f->dir, "%llu %s of files %sset as the manifest has them",
               (unsigned long long)restored->times, restored->times == 1 ? "time" : "times", would);
    if (restored->renamed)
        report(f->context, WP_NOTE, f->dir, "%zu cache %s %sput where Numba looks",
               restored->renamed, restored->renamed == 1 ? "directory" : "directories", would);
}

/* Gives sources that are as packed their times, and caches their places, in a tree with a manifest.
 * Stamps and modes stay as they are. */
static int restore(struct fix *f, struct wp_error *err)
{
    struct wp_restore_options o = {.dir = f->dir,
                                   .manifest = f->o->manifest,
                                   .trust = f->o->trust,
                                   .user = f->o->user,
                                   .runtime_roots = f->o->runtime_roots,
                                   .restamp = WP_RESTAMP_NEVER,
                                   .keep_modes = true,
                                   .dry_run = f->dry_run};
    _cleanup_(wp_restore_result_clear) struct wp_restore_result restored = {0};
    _cleanup_(wp_python_clear) struct wp_python asked = {0};
    struct wp_error why = {0};
    int r = find_cache_dir(f, &asked, &o.cache_dir, err);

    if (r == 0) {
        r = wp_restore(f->context, &o, &restored, &why);
        if (error_is_absence(r)) /* nobody knows how it was */
            r = 0;
        else if (r < 0)
            error_pass(err, &why);
    }
    if (r == 0) {
        f->done->times = restored.times;
        f->done->moved = restored.renamed;
        report_restored(f, &restored);
    }
    return r;
}

/* ---- What a run that was killed has left ------------------------------------------------- */

/* Removes what was to replace an index. */
static void sweep(const struct fix *f, const struct wp_verify_report *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const char *name;
        _cleanup_close_ int dir = fix_open_parent(f, found->indexes[i].index, &name);

        if (dir >= 0)
            (void)temporary_sweep(dir, OWN_REPLACING, OWN_LINK_TAIL);
    }
}

/* 1: something changed; 0; negative errno. */
static int recover(const struct fix *f, const struct wp_verify_report *found, struct wp_error *err)
{
    int r = 0, in_root = 0, below;

    if (f->dry_run)
        return 0;
    r = staging_recover_in(f->dir, true, f->context, err);
    if (r >= 0 && f->o->cache_dir)
        in_root = staging_recover_in(f->o->cache_dir, true, f->context, err);
    if (r < 0 || in_root < 0)
        return r < 0 ? r : in_root;
    sweep(f, found);
    below = trees_sweep_all(f->context, f->dir, f->fd, f->o->manifest, err);
    return below < 0 ? below : r || in_root || below;
}

/* ---- The job ----------------------------------------------------------------------------- */

static int judge_again(const struct fix *f, struct wp_verify_report *found, struct wp_error *err)
{
    wp_verify_report_clear(found);
    return wp_verify_tree(f->context, f->dir, f->o, found, err);
}

/* Removing is for good. What comes to be while the tree is looked at may look broken: what is
 * removed was found twice, with no other run at work in between, and has not changed since. */
static int remove_harmful(struct fix *f, struct wp_verify_report *found, struct wp_error *err)
{
    _cleanup_(fix_harm_clear) struct fix_harm harm = {0};
    int r = fix_find_harm(f, found, &harm, err);

    if (r == 0 && !f->dry_run && harm.count && !found->unfinished)
        r = judge_again(f, found, err);
    return r < 0 ? r : fix_remove_harm(f, found, &harm, err);
}

void wp_fix_result_clear(struct wp_fix_result *r)
{
    *r = (struct wp_fix_result){0};
}

int wp_verify_fix(const struct wp_context *context, const char *dir,
                  const struct wp_verify_options *o, bool dry_run, struct wp_verify_report *found,
                  struct wp_fix_result *done, struct wp_error *err)
{
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct fix f = {
        .context = context, .dir = dir, .fd = fd, .o = o, .dry_run = dry_run, .done = done};
    int r = options_check(context, o, err);

    *done = (struct wp_fix_result){0};
    if (r == 0 && fd < 0)
        r = error_set(err, errno, dir, "cannot be opened");
    if (r == 0)
        r = recover(&f, found, err);
    if (r > 0)
        r = judge_again(&f, found, err);
    /* First, since what looks broken in the wrong place or with the wrong time may be sound. */
    if (r == 0 && found->by_status[WP_STALE] + found->by_status[WP_MISPLACED])
        r = restore(&f, err);
    if (r == 0 && !dry_run && done->times + done->moved)
        r = judge_again(&f, found, err);
    if (r == 0)
        r = remove_harmful(&f, found, err);
    if (r == 0 && !dry_run && (done->removed || f.outrun))
        r = judge_again(&f, found, err);
    if (r < 0 && !dry_run && done->times + done->moved + done->removed)
        error_note(err, "before that, others were mended");
    if (r < 0)
        wp_verify_report_clear(found);
    return r;
}
