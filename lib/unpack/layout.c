/* Unpacking, the layout: finds which directories of the staged tree hold caches, and what they
 * serve. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "layout/layout.h"
#include "manifest/zipped_sources.h"
#include "numba/caches.h"
#include "numba/zipped.h"
#include "tree/beneath.h"

/* Cache files among what was unpacked, sorted by path. */
struct cache_files {
    struct unpacked **items; /* owned */
    size_t count;
};

static int compare_items(const void *a, const void *b)
{
    return strcmp((*(struct unpacked *const *)a)->e.path, (*(struct unpacked *const *)b)->e.path);
}

static int find_files(struct unpack *unpack, struct cache_files *files)
{
    for (size_t i = 0; i < unpack->count; i++) {
        struct unpacked *item = unpack->items[i];

        if (item->skipped || (item->e.type != ENTRY_FILE && item->e.type != ENTRY_HARDLINK) ||
            !caches_is_part(item->e.path))
            continue;
        if (array_grow(files->items, files->count) < 0)
            return -ENOMEM;
        files->items[files->count++] = item;
    }
    array_sort(files->items, files->count, compare_items);
    return 0;
}

/* 0 or -ENOMEM. */
static int add_file(const struct unpack *unpack, struct layout_record *r,
                    const struct unpacked *item)
{
    const struct manifest_index *line =
        manifest_find_index(&unpack->manifest, unpack_archived(item));
    int is_added = layout_add_file(r, path_base(item->e.path), line && line->valid);

    if (is_added > 0)
        r->files[r->file_count - 1].packed = line;
    return is_added < 0 ? is_added : 0;
}

static bool is_in_dir(const char *path, const char *dir)
{
    size_t n = (size_t)(path_base(path) - path);

    return n == strlen(dir) + 1 && strncmp(path, dir, n - 1) == 0;
}

