/* Packing, the end of the first step: all items are there; they are sorted, and the archive gets
 * its ID. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "numba/caches.h"

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
    size_t before = strlen(p->home) - OWN_ID_LENGTH;

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
    hex_encode(digest, OWN_ID_LENGTH / 2, p->id);

    /* All names below home change alike, so the order stays. */
    for (size_t i = 0; i < p->walk.count; i++)
        if (path_is_under(p->walk.items[i].entry.path, p->home))
            memcpy(p->walk.items[i].entry.path + before, p->id, OWN_ID_LENGTH);
    for (size_t i = 0; i < p->manifest.cache_count; i++)
        if (path_is_under(p->manifest.caches[i].cache, p->home))
            memcpy(p->manifest.caches[i].cache + before, p->id, OWN_ID_LENGTH);
    memcpy(p->home + before, p->id, OWN_ID_LENGTH);
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
