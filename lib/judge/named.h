#pragma once
/* Judges whether the names in a cache lead anywhere: the module that it was compiled as, which
 * Python imports when it loads the code, and classes of the tree, which it looks for by their
 * names. Where one leads nowhere, Numba raises an error in the user's program.
 *
 * No cache that loads is accused, so what cannot be told counts as right:
 * - A directory is imported from unless it is a regular package, and so are the top and a package
 *   whose __init__ changes how modules are found. Editable installations and other ways to map
 *   names give a module a name that its path does not end in: that is no fault either.
 * - "__main__" is found by every program. Only code in object mode, which looks its globals up
 *   there, does not run where its source is imported from a package.
 * - A class is gone only where its name is no word of the source at all, which makes no names in
 *   another way, or its module is gone from a package none of whose files makes modules itself.
 *   Types of NumPy and Numba are theirs; of another package than its own, a source has to import
 *   it: else what is called so can be somebody else's.
 *
 * Source: Numba 0.52 to 0.68, core/environment.py (_rebuild_env). */

#include "judge/came_from.h"
#include "numba/code_names.h"
#include "numba/imports.h"
#include "warmpack.h"

/* A class or function. */
struct named_global {
    const char *module, *name;
};

/* What one index names. Give SOURCE and CACHE; free with named_clear. */
struct named {
    size_t source, cache;         /* as in came_from_look */
    bool has_root;                /* it was compiled as a module beneath ROOT */
    size_t root;                  /* length of that directory's name in the source's path */
    const char *module;           /* that it was compiled as; NULL: nothing says it */
    const char *wrong;            /* a module's name that leads nowhere, "" for none; or NULL */
    struct named_global *globals; /* classes and functions, but those of Numba's; owned */
    size_t global_count;
    struct imports imports; /* of the source, where they have been asked for */
    bool has_imports;
    struct texts texts;
};

/* An index that names what is not there. */
struct named_wrong {
    size_t cache;
    enum wp_status status; /* WP_MISNAMED or WP_TYPE_MISSING */
    size_t file;           /* the source; or that of the class's module */
    const char *name;      /* the module's; or the class's */
    const char *module;    /* that the class is to be in, where that is none of the tree; or NULL */
    bool is_elsewhere;     /* the interpreter lacks it, not the tree */
};

/* Whether files of a directory make modules themselves. */
struct named_maker {
    size_t first, length; /* its first file, and bytes of its name */
    bool makes;
};

/* ---- named_modules.c */
/* Can CH be part of a name? */
bool named_is_in_word(unsigned char ch);
/* Is the directory of the first N bytes of PATH a regular package? No package is called
 * "site-packages". 1: *INIT is the number of its __init__; 0; -ENOMEM. */
int named_is_package(const struct came_from *c, const char *path, size_t n, size_t *init);
/* Reads source FILE into C->text and scans it. 0 or negative errno. */
int named_scan(struct came_from *c, size_t file, struct imports *out, struct wp_error *err);
/* Do the packages around PATH change how modules are found, or can it not be told? 1, 0, or
 * negative errno. */
int named_finds_otherwise(struct came_from *c, const char *path, struct wp_error *err);
/* The one source that MODULE is beneath the directory of the first ROOT bytes of PATH. 1: *FILE; 0:
 * there is none, or more than one file; -ENOMEM. */
int named_find_module(const struct came_from *c, const char *path, size_t root, const char *module,
                      size_t *file);
/* Is MODULE gone from a regular package beneath the directory of the first ROOT bytes of PATH,
 * where nothing beneath the topmost package makes modules itself? 1, 0 or negative errno. */
int named_is_module_gone(struct came_from *c, const char *path, size_t root, const char *module,
                         struct wp_error *err);

/* ---- named_classes.c */
/* Notes that N needs class G, or that its module is gone. 0 or negative errno. */
int named_note_class(struct came_from *c, struct named *n, const struct named_global *g,
                     struct wp_error *err);
/* Judges all that were noted. 0 or negative errno. */
int named_judge_classes(struct came_from *c, struct wp_error *err);

/* ---- named_elsewhere.c */
/* Is there a file called NAME with a suffix, or a directory? Its last byte is to be changed. */
bool named_is_there(const struct came_from *c, struct buf *name);
/* Notes that N names NAME of MODULE, if that can be no file of the tree. 0 or -ENOMEM. */
int named_note_elsewhere(struct came_from *c, const struct named *n, const char *module,
                         const char *name);
/* Asks C's interpreter for all of these, and adds those that are missing to C->wrong. */
int named_ask_elsewhere(struct came_from *c, struct wp_error *err);

/* ---- named.c */
/* Adds W to C->wrong. 0 or -ENOMEM. */
int named_add_wrong(struct came_from *c, struct named_wrong w);

/* Adds the names of the index itself or of one of its data files. 0 or -ENOMEM. */
int named_add(const struct came_from *c, struct named *n, const struct code_names *names);
/* When all have been added. 0 or negative errno. */
int named_judge(struct came_from *c, struct named *n, struct wp_error *err);
void named_clear(struct named *n);

/* When all indexes have been looked into: fills C->wrong, sorted by cache, one for each. Passes on
 * what `read` returns; -ENOMEM. */
int named_find(struct came_from *c, struct wp_error *err);
/* What is wrong with index number CACHE, or NULL. */
const struct named_wrong *named_wrong_of(const struct came_from *c, size_t cache);
/* Says so of S. 0 or -ENOMEM. */
int named_set(struct wp_index_status *s, const struct came_from *c, const struct named_wrong *w);
