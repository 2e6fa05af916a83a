/* Repairing: makes symbolic links again. Tools that cannot make them leave them out, or write their
 * targets into files. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/path.h"
#include "base/temporary.h"
#include "job.h"
#include "tree/beneath.h"

/* Is NAME in DIR a file that holds the link's target and nothing else? */
static bool holds_target(int dir, const char *name, const char *target)
{
    _cleanup_buf_ struct buf text = {0};
    size_t n = strlen(target);

    return beneath_read(dir, name, n, &text, NULL) == 0 && text.size == n &&
           memcmp(text.data, target, n) == 0;
}

/* A link of another name, then renamed: there is never nothing, and nothing else is replaced than
 * what was looked at, but for a moment. */
static int make_link(int dir, const char *name, const struct entry *e, bool replace)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, e->mtime};
    _cleanup_free_ char *held = NULL, *temporary = NULL;
    _cleanup_close_ int lock = -1;
    struct stat st;
    int r = 0;

    /* A link cannot be locked; the file beside it can. */
    lock = temporary_make(dir, OWN_REPLACING, 0600, &held);
    if (lock < 0)
        return lock;
    if (asprintf(&temporary, "%s%s", held, OWN_LINK_TAIL) < 0)
        r = -ENOMEM;
    else if (symlinkat(e->target, dir, temporary) < 0)
        r = -errno;
    if (r == 0) {
        /* As the neighbours are: whoever unpacked is not always who repairs. */
        if (geteuid() == 0 && fstat(dir, &st) == 0)
            (void)!fchownat(dir, temporary, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
        (void)utimensat(dir, temporary, times, AT_SYMLINK_NOFOLLOW);
        if (renameat2(dir, temporary, dir, name, replace ? 0 : RENAME_NOREPLACE) < 0) {
            r = -errno;
            (void)!unlinkat(dir, temporary, 0);
        }
    }
    (void)!unlinkat(dir, held, 0);
    return r;
}

/* Where warmpack has been before, a link that is not there was removed since. */
static int repair_link(struct restore *restore, const struct tree_manifest *t,
                       const struct entry *e, const char *path, struct wp_error *err)
{
    const char *name;
    _cleanup_close_ int dir = beneath_parent(restore->fd, path, &name);
    bool missing;
    struct stat st;
    int r;

    if (beneath_is_absence(dir) || dir == -EACCES)
        return 0; /* its directory has not come, or is not for us */
    r = dir < 0 ? dir : beneath_look(dir, name, &st);
    if (r < 0)
        return error_set(err, -r, path, "cannot stat");
    missing = r == 0;
    if (missing ? t->has_state : !S_ISREG(st.st_mode) || !holds_target(dir, name, e->target))
        return 0;
    r = restore->o->dry_run ? 0 : make_link(dir, name, e, !missing);
    if (r == -EEXIST)
        return 0; /* another run was faster */
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0) {
        report(restore->context, WP_WARNING, path, "cannot be made a symbolic link again: %s",
               strerror(-r));
        return 0;
    }
    restore->result->links++;
    report(restore->context, restore_detail(restore), path,
           restore->o->dry_run ? "would be made a symbolic link again"
                               : "is a symbolic link again");
    return 0;
}

/* Removes what a run that was killed left beside PATH; *LAST is the directory before it. */
static int sweep_beside(const struct restore *restore, const char *path, char **last,
                        struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);

    if (!dir)
        return error_nomem(err);
    if (!restore->o->dry_run && (!*last || strcmp(dir, *last) != 0)) {
        (void)beneath_sweep(restore->fd, dir);
        free(*last);
        *last = take_ptr(dir);
    }
    return 0;
}

int restore_links(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    _cleanup_free_ char *last = NULL;
    int r = 0;

    /* Wheels have none, and onto a tree that came another way only caches are put. */
    for (size_t i = 0; i < repair->t->m.entry_count && r == 0 && !restore->grafting &&
                       !repair->t->info && !restore->o->keep_modes;
         i++) {
        const struct entry *e = &repair->t->m.entries[i];
        _cleanup_free_ char *path = NULL;
        bool gone = false;

        if (e->type != ENTRY_SYMLINK)
            continue;
        path = tree_path(repair->t, e->path, &gone);
        if (!path && !gone)
            return error_nomem(err);
        if (path && path_is_safe(path))
            r = sweep_beside(restore, path, &last, err);
        if (r == 0 && path && path_is_safe(path))
            r = repair_link(restore, repair->t, e, path, err);
    }
    return r;
}
