/* Repairing, third step: where the caches of each source directory lie now. In the tree; where the
 * archive had them; under the names that earlier paths of the tree gave them; where they belong. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "caches.h"
#include "numba/index.h"
#include "numba/places.h"
#include "numba/zipped.h"
#include "restore.h"
#include "tree/beneath.h"
#include "zipped_sources.h"

/* A cache root, and a directory in it where caches may lie. */
struct place {
    enum layout_kind kind;
    enum layout_root root;
    int fd;
    const char *below; /* of the cache root beneath FD */
    bool old;          /* names are of earlier times: nobody looks there any more */
};

/* ---- Source directories ------------------------------------------------------------------ */

static int compare_dirs(const void *a, const void *b)
{
    return strcmp(((const struct restore_dir *)a)->archived,
                  ((const struct restore_dir *)b)->archived);
}

/* Takes ARCHIVED over. */
static int add_dir(struct restore_tree *t, char *archived)
{
    struct restore_dir d = {.archived = archived,
                            .zipped = archived && zipped_sources_dir(&t->m, archived)};
    bool gone;

    if (!archived)
        return -ENOMEM;
    /* Sorted by name, the files of a directory mostly follow one another. */
    if (t->dir_count && strcmp(t->dirs[t->dir_count - 1].archived, archived) == 0) {
        free(archived);
        return 0;
    }
    d.path = restore_path(t, archived, &gone);
    if (!d.path || (*d.path && !path_is_safe(d.path)) ||
        layout_grow((void **)&t->dirs, t->dir_count, sizeof d) < 0) {
        bool failed = !gone && !d.path;

        free(archived);
        free(d.path);
        return failed ? -ENOMEM : 0;
    }
    t->dirs[t->dir_count++] = d;
    return 0;
}

static bool is_source_name(const char *path)
{
    size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".py") == 0;
}

static int find_dirs(struct restore_tree *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->m.entry_count; i++)
        if (is_source_name(t->m.entries[i].path) && add_dir(t, path_dir(t->m.entries[i].path)) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < t->m.cache_count; i++)
        if (add_dir(t, strdup(t->m.caches[i].source)) < 0)
            return -ENOMEM;
    if (t->dir_count)
        qsort(t->dirs, t->dir_count, sizeof *t->dirs, compare_dirs);
    for (size_t i = 0; i < t->dir_count; i++) {
        if (kept && compare_dirs(&t->dirs[kept - 1], &t->dirs[i]) == 0) {
            free(t->dirs[i].archived);
            free(t->dirs[i].path);
        } else {
            t->dirs[kept++] = t->dirs[i];
        }
    }
    t->dir_count = kept;
    return 0;
}

/* ---- Lines of the manifest --------------------------------------------------------------- */

static const struct manifest_index *line_at(const struct restore_tree *t, const char *dir,
                                            const char *name)
{
    _cleanup_free_ char *path = path_join(dir, name);

    return path ? manifest_find_index(&t->m, path) : NULL;
}

const struct manifest_index *restore_index_line(const struct restore_tree *t, size_t dir,
                                                const char *name)
{
    const char *source = t->dirs[dir].archived;
    _cleanup_free_ char *in_tree = path_join(source, "__pycache__");
    const struct manifest_index *best = in_tree ? line_at(t, in_tree, name) : NULL;

    for (size_t i = 0; i < t->m.cache_count && !(best && best->valid); i++) {
        const struct manifest_index *line = strcmp(t->m.caches[i].source, source) == 0
                                                ? line_at(t, t->m.caches[i].cache, name)
                                                : NULL;

        if (line && (!best || line->valid))
            best = line;
    }
    return best;
}

/* ---- Records ----------------------------------------------------------------------------- */

static bool is_known(const struct layout *l, enum layout_root root, const char *dir)
{
    for (size_t i = 0; i < l->record_count; i++)
        if (l->records[i].root == root && strcmp(l->records[i].dir, dir) == 0 &&
            root != LAYOUT_FOREIGN)
            return true;
    return false;
}

static bool is_here(const struct restore *r, const struct restore_tree *t, const char *source)
{
    bool gone;
    _cleanup_free_ char *path = restore_path(t, source, &gone);

    return path && zipped_sources_exist(r->fd, path);
}

