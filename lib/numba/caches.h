#pragma once
/* Which hashed cache directory belongs to which source directory, and which source file an index
 * belongs to. Knows names only: callers say which directories there are. */

#include <stdbool.h>

#include "base/entry.h"
#include "base/error.h"

/* Is PATH called like a source? */
bool caches_is_source(const char *path);

/* A table of the hashed names that Numba would give the source directories of a tree. */
struct caches;

int caches_new(struct caches **out, struct wp_error *err);
void caches_free(struct caches *c);

/* Adds source directory DIR ("" is the root), which Python may have imported as absolute path
 * BASE/PLACE. A path that is not UTF-8 is left out: Numba cannot cache there. */
int caches_add(struct caches *c, const char *base, const char *place, const char *dir,
               struct wp_error *err);
/* Adds the directories of sources in the zip FD, which is called PATH in the tree and PLACE below
 * the absolute BASES. What cannot be read as a zip has none. */
int caches_add_zip(struct caches *c, int fd, const char *const *bases, const char *place,
                   const char *path, struct wp_error *err);
/* After the last of these. */
void caches_sort(struct caches *c);

/* The source directory whose hashed name is NAME, or NULL. */
const char *caches_find(const struct caches *c, const char *name);
/* Does any source directory have the basename that the hashed NAME begins with? */
bool caches_knows_base(const struct caches *c, const char *name);

/* The absolute directories by which Python may have imported what DIR (NULL: the working
 * directory) names: lexical, through $PWD, and physical, without duplicates; then those of MORE
 * (made absolute). A NULL-ended array for caches_free_bases. NULL on failure (ERR filled). */
char **caches_bases(const char *dir, const char *const *more, struct wp_error *err);
/* The absolute directories that DIR will have when Python is run: those GIVEN (made absolute), or
 * where none are, its lexical and its physical one, without duplicates. *OUT is as caches_bases
 * gives it; NULL on failure: what path_absolute and realpath(3) gave. */
int caches_roots(char ***out, const char *dir, const char *const *given, struct wp_error *err);
void caches_free_bases(char **bases);

/* The source file that the index called NAME belongs to, in directory DIR: "DIR/MODULE.py".
 * EXISTS tells which files there are; where none of the possible ones exists, *FOUND is false and
 * the likeliest name is given. Allocated; NULL on no memory. */
char *caches_source_of(const char *name, const char *dir,
                       bool (*exists)(void *ctx, const char *path), void *ctx, bool *found);

/* Is PATH a cache file by its name (.nbi or .nbc, not a temporary)? */
bool caches_is_index(const char *path);
/* The name of the index that holds the kernel of the gufunc whose wrapper is in index PATH, of
 * SOURCE (or NULL); in PATH. NULL: it is no wrapper's. */
const char *caches_kernel_of(const char *path, const char *source);
/* Is E, which lies at PATH, an index to Python, which follows symbolic links? One that leads
 * nowhere is none. */
bool caches_is_index_at(const struct entry *e, const char *path);
bool caches_is_data(const char *path);
/* Is PATH a file of an index, by its name: the index, its data files, its marker? */
bool caches_is_part(const char *path);
