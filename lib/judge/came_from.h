#pragma once
/* Which files of a tree the code of its indexes can come from: by the imports of their sources, and
 * by what their keys and data files name. */

#include <stdbool.h>

#include "base/buf.h"
#include "base/texts.h"
#include "numba/depends.h"

struct came_from_name;
struct named_class;
struct named_elsewhere;
struct named_maker;
struct came_from_zip;
struct named_wrong;

/* Zero-initialise, give what is given; came_from_clear. */
struct came_from {
    /* Given; borrowed. */
    const char *const *paths; /* of the tree's files, as in struct depends_tree */
    size_t count;
    const char *const *targets; /* likewise, or NULL */
    const char *package;        /* likewise, or NULL */
    /* An interpreter that is asked for what caches name and the tree has not, or NULL. */
    const char *python;
    const struct wp_context *context;
    /* Puts the content of file number FILE in place of what OUT holds; nothing where there is none.
     * 0 or negative errno. */
    int (*read)(void *ctx, size_t file, struct buf *out, struct wp_error *err);
    /* Of imports that are known without reading; may be NULL. Fills OUT, which is empty, and
     * returns true; false: they are not known. */
    bool (*known)(void *ctx, size_t file, struct imports *out);
    void *ctx;
    /* Found. */
    struct came_from_name *names; /* owned */
    size_t name_count;
    const char **roots; /* owned */
    size_t root_count;
    struct named_class *classes; /* classes of the tree that caches name; owned */
    size_t class_count;
    struct named_elsewhere *elsewhere; /* of modules that the tree has not; owned */
    size_t elsewhere_count;
    struct named_wrong *wrong; /* see judge/named.h; owned */
    size_t wrong_count;
    struct named_maker *makers; /* see judge/named.h; owned */
    size_t maker_count;
    struct came_from_zip *zips; /* those of the tree that were looked into; owned */
    size_t zip_count;
    struct texts texts;
    struct buf text; /* of the file that is read */
    bool has_text;   /* TEXT is that of the source whose imports were asked for last */
};

/* Looks into an index of source number SOURCE, whose bytes are TEXT, and into its data files: DATA
 * puts the content of the one called NAME in place of what OUT holds, as `read` does. What cannot
 * be read says nothing. CACHE is the caller's number for the index. */
int came_from_look(struct came_from *c, size_t source, size_t cache, const struct buf *text,
                   int (*data)(void *ctx, const char *name, struct buf *out, struct wp_error *err),
                   void *ctx, struct wp_error *err);
/* When all have been looked into: what the COUNT sources depend on. */
int came_from_resolve(struct came_from *c, struct depends **out, const size_t *sources,
                      size_t count, struct wp_error *err);
void came_from_clear(struct came_from *c);

/* ---- came_from_zips.c, for came_from.c */
/* As struct depends_tree has it, whose ARG is the struct came_from; each zip is read once. */
int came_from_zip_has(void *arg, size_t file, const char *name, size_t n, struct wp_error *err);
/* TEXT, a zip, becomes that of all sources in it. 0 or negative errno. */
int came_from_open_zip(struct buf *text, struct wp_error *err);
void came_from_clear_zips(struct came_from *c);
