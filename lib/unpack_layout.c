/* Unpacking, the layout: cache directories go where Numba will look for them from their new path.
 *
 * A record is a directory of cache files in the staged tree and the source directory it serves.
 * For each record the layout names one or more destinations; indexes move there with their data
 * files. Where two records bring an index of one name to one place, the valid one wins, then the
 * one that lies nearer: in the tree, then from outside. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "caches.h"
#include "numba/index.h"
#include "numba/places.h"
#include "tree/beneath.h"
#include "unpack.h"

enum record_kind { RECORD_IN_TREE, RECORD_INSIDE, RECORD_CACHE_DIR, RECORD_USER_WIDE };

struct record {
    enum record_kind kind;
    char *dir;     /* staged directory of the cache files; owned */
    char *source;  /* staged source directory, "" is DIR; owned */
    size_t *files; /* numbers of its cache files in layout.files; owned */
    size_t file_count;
    bool made;  /* its destinations exist */
    bool moved; /* at least one index lies elsewhere now */
};

/* One index or data file of the archive. */
struct cache_file {
    struct unpacked *item;
    const char *name;
    size_t stem; /* length of what an index and its data files share */
    bool is_index;
    const struct manifest_index *index; /* of an index: its line in the manifest, or NULL */
};

struct destination {
    int area;
    char *path; /* in the area; owned */
};

/* Taken: an index name in a destination. */
struct taken {
    int area;
    char *path; /* destination directory and stem; owned */
};

struct layout {
    struct unpack *u;
    enum wp_layout kind;
    struct record *records;
    size_t record_count;
    struct cache_file *files;
    size_t file_count;
    struct taken *taken;
    size_t taken_count;
    int cache_area;    /* of --cache-dir; -1: not there yet */
    char *cache_below; /* --cache-dir as a path below DIR where it lies there; owned */
    int user_area;     /* of the user-wide root; -1 */
    char *user_root;   /* owned */
    bool used_inside, used_in_tree, used_cache_dir, used_user_wide;
    char *inside_root; /* a cache root inside the tree, staged; owned */
    mode_t umask;
};

static int grow(void **array, size_t count, size_t size)
{
    void *grown;

    if (count & (count - 1)) /* full only at powers of two */
        return 0;
    grown = reallocarray(*array, count ? 2 * count : 1, size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

static int compare_index_lines(const void *key, const void *line)
{
    return strcmp(key, ((const struct manifest_index *)line)->index);
}

static const struct manifest_index *index_line(const struct unpack *u, const struct unpacked *item)
{
    const struct manifest *m = &u->manifest;

    if (!m->index_count)
        return NULL;
    return bsearch(item->archived ? item->archived : item->e.path, m->indexes, m->index_count,
                   sizeof *m->indexes, compare_index_lines);
}

/* Cache files among what was unpacked, sorted by path. */
static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct cache_file *)a)->item->e.path,
                  ((const struct cache_file *)b)->item->e.path);
}

static int find_files(struct layout *l)
{
    for (size_t i = 0; i < l->u->count; i++) {
        struct unpacked *item = l->u->items[i];
        struct cache_file f = {.item = item};
        struct index_name parts;

        if (item->skipped || (item->e.type != ENTRY_FILE && item->e.type != ENTRY_HARDLINK))
            continue;
        f.name = path_base(item->e.path);
        if (index_name_parse(f.name, &parts) == 0) {
            f.is_index = true;
            f.stem = parts.stem;
            f.index = index_line(l->u, item);
        } else if (!index_is_data_name(f.name, &f.stem)) {
            continue;
        }
        if (grow((void **)&l->files, l->file_count, sizeof f) < 0)
            return -ENOMEM;
        l->files[l->file_count++] = f;
    }
    if (l->file_count)
        qsort(l->files, l->file_count, sizeof *l->files, compare_files);
    return 0;
}

static bool is_in_dir(const struct cache_file *f, const char *dir)
{
    size_t n = (size_t)(f->name - f->item->e.path);

    return n == strlen(dir) + 1 && strncmp(f->item->e.path, dir, n - 1) == 0;
}