/* What the manifest and the source say of the index that R->files ends with. */
static void judge_file(const struct restore *run, const struct restore_tree *t,
                       struct layout_record *r)
{
    struct layout_file *f = &r->files[r->file_count - 1];
    const struct manifest_index *line = f->is_index ? restore_index_line(t, r->tag, f->name) : NULL;
    const struct restored *source = line && line->source ? restore_file_of(t, line->source) : NULL;

    /* A source that is not here is nobody's loss, nor is one whose symbolic link is not. */
    if (source && !is_here(run, t, line->source))
        source = NULL;
    f->was_valid = line && line->valid && source &&
                   (source->status == RESTORED_SAME || source->status == RESTORED_CHANGED);
    f->valid = line && line->valid && source && source->status == RESTORED_SAME;
}

/* From elsewhere only indexes are taken that were valid and whose sources are the same here. */
static int keep_valid(struct layout_record *r)
{
    _cleanup_free_ bool *wanted = calloc(r->file_count + 1, sizeof *wanted);
    size_t kept = 0;

    if (!wanted)
        return -ENOMEM;
    layout_sort_files(r);
    for (size_t i = 0; i < r->file_count; i++) {
        size_t count;
        const struct layout_file *files = layout_stem(r, &r->files[i], &count);

        for (size_t k = 0; k < count; k++)
            wanted[i] |= files[k].is_index && files[k].valid;
    }
    for (size_t i = 0; i < r->file_count; i++) {
        if (wanted[i])
            r->files[kept++] = r->files[i];
        else
            free(r->files[i].name);
    }
    r->file_count = kept;
    return 0;
}

static bool is_source(void *ctx, const char *path)
{
    const struct restore *r = ctx;

    return zipped_sources_exist(r->fd, path);
}

/* Does cache file NAME in a directory of DIR's caches belong to a source that T speaks for? In a
 * directory that is shared, what nobody knows is somebody else's. 1, 0 or -ENOMEM. */
static int is_own(struct restore *r, const struct restore_tree *t, const char *name, size_t dir)
{
    _cleanup_free_ char *source = NULL, *zip = NULL;
    const struct restore_tree *owner;
    bool found;

    if (!t->info && r->tree_count < 2)
        return 1;
    source = caches_source_of(name, t->dirs[dir].path, is_source, r, &found);
    if (!source)
        return -ENOMEM;
    zip = zipped_file(source);
    owner = restore_owner(r, zip ? zip : source);
    return owner ? owner == t : !t->info;
}

static void remove_empty(int fd, const char *path)
{
    const char *name;
    _cleanup_close_ int parent = beneath_parent(fd, path, &name);

    if (parent >= 0)
        unlinkat(parent, name, AT_REMOVEDIR); /* where it is empty */
}

/* Adds the directory NAME in a cache root, for source directory DIR, if caches lie there. */
static int add_place(struct restore *run, struct restore_tree *t, const struct place *p,
                     const char *name, size_t dir)
{
    struct layout_record r = {
        .kind = p->kind, .root = p->root, .fd = p->fd, .tag = dir, .zipped = t->dirs[dir].zipped};
    _cleanup_free_ char *path = path_join(p->below, name);
    _cleanup_close_ int fd = -1;
    _cleanup_closedir_ DIR *d = NULL;
    struct dirent *item;
    int res = 0;

    if (!path)
        return -ENOMEM;
    if (is_known(&t->layout, p->root, path))
        return 0;
    fd = beneath_open(p->fd, path, O_RDONLY | O_DIRECTORY, 0);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return 0;
    take_fd(&fd);
    while (res >= 0 && (item = readdir(d))) {
        res = caches_is_index(item->d_name) || caches_is_data(item->d_name)
                  ? is_own(run, t, item->d_name, dir)
                  : 0;
        if (res > 0)
            res = layout_add_file(&r, item->d_name, false);
        if (res > 0)
            judge_file(run, t, &r);
    }
    if (res >= 0 && p->root == LAYOUT_FOREIGN)
        res = keep_valid(&r);
    /* A run that was killed has moved everything and not come to this. */
    if (res >= 0 && !r.file_count && p->old && !run->o->dry_run)
        remove_empty(p->fd, path);
    if (res < 0 || !r.file_count) {
        layout_record_clear(&r);
        return res < 0 ? res : 0;
    }
    r.dir = take_ptr(path);
    r.source = strdup(t->dirs[dir].path);
    r.inside = strdup(p->root == LAYOUT_FOREIGN ? "" : p->below);
    if (!r.inside) {
        layout_record_clear(&r);
        return -ENOMEM;
    }
    return layout_add_record(&t->layout, &r);
}

