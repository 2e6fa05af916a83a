#pragma once
/* From which files of a tree the code of a cache can come: its source's imports, followed to the
 * end. What cannot be told is taken: too many files cost a compilation, too few give old results.
 *
 * - A module is found from every directory that Python may have on its path: the tree's top, each
 *   directory with modules beneath that is no regular package itself, and what the caller names.
 *   Where several have it, all count; but a file that lies in one of them, a regular package,
 *   imports from that one alone.
 * - "from a import b" takes a, and a.b where it is a module; "from a import *" every module of a.
 * - Packages' __init__ on the way count, those of the imported and of the importing file.
 * - A source whose imports are dynamic takes every module of its top-level package; one that lies
 * in no package those beneath its directory at the top, or, where things are installed, itself
 * alone. It takes the top-level modules and packages that its strings name, too. Where it is a
 * package's __init__, it takes other packages of that name: it may extend its path.
 * - Of a package that a source has a name for, each module counts that it uses as an attribute:
 * somebody else may have loaded it. What is installed is left out of both of these.
 * - A zip, an egg, and beside sources a zipapp or a wheel for any platform, imports what any source
 *   in it does: who imports a name that is a module at its top, and that none of the tree's files
 *   is, depends on it.
 * - Copies in build/lib, where setuptools makes them, do not count beside what they are copies of,
 *   unless caches were compiled from there.
 * - Compiled modules (.so, .pyd, .pyc) count by name and lead nowhere. Stubs (.pyi) do not count.
 * - A symbolic link to a directory of the tree is followed where an import leads through it, and
 *   counts itself: it may lead elsewhere later.
 */

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/texts.h"
#include "numba/imports.h"

struct depends_tree {
    const char *const
        *paths; /* of files, relative to the top, sorted bytewise, each once; borrowed */
    size_t count;
    const char *const *targets; /* of those that are symbolic links, else NULL; may be NULL itself;
                                   borrowed */
    const char *package;        /* the dotted name by which the top is imported, where the tree is a
                                   package and not the directory around it; else NULL */
    const char *const *roots;   /* more directories that modules are imported from; borrowed */
    size_t root_count;
    /* Fills OUT with the imports of the source paths[FILE], or of those in that zip; it may add
     * others with imports_add. Called once for each at most. 0 or negative errno. */
    int (*imports)(void *arg, size_t file, struct imports *out, struct wp_error *err);
    /* Points *OUT to the text of the source paths[FILE], for which `imports` was called last; it
     * stays as it is until the next call of either. Few are asked for. NULL: no text is looked
     * into. 0 or negative errno. */
    int (*text)(void *arg, size_t file, const struct buf **out, struct wp_error *err);
    /* Has the zip paths[FILE] a module of that NAME, of N bytes, at its top? NULL: none has. 1, 0
     * or negative errno. */
    int (*zip_has)(void *arg, size_t file, const char *name, size_t n, struct wp_error *err);
    void *arg;
};

/* Sorts the N numbers of V, and drops duplicates: how many are left. */
size_t depends_sort_unique(size_t *v, size_t n);
/* The number of PATH among the COUNT of PATHS, which are sorted; SIZE_MAX: it is none of them. */
size_t depends_number_of(const char *const *paths, size_t count, const char *path);

/* Files that import each other, and the sets that they use. */
struct depends_set {
    size_t *files; /* numbers in the tree's paths, sorted */
    size_t file_count;
    size_t *uses; /* numbers of sets, each smaller than this set's own, sorted */
    size_t use_count;
    const char **outside; /* top-level names of imports that lead out of the tree, sorted */
    size_t outside_count;
};

struct depends {
    struct depends_set *sets;
    size_t count;
    size_t *of_source;  /* the set of each source that was asked for */
    struct texts texts; /* which own the names that OUTSIDE points to */
};

/* Finds what each of the SOURCES (numbers in the tree's paths) depends on, itself included. The
 * cost is that of the imports, however they lead in circles. The result does not depend on the
 * order of anything but SOURCES. Passes on what the callback returns; -ENOMEM. */
int depends_resolve(struct depends **out, const struct depends_tree *tree, const size_t *sources,
                    size_t count, struct wp_error *err);
void depends_free(struct depends *d);

/* All files of a set and of the sets that it uses, sorted. Allocated. -ENOMEM. */
int depends_files(const struct depends *d, size_t set, size_t **files, size_t *count);

/* Is PATH a module or a script? Sets hold no other files. */
bool depends_is_module(const char *path);

/* Is it one of a zip from which Python could import, by its name? */
bool depends_is_zip(const char *path);

/* The length of the directory from which PATH is imported as MODULE: that of "lib" for
 * "lib/pkg/low.py" and "pkg.low". -1 where it cannot be. */
ptrdiff_t depends_root_of(const char *path, const char *module);

/* The bytes of PATH, of SIZE bytes, before its last slash, or 0. */
size_t depends_parent(const char *path, size_t size);