/* Takes DIR and SOURCE over. */
static int add_record(struct layout *l, enum record_kind kind, char *dir, char *source)
{
    struct record r = {.kind = kind, .dir = dir, .source = source};

    if (!dir || !source || grow((void **)&l->records, l->record_count, sizeof r) < 0) {
        free(dir);
        free(source);
        return -ENOMEM;
    }
    for (size_t i = 0; i < l->file_count; i++) {
        if (!is_in_dir(&l->files[i], dir))
            continue;
        if (grow((void **)&r.files, r.file_count, sizeof *r.files) < 0) {
            free(dir);
            free(source);
            free(r.files);
            return -ENOMEM;
        }
        r.files[r.file_count++] = i;
    }
    l->records[l->record_count++] = r;
    return 0;
}

static bool is_staged_dir(const struct layout *l, const char *path)
{
    struct stat st;

    return !*path || (beneath_stat(l->u->tree, path, &st) == 0 && S_ISDIR(st.st_mode));
}

static int find_hashed(struct layout *l)
{
    static const enum record_kind kinds[] = {
        [MANIFEST_CACHE_DIR] = RECORD_CACHE_DIR,
        [MANIFEST_CACHE_USER_WIDE] = RECORD_USER_WIDE,
        [MANIFEST_CACHE_INSIDE] = RECORD_INSIDE,
    };

    for (size_t i = 0; i < l->u->manifest.cache_count; i++) {
        const struct manifest_cache *c = &l->u->manifest.caches[i];
        bool gone_dir, gone_source;
        _cleanup_free_ char *dir = unpack_dir_name(l->u, c->cache, &gone_dir);
        _cleanup_free_ char *source = unpack_dir_name(l->u, c->source, &gone_source);

        if ((!dir && !gone_dir) || (!source && !gone_source))
            return -ENOMEM;
        /* What was not selected has no sources here, and its caches no use. */
        if (gone_dir || gone_source || !is_staged_dir(l, dir) || !is_staged_dir(l, source))
            continue;
        if (add_record(l, kinds[c->kind], take_ptr(dir), take_ptr(source)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int find_in_tree(struct layout *l)
{
    _cleanup_free_ char *last = NULL;

    for (size_t i = 0; i < l->file_count; i++) {
        _cleanup_free_ char *dir = path_dir(l->files[i].item->e.path);

        if (!dir)
            return -ENOMEM;
        if (strcmp(path_base(dir), "__pycache__") != 0 || (last && strcmp(last, dir) == 0))
            continue;
        free(last);
        last = strdup(dir);
        if (!last || add_record(l, RECORD_IN_TREE, take_ptr(dir), path_dir(last)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- Destinations ------------------------------------------------------------------------ */

/* Directories of PATH that are not there yet will be the user's. */
static int note_missing(struct unpack *u, const char *path, struct wp_error *err)
{
    _cleanup_free_ char *p = strdup(path);

    for (;;) {
        struct stat st;
        char *slash;

        if (!p)
            return error_nomem(err);
        if (stat(p, &st) == 0 || errno != ENOENT)
            return 0;
        if (grow((void **)&u->made, u->made_count, sizeof *u->made) < 0 ||
            !(u->made[u->made_count] = strdup(p)))
            return error_nomem(err);
        u->made_count++;
        slash = strrchr(p, '/');
        if (!slash || slash == p)
            return 0;
        *slash = '\0';
    }
}

/* The area of --cache-dir. Where it lies below DIR it is part of the staged tree. */
static int cache_dir_area(struct layout *l, struct wp_error *err)
{
    _cleanup_free_ char *path = NULL;

    if (l->cache_area >= 0)
        return l->cache_area;
    path = path_absolute(l->u->o->cache_dir);
    if (!path)
        return error_set(err, errno, l->u->o->cache_dir, "cannot be found");
    if (path_is_under(path, l->u->dir_path)) {
        const char *below = path + strlen(l->u->dir_path);

        while (*below == '/')
            below++;
        l->cache_below = strdup(below);
        return l->cache_below ? (l->cache_area = 0) : error_nomem(err);
    }
    if (l->u->o->user && note_missing(l->u, path, err) < 0)
        return -ENOMEM;
    l->cache_area = staging_add_area(l->u->staging, l->u->o->cache_dir, err);
    return l->cache_area;
}

static int user_wide_area(struct layout *l, struct wp_error *err)
{
    int r;

    if (l->user_area >= 0)
        return l->user_area;
    if (!l->u->verify.is_caller && !l->u->verify.user.name)
        return error_set(err, 0, l->u->o->user, "this user has no home directory for caches");
    l->user_root = places_user_wide(&l->u->verify.user, l->u->verify.is_caller);
    if (!l->user_root)
        return error_nomem(err);
    r = note_missing(l->u, l->user_root, err);
    if (r < 0)
        return r;
    l->user_area = staging_add_area(l->u->staging, l->user_root, err);
    return l->user_area;
}

static int add_destination(struct destination **d, size_t *n, int area, char *path,
                           struct wp_error *err)
{
    if (!path || grow((void **)d, *n, sizeof **d) < 0) {
        free(path);
        return error_nomem(err);
    }
    for (size_t i = 0; i < *n; i++)
        if ((*d)[i].area == area && strcmp((*d)[i].path, path) == 0) {
            free(path);
            return 0;
        }
    (*d)[(*n)++] = (struct destination){area, path};
    return 0;
}

/* SOURCE's hashed names under each root, in directory BELOW of AREA. */
static int add_hashed(struct layout *l, struct destination **d, size_t *n, int area,
                      const char *below, const char *source, struct wp_error *err)
{
    for (char **root = l->u->roots; *root; root++) {
        _cleanup_free_ char *absolute = *source ? path_join(*root, source) : strdup(*root);
        _cleanup_free_ char *name = absolute ? places_hash_name(absolute) : NULL;
        int r;

        if (!name && absolute && errno == EILSEQ) {
            report(l->u->o->report, WP_WARNING, absolute,
                   "is not UTF-8: Numba cannot cache for it outside the tree");
            continue;
        }
        if (!name)
            return error_nomem(err);
        r = add_destination(d, n, area, path_join(below, name), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Could SOURCE/__pycache__ be a directory, here and in the tree that this one is merged into? */
static bool can_be_in_tree(const struct layout *l, const char *source)
{
    _cleanup_free_ char *path = path_join(source, "__pycache__");
    struct stat st;

    if (!path)
        return false;
    if (beneath_stat(l->u->tree, path, &st) == 0 && !S_ISDIR(st.st_mode))
        return false;
    return beneath_stat(staging_target(l->u->staging, 0), path, &st) != 0 || S_ISDIR(st.st_mode);
}

/* Where the layout wants R: the kind of place. KEEP: where it lies. */
static int wanted_place(const struct layout *l, const struct record *r, enum wp_layout *place,
                        struct wp_error *err)
{
    bool given = l->u->o->cache_dir != NULL;

    switch (l->kind) {
    case WP_LAYOUT_AUTO:
        if (r->kind == RECORD_INSIDE)
            *place = WP_LAYOUT_KEEP;
        else if (given)
            *place = WP_LAYOUT_CACHE_DIR;
        else if (r->kind == RECORD_IN_TREE)
            *place = WP_LAYOUT_KEEP;
        else
            *place = can_be_in_tree(l, r->source) ? WP_LAYOUT_IN_TREE : WP_LAYOUT_USER_WIDE;
        return 0;
    case WP_LAYOUT_KEEP:
        *place = r->kind == RECORD_CACHE_DIR   ? WP_LAYOUT_CACHE_DIR
                 : r->kind == RECORD_USER_WIDE ? WP_LAYOUT_USER_WIDE
                                               : WP_LAYOUT_KEEP;
        break;
    default:
        *place = l->kind;
    }
    if (*place == WP_LAYOUT_CACHE_DIR && !given)
        return error_set(err, 0, NULL,
                         "this layout puts caches into a cache directory: name it with --cache-dir "
                         "or NUMBA_CACHE_DIR");
    if (*place == WP_LAYOUT_IN_TREE && !can_be_in_tree(l, r->source)) {
        report(l->u->o->report, WP_WARNING, *r->source ? r->source : ".",
               "its __pycache__ is not a directory: the caches go to the user-wide place");
        *place = WP_LAYOUT_USER_WIDE;
    }
    return 0;
}

static int destinations(struct layout *l, const struct record *r, struct destination **d, size_t *n,
                        struct wp_error *err)
{
    _cleanup_free_ char *parent = NULL;
    enum wp_layout place;
    int area, res = wanted_place(l, r, &place, err);

    if (res < 0)
        return res;
    switch (place) {
    case WP_LAYOUT_IN_TREE:
        l->used_in_tree = true;
        return add_destination(d, n, 0, path_join(r->source, "__pycache__"), err);
    case WP_LAYOUT_CACHE_DIR:
        l->used_cache_dir = true;
        area = cache_dir_area(l, err);
        return area < 0 ? area
                        : add_hashed(l, d, n, area, l->cache_below ? l->cache_below : "", r->source,
                                     err);
    case WP_LAYOUT_USER_WIDE:
        l->used_user_wide = true;
        area = user_wide_area(l, err);
        return area < 0 ? area : add_hashed(l, d, n, area, "", r->source, err);
    default: /* keep */
        if (r->kind == RECORD_IN_TREE) {
            l->used_in_tree = true;
            return add_destination(d, n, 0, strdup(r->dir), err);
        }
        l->used_inside = true;
        parent = path_dir(r->dir);
        if (!parent)
            return error_nomem(err);
        if (!l->inside_root && !(l->inside_root = strdup(parent)))
            return error_nomem(err);
        return add_hashed(l, d, n, 0, parent, r->source, err);
    }
}

/* ---- Moving ------------------------------------------------------------------------------ */

static int copy_across(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat st;
    _cleanup_close_ int in = beneath_open(from_fd, from, O_RDONLY, 0);
    _cleanup_close_ int out = beneath_open(to_fd, to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    _cleanup_buf_ struct buf block = {0};
    struct timespec times[2];

    if (in < 0 || out < 0)
        return in < 0 ? in : out;
    if (fstat(in, &st) < 0 || buf_reserve(&block, 1 << 18) < 0)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(in, block.data, block.room);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(out, block.data + done, (size_t)(n - done));

            if (w < 0 && errno != EINTR)
                return -errno;
            done += w > 0 ? w : 0;
        }
    }
    if (geteuid() == 0 && fchown(out, st.st_uid, st.st_gid) < 0)
        return -errno;
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    if (fchmod(out, st.st_mode & 0777) < 0 || futimens(out, times) < 0)
        return -errno;
    return close(take_fd(&out)) < 0 ? -errno : 0;
}

/* Puts one cache file into a destination: moves it, or leaves it there for further ones. */
static int put_file(struct layout *l, const struct record *r, const struct cache_file *f,
                    const struct destination *d, bool move, struct wp_error *err)
{
    const struct unpack *u = l->u;
    _cleanup_free_ char *from = path_join(r->dir, f->name);
    _cleanup_free_ char *to = path_join(d->path, f->name);
    int to_fd = staging_tree(u->staging, d->area);
    int res;

    if (!from || !to)
        return error_nomem(err);
    if (d->area == 0 && strcmp(from, to) == 0)
        return 0;
    if (move) {
        res = beneath_rename(u->tree, from, to_fd, to);
    } else {
        const char *from_name, *to_name;
        _cleanup_close_ int a = beneath_parent(u->tree, from, &from_name);
        _cleanup_close_ int b = beneath_parent(to_fd, to, &to_name);

        res = a < 0 ? a : b < 0 ? b : linkat(a, from_name, b, to_name, 0) < 0 ? -errno : 0;
    }
    if (res == -EXDEV || (!move && (res == -EPERM || res == -EMLINK)))
        res = copy_across(u->tree, from, to_fd, to);
    if (res < 0)
        return error_set(err, -res, to, "cannot put the cache file into its place");
    if (u->o->user && geteuid() == 0) {
        _cleanup_close_ int fd = beneath_open(to_fd, to, O_RDONLY, 0);

        if (fd < 0 || fchown(fd, u->verify.user.uid, u->verify.user.gid) < 0)
            return error_set(err, errno, to, "cannot give the cache file to its user");
    }
    return 0;
}

/* Sets a directory's attributes with a copy of its path that lives until the commit. */
static int set_dir(struct unpack *u, int area, struct staging_dir *attributes, struct wp_error *err)
{
    if (grow((void **)&u->kept, u->kept_count, sizeof *u->kept) < 0 ||
        !(u->kept[u->kept_count] = strdup(attributes->path)))
        return error_nomem(err);
    attributes->path = u->kept[u->kept_count++];
    return staging_set_dir(u->staging, area, attributes) < 0 ? error_nomem(err) : 0;
}

/* A cache root below DIR is the user's, too: Numba makes further directories in it. */
static int give_root(struct layout *l, const struct destination *d, struct wp_error *err)
{
    struct unpack *u = l->u;
    _cleanup_free_ char *root = path_dir(d->path);
    const struct unpacked *item = root ? unpack_find(u, root) : NULL;
    struct staging_dir attributes = {
        .mode = 0777 & ~l->umask, .uid = u->verify.user.uid, .gid = u->verify.user.gid};

    if (!root)
        return error_nomem(err);
    if (d->area != 0 || !*root || !u->o->user || geteuid() != 0 ||
        strcmp(path_base(d->path), "__pycache__") == 0)
        return 0;
    if (item && item->e.type == ENTRY_DIR) {
        attributes.path = item->e.path;
        attributes.mode = create_mode(&u->policy, &item->e);
        attributes.mtime = item->e.mtime;
    } else {
        attributes.path = l->cache_below;
        clock_gettime(CLOCK_REALTIME, &attributes.mtime);
    }
    return attributes.path ? set_dir(u, 0, &attributes, err) : 0;
}

/* Makes destination directories like the cache directory they come from. */
static int make_destination(struct layout *l, const struct record *r, const struct destination *d,
                            struct wp_error *err)
{
    struct unpack *u = l->u;
    int fd = staging_tree(u->staging, d->area);
    const struct unpacked *like = unpack_find(u, r->dir);
    struct staging_dir attributes = {
        .path = d->path, .mode = 0777 & ~l->umask, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct stat st;
    int res;

    if (d->area == 0 && unpack_find(u, d->path) && strcmp(d->path, r->dir) == 0 && !u->o->user)
        return 0; /* where it was, as it was */
    if (like && like->e.type == ENTRY_DIR)
        create_owner(&u->policy, &like->e, &attributes.uid, &attributes.gid);
    if (u->o->user && geteuid() == 0) {
        attributes.uid = u->verify.user.uid;
        attributes.gid = u->verify.user.gid;
    }
    clock_gettime(CLOCK_REALTIME, &attributes.mtime);
    if (*d->path && beneath_stat(fd, d->path, &st) < 0) {
        res = beneath_mkdirs(fd, d->path, 0700);
        if (res < 0)
            return error_set(err, -res, d->path, "cannot make the cache directory");
    } else if (unpack_find(u, d->path)) {
        attributes.mode = create_mode(&u->policy, &unpack_find(u, d->path)->e);
    }
    res = set_dir(u, d->area, &attributes, err);
    return res < 0 ? res : give_root(l, d, err);
}

static int make_destinations(struct layout *l, struct record *r, const struct destination *d,
                             size_t n, struct wp_error *err)
{
    int res = 0;

    for (size_t i = 0; i < n && res == 0 && !r->made; i++)
        res = make_destination(l, r, &d[i], err);
    r->made = res == 0;
    return res;
}

static bool is_taken(struct layout *l, const struct destination *d, const char *name, size_t stem)
{
    _cleanup_free_ char *key = strndup(name, stem);
    _cleanup_free_ char *path = key ? path_join(d->path, key) : NULL;

    for (size_t i = 0; path && i < l->taken_count; i++)
        if (l->taken[i].area == d->area && strcmp(l->taken[i].path, path) == 0)
            return true;
    return false;
}

static int take(struct layout *l, const struct destination *d, const char *name, size_t stem)
{
    _cleanup_free_ char *key = strndup(name, stem);
    char *path = key ? path_join(d->path, key) : NULL;

    if (!path || grow((void **)&l->taken, l->taken_count, sizeof *l->taken) < 0) {
        free(path);
        return -ENOMEM;
    }
    l->taken[l->taken_count++] = (struct taken){d->area, path};
    return 0;
}

/* Data files of an earlier build in the target which are not among the new ones: numbering starts
 * again after an edit, and an index that names one of them would load old code. */
static int remove_old_data(struct layout *l, const struct record *r, const struct destination *d,
                           const struct cache_file *index, struct wp_error *err)
{
    _cleanup_close_ int fd =
        beneath_open(staging_target(l->u->staging, d->area), d->path, O_RDONLY | O_DIRECTORY, 0);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *item;

    if (!dir)
        return 0;
    take_fd(&fd);
    while ((item = readdir(dir))) {
        size_t stem;
        bool ours = false;

        if (!index_is_data_name(item->d_name, &stem) || stem != index->stem ||
            strncmp(item->d_name, index->name, stem) != 0)
            continue;
        for (size_t i = 0; i < r->file_count; i++)
            ours |= strcmp(l->files[r->files[i]].name, item->d_name) == 0;
        if (!ours) {
            _cleanup_free_ char *path = path_join(d->path, item->d_name);

            if (!path || staging_set_remove(l->u->staging, d->area, path) < 0)
                return error_nomem(err);
        }
    }
    return 0;
}

/* Where Python, run here, will see PATH of an area. */
static char *final_path(const struct layout *l, int area, const char *path)
{
    const char *base = area == 0              ? l->u->dir_path
                       : area == l->user_area ? l->user_root
                                              : l->u->o->cache_dir;

    return *path ? path_join(base, path) : strdup(base);
}

static bool is_unpacked(void *ctx, const char *path)
{
    const struct unpacked *item = unpack_find(ctx, path);

    return item && !item->skipped && item->e.type != ENTRY_DIR;
}

static int note_laid(struct layout *l, const struct record *r, const struct cache_file *f,
                     const struct destination *d, struct wp_error *err)
{
    struct unpack *u = l->u;
    _cleanup_free_ char *path = path_join(d->path, f->name);
    struct laid_index laid = {.was_valid = f->index && f->index->valid,
                              .user_wide = d->area == l->user_area};
    bool found;

    if (!path || grow((void **)&u->laid, u->laid_count, sizeof laid) < 0)
        return error_nomem(err);
    laid.index = final_path(l, d->area, path);
    laid.shown = d->area == 0 ? strdup(path) : final_path(l, d->area, path);
    laid.source_shown = caches_source_of(f->name, r->source, is_unpacked, u, &found);
    laid.source = laid.source_shown ? path_join(u->dir_path, laid.source_shown) : NULL;
    laid.source_dir = path_join(u->dir_path, r->source);
    u->laid[u->laid_count++] = laid;
    return laid.index && laid.shown && laid.source && laid.source_dir ? 0 : error_nomem(err);
}

/* Moves the index F and its data files to all of D. */
static int lay_index(struct layout *l, const struct record *r, const struct cache_file *f,
                     const struct destination *d, size_t n, struct wp_error *err)
{
    bool stays = false;
    int res = 0;

    for (size_t i = 0; i < n; i++)
        stays |= d[i].area == 0 && strcmp(d[i].path, r->dir) == 0;
    for (size_t i = 0; i < n && res == 0; i++) {
        bool move = !stays && i + 1 == n;

        if (take(l, &d[i], f->name, f->stem) < 0)
            return error_nomem(err);
        for (size_t k = 0; k < r->file_count && res == 0; k++) {
            const struct cache_file *g = &l->files[r->files[k]];

            if (g->stem == f->stem && strncmp(g->name, f->name, f->stem) == 0)
                res = put_file(l, r, g, &d[i], move, err);
        }
        if (res == 0)
            res = remove_old_data(l, r, &d[i], f, err);
        if (res == 0)
            res = note_laid(l, r, f, &d[i], err);
    }
    return res;
}

static int remove_stem(struct layout *l, const struct destination *d, const struct cache_file *f,
                       struct wp_error *err)
{
    for (size_t i = 0; i < l->file_count; i++) {
        const struct cache_file *g = &l->files[i];
        int r;

        if (g == f || d->area != 0 || !is_in_dir(g, d->path) || g->stem != f->stem ||
            strncmp(g->name, f->name, f->stem) != 0)
            continue;
        r = beneath_remove(l->u->tree, g->item->e.path);
        if (r < 0)
            return error_set(err, -r, g->item->e.path, "cannot be replaced");
    }
    return 0;
}

/* Lays the indexes of R that are VALID, or those that are not. */
static int lay_record(struct layout *l, struct record *r, bool valid, struct wp_error *err)
{
    struct destination *d = NULL;
    size_t n = 0;
    int res = destinations(l, r, &d, &n, err);

    for (size_t i = 0; i < r->file_count && res == 0; i++) {
        const struct cache_file *f = &l->files[r->files[i]];

        if (!f->is_index || (f->index && f->index->valid) != valid || n == 0)
            continue;
        if (is_taken(l, &d[0], f->name, f->stem)) {
            report(l->u->o->report, WP_DETAIL, f->item->e.path,
                   "left out: the same index has come from another place");
            continue;
        }
        res = make_destinations(l, r, d, n, err);
        for (size_t k = 0; k < n && res == 0; k++)
            if (strcmp(d[k].path, r->dir) != 0) {
                res = remove_stem(l, &d[k], f, err);
                r->moved = true;
            }
        if (res == 0)
            res = lay_index(l, r, f, d, n, err);
    }
    for (size_t i = 0; i < n; i++)
        free(d[i].path);
    free(d);
    return res;
}

/* Data files that no index of the archive names are of no use in a place of their own. */
static int remove_orphans(struct layout *l, const struct record *r, struct wp_error *err)
{
    for (size_t i = 0; i < r->file_count; i++) {
        const struct cache_file *f = &l->files[r->files[i]];
        bool orphan = !f->is_index;
        int res;

        for (size_t k = 0; k < r->file_count && orphan; k++) {
            const struct cache_file *g = &l->files[r->files[k]];

            orphan =
                !(g->is_index && g->stem == f->stem && strncmp(g->name, f->name, f->stem) == 0);
        }
        res = orphan ? beneath_remove(l->u->tree, f->item->e.path) : 0;
        if (res < 0)
            return error_set(err, -res, f->item->e.path, "cannot be removed");
    }
    return 0;
}

/* Hashed directories whose files have all gone elsewhere. */
static int remove_emptied(struct layout *l, struct wp_error *err)
{
    for (size_t i = 0; i < l->record_count; i++) {
        const struct record *r = &l->records[i];
        const char *name;
        _cleanup_close_ int parent = -1;
        int res;

        l->u->result->renamed += r->moved;
        if (r->kind == RECORD_IN_TREE || !r->moved)
            continue;
        res = remove_orphans(l, r, err);
        if (res < 0)
            return res;
        parent = beneath_parent(l->u->tree, r->dir, &name);
        if (parent >= 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY &&
            errno != EEXIST && errno != ENOENT)
            return error_set(err, errno, r->dir, "cannot be removed");
    }
    if (l->u->home) {
        _cleanup_free_ char *cache = path_join(l->u->home, "cache");
        const char *name;
        _cleanup_close_ int parent = cache ? beneath_parent(l->u->tree, cache, &name) : -1;

        if (parent >= 0)
            unlinkat(parent, name, AT_REMOVEDIR); /* where it is empty */
    }
    return 0;
}

/* What the result says of where the caches are. */
static int tell_result(struct layout *l, struct wp_error *err)
{
    struct wp_extract_result *result = l->u->result;
    const char *runtime = l->u->roots[0];
    const char *below = l->used_inside ? l->inside_root : l->used_cache_dir ? l->cache_below : NULL;

    result->layout = l->used_inside || l->used_cache_dir ? WP_LAYOUT_CACHE_DIR
                     : l->used_user_wide                 ? WP_LAYOUT_USER_WIDE
                                                         : WP_LAYOUT_IN_TREE;
    if (l->used_inside || l->used_cache_dir) {
        result->set_cache_dir = true;
        result->cache_dir = !below   ? path_absolute(l->u->o->cache_dir)
                            : *below ? path_join(runtime, below)
                                     : strdup(runtime);
    } else if (l->used_user_wide) {
        result->cache_dir = strdup(l->user_root);
    } else {
        return 0;
    }
    return result->cache_dir ? 0 : error_nomem(err);
}

static int lay_all(struct layout *l, struct wp_error *err)
{
    int r = 0;

    if (find_files(l) < 0 || find_in_tree(l) < 0 || find_hashed(l) < 0)
        return error_nomem(err);
    for (int valid = 1; valid >= 0; valid--)
        for (size_t i = 0; i < l->record_count && r == 0; i++)
            r = lay_record(l, &l->records[i], valid, err);
    if (r == 0)
        r = remove_emptied(l, err);
    if (r == 0)
        r = tell_result(l, err);
    return r;
}

int unpack_layout(struct unpack *u, struct wp_error *err)
{
    struct layout l = {
        .u = u, .kind = u->o->layout, .cache_area = -1, .user_area = -1, .umask = u->umask};
    int r = lay_all(&l, err);

    for (size_t i = 0; i < l.record_count; i++) {
        free(l.records[i].dir);
        free(l.records[i].source);
        free(l.records[i].files);
    }
    for (size_t i = 0; i < l.taken_count; i++)
        free(l.taken[i].path);
    free(l.records);
    free(l.files);
    free(l.taken);
    free(l.cache_below);
    free(l.user_root);
    free(l.inside_root);
    return r;
}
