/* Packing a tree that was sealed, or that a tool unpacked which knows nothing of manifests: caches
 * lie beside its manifest, in .warmpack/ID/cache. They are packed as those from outside are, where
 * they were valid, their sources are as the manifest has them, and the tree has no newer ones. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "numba/caches.h"
#include "numba/index.h"
#include "tree/beneath.h"

/* A manifest at the top of a member. */
struct sealed {
    struct pack *p;
    struct manifest m;
    char *place;        /* directory of its home, as it is opened; owned */
    const char *as;     /* the member in the archive that is written; borrowed */
    size_t prefix;      /* length of what its names begin with, with the slash */
    const char *cache;  /* directory of the old archive that is looked at */
    const char *source; /* what the caches in it belong to, in the archive that is written */
    size_t *by_path;    /* numbers of the items that the walk had at first, sorted; owned */
    size_t known;
    bool is_out_of_memory; /* so that what was answered is not to be believed */
};

/* TEXT, which was allocated for S. */
static char *noted(struct sealed *s, char *text)
{
    s->is_out_of_memory |= !text;
    return text;
}

static int compare_items(const void *a, const void *b, void *items)
{
    const struct walk_item *all = items;

    return strcmp(all[*(const size_t *)a].entry.path, all[*(const size_t *)b].entry.path);
}

static int sort_items(struct sealed *s)
{
    s->known = s->p->walk.count;
    s->by_path = calloc(s->known + 1, sizeof *s->by_path);
    if (!s->by_path)
        return -ENOMEM;
    for (size_t i = 0; i < s->known; i++)
        s->by_path[i] = i;
    qsort_r(s->by_path, s->known, sizeof *s->by_path, compare_items, s->p->walk.items);
    return 0;
}

/* NAME of the manifest in the archive that is written; NULL: none, or no memory. Allocated. */
static char *name_now(struct sealed *s, const char *name)
{
    size_t n = s->prefix;

    if (n && (strncmp(name, s->m.home, n - 1) != 0 || (name[n - 1] && name[n - 1] != '/')))
        return NULL;
    if (n)
        name += name[n - 1] ? n : n - 1;
    return noted(s, *name ? path_join(s->as, name) : strdup(s->as));
}

static const struct walk_item *find(const struct sealed *s, const char *path)
{
    const struct walk_item *items = s->p->walk.items;
    size_t at = array_first(i, s->known, strcmp(items[s->by_path[i]].entry.path, path) < 0);

    return at < s->known && strcmp(items[s->by_path[at]].entry.path, path) == 0
               ? &items[s->by_path[at]]
               : NULL;
}

static bool has_in(struct sealed *s, const char *dir, const char *name)
{
    _cleanup_free_ char *path = noted(s, path_join(dir, name));

    return path && find(s, path);
}

/* Has the source the time and size that it had? */
static bool is_as_recorded(struct sealed *s, const char *source)
{
    _cleanup_free_ char *path = source ? name_now(s, source) : NULL;
    const struct walk_item *now = path ? find(s, path) : NULL;
    const struct entry *then = source ? manifest_find(&s->m, source) : NULL;

    return now && then && now->entry.type == then->type && now->entry.size == then->size &&
           time_is(now->entry.mtime, then->mtime);
}

/* Is a file of that name among the caches that the tree has for the same sources itself? */
static bool has_newer(struct sealed *s, const char *name)
{
    _cleanup_free_ char *beside = noted(s, path_join(s->source, "__pycache__"));
    bool has = beside && has_in(s, beside, name);

    for (size_t i = 0; i < s->p->manifest.cache_count && !has; i++) {
        const struct manifest_cache *c = &s->p->manifest.caches[i];

        has = strcmp(c->source, s->source) == 0 && has_in(s, c->cache, name);
    }
    return has;
}

/* The index that file NAME of the cache is, or belongs to, in the old archive. Allocated; NULL:
 * none, or no memory. */
static char *index_of(struct sealed *s, const char *name)
{
    size_t stem;
    char *index;
    int n = -1;

    if (caches_is_index(name))
        n = asprintf(&index, "%s/%s", s->cache, name);
    else if (index_is_data_name(name, &stem))
        n = asprintf(&index, "%s/%.*s.nbi", s->cache, (int)stem, name);
    else
        return NULL;
    return noted(s, n < 0 ? NULL : index);
}

static bool is_wanted(struct sealed *s, const char *name)
{
    _cleanup_free_ char *index = index_of(s, name);
    const struct manifest_index *line = index ? manifest_find_index(&s->m, index) : NULL;

    return line && line->valid && is_as_recorded(s, line->source) &&
           !has_newer(s, path_base(index));
}

/* Is it neither the directory itself, nor a file to be packed? */
static bool is_unwanted(const struct walk_item *item, void *ctx)
{
    return item->entry.type != ENTRY_DIR && !is_wanted(ctx, path_base(item->entry.path));
}

/* Does the directory hold anything that is to be packed? 1, 0 or negative errno. */
static int has_wanted(struct sealed *s, int fd)
{
    _cleanup_closedir_ DIR *d = file_list(fd);
    struct dirent *item;
    int r = d ? 0 : -errno;

    while (r >= 0 && (r = file_next(d, &item)) > 0)
        if (is_wanted(s, item->d_name))
            return 1;
    return r < 0 ? r : s->is_out_of_memory ? -ENOMEM : 0;
}

