/* Repairing, between the second step and the third: holds back sources whose caches hold code of
 * files that are not what was packed. Numba compares the source alone, so nothing is done that
 * would let it load them. */

#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "manifest/depends.h"
#include "tree/behind.h"
#include "tree/beneath.h"

struct holding {
    const struct restore *restore;
    const struct repair *repair;
    struct wp_error *err;
};

/* The link PATH as such, where it is one here, too: it may lead elsewhere by now. */
static const struct restored *link_here(const struct holding *h, const char *path)
{
    const struct manifest *m = &h->repair->t->m;
    const struct entry *e = manifest_find(m, path);
    const struct restored *link = e ? &h->repair->files[e - m->entries] : NULL;
    struct stat st;

    return e && e->type == ENTRY_SYMLINK && link->path && path_is_safe(link->path) &&
                   beneath_stat(h->restore->fd, link->path, &st) == 0 && S_ISLNK(st.st_mode)
               ? link
               : NULL;
}

/* Has what PATH is, or leads to, the content of E? 1, 0 or negative errno (ERR filled). */
static int has_content(const struct holding *h, const char *path, const struct entry *e)
{
    int r = e->type == ENTRY_FILE && e->has_sha256
                ? behind_has_content(h->restore->fd, path, e->sha256)
                : 0;

    if (r < 0 && !beneath_is_out_of_reach(r))
        return error_set(h->err, -r, path, "cannot be read");
    return r > 0;
}

static int is_same(void *ctx, const char *path)
{
    const struct holding *h = ctx;
    const struct restored *f = restore_file_of(h->repair, path), *link = link_here(h, path);
    const char *target = manifest_dirlink(&h->repair->t->m, path);

    if (target && link) {
        int r = behind_is_link_to(h->restore->fd, link->path, target);

        return r < 0 ? error_set(h->err, -r, link->path, "cannot be read") : r;
    }
    if (f) {
        const struct entry *e = &h->repair->t->m.entries[f - h->repair->files];

        if (link)
            return has_content(h, link->path, f->facts ? f->facts : e);
        if (f->superseded && f->path) /* another manifest speaks for it */
            return has_content(h, f->path, e);
    }
    return f && (f->status == RESTORED_SAME || f->status == RESTORED_BEHIND);
}

static void free_added(char **added, size_t count)
{
    for (size_t i = 0; added && i < count; i++)
        free(added[i]);
    free(added);
}

/* CHANGED and ADDED have a text for each index, or NULL. */
static int hold(struct restore *restore, struct repair *repair, const char *const *changed,
                char *const *added, struct wp_error *err)
{
    const struct manifest *m = &repair->t->m;
    _cleanup_free_ const char **told = calloc(m->index_count + 1, sizeof *told);
    size_t count = 0, all = 0;

    if (!told)
        return error_nomem(err);
    for (size_t i = 0; i < m->index_count; i++) {
        struct restored *f = restore_valid_source(repair, &m->indexes[i]);
        const char *why = changed[i] ? changed[i] : added[i];

        all += m->indexes[i].valid;
        if (!f || !why || f->superseded ||
            (f->status != RESTORED_SAME && f->status != RESTORED_HELD))
            continue;
        f->status = RESTORED_HELD;
        told[count++] = why;
        report(restore->context, restore_detail(restore), m->indexes[i].index,
               "is left out: %s changed", why);
    }
    restore->result->left_out += count;
    manifest_tell_left_out(restore->context, told, count, all);
    return 0;
}

int restore_hold(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct holding h = {restore, repair, err};
    const struct manifest *m = &repair->t->m;
    _cleanup_free_ const char **changed = NULL;
    char **added = calloc(m->index_count + 1, sizeof *added);
    int r = added ? manifest_changed(m, is_same, &h, &changed, err) : -ENOMEM;

    if (r == -ENOMEM)
        error_fill_nomem(err);
    if (r == 0)
        r = restore_added(restore, repair, added, err);
    if (r == 0)
        r = hold(restore, repair, changed, added, err);
    free_added(added, m->index_count);
    return r;
}