static bool is_below(const char *path, const char *dir, size_t n)
{
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

static bool is_before(const char *path, const char *dir, size_t n)
{
    int order = strncmp(path, dir, n);

    return order < 0 || (order == 0 && (unsigned char)path[n] < '/');
}

/* The first file that is not before what lies below DIR, whose paths follow one another. */
static size_t first_below(const struct cache_files *files, const char *dir)
{
    size_t n = strlen(dir);

    return array_first(i, files->count, is_before(files->items[i]->e.path, dir, n));
}

/* Adds record R, whose strings it takes over, with the files of its directory. */
static int add_record(struct unpack *unpack, const struct cache_files *files,
                      struct layout_record *r)
{
    size_t n = r->dir ? strlen(r->dir) : 0;

    r->fd = unpack->tree;
    r->root = LAYOUT_TREE;
    r->staged = true;
    for (size_t i = n ? first_below(files, r->dir) : 0; i < files->count && n; i++) {
        const struct unpacked *item = files->items[i];

        if (!is_below(item->e.path, r->dir, n))
            break;
        if (is_in_dir(item->e.path, r->dir) && add_file(unpack, r, item) < 0) {
            layout_record_clear(r);
            return -ENOMEM;
        }
    }
    return layout_add_record(&unpack->layout, r);
}

/* 1, 0 or negative errno. */
static int is_staged_dir(const struct unpack *unpack, const char *path)
{
    struct stat st;
    int r = *path ? beneath_look(unpack->tree, path, &st) : 1;

    return r > 0 && *path ? S_ISDIR(st.st_mode) : r;
}

bool unpack_is_source(void *ctx, const char *path)
{
    struct unpack *unpack = ctx;
    const struct unpacked *item = unpack_find(unpack, path);
    _cleanup_free_ char *zip = item ? NULL : zipped_file(path);

    if (unpack->grafts)
        return zipped_sources_exist(unpack->target, path);
    if (zip)
        item = unpack_find(unpack, zip);
    return item && !item->skipped && item->e.type != ENTRY_DIR;
}

/* Takes out what lies in directory DIR for sources in SOURCE (NULL: nowhere) that have not come. */
static int drop_unselected(struct unpack *unpack, const struct cache_files *files, const char *dir,
                           const char *source, struct wp_error *err)
{
    size_t n = strlen(dir);
    int r = 0;

    for (size_t i = first_below(files, dir); i < files->count && r == 0; i++) {
        struct unpacked *item = files->items[i];
        _cleanup_free_ char *path = NULL;
        bool found = false;

        if (!is_below(item->e.path, dir, n))
            break;
        path = source ? caches_source_of(path_base(item->e.path), source, unpack_is_source, unpack,
                                         &found)
                      : NULL;
        if (source && !path)
            return error_nomem(err);
        if (!found)
            r = unpack_remove(unpack, item, err);
    }
    return r;
}

static int drop_all_unselected(struct unpack *unpack, struct wp_error *err)
{
    struct cache_files files = {0};
    int r = find_files(unpack, &files) < 0 ? error_nomem(err) : 0;

    for (size_t i = 0; i < unpack->manifest.cache_count && r == 0; i++) {
        const struct manifest_cache *c = &unpack->manifest.caches[i];
        bool gone_dir, gone_source;
        _cleanup_free_ char *dir = unpack_dir_name(unpack, c->cache, &gone_dir);
        _cleanup_free_ char *source = unpack_dir_name(unpack, c->source, &gone_source);

        if ((!dir && !gone_dir) || (!source && !gone_source))
            r = error_nomem(err);
        else if (dir && path_is_under(dir, unpack->home))
            r = drop_unselected(unpack, &files, dir, source, err);
    }
    free(files.items);
    return r;
}

/* Is source directory ARCHIVED, which is SOURCE here, in the staged tree, or in a zip there? 1, 0
 * or negative errno. */
static int is_staged_source(const struct unpack *unpack, const char *archived, const char *source,
                            bool *zipped)
{
    _cleanup_free_ char *below = path_join(source, "x");

    *zipped = zipped_sources_dir(&unpack->manifest, archived);
    return *zipped ? below && zipped_sources_exist(unpack->tree, below)
                   : is_staged_dir(unpack, source);
}

static int find_hashed(struct unpack *unpack, const struct cache_files *files)
{

    for (size_t i = 0; i < unpack->manifest.cache_count; i++) {
        const struct manifest_cache *c = &unpack->manifest.caches[i];
        bool gone_dir, gone_source;
        _cleanup_free_ char *dir = unpack_dir_name(unpack, c->cache, &gone_dir);
        _cleanup_free_ char *source = unpack_dir_name(unpack, c->source, &gone_source);
        struct layout_record r = {.kind = layout_kind_of(c->kind)};
        int here;

        if ((!dir && !gone_dir) || (!source && !gone_source))
            return -ENOMEM;
        /* What was not selected has no sources here, and its caches no use. */
        if (gone_dir || gone_source)
            continue;
        here = is_staged_dir(unpack, dir);
        if (here > 0) {
            here = is_staged_source(unpack, c->source, source, &r.zipped);
            here = here == 0 ? unpack->grafts : here;
        }
        if (here < 0)
            return here;
        if (!here)
            continue;
        r.inside = path_dir(dir);
        r.dir = take_ptr(dir);
        r.source = take_ptr(source);
        if (!r.inside) {
            layout_record_clear(&r);
            return -ENOMEM;
        }
        if (add_record(unpack, files, &r) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int find_in_tree(struct unpack *unpack, const struct cache_files *files)
{
    const char *last = NULL;

    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->items[i]->e.path;
        struct layout_record r = {.kind = LAYOUT_IN_TREE, .dir = path_dir(path)};

        if (!r.dir)
            return -ENOMEM;
        if (strcmp(path_base(r.dir), "__pycache__") != 0 || (last && is_in_dir(last, r.dir))) {
            layout_record_clear(&r);
            continue;
        }
        last = path;
        r.source = path_dir(r.dir);
        if (add_record(unpack, files, &r) < 0)
            return -ENOMEM;
    }
    return 0;
}

static const struct entry *dir_entry(void *ctx, const char *path)
{
    const struct unpacked *item = unpack_find(ctx, path);

    return item ? &item->e : NULL;
}

/* The cache directory that holds nothing of ours any more. */
static void remove_empty_cache(const struct unpack *unpack)
{
    _cleanup_free_ char *cache = unpack->home ? path_join(unpack->home, "cache") : NULL;

    if (cache)
        (void)beneath_rmdir(unpack->tree, cache);
}

static int begin(struct unpack *unpack, struct wp_error *err)
{
    struct layout_options o = {.context = unpack->a->context,
                               .kind = unpack->apart ? WP_LAYOUT_CACHE_DIR : unpack->o->layout,
                               .cache_dir = unpack->o->cache_dir,
                               .give = unpack->o->user && geteuid() == 0,
                               .group_writable = unpack->o->group_writable,
                               .verify = &unpack->verify,
                               .roots = unpack->roots,
                               .dir = unpack->dir,
                               .dir_path = unpack->dir_path,
                               .tree_fd = unpack->tree,
                               .target_fd = unpack->target,
                               .umask = unpack->umask,
                               .policy = &unpack->policy,
                               .dir_entry = dir_entry,
                               .is_source = unpack_is_source,
                               .ctx = unpack,
                               .staging = &unpack->staging};

    return layout_begin(&unpack->layout, &o, err);
}

static int find_records(struct unpack *unpack, struct wp_error *err)
{
    struct cache_files files = {0};
    int r = find_files(unpack, &files);

    if (r == 0)
        r = find_in_tree(unpack, &files);
    if (r == 0)
        r = find_hashed(unpack, &files);
    free(files.items);
    return r < 0 ? error_set(err, -r, NULL, "cannot find what was unpacked") : 0;
}

/* Tells the caller where the caches are. */
static int set_result(struct unpack *unpack, struct wp_error *err)
{
    const struct layout *l = &unpack->layout;

    for (size_t i = 0; i < l->record_count; i++)
        unpack->result->renamed += l->records[i].staged && l->records[i].moved;
    unpack->result->layout = l->where;
    unpack->result->set_cache_dir = l->where == WP_LAYOUT_CACHE_DIR;
    unpack->result->cache_dir = l->where_root ? strdup(l->where_root) : NULL;
    return l->where_root && !unpack->result->cache_dir ? error_nomem(err) : 0;
}

int unpack_layout(struct unpack *unpack, struct wp_error *err)
{
    int r = unpack_is_selection(unpack) ? drop_all_unselected(unpack, err) : 0;

    if (r == 0)
        r = begin(unpack, err);
    if (r == 0)
        r = find_records(unpack, err);
    if (r == 0 && unpack->grafts)
        r = graft_add_caches(unpack->graft, &unpack->layout, err);
    if (r == 0)
        r = layout_run(&unpack->layout, err);
    if (r < 0)
        return r;
    remove_empty_cache(unpack);
    return set_result(unpack, err);
}
