#pragma once
/* Listing directories, on any thread: what one walk_add has its jobs do. What they find is handed
 * over in the order in which the directories were found, so that threads make no difference. */

#include "base/buf.h"
#include "walk.h"

/* One walk_add. Nothing that jobs read changes while they run. */
struct walk_run {
    struct walk *w; /* jobs look at its roots alone, and with `follow`, where there are no threads,
                       at the items that led to them */
    const struct walk_options *o;
    unsigned root;
    const char *name_top; /* of what is walked, beneath the root; "" is the root itself */
    const char *as_top;   /* its archive path; "" where it has no item of its own */
    bool same;            /* the two are equal */
    size_t first;         /* index of the run's first item */
    dev_t top_dev;
    ino_t top_ino;
    size_t *parents; /* with `follow`: by item - first, that of its directory; owned */
};

#define WALK_NO_ITEM SIZE_MAX

/* A directory to list. */
struct walk_dir {
    size_t item;           /* WALK_NO_ITEM: what is walked, which has no item of its own */
    const char *name, *as; /* beneath the root, and in the archive; the item's */
};

/* What is to be told, by the thread that walks. */
struct walk_note {
    enum wp_severity severity;
    char *path;       /* as a user would type it; owned */
    const char *what; /* static; NULL: nothing, but there is staging in that directory */
    size_t gone;      /* item that turned out not to be there any more, or WALK_NO_ITEM */
};

enum {
    WALK_DIRS = 8,              /* most directories a listing */
    WALK_LISTING_MOST = 4096,   /* items and notes, so that memory is bounded */
    WALK_BYTES_AHEAD = 64 << 10 /* of names as the kernel gives them */
};

/* Zero-initialise; walk_listing_begin for the next directories; walk_listing_clear. */
struct walk_listing {
    const struct walk_run *run;
    struct walk_dir dirs[WALK_DIRS];
    unsigned dir_count, next; /* next: the one that is being listed */

    struct walk_item *items; /* found; without names of owners, which only one thread asks for */
    size_t count, room;
    struct walk_note *notes;
    size_t note_count;
    int status; /* 0, or the negative errno of ERR, which comes behind items and notes */
    struct wp_error err;

    /* Of the directory that is being listed: */
    int fd;              /* or -1 */
    struct buf name, as; /* of the item at hand; terminated */
    size_t name_prefix, as_prefix;
    char *bytes; /* of getdents64; owned */
    size_t at, end;
};

/* Forgets what was listed. Directories are put into DIRS by the caller. */
void walk_listing_begin(struct walk_listing *l, const struct walk_run *r);
/* Lists on, up to the end or to as much as a listing holds: items, notes and status are new. */
void walk_list(struct walk_listing *l);
/* Is there more to list? */
bool walk_listing_has_more(const struct walk_listing *l);
/* Finds AT beneath DIR, which has that name and path: the one item that has no directory. */
void walk_list_one(struct walk_listing *l, int dir, const char *at, const char *name,
                   const char *as);
void walk_listing_clear(struct walk_listing *l);

/* Is AT beneath DIR, called NAME in directory WITHIN, of our own? It may have gone meanwhile. */
bool walk_is_own(const struct walk_run *r, int dir, const char *at, const char *within,
                 const char *name);

/* ---- walk.c: the directories that names of items are relative to */

/* Adds a root; takes FD and NAME (NULL: no memory) over, also on failure. Returns its index. */
int walk_root_add(struct walk *w, int fd, char *name, struct wp_error *err);
/* openat(2) through symlinks, of names of any length; "" is AT itself. */
int walk_root_follow(int at, const char *name, int flags);
/* Opens NAME beneath a root, through symlinks only with FOLLOW. */
int walk_root_open(const struct walk *w, unsigned root, const char *name, bool follow, int flags);
