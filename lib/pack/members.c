/* Packing: walks the members that are to be packed, and drops what is not. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/own_names.h"
#include "base/path.h"
#include "commit/staging.h"
#include "job.h"

void pack_walk_options(const struct pack *p, struct walk_options *w)
{
    struct stat st;

    *w = (struct walk_options){
        .exclude = p->o->exclude,
        .follow = p->o->follow,
        .numeric_owner = p->o->numeric_owner,
        .pool = p->pool,
        .context = p->context,
    };
    if (strcmp(p->o->archive, "-") ? stat(p->o->archive, &st) == 0 : fstat(STDOUT_FILENO, &st) == 0)
        if (S_ISREG(st.st_mode)) {
            w->skip_dev = st.st_dev;
            w->skip_ino = st.st_ino;
        }
}

const char *pack_member_dir(const struct wp_member *m)
{
    return m->path[0] == '/' ? "/" : m->dir ? m->dir : ".";
}

/* Adds the root of a member's directory once. Its number, or negative errno. */
static int root_of(struct pack *p, const char *dir, struct wp_error *err)
{
    for (unsigned i = 0; i < p->walk.root_count; i++)
        if (strcmp(p->walk.root_names[i], dir) == 0)
            return (int)i;
    return walk_add_root(&p->walk, dir, err);
}

/* Is PATH, as named, the archive that is written? */
static bool is_output(const struct walk *w, unsigned root, const char *path,
                      const struct walk_options *o)
{
    struct stat st;

    return o->skip_ino && fstatat(w->root_fds[root], path, &st, 0) == 0 &&
           st.st_dev == o->skip_dev && st.st_ino == o->skip_ino;
}

/* The directory that the last members lie in, and whether a run may be changing what is in it. */
struct ground {
    char *dir; /* owned; NULL: none yet */
    bool is_suspect;
};

static void leave(struct ground *g)
{
    free(g->dir);
}

/* Refuses member M where a run changes it, or was killed while it did. Where many are named in one
 * directory, that is looked at once. */
static int check_done(struct ground *g, const struct wp_member *m, struct wp_error *err)
{
    _cleanup_free_ char *path =
        path_append(pack_member_dir(m), strcmp(m->path, ".") ? m->path : "");
    _cleanup_free_ char *dir = NULL;
    int r = 0;

    dir = path ? path_dir(path) : NULL;
    if (!dir)
        return error_nomem(err);
    if (!g->dir || strcmp(g->dir, dir) != 0) {
        r = staging_has_leftovers_above(*dir ? dir : ".");
        if (r < 0)
            return error_set(err, -r, *dir ? dir : ".", "cannot look for earlier runs");
        free(g->dir);
        g->dir = take_ptr(dir);
        g->is_suspect = r > 0;
    }
    return staging_check_done(path, g->is_suspect, err);
}

/* Nothing would unpack it. */
static bool is_forbidden(const struct walk_item *item, void *arg)
{
    const struct pack *p = arg;
    const char *path = item->entry.path;
    _cleanup_free_ char *above = NULL;

    if (!own_is_forbidden(path))
        return false;
    above = path_dir(path);
    if (!above || !own_is_forbidden(above))
        report(p->context, WP_WARNING, path,
               "has a name that warmpack uses while it is at work: not packed");
    return true;
}

