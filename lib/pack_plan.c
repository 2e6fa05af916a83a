/* Packing, first step: what goes into the archive, and under which name. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "caches.h"
#include "numba/index.h"
#include "numba/places.h"
#include "pack.h"

void pack_walk_options(const struct pack *p, struct walk_options *w)
{
    struct stat st;

    *w = (struct walk_options){
        .exclude = p->o->exclude,
        .follow = p->o->follow,
        .numeric_owner = p->o->numeric_owner,
        .report = p->o->report,
        .interrupted = p->o->interrupted,
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
            report(p->o->report, WP_NOTE, path, "the leading slash is removed from the name");
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

int pack_record_cache(struct pack *p, const char *cache, const char *source,
                      enum manifest_cache_kind kind, struct wp_error *err)
{
    struct manifest *m = &p->manifest;
    struct manifest_cache *c;

    if (array_grow(m->caches, m->cache_count) < 0)
        return error_nomem(err);
    c = &m->caches[m->cache_count];
    *c = (struct manifest_cache){.cache = strdup(cache), .source = strdup(source), .kind = kind};
    if (!c->cache || !c->source)
        return error_nomem(err);
    m->cache_count++;
    return 0;
}

static void warn_of_stranger(struct pack *p, const char *where, const char *name)
{
    size_t base = 0;

    places_is_hash_name(name, &base);
    report(p->o->report, WP_WARNING, where,
           "belongs to a directory called %.*s, but to none at this path: left as it is; if Python "
           "imported the tree by another path, name that with --source-root",
           (int)base, name);
}

/* Cache roots that lie in the tree: their directories are packed with it. */
int pack_find_inside(struct pack *p, const struct caches *known, struct wp_error *err)
{
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;
        const char *name = path_base(e->path), *source;
        size_t base;
        int r;

        if (e->type != ENTRY_DIR || !places_is_hash_name(name, &base))
            continue;
        source = caches_find(known, name);
        if (!source) {
            if (caches_knows_base(known, name))
                warn_of_stranger(p, e->path, name);
            continue;
        }
        r = pack_record_cache(p, e->path, source, MANIFEST_CACHE_INSIDE, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Packs hashed directory NAME of a cache root outside the tree. Two roots may each have one of
 * that name: the later gets a number behind its name. */
static int take_outside(struct pack *p, unsigned root, const char *name, const char *source,
                        enum manifest_cache_kind kind, struct wp_error *err)
{
    struct walk_options options = {.numeric_owner = p->o->numeric_owner,
                                   .report = p->o->report,
                                   .interrupted = p->o->interrupted};
    _cleanup_buf_ struct buf as = {0};
    unsigned copies = 0;
    size_t kept;
    int r;

    for (size_t i = 0; i < p->manifest.cache_count; i++) {
        const char *taken = path_base(p->manifest.caches[i].cache);

        if (p->manifest.caches[i].kind != MANIFEST_CACHE_INSIDE &&
            strncmp(taken, name, strlen(name)) == 0 &&
            (taken[strlen(name)] == '\0' || taken[strlen(name)] == '.'))
            copies++;
    }
    if (buf_printf(&as, copies ? "%s/cache/%s.%u" : "%s/cache/%s", p->home, name, copies + 1) < 0 ||
        buf_terminate(&as) < 0)
        return error_nomem(err);
    r = pack_record_cache(p, (char *)as.data, source, kind, err);
    if (r < 0)
        return r;
    kept = p->walk.count;
    r = walk_add(&p->walk, root, name, (char *)as.data, &options, err);
    if (r < 0)
        return r;
    for (size_t i = kept; i < p->walk.count; i++) {
        struct walk_item *item = &p->walk.items[i];
        bool wanted = strcmp(item->entry.path, (char *)as.data) == 0 ||
                      (item->entry.type == ENTRY_FILE &&
                       (caches_is_index(item->entry.path) || caches_is_data(item->entry.path)));

        if (wanted) {
            p->walk.items[kept++] = *item;
        } else {
            entry_clear(&item->entry);
            free(item->name);
        }
    }
    p->walk.count = kept;
    return 0;
}

static bool is_directory_at(int fd, const char *name)
{
    struct stat st;

    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int find_outside(struct pack *p, const struct pack_names *names, const char *dir,
                        struct wp_error *err)
{
    _cleanup_free_ char *user_wide = wp_user_wide_cache_dir(NULL, NULL);
    enum manifest_cache_kind kind =
        user_wide && strcmp(user_wide, dir) == 0 ? MANIFEST_CACHE_USER_WIDE : MANIFEST_CACHE_DIR;
    _cleanup_closedir_ DIR *d = opendir(dir);
    struct dirent *item;
    int root = -1, r;
    size_t base;

    if (!d && kind == MANIFEST_CACHE_USER_WIDE && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (!d && kind == MANIFEST_CACHE_USER_WIDE && errno == EACCES) { /* nobody asked for it */
        report(p->o->report, WP_WARNING, dir,
               "cannot be read: caches that may lie there are left behind");
        return 0;
    }
    if (!d)
        return error_set(err, errno, dir, "cannot read the cache directory");
    if (walk_has_dir(&p->walk, dirfd(d)))
        return 0;
    while (errno = 0, (item = readdir(d))) {
        _cleanup_free_ char *where = path_join(dir, item->d_name);
        const char *source, *zipped;

        if (!where)
            return error_nomem(err);
        if (!places_is_hash_name(item->d_name, &base) || !is_directory_at(dirfd(d), item->d_name))
            continue;
        source = caches_find(names->dirs, item->d_name);
        zipped = caches_find(names->zipped, item->d_name);
        if (source || zipped) {
            if (root < 0)
                root = walk_add_root(&p->walk, dir, err);
            r = root < 0 ? root
                         : take_outside(p, (unsigned)root, item->d_name, source ? source : zipped,
                                        source ? kind : MANIFEST_CACHE_USER_WIDE, err);
            if (r < 0)
                return r;
        } else if (caches_knows_base(names->dirs, item->d_name)) {
            warn_of_stranger(p, where, item->d_name);
        } else {
            report(p->o->report, WP_DETAIL, where,
                   "belongs to no directory of the tree: left behind");
        }
    }
    return errno ? error_set(err, errno, dir, "cannot read the cache directory") : 0;
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

static void put_u64(unsigned char *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(v >> (8 * i));
}

/* The ID is known before anything is read: a digest over names, types, sizes and times. */
static int name_archive(struct pack *p, struct wp_error *err)
{
    unsigned char digest[SHA256_SIZE], fixed[25];
    struct sha256 *sha = sha256_new();
    size_t before = strlen(p->home) - PACK_ID_LENGTH;

    if (!sha)
        return error_nomem(err);
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;

        sha256_add(sha, e->path, strlen(e->path) + 1);
        if (e->target)
            sha256_add(sha, e->target, strlen(e->target) + 1);
        fixed[0] = (unsigned char)e->type;
        put_u64(fixed + 1, e->size);
        put_u64(fixed + 9, (uint64_t)e->mtime.tv_sec);
        put_u64(fixed + 17, (uint64_t)e->mtime.tv_nsec);
        sha256_add(sha, fixed, sizeof fixed);
    }
    sha256_end(sha, digest);
    sha256_free(sha);
    hex_encode(digest, PACK_ID_LENGTH / 2, p->id);

    /* All names below home change alike, so the order stays. */
    for (size_t i = 0; i < p->walk.count; i++)
        if (path_is_under(p->walk.items[i].entry.path, p->home))
            memcpy(p->walk.items[i].entry.path + before, p->id, PACK_ID_LENGTH);
    for (size_t i = 0; i < p->manifest.cache_count; i++)
        if (path_is_under(p->manifest.caches[i].cache, p->home))
            memcpy(p->manifest.caches[i].cache + before, p->id, PACK_ID_LENGTH);
    memcpy(p->home + before, p->id, PACK_ID_LENGTH);
    return 0;
}

static int list_indexes(struct pack *p, struct wp_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < p->walk.count; i++)
        n += p->walk.items[i].entry.type == ENTRY_FILE &&
             caches_is_index(p->walk.items[i].entry.path);
    p->indexes = calloc(n ? n : 1, sizeof *p->indexes);
    if (!p->indexes)
        return error_nomem(err);
    for (size_t i = 0; i < p->walk.count; i++) {
        p->total += p->walk.items[i].entry.size;
        if (p->walk.items[i].entry.type == ENTRY_FILE &&
            caches_is_index(p->walk.items[i].entry.path))
            p->indexes[p->index_count++].item = i;
    }
    return 0;
}

/* --owner and --group. */
static int set_owners(struct pack *p, struct wp_error *err)
{
    const struct wp_owner *owners[2] = {&p->o->owner, &p->o->group};

    for (size_t i = 0; i < p->walk.count; i++) {
        struct entry *e = &p->walk.items[i].entry;
        char **names[2] = {&e->uname, &e->gname};

        if (owners[0]->set)
            e->uid = owners[0]->id;
        if (owners[1]->set)
            e->gid = owners[1]->id;
        for (int k = 0; k < 2; k++) {
            if (!owners[k]->set)
                continue;
            free(take_ptr(*names[k]));
            if (owners[k]->name && !p->o->numeric_owner && !(*names[k] = strdup(owners[k]->name)))
                return error_nomem(err);
        }
    }
    return 0;
}

static int compare_caches(const void *a, const void *b)
{
    return strcmp(((const struct manifest_cache *)a)->cache,
                  ((const struct manifest_cache *)b)->cache);
}

static int plan_caches(struct pack *p, const struct pack_names *names, struct wp_error *err)
{
    int r = pack_find_inside(p, names->dirs, err);

    for (const char *const *dir = p->o->cache_dirs; dir && *dir && r == 0; dir++)
        r = find_outside(p, names, *dir, err);
    return r;
}

static int refuse_links(const struct pack *p, struct wp_error *err)
{
    for (size_t i = 0; i < p->walk.count && p->o->format->no_symlinks; i++)
        if (p->walk.items[i].entry.type == ENTRY_SYMLINK)
            return error_set(err, 0, p->walk.items[i].entry.path,
                             "is a symbolic link, which a .%s cannot hold: -h packs what it "
                             "points to",
                             p->o->format->name);
    return 0;
}

int pack_plan_end(struct pack *p, struct wp_error *err)
{
    int r = walk_finish(&p->walk, err);

    if (r == 0 && p->o->caches_only)
        r = pack_keep_caches(p, err);
    if (r == 0)
        r = refuse_links(p, err);
    if (r == 0)
        r = set_owners(p, err);
    if (r == 0)
        r = name_archive(p, err);
    if (r == 0)
        r = list_indexes(p, err);
    if (p->manifest.cache_count)
        qsort(p->manifest.caches, p->manifest.cache_count, sizeof *p->manifest.caches,
              compare_caches);
    return r;
}

/* Numba follows a link at a cache directory's place; who unpacks gets the link alone. */
static void warn_of_linked_caches(const struct pack *p)
{
    for (size_t i = 0; i < p->walk.count; i++) {
        const struct entry *e = &p->walk.items[i].entry;

        if (e->type == ENTRY_SYMLINK && strcmp(path_base(e->path), "__pycache__") == 0)
            report(p->o->report, WP_WARNING, e->path,
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
        r = plan_caches(p, &names, err);
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
