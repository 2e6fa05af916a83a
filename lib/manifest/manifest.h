#pragma once
/* The sidecar manifest: records, writing, reading. The specification is warmpack-manifest(5). */

#include <stdbool.h>

#include "base/buf.h"
#include "base/entry.h"
#include "base/own_names.h"
#include "base/texts.h"
#include "warmpack.h"

/* With its path, what an archive says first: that it is truncated where it has no manifest. */
#define MANIFEST_MARK "warmpack-manifest="
/* Bytes that are read of either: more is no manifest, and no state. */
enum { MANIFEST_LARGEST = 1 << 30, STATE_LARGEST = 16 << 20 };

struct ed25519_key;
struct manifest_signature;

enum manifest_cache_kind { MANIFEST_CACHE_DIR, MANIFEST_CACHE_USER_WIDE, MANIFEST_CACHE_INSIDE };

struct manifest_cache { /* a hashed cache directory; sorted by its first member: path_compare */
    char *cache;        /* where it lies in the archive */
    char *source;       /* the source directory it belongs to; "" is the archive's root */
    enum manifest_cache_kind kind; /* member "place": "cache-dir", "user-wide", "inside" */
};

/* Files of the archive that the code of an index can come from, and the sets whose files it can
 * come from, too. Of the modules that import each other there is one set, so that a large package
 * takes no more lines than it has modules. */
struct manifest_set {
    char **files; /* paths, sorted; owned */
    size_t file_count;
    uint32_t *uses; /* numbers of earlier sets, sorted; owned */
    size_t use_count;
    char **outside; /* top-level names of modules that it imports and the archive lacks; owned */
    size_t outside_count;
};

struct manifest_index {
    char *index;  /* path in the archive; the first member, for path_compare */
    char *source; /* likewise; NULL: not known */
    struct wp_stamp stamp;
    bool has_stamp;
    bool valid;       /* when packed */
    char *status;     /* when packed, by name; NULL: not said */
    char *reason;     /* for that status; NULL where there is none */
    char *numba;      /* the version that wrote it; NULL: not known */
    uint32_t cpus;    /* which of the manifest's CPUs its code was compiled for, as bits */
    bool has_cpus;    /* false: not said */
    uint32_t depends; /* number of the set that its code can come from */
    bool has_depends; /* false: not said */
    bool svml;        /* its code calls Intel's SVML library */
    /* Of an archive that was merged: the builds that its data files came from, by their numbers; of
     * one item where all are of one build; owned. NULL: not said. */
    uint32_t *builds;
    size_t build_count;
};

/* One of the archives or trees that were merged, with all that one process compiled. */
struct manifest_build {
    char *archive; /* the digest of its manifest, in hex */
    char *root;    /* the directory that was packed; NULL: not said */
    uint32_t cpus; /* which of the manifest's CPUs its code was compiled for, as bits */
};

/* How many CPUs a manifest tells apart, and bytes of one's text: few trees have more than two. */
enum { MANIFEST_CPUS_MOST = 32, MANIFEST_CPU_LONGEST = 8192, MANIFEST_BUILDS_MOST = 64 };

struct manifest {
    char *creator; /* "warmpack 0.1.0" */
    char **roots;  /* absolute directories of -C, in their order; at least one */
    size_t root_count;
    char *home; /* where the manifest lies in the archive: "app/.warmpack/ID"; NULL: not said */
    char **env; /* NUMBA_* that change code, and what was asked for: "NAME=VALUE" */
    size_t env_count;
    char **distributions; /* that have modules of the sets' `outside`: "NAME=VERSION" */
    size_t distribution_count;
    char **numba_users; /* names of those of them that need Numba */
    size_t numba_user_count;
    char *command; /* that warmed the caches; NULL: not said */
    char **cpus;   /* "TRIPLE NAME FEATURES", to which the indexes' bits refer */
    char **needs;  /* for each of them: the features that its code needs; NULL: not known */
    size_t cpu_count;
    struct manifest_build *builds; /* that were merged; owned */
    size_t build_count;
    struct entry *entries; /* sorted bytewise by path */
    size_t entry_count;
    bool is_read; /* the texts of the entries are not their own, but in TEXTS */
    struct texts texts;
    struct manifest_cache *caches; /* sorted by cache */
    size_t cache_count;
    struct manifest_set *sets; /* in the order of their numbers */
    size_t set_count;
    struct manifest_index *indexes; /* sorted by index */
    size_t index_count;
    unsigned char digest[32];              /* of the text before the end line (reading) */
    struct manifest_signature *signatures; /* that stand behind that; owned (reading) */
    size_t signature_count;
    const struct ed25519_key *signer; /* NULL: it is not signed; borrowed (writing) */
};
void manifest_clear(struct manifest *m);
void manifest_set_clear(struct manifest_set *s);

