#pragma once
/* RECORD of an installed distribution, to which lines are added. Private to lib/restore. */

#include <sys/stat.h>

#include "base/buf.h"
#include "job.h"

struct record {
    char *path;            /* in the tree; owned */
    char *base;            /* the directory of the tree that its names count from; owned */
    struct buf text;       /* as it is */
    struct buf lines_text; /* likewise, cut up into lines */
    char **lines;          /* sorted, into lines_text; owned */
    size_t count;
    struct buf more; /* what is to be added */
    struct stat like;
    bool is_used; /* it lists a source whose caches are here */
};

/* Reads the one in directory INFO of the tree. 1; 0: there is none that an installer reads, or that
 * we can, which is told; -ENOMEM. Clear REC in any case. */
int record_read(struct record *rec, const struct restore *restore, const char *info,
                const char *base);
/* Tells that what lies at PATH, which may be or hold one, cannot be read for R. */
void record_tell(const struct restore *restore, const char *path, int r);
void record_clear(struct record *rec);
/* Is PATH of the tree listed? 1, 0 or -ENOMEM. */
int record_has(struct record *rec, const char *path);
/* Adds an index with its data files, or what lies in directory HOME of the tree. 0 or -ENOMEM. */
int record_add_index(struct record *rec, const struct placed_index *placed);
int record_add_home(struct record *rec, int fd, const char *home);
/* Writes what was added. 0; -EAGAIN: nothing may be changed yet; -ENOMEM. That it cannot be written
 * is a warning. */
int record_write(struct restore *restore, struct record *rec);
