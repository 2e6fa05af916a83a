/* Unpacking, the entries: names them as they are here, tells which are wanted, and keeps the table
 * of them. */

#include "job.h"
#include "numba/caches.h"
#include "tree/beneath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "tree/walk.h"

enum {
    DEEPEST = 2048, /* levels of directories: each costs a walk through those above it */
};

/* ---- Names ------------------------------------------------------------------------------- */

/* The number of components to take off PATH. warmpack's own directory is never cut into. */
static unsigned strip_count(const struct unpack *unpack, const char *path)
{
    int home = own_home_at(path);
    unsigned above = home > 0 ? 1 : 0;

    if (home >= 0 && unpack->o->strip_components > above)
        return above;
    return unpack->o->strip_components;
}

char *unpack_name(const struct unpack *unpack, const char *archived, bool *gone)
{
    const char *left = path_strip(archived, strip_count(unpack, archived));

    *gone = left == NULL;
    return left ? strdup(left) : NULL;
}

char *unpack_dir_name(const struct unpack *unpack, const char *archived, bool *gone)
{
    const char *left = path_strip_dir(archived, strip_count(unpack, archived));

    *gone = left == NULL;
    return left ? strdup(left) : NULL;
}

static size_t *slot_of(const struct unpack *unpack, const char *path)
{
    size_t i = text_hash(path, strlen(path)) & (unpack->slot_count - 1);

    while (unpack->slots[i] && strcmp(unpack->items[unpack->slots[i] - 1]->e.path, path) != 0)
        i = (i + 1) & (unpack->slot_count - 1);
    return &unpack->slots[i];
}

struct unpacked *unpack_find(const struct unpack *unpack, const char *path)
{
    size_t *slot = unpack->slot_count ? slot_of(unpack, path) : NULL;

    return slot && *slot ? unpack->items[*slot - 1] : NULL;
}

static int grow_slots(struct unpack *unpack)
{
    size_t count = unpack->slot_count ? 2 * unpack->slot_count : 1024;
    size_t *old = unpack->slots;

    unpack->slots = calloc(count, sizeof *unpack->slots);
    if (!unpack->slots) {
        unpack->slots = old;
        return -ENOMEM;
    }
    free(old);
    unpack->slot_count = count;
    for (size_t i = 0; i < unpack->count; i++)
        if (!unpack->items[i]->skipped)
            *slot_of(unpack, unpack->items[i]->e.path) = i + 1;
    return 0;
}

/* Appends ITEM, which becomes the one that its path finds. */
int unpack_add_item(struct unpack *unpack, struct unpacked *item)
{
    if (2 * (unpack->count + 1) > unpack->slot_count && grow_slots(unpack) < 0)
        return -ENOMEM;
    if (array_grow(unpack->items, unpack->count) < 0)
        return -ENOMEM;
    unpack->items[unpack->count++] = item;
    if (!item->skipped)
        *slot_of(unpack, item->e.path) = unpack->count;
    return 0;
}

/* ---- Selection --------------------------------------------------------------------------- */

bool unpack_selected(const struct unpack *unpack, const char *path)
{
    bool yes = patterns_match(&unpack->patterns, path);

    if (unpack->a->reader->mark &&
        own_home_at(path) >= 0) /* the manifest, caches of what was selected */
        return !unpack->o->to_stdout || (yes && unpack->o->patterns);
    return yes && !(unpack->o->exclude && walk_excluded(path, unpack->o->exclude));
}

int unpack_check_safe(const struct entry *e, struct wp_error *err)
{
    if (own_is_forbidden(e->path)) /* what later runs obey nobody may bring */
        return error_set(err, 0, e->path,
                         "has a name that warmpack uses while it is at work: refused");
    if (path_depth(e->path) > DEEPEST + 1)
        return error_set(err, 0, NULL, "%.100s...: lies more than %d levels deep: refused", e->path,
                         DEEPEST);
    if (!path_is_safe(e->path))
        return error_set(err, 0, e->path,
                         e->path[0] == '/' ? "is an absolute name: refused"
                                           : "would lead outside the directory: refused");
    if (e->type == ENTRY_HARDLINK && (!e->target || !path_is_safe(e->target)))
        return error_set(err, 0, e->path, "is a hard link to outside the directory: refused");
    if (e->type == ENTRY_SYMLINK && (!e->target || !*e->target))
        return error_set(err, 0, e->path, "is a symbolic link to nothing");
    return 0;
}

static char *keep(struct unpack *unpack, const char *text, char *like)
{
    return texts_share(&unpack->texts, text, strlen(text), like);
}

