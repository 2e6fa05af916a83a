/* Removes what can only do harm: indexes and their data, and data that no index names. Programs run
 * in the tree meanwhile, and releases are put there: a file goes only as the one that was judged.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "fix.h"
#include "numba/index.h"
#include "tree/beneath.h"

enum { SETTLED = 60 }; /* seconds after which nobody is still writing a temporary */

struct harmful {
    char *path; /* as the report has it; owned */
    char *why;  /* owned */
    char *of; /* the index that it belongs to, in the report; NULL: its own name is there; owned */
    struct stat st; /* when it was found */
};

int fix_open_parent(const struct fix *f, const char *path, const char **name)
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

void fix_harm_clear(struct fix_harm *harm)
{
    for (size_t i = 0; i < harm->count; i++) {
        free(harm->list[i].path);
        free(harm->list[i].why);
        free(harm->list[i].of);
    }
    free(harm->list);
    *harm = (struct fix_harm){0};
}

/* ---- Finding ----------------------------------------------------------------------------- */

static int add(struct fix_harm *harm, const char *path, const char *why, const char *of,
               const struct stat *st)
{
    struct harmful *h;

    if (array_grow(harm->list, harm->count) < 0)
        return -ENOMEM;
    h = &harm->list[harm->count++];
    *h = (struct harmful){
        .path = strdup(path), .why = strdup(why), .of = of ? strdup(of) : NULL, .st = *st};
    return h->path && h->why && (h->of || !of) ? 0 : -ENOMEM;
}

/* The data files that belong to the index NAME, which is reported as SHOWN, by their own names.
 * What the index says is not believed: it may name those of others. */
static int find_data(struct fix_harm *harm, int dirfd, const char *name, const char *shown)
{
    _cleanup_free_ char *above = path_dir(shown);
    _cleanup_closedir_ DIR *d = above ? file_list_at(dirfd, ".") : NULL;
    struct index_name parts;
    struct dirent *item;
    size_t stem;
    int r = 0;

    if (!d)
        return above ? -errno : -ENOMEM;
    if (index_name_parse(name, &parts) < 0)
        return 0;
    while (r == 0 && (r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        r = 0;
        if (!index_is_data_name(item->d_name, &stem) || stem != parts.stem ||
            memcmp(item->d_name, name, stem) != 0)
            continue;
        path = path_join(above, item->d_name);
        r = path ? beneath_look(dirfd, item->d_name, &st) : -ENOMEM;
        if (r > 0)
            r = add(harm, path, "its index goes", shown, &st);
    }
    return r;
}

static int find_index(struct fix *f, const struct wp_index_status *s, struct fix_harm *harm,
                      struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    const char *name;
    _cleanup_close_ int dirfd = fix_open_parent(f, s->index, &name);
    struct stat st;
    int r;

    /* A __pycache__ that is a symlink may be shared with others. */
    if (dirfd < 0 && !beneath_is_absence(dirfd))
        return error_set(err, -dirfd, s->index, "cannot be reached");
    /* What cannot be read may be sound: somebody else's, reached through a symlink, too large to be
     * looked at, or on a disk that fails. */
    if (dirfd < 0 || beneath_read(dirfd, name, INDEX_LARGEST, &text, &st) < 0) {
        report(f->context, WP_NOTE, s->index, "left: %s", s->reason);
        return 0;
    }
    /* The index first: without it, nobody reads its data. */
    r = add(harm, s->index, s->reason, NULL, &st);
    if (r == 0)
        r = find_data(harm, dirfd, name, s->index);
    return r < 0 ? error_set(err, -r, s->index, "cannot look beside it") : 0;
}

static int find_orphan(struct fix *f, const struct wp_note *n, struct fix_harm *harm,
                       struct wp_error *err)
{
    const char *name;
    _cleanup_close_ int dirfd = fix_open_parent(f, n->path, &name);
    struct stat st;
    int r;

    if (dirfd < 0)
        return error_set(err, -dirfd, n->path, "cannot be reached");
    r = beneath_look(dirfd, name, &st);
    if (r <= 0)
        return r < 0 ? error_set(err, -r, n->path, "cannot stat") : 0;
    if (st.st_mtim.tv_sec > time(NULL) - SETTLED) {
        report(f->context, WP_NOTE, n->path, "left: somebody may be writing it");
        return 0;
    }
    return add(harm, n->path, n->text, NULL, &st) < 0 ? error_nomem(err) : 0;
}

static bool is_harmful(enum wp_status status)
{
    return status == WP_CORRUPT || status == WP_SUSPECT || status == WP_OUTDATED ||
           status == WP_TYPE_MISSING;
}

int fix_find_harm(struct fix *f, const struct wp_verify_report *found, struct fix_harm *harm,
                  struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < found->count && r == 0; i++)
        if (is_harmful(found->indexes[i].status))
            r = find_index(f, &found->indexes[i], harm, err);
    for (size_t i = 0; i < found->note_count && r == 0; i++)
        if (found->notes[i].kind == WP_NOTE_ORPHAN)
            r = find_orphan(f, &found->notes[i], harm, err);
    return r;
}

