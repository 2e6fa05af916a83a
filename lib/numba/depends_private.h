#pragma once
/* The inside of lib/numba/depends*.c. */

#include <stdint.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/texts.h"
#include "numba/depends.h"

enum { NONE = TEXT_TABLE_NONE };

/* A file that a module is loaded from. Its key is its path without the suffix: "pkg/low",
 * "pkg/__init__". */
struct depends_module {
    const char *key; /* in the tree's paths */
    uint32_t size;   /* of the key */
    uint32_t file;
};

/* A directory with modules beneath. */
struct depends_dir {
    const char *path; /* in the tree's paths */
    uint32_t size;
    bool regular;   /* has an __init__ */
    bool installed; /* where packages are installed: site-packages, or one with *.dist-info */
    bool root;      /* modules are imported from here */
    bool sources;   /* has some */
};

/* A symbolic link to a directory with modules beneath. */
struct depends_dirlink {
    const char *path; /* in the tree's paths */
    uint32_t size;
    uint32_t file;
    uint32_t dir; /* that it leads to */
};

/* A module or directory that "import NAME" can mean, beneath a root. */
struct depends_entry {
    const char *key; /* a module's, or a directory's path */
    uint32_t size;
    uint32_t name_at; /* offset of NAME in it */
};

/* The modules of a tree. */
struct depends_index {
    const struct depends_tree *tree;
    struct depends_module *modules; /* sorted by key */
    size_t module_count;
    struct depends_dir *dirs;
    size_t dir_count;
    struct depends_entry *entries; /* sorted by name, then key */
    size_t entry_count;
    struct depends_dirlink *links; /* owned */
    size_t link_count;
    struct text_table by_key, by_dir, by_link; /* the first module of a key; a directory; a link */
    struct text_table symlinks;                /* the file that any symbolic link is */
    uint32_t *zips; /* numbers of files that modules may be imported from; owned */
    size_t zip_count;
    uint64_t *names;  /* a bit for each last part of a key or directory, by its
                         hash: most names are no module's; owned */
    size_t name_bits; /* a power of two */
};

int depends_index_make(struct depends_index *x, const struct depends_tree *tree);
void depends_index_clear(struct depends_index *x);

/* The first module with KEY, or NONE; others with it follow. */
uint32_t depends_index_module(const struct depends_index *x, const char *key, size_t size);
uint32_t depends_index_dir(const struct depends_index *x, const char *path, size_t size);
/* The symbolic link to a directory that PATH is, or NULL. */
const struct depends_dirlink *depends_index_link(const struct depends_index *x, const char *path,
                                                 size_t size);
/* Lists in *WAY, allocated, the symbolic links that LINK leads through to its directory. -ENOMEM.
 */
int depends_index_way(const struct depends_index *x, const struct depends_dirlink *link,
                      uint32_t **way, size_t *count);
/* The directory that PATH is or that this link leads to, or NONE. */
uint32_t depends_index_place(const struct depends_index *x, const char *path, size_t size);
/* May NAME, without a slash, be the last part of a module's key or of a directory's path? */
bool depends_index_has_name(const struct depends_index *x, const char *name, size_t size);
/* The first entry whose name is NAME; others with it follow, up to *END. */
size_t depends_index_entries(const struct depends_index *x, const char *name, size_t size,
                             size_t *end);
/* The modules beneath a directory are those from *FIRST up to *END. */
void depends_index_beneath(const struct depends_index *x, uint32_t dir, size_t *first, size_t *end);

/* A node of the graph: a file; all modules beneath a directory; the modules in it. */
static inline uint32_t depends_all_node(const struct depends_index *x, uint32_t dir)
{
    return (uint32_t)x->tree->count + 2 * dir;
}
static inline uint32_t depends_star_node(const struct depends_index *x, uint32_t dir)
{
    return depends_all_node(x, dir) + 1;
}

/* The edges of a node. */
struct depends_edges {
    uint32_t *to; /* nodes, in the order in which they were found; owned */
    size_t count;
    uint32_t *outside; /* numbers of names; owned */
    size_t outside_count;
};

/* The place at which a module's name was found. */
struct depends_place {
    struct buf path; /* of the module without a suffix, or of the directory; owned */
    bool there;      /* a directory that more modules may lie in */
    bool any;        /* a file was added */
};

struct depends_linker {
    const struct depends_index *index;
    struct text_table names; /* of imports that lead out */
    struct texts *texts;     /* which own these names */
    const char **name_list;  /* by number; owned */
    uint32_t *met;           /* by node: the last node that leads to it, counted from 1; owned */
    uint32_t node;
    struct depends_edges *edges; /* of NODE */
    struct buf key;              /* scratch */
    uint32_t file;               /* that is looked at */
    const struct buf *text;      /* of it; NULL: not asked for yet */
    uint32_t *dots;              /* offsets in it, of dots that a module's name may follow; owned */
    size_t dot_count;
    bool has_dots;        /* they have been looked for */
    struct wp_error *err; /* borrowed */
    int r;                /* the first failure */
};

/* ---- depends_place.c */
/* Adds an edge to NODE; to a module that the tree has not, NAME of SIZE bytes. */
void depends_add_node(struct depends_linker *l, uint32_t node);
void depends_add_outside(struct depends_linker *l, const char *name, size_t size);
/* Sets the scratch key to DIR and NAME. False on no memory. */
bool depends_set_key(struct depends_linker *l, const char *dir, size_t size, const char *name,
                     size_t n);
/* Adds every __init__ of the package DIR. Are there any? */
bool depends_add_init(struct depends_linker *l, const char *dir, size_t size);
/* depends_start_place begins at directory PATH; depends_enter goes on to NAME in it, and adds each
 * file that is loaded on the way. */
void depends_start_place(struct depends_linker *l, struct depends_place *p, const char *path,
                         size_t size);
void depends_enter(struct depends_linker *l, struct depends_place *p, const char *name, size_t n);
const char *depends_place_path(const struct depends_place *p);

/* ---- depends_around.c */
/* The text of the current file, or NULL. */
const struct buf *depends_text_of(struct depends_linker *l);
/* Adds the __init__ of each package around FILE's directory. */
void depends_link_packages(struct depends_linker *l, const char *file);
/* Adds all files that FILE may load if its imports cannot be followed: see depends.h. */
void depends_link_dynamic(struct depends_linker *l, const char *file);
/* Adds the modules beneath a directory; for a star, only those directly in it. */
int depends_link_dir(struct depends_linker *l, uint32_t dir, bool star, struct wp_error *err);

/* ---- depends_text.c */
/* Adds the modules beneath directory DIR that TEXT uses as attributes. */
void depends_link_attributes(struct depends_linker *l, uint32_t dir, const struct buf *text);
/* Adds the top-level modules that strings in TEXT name. */
void depends_link_mentions(struct depends_linker *l, const struct buf *text);

/* Finds the edges of a node. */
int depends_link(struct depends_linker *l, uint32_t node, struct depends_edges *out,
                 struct wp_error *err);

/* Sorts the members of a set, and drops duplicates. */
void depends_sort_set(struct depends_set *s);
void depends_clear_set(struct depends_set *s);
/* Merges each set that only one other set uses into that one, unless it is the set of one of the
 * first SOURCES sources. -ENOMEM. */
int depends_condense(struct depends *d, size_t sources);