/* The names that DIR's caches have in root P, by each of BASES. RELATIVE is DIR below them. */
static int add_hashed(struct restore *r, struct restore_tree *t, const struct place *p,
                      char **bases, const char *relative, size_t dir)
{
    for (char **base = bases; base && *base; base++) {
        _cleanup_free_ char *path = *relative ? path_join(*base, relative) : strdup(*base);
        _cleanup_free_ char *name = path ? places_hash_name(path) : NULL;

        if (!path || (!name && errno != EILSEQ) || (name && add_place(r, t, p, name, dir) < 0))
            return -ENOMEM;
    }
    return 0;
}

/* DIR's path below the base of its tree. */
static const char *below_base(const struct restore_tree *t, size_t dir)
{
    const char *path = t->dirs[dir].path + strlen(t->base);

    return *path == '/' ? path + 1 : path;
}

/* Where a line of a cache directory says that it lies, below home at HOME. Allocated. */
static char *cache_path(const struct restore_tree *t, const struct manifest_cache *c,
                        const char *home, unsigned strip)
{
    const char *left;

    if (t->m.home && path_is_under(c->cache, t->m.home)) {
        left = c->cache + strlen(t->m.home);
        return path_join(home, *left == '/' ? left + 1 : left);
    }
    left = path_strip(c->cache, strip);
    return strdup(left ? left : "");
}