struct pool;

/* Gets the next N bytes of a text. 0 or negative errno, which ends the writing. */
typedef int manifest_taker(void *ctx, const void *data, size_t n, struct wp_error *err);

/* Writes the text, deterministic to the byte, to TAKE, run by run: all of it may be larger than the
 * records. Lines are written by POOL, and taken on the caller's thread. Entries must be sorted and
 * without duplicates (-EINVAL names the pair). Floats of stamps as Python's repr gives them. */
int manifest_write(const struct manifest *m, struct pool *pool, manifest_taker *take, void *ctx,
                   struct wp_error *err);

/* Reads and checks TEXT: version, order, digest, the end line, each member's type. NAME is for
 * messages. Unknown members are ignored, lines of unknown kind too; an unknown version is refused
 * (-EINVAL). Paths are checked with path_is_safe. With POOL, lines are parsed by its threads. */
int manifest_read(struct manifest *out, const void *text, size_t size, const char *name,
                  struct pool *pool, struct wp_error *err);

/* The same, and TEXT is freed, bit by bit as it is read. */
int manifest_read_once(struct manifest *out, struct buf *text, const char *name, struct pool *pool,
                       struct wp_error *err);

/* The same of FD, a file of SIZE bytes, whose text is not held. */
int manifest_read_file(struct manifest *out, int fd, size_t size, const char *name,
                       struct pool *pool, struct wp_error *err);

/* Could TEXT, to which N bytes have just been added, still become a manifest? Asked while one is
 * read, so that not all of a hostile one is held before its first line is looked at. */
bool manifest_may_grow(const struct buf *text, size_t n);

/* The entry of PATH, or NULL. */
const struct entry *manifest_find(const struct manifest *m, const char *path);

/* The line of the index that lies at PATH, or NULL. */
const struct manifest_index *manifest_find_index(const struct manifest *m, const char *path);

/* The number of CPU ("TRIPLE NAME FEATURES") in the list, added where it is new; -ENOSPC where
 * there is no room for it; -ENOMEM. */
int manifest_add_cpu(struct manifest *m, const char *cpu);

/* state.jsonl: what was done with this manifest here, one line for each action; the last holds. */
struct manifest_state {
    char *action; /* "extract", "restore" */
    char **roots; /* absolute runtime roots that caches were named for */
    size_t root_count;
    unsigned strip;   /* --strip-components */
    char *layout;     /* "in-tree", ... */
    char *cache_root; /* where hashed caches went, or NULL */
    char *options;    /* digest of all options that change the result (--if-needed) */
    char *archive;    /* hex digest that stands for the archive: the manifest's */
};
/* Appends a line. -EINVAL without action, layout or roots; -ENOMEM. */
int manifest_state_write(const struct manifest_state *s, struct buf *out);
int manifest_state_read(struct manifest_state *out, const void *text, size_t size, const char *name,
                        struct wp_error *err); /* the last line */
void manifest_state_clear(struct manifest_state *s);

/* The source directory of an index in directory DIR of a tree or archive whose manifest is M.
 * *MISPLACED: why Numba does not look in DIR, static, or NULL. Allocated; NULL on no memory. */
char *manifest_source_dir(const struct manifest *m, const char *dir, const char **misplaced);
