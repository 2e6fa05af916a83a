#pragma once
/* What the steps of packing share: plan, blocks, records. Private to lib/pack. */

#include <stdatomic.h>

#include "archive/format.h"
#include "archive/output.h"
#include "archive/spool.h"
#include "base/buf.h"
#include "base/digest.h"
#include "manifest/manifest.h"
#include "numba/caches.h"
#include "tree/walk.h"
#include "warmpack.h"

/* An index in the walk, and its bytes as they were packed. */
struct packed_index {
    size_t item; /* its number in the walk */
    struct buf text;
};

/* A file that is in no tree. */
struct made_file {
    struct entry entry; /* owned */
    struct buf text;
};

struct pack {
    const struct wp_context *context;
    const struct wp_create_options *o;
    struct pool *pool;
    const struct ed25519_key *key; /* that signs the manifest; NULL: none */
    struct walk walk;              /* sorted; entries take on what was really read */
    const struct spool *spool;     /* that the content of spooled items is read from, or NULL */
    struct timespec *header_times; /* by number in there: what headers say in place of the
                                      manifest's times; NULL: the same; owned */
    struct manifest manifest;      /* roots and caches; entries and indexes at the end */
    bool has_env;                  /* its settings are those that it is to have already */
    char *home;                    /* "TOP/.warmpack/ID", or the format's own place; owned */
    char id[OWN_ID_LENGTH + 1];
    struct packed_index *indexes; /* sorted by item; owned */
    size_t index_count;
    struct made_file *made; /* written behind the walk, before the manifest; owned */
    size_t made_count;
    size_t linked_count; /* sources of valid indexes that are links out of what is packed */
    const char *linked;  /* the first of them: borrowed from the walk; NULL: none */
    uint64_t total;      /* bytes of content, for progress */
    /* By number in the walk, of sources that were read; NULL: not kept. NULL where the walk has no
     * caches; owned */
    struct pack_imports **imports;
    size_t imports_count;        /* items when it was made; the walk may lose some, or all */
    atomic_size_t imports_bytes; /* that are kept */
    struct pack_depends *found;  /* before packing, where that is asked for; or NULL; owned */
    atomic_bool has_changed;     /* an item, since the walk: FOUND is not to be relied on */
};

/* What ITEM, a spooled one, is in the spool. */
static inline const struct spooled *pack_spooled(const struct pack *p, const struct walk_item *item)
{
    return &p->spool->items[item->spooled - 1];
}

/* Decides what goes into the archive, and under which name. */
typedef int pack_planner(struct pack *p, void *ctx, struct wp_error *err);

/* The whole job, but for giving OUT its name. Where a source or cache file changes under the
 * reader, it starts once more with the planning. */
int pack_run(const struct wp_context *context, const struct wp_create_options *o,
             pack_planner *plan, void *ctx, struct pool *pool, struct output *out,
             struct wp_create_result *result, struct wp_error *err);

/* The planner of create: walks members and cache roots, finds which hashed directories belong to
 * the tree, and names everything. CTX is not used. */
int pack_plan(struct pack *p, void *ctx, struct wp_error *err);

/* Hashed names that Numba would give the directories of sources. */
struct pack_names {
    struct caches *dirs;
    struct caches *zipped; /* those in zips, for which it looks in the user-wide place alone */
};
/* Fills NAMES, whose tables are there, from the walk of members; ENDS: how many items there are
 * behind each member's own. Before anything else moves the items. */
int pack_name_sources(struct pack *p, struct pack_names *names, const size_t *ends,
                      struct wp_error *err);
/* The directory that the member's archive name is relative to. */
const char *pack_member_dir(const struct wp_member *m);

/* The steps that a planner has: */
/* The archive's roots for the manifest: the members' directories. */
int pack_record_roots(struct pack *p, struct wp_error *err);
/* Notes that directory CACHE of the archive is the hashed one of source directory SOURCE. */
int pack_record_cache(struct pack *p, const char *cache, const char *source,
                      enum manifest_cache_kind kind, struct wp_error *err);
/* The record of the cache directory PATH, or NULL. */
const struct manifest_cache *pack_cache_at(const struct pack *p, const char *path);
/* The path that a hashed directory called NAME gets in P's home: the second of that name has a
 * number behind it. Allocated; NULL: no memory. */
char *pack_name_cache(const struct pack *p, const char *name);
/* Finds hashed directories in the walk itself, by the names that KNOWN has. */
int pack_find_inside(struct pack *p, const struct caches *known, struct wp_error *err);
/* Finds these, those in the cache directories outside that were asked for, which are added to the
 * walk, and those that lie beside a manifest in the tree. */
int pack_find_caches(struct pack *p, const struct pack_names *names, struct wp_error *err);
/* Adds hashed directory NAME of the walk's root ROOT, which lies outside the tree or beside its
 * manifest, and belongs to SOURCE. */
int pack_take_cache(struct pack *p, unsigned root, const char *name, const char *source,
                    enum manifest_cache_kind kind, struct wp_error *err);
/* Those that lie beside a manifest at the top of a member. Last, when all others are there. */
int pack_find_sealed(struct pack *p, struct wp_error *err);
/* When all items are there: sorts and checks them, and names the archive. */
int pack_plan_end(struct pack *p, struct wp_error *err);

