#pragma once
/* What the files of outdated*.c share. */

#include "job.h"
#include "judge/came_from.h"

struct looking {
    struct verify_tree *tree;
    const char **paths;   /* of the walk's files; owned */
    const char **targets; /* of those that are symbolic links, else NULL; owned */
    size_t *items;        /* numbers in the walk, likewise; owned */
    size_t count;
    size_t *source_of; /* by number in the report: of its source in PATHS, or SIZE_MAX where it is
                          judged, or not to be; owned */
    bool any;          /* of them */
    size_t untold;     /* how many are valid by their content and older than their source */
    size_t *same_of;   /* likewise, of those that a manifest found to be as it was packed; owned */
    size_t *sources;   /* each once, sorted; owned */
    size_t source_count;
    struct came_from from;
    const char *dir;       /* of the index that is looked into, on disk */
    const char ***changed; /* by manifest and its index lines; NULL: not asked yet; owned */
};

/* Puts the content of PATH in place of what OUT holds: nothing where it cannot be read. */
int outdated_read(const char *path, struct buf *out, struct wp_error *err);
/* Where the index S lies on disk. Allocated. */
char *outdated_index_path(const struct looking *l, const struct wp_index_status *s);
/* Says of index number I that CHANGED was. 0 or -ENOMEM. */
int outdated_say(struct looking *l, size_t i, const char *changed);

/* ---- outdated_content.c */
/* Does a manifest know what S was compiled with? 1: *CHANGED is what is no longer so, or NULL; 0;
 * negative errno. */
int outdated_by_content(struct looking *l, const struct wp_index_status *s, const char **changed,
                        struct wp_error *err);

/* ---- outdated_added.c */
/* Judges the indexes that a manifest found to be as packed by files that came since, which their
 * sources import now. */
int outdated_by_added(struct looking *l, struct wp_error *err);

/* ---- outdated_times.c */
/* The file that was modified last, and when. */
struct newest {
    size_t file; /* SIZE_MAX: there is none */
    struct timespec time;
};
/* The newest of all files that code can come from. */
struct newest outdated_newest(const struct looking *l);
/* Is index number I older than N, and do times tell? */
bool outdated_is_older(const struct looking *l, size_t i, const struct newest *n);
/* Has index number I, whose stamp is of content, a source that was given its time later? */
bool outdated_times_are_new(const struct looking *l, size_t i);
/* Judges the indexes that have a source still by the files that they can come from. */
int outdated_by_imports(struct looking *l, struct wp_error *err);