/* ---- Removing ---------------------------------------------------------------------------- */

static int by_index(const void *path, const void *s)
{
    return strcmp(path, ((const struct wp_index_status *)s)->index);
}

/* Does FOUND say that PATH does harm? */
static bool is_found(const struct wp_verify_report *found, const char *path)
{
    const struct wp_index_status *s = array_find(path, found->indexes, found->count, by_index);

    for (size_t i = 0; !s && i < found->note_count; i++)
        if (found->notes[i].kind == WP_NOTE_ORPHAN && strcmp(found->notes[i].path, path) == 0)
            return true;
    return s && is_harmful(s->status);
}

/* *LEFT: why H, which is there, is not to go, or NULL. 1; 0: it is gone; negative errno. */
static int look(const struct harmful *h, const struct wp_verify_report *found, int dirfd,
                const char *name, const char **left)
{
    struct stat st;
    int r = beneath_look(dirfd, name, &st);

    *left = NULL;
    if (r <= 0)
        return r;
    if (found->unfinished)
        *left = "another run changes the tree just now";
    else if (!file_is_same(&st, &h->st) || !is_found(found, h->of ? h->of : h->path))
        *left = "it has changed meanwhile";
    return 1;
}

/* 1: H is removed; 0: it stays, or was gone; negative errno. */
static int remove_one(struct fix *f, const struct wp_verify_report *found, const struct harmful *h,
                      struct wp_error *err)
{
    const char *name, *left;
    _cleanup_close_ int dirfd = fix_open_parent(f, h->path, &name);
    int r = dirfd < 0 ? dirfd : look(h, found, dirfd, name, &left);

    if (r == 0 || beneath_is_absence(r))
        return 0;
    if (r < 0)
        return error_set(err, -r, h->path, "cannot be reached");
    if (left) {
        f->outrun = true;
        report(f->context, WP_NOTE, h->path, "left: %s", left);
        return 0;
    }
    if (!f->dry_run && unlinkat(dirfd, name, 0) < 0)
        return error_is_absence(-errno) ? 0 : error_set(err, errno, h->path, "cannot remove");
    f->done->removed++;
    report(f->context, WP_NOTE, h->path, "%s: %s", f->dry_run ? "would be removed" : "removed",
           h->why);
    return 1;
}

int fix_remove_harm(struct fix *f, const struct wp_verify_report *found,
                    const struct fix_harm *harm, struct wp_error *err)
{
    const struct harmful *list = harm->list;
    const char *removed = NULL; /* the last index */
    int r = 0;

    for (size_t i = 0; i < harm->count && r >= 0; i++) {
        if (list[i].of && !text_same(list[i].of, removed))
            continue; /* its index stays */
        r = remove_one(f, found, &list[i], err);
        if (!list[i].of)
            removed = r > 0 ? list[i].path : NULL;
    }
    return r < 0 ? r : 0;
}
