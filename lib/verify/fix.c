/* The job of `verify --fix`: gives times and places back where a manifest knows them, and removes
 * what can only do harm. Numba makes all of that anew. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock_file.h"
#include "base/own_names.h"
#include "base/path.h"
#include "base/temporary.h"
#include "commit/staging.h"
#include "numba/index.h"
#include "tree/beneath.h"
#include "trees/trees.h"
#include "warmpack.h"

enum { SETTLED = 60 }; /* seconds after which nobody is still writing a temporary */

struct fix {
    const struct wp_context *context;
    const char *dir;
    int fd; /* of it */
    const struct wp_verify_options *o;
    bool dry_run;
    struct wp_fix_result *done;
};

/* ---- Removing ---------------------------------------------------------------------------- */

/* Opens the directory of PATH, a name of a report: beneath the tree, or absolute. *NAME points at
 * its last component. */
static int open_parent(const struct fix *f, const char *path, const char **name)
{
    _cleanup_free_ char *dir = NULL;
    int fd;

    *name = path_base(path);
    dir = path_dir(path);
    if (!dir)
        return -ENOMEM;
    if (path[0] != '/')
        return beneath_open(f->fd, dir, O_RDONLY | O_DIRECTORY, 0);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int remove_file(struct fix *f, int dirfd, const char *name, const char *shown,
                       const char *why, struct wp_error *err)
{
    if (!f->dry_run && unlinkat(dirfd, name, 0) < 0)
        return error_is_absence(-errno) ? 0 : error_set(err, errno, shown, "cannot remove");
    f->done->removed++;
    report(f->context, WP_NOTE, shown, "%s: %s", f->dry_run ? "would be removed" : "removed", why);
    return 0;
}

/* The data files that belong to the index called NAME by their own names. What the index says is
 * not believed: it may name those of others. */
static int remove_data(struct fix *f, int dirfd, const char *name, const char *shown,
                       struct wp_error *err)
{
    _cleanup_free_ char *above = path_dir(shown);
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *d = fd < 0 ? NULL : file_list(fd);
    struct index_name parts;
    struct dirent *item;
    size_t stem;
    int r = 0;

    if (!above || !d)
        return error_set(err, d ? ENOMEM : errno, shown, "cannot look beside it");
    if (index_name_parse(name, &parts) < 0)
        return 0;
    while (r == 0 && (r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *path = NULL;

        r = 0;
        if (!index_is_data_name(item->d_name, &stem) || stem != parts.stem ||
            memcmp(item->d_name, name, stem) != 0)
            continue;
        path = path_join(above, item->d_name);
        r = path ? remove_file(f, dirfd, item->d_name, path, "its index goes", err)
                 : error_nomem(err);
    }
    return r < 0 ? error_set(err, -r, shown, "cannot look beside it") : 0;
}

/* What cannot be read may be sound: somebody else's, reached through a symlink, too large to be
 * looked at, or on a disk that fails. */
static bool is_readable(int dirfd, const char *name)
{
    _cleanup_buf_ struct buf text = {0};

    return beneath_read(dirfd, name, INDEX_LARGEST, &text, NULL) == 0;
}

static int fix_index(struct fix *f, const struct wp_index_status *s, struct wp_error *err)
{
    const char *name;
    _cleanup_close_ int dirfd = open_parent(f, s->index, &name);
    int r;

    /* A __pycache__ that is a symlink may be shared with others. */
    if (dirfd < 0 && !beneath_is_absence(dirfd))
        return error_set(err, -dirfd, s->index, "cannot be reached");
    if (dirfd < 0 || !is_readable(dirfd, name)) {
        report(f->context, WP_NOTE, s->index, "left: %s", s->reason);
        return 0;
    }
    /* The index first: without it, nobody reads its data. */
    r = remove_file(f, dirfd, name, s->index, s->reason, err);
    return r < 0 ? r : remove_data(f, dirfd, name, s->index, err);
}

static int fix_orphan(struct fix *f, const struct wp_note *n, struct wp_error *err)
{
    const char *name;
    _cleanup_close_ int dirfd = open_parent(f, n->path, &name);
    struct stat st;

    if (dirfd < 0)
        return error_set(err, -dirfd, n->path, "cannot be reached");
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_is_absence(-errno) ? 0 : error_set(err, errno, n->path, "cannot stat");
    if (st.st_mtim.tv_sec > time(NULL) - SETTLED) {
        report(f->context, WP_NOTE, n->path, "left: somebody may be writing it");
        return 0;
    }
    return remove_file(f, dirfd, name, n->path, n->text, err);
}

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
        _cleanup_close_ int dir = open_parent(f, found->indexes[i].index, &name);

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
    r = staging_recover_in(f->dir, f->context, err);
    if (r >= 0 && f->o->cache_dir)
        in_root = staging_recover_in(f->o->cache_dir, f->context, err);
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

static int remove_harmful(struct fix *f, const struct wp_verify_report *found, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < found->count && r == 0; i++)
        if (found->indexes[i].status == WP_CORRUPT || found->indexes[i].status == WP_SUSPECT ||
            found->indexes[i].status == WP_OUTDATED || found->indexes[i].status == WP_TYPE_MISSING)
            r = fix_index(f, &found->indexes[i], err);
    for (size_t i = 0; i < found->note_count && r == 0; i++)
        if (found->notes[i].kind == WP_NOTE_ORPHAN)
            r = fix_orphan(f, &found->notes[i], err);
    return r;
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
    if (r == 0 && !dry_run && done->removed)
        r = judge_again(&f, found, err);
    if (r < 0 && !dry_run && done->times + done->moved + done->removed)
        error_note(err, "before that, others were mended");
    if (r < 0)
        wp_verify_report_clear(found);
    return r;
}