/* ---- members.c */
/* How this job walks what it packs. */
void pack_walk_options(const struct pack *p, struct walk_options *w);
/* Walks all members; ENDS takes the number of items there are behind each member's own. */
int pack_walk_members(struct pack *p, size_t *ends, struct wp_error *err);
/* Is PATH in a walk that is not sorted yet? */
bool pack_holds(const struct pack *p, const char *path);
/* Removes items from such a walk: DIR and all below it. */
void pack_drop(struct pack *p, const char *dir);
/* A new item of the walk, of zeros; NULL: no memory. */
struct walk_item *pack_add_item(struct pack *p, struct wp_error *err);
/* Adds item number NUMBER of p->spool. */
int pack_add_spooled(struct pack *p, size_t number, struct wp_error *err);
/* Keeps the times that all items of it had in their headers, for a format that rounds its own. */
int pack_take_header_times(struct pack *p, struct wp_error *err);

/* ---- home.c */
/* Fills p->home for a walk that is not sorted yet; zeros stand for the ID. */
int pack_home(struct pack *p, struct wp_error *err);
/* Gives it its ID, once the walk is sorted: a digest of that. */
int pack_name_home(struct pack *p, struct wp_error *err);

/* ---- locator.c */
/* Adds the locator beside p->home. After pack_home. */
int pack_add_locator(struct pack *p, struct wp_error *err);
/* Adds its content to a digest. */
void pack_digest_locator(struct sha256 *sha);

/* ---- check.c */
int pack_refuse_links(const struct pack *p, struct wp_error *err);
/* Where one name goes through another that is no directory, nobody could unpack what would be
 * written, nor what warmpack adds there. For a sorted walk. */
int pack_refuse_below_files(const struct pack *p, struct wp_error *err);

/* Gives an egg its EGG-INFO: what is in the tree, or what setuptools left near it. */
int pack_egg(struct pack *p, struct wp_error *err);
/* Says in an egg's metadata that installers must unpack it. */
int pack_egg_unzipped(struct pack *p, struct wp_error *err);

/* Leaves out of a wheel what an installer wrote, where an installed package is packed. After
 * pack_home. */
int pack_uninstalled_wheel(struct pack *p, struct wp_error *err);
/* Makes room for a wheel's RECORD, which is made when all else is known. After pack_home. */
int pack_wheel(struct pack *p, struct wp_error *err);

/* What the metadata of an egg or a wheel say, where the entries of another archive are packed: made
 * anew each time, so that it comes out the same. */
int pack_metadata(struct pack *p, struct wp_error *err);

/* --caches-only: drops from the finished walk what is no cache, and marks the sources as absent. */
int pack_keep_caches(struct pack *p, struct wp_error *err);

/* Writes all entries of the walk through W to OUT. -EAGAIN: a source or cache file changed while
 * it was read, twice (ERR names it). */
int pack_blocks(struct pack *p, struct format_writer *w, struct output *out, bool *changed,
                struct wp_error *err);

/* Writes a sealed block, and what the format then changes in the archive. */
int pack_write(struct format_writer *w, struct output *out, struct format_block *b,
               struct wp_error *err);

/* The item that Python would look at for source PATH, through links: the file, a symlink of a tree,
 * or the zip that PATH lies in; NULL: nothing of that is packed. For a sorted walk. */
const struct walk_item *pack_source(const struct pack *p, const char *path);
/* Opens what Python finds in the place of ITEM, which lies in a tree: through symlinks, wherever
 * they lead. A descriptor or a negative errno. */
int pack_open_linked(const struct pack *p, const struct walk_item *item);
/* LINE says of an index that was valid what S says now. 0 or -ENOMEM. */
int pack_take_back(struct manifest_index *line, const struct wp_index_status *s);
/* Judges the packed indexes by what was packed, into VERIFY and the manifest's index lines.
 * -EAGAIN where an index or its data files changed since they were read. */
int pack_judge(struct pack *p, struct wp_verify_report *verify, struct wp_error *err);

/* ---- imports.c */
struct imports;
/* From here on the imports of sources are kept, as long as they take little memory. 0 or -ENOMEM.
 */
int pack_imports_begin(struct pack *p);
/* Keeps those of item NUMBER, if that is a source, whose content is TEXT. On any thread. 0 or
 * -ENOMEM. */
int pack_imports_scan(struct pack *p, size_t number, const void *text);
/* Hands over those of the content that the item had when it was read last, which are not kept any
 * more then. False: they are not there. */
bool pack_imports_take(const struct pack *p, size_t number, struct imports *out);
void pack_imports_clear(struct pack *p);

/* Finds what the code of each index can come from, for the manifest; those that are older than that
 * are `outdated`. After pack_judge. -EAGAIN where a file changed since it was read. */
int pack_depends(struct pack *p, struct wp_verify_report *verify, struct wp_error *err);

/* ---- distributions.c */
/* Where an interpreter was named: asks it for the versions of what is imported from elsewhere.
 * After pack_depends. */
int pack_distributions(struct pack *p, struct wp_error *err);

/* Adds a file with that content. */
int pack_make(struct pack *p, const char *path, const char *text, struct wp_error *err);
/* Writes what was made, and last the manifest, which begins at byte *AT of the archive. The walk
 * has no items afterwards. */
int pack_manifest(struct pack *p, struct format_writer *w, struct output *out, uint64_t *at,
                  struct wp_error *err);

void pack_clear(struct pack *p);