/* Caches as the archive had them: in the tree's own home, and inside the tree. */
static int add_archived(struct restore *r, struct restore_tree *t, size_t dir)
{
    static const enum layout_kind kinds[] = {
        [MANIFEST_CACHE_DIR] = LAYOUT_HASHED,
        [MANIFEST_CACHE_USER_WIDE] = LAYOUT_HASHED_USER_WIDE,
        [MANIFEST_CACHE_INSIDE] = LAYOUT_INSIDE,
    };
    bool elsewhere = t->foreign >= 0;

    for (size_t i = 0; i < t->m.cache_count; i++) {
        const struct manifest_cache *c = &t->m.caches[i];
        _cleanup_free_ char *path = NULL, *below = NULL;
        struct place p = {.kind = kinds[c->kind],
                          .root = elsewhere ? LAYOUT_FOREIGN : LAYOUT_TREE,
                          .fd = elsewhere ? t->foreign : r->fd};

        if (strcmp(c->source, t->dirs[dir].archived) != 0)
            continue;
        path = elsewhere ? cache_path(t, c, t->foreign_home, t->foreign_strip)
                         : cache_path(t, c, t->home, t->strip);
        if (path && !elsewhere && !path_is_under(path, t->home)) {
            char *whole = path_join(t->base, path);

            free(path);
            path = whole;
        }
        below = path ? path_dir(path) : NULL;
        if (!below)
            return -ENOMEM;
        /* A root inside the other tree becomes a cache directory like others. */
        if (elsewhere && p.kind == LAYOUT_INSIDE)
            p.kind = LAYOUT_HASHED;
        p.below = below;
        if (!path_is_safe(path) || add_place(r, t, &p, path_base(path), dir) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The cache roots inside the tree; who sets one finds copies of what lies in the tree there, too,
 * so any directory may have caches in it. */
static int find_insides(struct restore_tree *t)
{
    for (size_t i = 0; i < t->m.cache_count && t->foreign < 0; i++) {
        bool gone, known = false;
        _cleanup_free_ char *path = t->m.caches[i].kind == MANIFEST_CACHE_INSIDE
                                        ? restore_path(t, t->m.caches[i].cache, &gone)
                                        : strdup("");
        _cleanup_free_ char *root = path && *path ? path_dir(path) : NULL;

        if (!path && !gone)
            return -ENOMEM;
        if (!root || !path_is_safe(path))
            continue;
        for (size_t k = 0; k < t->inside_count && !known; k++)
            known = strcmp(t->insides[k], root) == 0;
        if (known)
            continue;
        if (layout_grow((void **)&t->insides, t->inside_count, sizeof *t->insides) < 0)
            return -ENOMEM;
        t->insides[t->inside_count++] = take_ptr(root);
    }
    return 0;
}

static int add_inside(struct restore *r, struct restore_tree *t, size_t dir)
{
    for (size_t i = 0; i < t->inside_count; i++) {
        struct place p = {
            .kind = LAYOUT_INSIDE, .root = LAYOUT_TREE, .fd = r->fd, .below = t->insides[i]};

        if (add_hashed(r, t, &p, r->roots, t->dirs[dir].path, dir) < 0 ||
            add_hashed(r, t, &p, t->old_bases, below_base(t, dir), dir) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_in_tree(struct restore *r, struct restore_tree *t, size_t dir)
{
    struct place own = {.kind = LAYOUT_IN_TREE, .root = LAYOUT_TREE, .fd = r->fd};
    struct place other = {.kind = LAYOUT_IN_TREE, .root = LAYOUT_FOREIGN, .fd = t->foreign};
    const char *archived = t->dirs[dir].archived;
    const char *left = path_strip(archived, t->foreign_strip);

    own.below = t->dirs[dir].path;
    if (add_place(r, t, &own, "__pycache__", dir) < 0)
        return -ENOMEM;
    if (t->foreign < 0)
        return 0;
    other.below = left ? left : "";
    return add_place(r, t, &other, "__pycache__", dir);
}

/* ---- Cache roots ------------------------------------------------------------------------- */

static bool same_path(const char *a, const char *b)
{
    _cleanup_free_ char *x = a ? path_absolute(a) : NULL;
    _cleanup_free_ char *y = b ? path_absolute(b) : NULL;

    return x && y && strcmp(x, y) == 0;
}

/* Fills P for the cache root at PATH, opened into *FD where it is outside the tree. 0: there is
 * none. */
static int open_root(struct restore *r, struct restore_tree *t, const char *path,
                     enum layout_root otherwise, struct place *p, int *fd)
{
    const char *below;

    p->below = "";
    if (path_is_under(path, r->dir_path)) {
        below = path + strlen(r->dir_path);
        while (*below == '/')
            below++;
        p->root = LAYOUT_TREE;
        p->fd = r->fd;
        p->below = below;
        return 1;
    }
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->fd = *fd;
    p->root = same_path(path, t->layout.cache_dir)            ? LAYOUT_CACHE_DIR
              : same_path(path, layout_user_root(&t->layout)) ? LAYOUT_USER_WIDE
              : *fd >= 0 && faccessat(*fd, ".", W_OK, AT_EACCESS)
                  ? otherwise == LAYOUT_OLD ? LAYOUT_FOREIGN : otherwise
                  : otherwise;
    return *fd >= 0;
}

/* Does the cache root of earlier times lie where the archive had one inside the tree? */
static bool was_inside(struct restore *r, struct restore_tree *t)
{
    for (size_t i = 0; i < t->inside_count; i++) {
        _cleanup_free_ char *whole = path_join(r->dir_path, t->insides[i]);

        if (same_path(whole, t->old_root))
            return true;
    }
    return false;
}

/* The names by the paths that the tree had. Where something has taken its place there, they are
 * the caches of that now (a copy was made, or another release has come): they are only read. */
static int add_old_names(struct restore *r, struct restore_tree *t, const struct place *old,
                         size_t dir)
{
    for (char **base = t->old_bases; base && *base; base++) {
        char *one[] = {*base, NULL};
        struct place p = *old;
        bool is_now = false;
        struct stat st;

        for (char **root = r->roots; *root && !is_now; root++) {
            _cleanup_free_ char *now = *t->base ? path_join(*root, t->base) : strdup(*root);

            if (!now)
                return -ENOMEM;
            is_now = strcmp(now, *base) == 0;
        }
        if (is_now)
            continue;
        p.old = true;
        if (stat(*base, &st) == 0 && p.root != LAYOUT_TREE) {
            p.root = LAYOUT_FOREIGN;
            p.old = false;
        }
        if (add_hashed(r, t, &p, one, below_base(t, dir), dir) < 0)
            return -ENOMEM;
    }
    return 0;
}

static bool has_zipped(const struct restore_tree *t)
{
    for (size_t i = 0; i < t->dir_count; i++)
        if (t->dirs[i].zipped)
            return true;
    return false;
}

static int add_roots(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    struct layout *l = &t->layout;
    _cleanup_free_ char *cache_dir = l->cache_dir ? path_absolute(l->cache_dir) : NULL;
    bool user_wide = l->kind == WP_LAYOUT_USER_WIDE || l->kind == WP_LAYOUT_KEEP;
    bool was_user_wide = t->has_state && strcmp(t->state.layout, "user-wide") == 0;
    struct place old = {.kind = was_user_wide      ? LAYOUT_HASHED_USER_WIDE
                                : was_inside(r, t) ? LAYOUT_INSIDE
                                                   : LAYOUT_HASHED};
    struct place cache = {.kind = LAYOUT_HASHED}, user = {.kind = LAYOUT_HASHED_USER_WIDE};
    bool has_old = t->old_root && open_root(r, t, t->old_root, LAYOUT_OLD, &old, &t->old_fd);
    bool has_cache =
        cache_dir && open_root(r, t, cache_dir, LAYOUT_CACHE_DIR, &cache, &t->cache_fd);
    bool has_user = (user_wide || has_zipped(t)) && layout_user_root(l) &&
                    open_root(r, t, layout_user_root(l), LAYOUT_USER_WIDE, &user, &t->user_fd);

    for (size_t i = 0; i < t->dir_count; i++) {
        const char *path = t->dirs[i].path;
        int res = 0;

        if (has_cache)
            res = add_hashed(r, t, &cache, r->roots, path, i);
        if (has_user && (user_wide || t->dirs[i].zipped) && res == 0)
            res = add_hashed(r, t, &user, r->roots, path, i);
        if (has_user && t->dirs[i].zipped && res == 0)
            res = add_hashed(r, t, &user, t->old_bases, below_base(t, i), i);
        if (has_old && res == 0)
            res = add_hashed(r, t, &old, r->roots, path, i);
        if (has_old && res == 0)
            res = add_old_names(r, t, &old, i);
        if (res < 0)
            return error_nomem(err);
    }
    return 0;
}

/* Without other wishes, caches stay in the kind of place where the last run put them. */
static int choose_layout(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    struct layout *l = &t->layout;
    const char *was = t->has_state ? t->state.layout : "in-tree";

    l->kind = r->o->layout;
    l->cache_dir = r->o->cache_dir;
    l->old_root = t->old_root;
    if (l->cache_dir || !t->old_root)
        return 0;
    if (strcmp(was, "cache-dir") == 0 && l->kind != WP_LAYOUT_IN_TREE &&
        l->kind != WP_LAYOUT_USER_WIDE && !was_inside(r, t)) {
        l->cache_dir = t->state_cache_dir = strdup(t->old_root);
        if (!l->cache_dir)
            return error_nomem(err);
        if (l->kind == WP_LAYOUT_AUTO)
            l->kind = WP_LAYOUT_KEEP;
    }
    if (strcmp(was, "user-wide") == 0 && l->kind == WP_LAYOUT_AUTO)
        l->kind = WP_LAYOUT_KEEP;
    return 0;
}

/* With nothing but the user-wide place to keep caches in, those of an archive go there, too. */
static void settle_kinds(struct layout *l)
{
    for (size_t i = 0; i < l->record_count && l->kind == WP_LAYOUT_KEEP && !l->cache_dir; i++)
        if (l->records[i].kind == LAYOUT_HASHED && l->old_root)
            l->records[i].kind = LAYOUT_HASHED_USER_WIDE;
}

int restore_caches(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    struct layout *l = &t->layout;
    int res;

    l->report = r->o->report;
    l->give = r->o->user && geteuid() == 0;
    l->verify = &r->verify;
    l->roots = r->roots;
    l->dir = r->dir;
    l->dir_path = r->dir_path;
    l->tree_fd = l->target_fd = r->fd;
    l->dry_run = r->o->dry_run;
    l->umask = r->umask;
    l->is_source = is_source;
    l->ctx = r;
    l->staging = &t->staging;
    l->staging_options =
        (struct staging_options){.report = r->o->report, .interrupted = r->o->interrupted};
    res = find_dirs(t) < 0 || find_insides(t) < 0 ? error_nomem(err) : choose_layout(r, t, err);
    for (size_t i = 0; i < t->dir_count && res == 0; i++)
        if (add_in_tree(r, t, i) < 0)
            res = error_nomem(err);
    if (res == 0)
        res = add_roots(r, t, err);
    for (size_t i = 0; i < t->dir_count && res == 0; i++)
        if (add_inside(r, t, i) < 0 || add_archived(r, t, i) < 0)
            res = error_nomem(err);
    settle_kinds(l);
    return res;
}