/* E with texts that live as long as UNPACK. The owners are mostly those of the entry before. */
static int copy_entry(struct unpack *unpack, struct entry *to, const struct entry *e)
{
    const struct entry *before = unpack->count ? &unpack->items[unpack->count - 1]->e : NULL;

    *to = *e;
    to->path = keep(unpack, e->path, NULL);
    to->target = e->target ? keep(unpack, e->target, NULL) : NULL;
    to->uname = e->uname ? keep(unpack, e->uname, before ? before->uname : NULL) : NULL;
    to->gname = e->gname ? keep(unpack, e->gname, before ? before->gname : NULL) : NULL;
    return !to->path || !to->target != !e->target || !to->uname != !e->uname ||
                   !to->gname != !e->gname
               ? -ENOMEM
               : 0;
}

/* Takes from the manifest, which lives as long as the item, what the format cannot hold. */
static void take_recorded(const struct unpack *unpack, struct entry *e)
{
    const struct entry *m = unpack->is_recorded && unpack->a->reader->is_rounded
                                ? manifest_find(&unpack->manifest, e->path)
                                : NULL;

    if (!m || m->type != e->type)
        return;
    e->mtime = m->mtime;
    e->mode = m->mode;
    e->uid = m->uid;
    e->gid = m->gid;
    e->uname = m->uname;
    e->gname = m->gname;
}

/* TEXT of the item as unpacked: *TEXT NULL and *GONE where nothing is left. */
static int strip(struct unpack *unpack, const char *archived, char **text, bool *gone)
{
    _cleanup_free_ char *name = unpack_name(unpack, archived, gone);

    *text = name ? keep(unpack, name, NULL) : NULL;
    return *text || (!name && *gone) ? 0 : -ENOMEM;
}

static int strip_item(struct unpack *unpack, struct unpacked *item, struct wp_error *err)
{
    struct entry *e = &item->e;
    bool gone;
    char *name;

    if (strip(unpack, e->path, &name, &gone) < 0)
        return error_nomem(err);
    item->skipped |= gone;
    if (name) {
        item->archived = e->path;
        e->path = name;
    }
    if (e->type != ENTRY_HARDLINK || item->skipped)
        return 0;
    if (strip(unpack, e->target, &name, &gone) < 0)
        return error_nomem(err);
    if (gone) {
        report(unpack->a->context, WP_FAILED, item->archived,
               "is a hard link to a name that --strip-components takes away: left out");
        item->skipped = true;
        return 0;
    }
    e->target = name;
    return 0;
}

static bool is_cache(const struct entry *e)
{
    return (e->type == ENTRY_FILE || e->type == ENTRY_HARDLINK) && caches_is_part(e->path);
}

int unpack_make_item(struct unpack *unpack, const struct entry *e, struct unpacked **out,
                     struct wp_error *err)
{
    struct unpacked *item = calloc(1, sizeof *item);
    int r;

    *out = item;
    if (!item || copy_entry(unpack, &item->e, e) < 0)
        return error_nomem(err);
    take_recorded(unpack, &item->e);
    item->skipped = !unpack_selected(unpack, e->path) || (unpack->o->caches_only && !is_cache(e));
    if (e->type == ENTRY_OTHER) {
        if (!item->skipped)
            report(unpack->a->context, WP_WARNING, e->path, "is a device or FIFO: skipped");
        item->skipped = true;
    }
    r = unpack->o->strip_components ? strip_item(unpack, item, err) : 0;
    return r == 0 && !item->skipped ? unpack_add_size(unpack, e, err) : r;
}

int unpack_remove(struct unpack *unpack, struct unpacked *item, struct wp_error *err)
{
    _cleanup_free_ char *path = strdup(item->e.path);
    int r = path ? beneath_remove(unpack->tree, path) : -ENOMEM;

    if (r < 0)
        return error_set(err, -r, item->e.path, "cannot be removed");
    item->skipped = true;
    for (char *slash; (slash = strrchr(path, '/'));) {
        *slash = '\0';
        if (beneath_rmdir(unpack->tree, path) < 0)
            break;
    }
    return 0;
}

int unpack_index_of(const struct unpack *unpack, const struct unpacked *item, struct unpacked **out)
{
    const char *path = item->e.path, *name = path_base(path);
    _cleanup_free_ char *index = NULL;
    size_t stem;

    *out = NULL;
    if (!index_is_part_name(name, &stem))
        return 0;
    if (asprintf(&index, "%.*s.nbi", (int)((size_t)(name - path) + stem), path) < 0) {
        index = NULL;
        return -ENOMEM;
    }
    *out = unpack_find(unpack, index);
    return 0;
}

bool unpack_is_selection(const struct unpack *unpack)
{
    return !unpack->grafts &&
           ((unpack->o->patterns && *unpack->o->patterns) ||
            (unpack->o->exclude && *unpack->o->exclude) || unpack->o->strip_components);
}
