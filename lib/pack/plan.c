/* Packing, first step: what goes into the archive, and under which name. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "numba/caches.h"
#include "numba/index.h"

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

/* ENDS takes the number of items there are behind each member's own. */
static int walk_members(struct pack *p, size_t *ends, struct wp_error *err)
{
    struct walk_options options;

    pack_walk_options(p, &options);
    for (size_t i = 0; i < p->o->member_count; i++) {
        const struct wp_member *m = &p->o->members[i];
        const char *path = m->path;
        _cleanup_free_ char *as = NULL;
        int root, r;

        if (!*path)
            return error_set(err, ENOENT, "", "an empty name");
        if (path[0] == '/')
            report(p->context, WP_NOTE, path, "the leading slash is removed from the name");
        root = root_of(p, pack_member_dir(m), err);
        if (root < 0)
            return root;
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
        ends[i] = p->walk.count;
    }
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

/* What Numba leaves when it dies while saving. */
static void drop_temporaries(struct walk *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].entry.type == ENTRY_FILE &&
            index_is_temporary(path_base(w->items[i].entry.path))) {
            entry_clear(&w->items[i].entry);
            free(w->items[i].name);
        } else {
            w->items[kept++] = w->items[i];
        }
    }
    w->count = kept;
}

/* Numba follows a link at a cache directory's place; who unpacks gets the link alone. */
static void warn_of_linked_caches(const struct pack *p)
{
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;

        if (e->type == ENTRY_SYMLINK && strcmp(path_base(e->path), "__pycache__") == 0)
            report(p->context, WP_WARNING, e->path,
                   "is a symbolic link: Numba's caches behind it are not packed as this "
                   "directory's (--dereference packs what it leads to)");
    }
}

/* Walks what is to be packed, and learns the names of its cache directories. */
static int plan_members(struct pack *p, struct pack_names *names, struct wp_error *err)
{
    _cleanup_free_ size_t *ends = calloc(p->o->member_count, sizeof *ends);
    int r = ends ? walk_members(p, ends, err) : error_nomem(err);

    if (r == 0) /* before anything else moves the items */
        r = pack_name_sources(p, names, ends, err);
    if (r == 0 && p->o->format->home == FORMAT_HOME_EGG)
        r = pack_egg(p, err);
    drop_temporaries(&p->walk);
    if (r == 0)
        warn_of_linked_caches(p);
    return r;
}

int pack_plan(struct pack *p, void *ctx, struct wp_error *err)
{
    struct pack_names names = {0};
    int r;

    (void)ctx;
    walk_init(&p->walk);
    p->walk.copies = p->o->format->no_hardlinks;
    r = caches_new(&names.dirs, err);
    if (r == 0)
        r = caches_new(&names.zipped, err);
    if (r == 0)
        r = plan_members(p, &names, err);
    if (r == 0)
        r = pack_record_roots(p, err);
    if (r == 0)
        r = pack_home(p, err);
    if (r == 0 && p->o->format->home == FORMAT_HOME_WHEEL)
        r = pack_wheel(p, err);
    if (r == 0)
        r = pack_find_caches(p, &names, err);
    caches_free(names.dirs);
    caches_free(names.zipped);
    return r < 0 ? r : pack_plan_end(p, err);
}

void pack_clear(struct pack *p)
{
    for (size_t i = 0; i < p->index_count; i++)
        buf_free(&p->indexes[i].text);
    for (size_t i = 0; i < p->made_count; i++) {
        entry_clear(&p->made[i].entry);
        buf_free(&p->made[i].text);
    }
    free(p->made);
    free(p->indexes);
    free(p->home);
    manifest_clear(&p->manifest);
    walk_free(&p->walk);
    *p = (struct pack){0};
}