int pack_walk_members(struct pack *p, size_t *ends, struct wp_error *err)
{
    struct walk_options options;
    bool is_named = false;
    _cleanup_(leave) struct ground ground = {0};

    pack_walk_options(p, &options);
    for (size_t i = 0; i < p->o->member_count; i++) {
        const struct wp_member *m = &p->o->members[i];
        const char *path = m->path;
        const size_t first = p->walk.count;
        _cleanup_free_ char *as = NULL;
        int root, r;

        if (!*path)
            return error_set(err, ENOENT, "", "an empty name");
        if (path[0] == '/')
            report(p->context, WP_NOTE, path, "the leading slash is removed from the name");
        root = root_of(p, pack_member_dir(m), err);
        if (root < 0)
            return root;
        r = check_done(&ground, m, err);
        if (r < 0)
            return r;
        while (*path == '/')
            path++;
        as = path_clean(path);
        if (!as)
            return error_nomem(err);
        if (*as && !path_is_safe(as))
            return error_set(err, 0, m->path,
                             "a name with \"..\" in it cannot be unpacked "
                             "safely: name its directory with -C");
        r = walk_add(&p->walk, (unsigned)root, *path ? path : ".", as, &options, err);
        if (r < 0)
            return r;
        walk_drop(&p->walk, first, is_forbidden, p);
        ends[i] = p->walk.count;
        is_named |= is_output(&p->walk, (unsigned)root, path, &options);
    }
    for (size_t i = 0; i < p->walk.staged.count; i++) {
        int r = staging_check_done(p->walk.staged.v[i], false, err);

        if (r < 0)
            return r;
    }
    /* An archive of nothing would take the place of what is there. */
    return p->walk.count || !is_named
               ? 0
               : error_set(err, 0, p->o->archive, "not made: there is nothing to pack but itself");
}

struct walk_item *pack_add_item(struct pack *p, struct wp_error *err)
{
    struct walk *w = &p->walk;

    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 256;
        struct walk_item *grown = reallocarray(w->items, room, sizeof *grown);

        if (!grown) {
            error_nomem(err);
            return NULL;
        }
        w->items = grown;
        w->room = room;
    }
    w->items[w->count] = (struct walk_item){0};
    return &w->items[w->count++];
}

int pack_add_spooled(struct pack *p, size_t number, struct wp_error *err)
{
    const struct spooled *from = &p->spool->items[number];
    struct walk_item *item = pack_add_item(p, err);

    if (!item || entry_copy(&item->entry, &from->entry) < 0)
        return error_nomem(err);
    item->spooled = number + 1;
    item->dev = (dev_t)-1; /* no file system's: only names of one file are alike */
    item->ino = (ino_t)from->file;
    item->linked = from->linked;
    return 0;
}

int pack_take_header_times(struct pack *p, struct wp_error *err)
{
    const struct spool *s = p->spool;

    if (!p->o->format->is_rounded)
        return 0;
    p->header_times = calloc(s->count + 1, sizeof *p->header_times);
    if (!p->header_times)
        return error_nomem(err);
    for (size_t i = 0; i < s->count; i++)
        p->header_times[i] = s->items[i].header_time;
    return 0;
}

/* Absolute names of the directories of -C, as the manifest's header has them. */
int pack_record_roots(struct pack *p, struct wp_error *err)
{
    struct manifest *m = &p->manifest;

    m->roots = calloc(p->o->member_count + 1, sizeof *m->roots);
    if (!m->roots)
        return error_nomem(err);
    for (size_t i = 0; i < p->o->member_count; i++) {
        const char *dir = pack_member_dir(&p->o->members[i]);
        _cleanup_free_ char *root = path_absolute(dir);
        bool known = false;

        if (!root)
            return error_set(err, errno, dir, "cannot be found");
        for (char **r = m->roots; *r; r++) /* ends with NULL */
            known |= strcmp(*r, root) == 0;
        if (!known)
            m->roots[m->root_count++] = take_ptr(root);
    }
    return 0;
}

bool pack_holds(const struct pack *p, const char *path)
{
    for (size_t i = 0; i < p->walk.count; i++)
        if (strcmp(p->walk.items[i].entry.path, path) == 0)
            return true;
    return false;
}

static bool is_below(const struct walk_item *item, void *dir)
{
    return path_is_under(item->entry.path, dir);
}

void pack_drop(struct pack *p, const char *dir)
{
    walk_drop(&p->walk, 0, is_below, (void *)dir);
}