/* Packs the files of directory NAME of ROOT, all of which belong to one source directory. */
static int take_from(struct sealed *s, const char *root, const char *name,
                     enum manifest_cache_kind kind, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_join(root, name);
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    size_t first = s->p->walk.count;
    int number, r;

    if (!dir)
        return error_nomem(err);
    if (fd < 0 && (error_is_absence(-errno) || errno == ELOOP))
        return 0;
    r = fd < 0 ? -errno : has_wanted(s, fd);
    if (r < 0)
        return error_set(err, -r, dir, "cannot read the cache directory");
    if (r == 0)
        return 0;
    number = walk_add_root(&s->p->walk, root, err);
    if (number < 0)
        return number;
    /* What is wanted does not depend on the record that this makes: nothing lies there yet. */
    r = pack_take_cache(s->p, (unsigned)number, name, s->source, kind, err);
    if (r == 0)
        walk_drop(&s->p->walk, first, is_unwanted, s);
    return r == 0 && s->is_out_of_memory ? error_nomem(err) : r;
}

static int take(struct sealed *s, const struct manifest_cache *cache, struct wp_error *err)
{
    _cleanup_free_ char *source = name_now(s, cache->source);
    _cleanup_free_ char *root = path_join(s->place, "cache");
    _cleanup_free_ char *was = path_dir(cache->cache);
    _cleanup_free_ char *expected = path_join(s->m.home, "cache");

    if (!root || !was || !expected || s->is_out_of_memory)
        return error_nomem(err);
    if (cache->kind == MANIFEST_CACHE_INSIDE || !source || strcmp(was, expected) != 0)
        return 0;
    s->cache = cache->cache;
    s->source = source;
    return take_from(s, root, path_base(cache->cache), cache->kind, err);
}

/* Most manifests have no caches beside them, and need not be read. 1, 0 or negative errno. */
static int has_cache_dir(int fd, const char *home)
{
    _cleanup_free_ char *path = path_join(home, "cache");
    struct stat st;
    int r = path ? beneath_look(fd, path, &st) : -ENOMEM;

    return r > 0 ? S_ISDIR(st.st_mode) : r;
}

/* 1; 0: it tells nothing that is of use here. */
static int read_manifest(struct sealed *s, int fd, const char *home, struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(home, MANIFEST_NAME);
    _cleanup_buf_ struct buf text = {0};
    int r = path ? beneath_read(fd, path, MANIFEST_LARGEST, &text, NULL) : -ENOMEM;
    int n;

    if (r < 0 && r != -ENOMEM && !beneath_is_no_file(r))
        return error_set(err, -r, s->place, "its manifest cannot be read");
    if (r == 0)
        r = manifest_read_once(&s->m, &text, s->place, s->p->pool, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 || !s->m.home) /* of one that is damaged, nothing is known */
        return 0;
    n = own_home_prefix(s->m.home);
    s->prefix = n > 0 ? (size_t)n + 1 : 0;
    return n >= 0;
}

/* The manifest in directory HOME beneath FD, the member DIR. */
static int find_in_home(struct pack *p, int fd, const char *dir, const char *home, const char *as,
                        struct wp_error *err)
{
    struct sealed s = {.p = p, .as = as, .place = path_join(dir, home)};
    int r = s.place ? 0 : error_nomem(err);
    bool has_caches;

    if (r == 0) {
        r = has_cache_dir(fd, home);
        if (r < 0)
            error_set(err, -r, s.place, "cannot look for caches in it");
    }
    if (r > 0)
        r = read_manifest(&s, fd, home, err);
    has_caches = r > 0 && s.m.cache_count;
    if (has_caches)
        r = sort_items(&s) < 0 ? error_nomem(err) : 0;
    for (size_t i = 0; has_caches && i < s.m.cache_count && r == 0; i++)
        r = take(&s, &s.m.caches[i], err);
    manifest_clear(&s.m);
    free(s.by_path);
    free(s.place);
    return r < 0 ? r : 0;
}

/* The names in directory D that are IDs, sorted. 0 or negative errno. */
static int list_homes(DIR *d, struct path_list *homes)
{
    struct dirent *item;
    int r;

    while ((r = file_next(d, &item)) > 0) {
        _cleanup_free_ char *home = path_join(MANIFEST_DIR, item->d_name);

        if (!home)
            return -ENOMEM;
        if (own_home_prefix(home) == 0 && path_list_add(homes, take_ptr(home)) < 0)
            return -ENOMEM;
    }
    path_list_sort(homes);
    return r;
}

/* Manifests at the top of member M. */
static int find_in_member(struct pack *p, const struct wp_member *m, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_join(pack_member_dir(m), m->path);
    _cleanup_free_ char *as = path_clean(m->path + strspn(m->path, "/"));
    _cleanup_close_ int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    _cleanup_closedir_ DIR *d = NULL;
    _cleanup_(path_list_clear) struct path_list homes = {0};
    int r;

    if (!dir || !as)
        return error_nomem(err);
    if (fd < 0) /* a file, or the walk says what is wrong with it */
        return beneath_is_out_of_reach(-errno) ? 0 : error_set(err, errno, dir, "cannot be opened");
    r = beneath_list(fd, MANIFEST_DIR, &d);
    if (r > 0)
        r = list_homes(d, &homes);
    if (r < 0)
        error_set(err, -r, dir, "cannot read its " MANIFEST_DIR);
    for (size_t i = 0; i < homes.count && r == 0; i++)
        r = find_in_home(p, fd, dir, homes.v[i], as, err);
    return r;
}

int pack_find_sealed(struct pack *p, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < p->o->member_count && r == 0; i++)
        r = find_in_member(p, &p->o->members[i], err);
    return r;
}
