#pragma once
/* What the end of a zip archive says: where its entries are and what they are. */

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "base/zip_format.h"

/* An entry of the central directory. */
struct zip_entry {
    uint64_t at;    /* of its local header in the file */
    uint64_t limit; /* where the next one begins, or the directory */
    uint64_t packed_size, size;
    size_t name;        /* where in the archive's names, ending in a NUL */
    size_t stored_name; /* likewise, as the headers have it: NAME_SIZE bytes */
    uint16_t name_size;
    uint16_t method, flags;
    uint16_t host; /* who made it */
    uint32_t crc;
    uint32_t attributes; /* external */
    struct timespec mtime;
    uid_t uid;
    gid_t gid;
};

struct zip_archive {
    int fd;     /* a regular file; owned */
    char *name; /* for messages; owned */
    uint64_t size;
    uint64_t shift;            /* bytes that stand in front of the archive */
    struct zip_entry *entries; /* in the directory's order; owned */
    size_t count;
    struct buf names;
    char *mark;        /* the path of the manifest that our comment names, or NULL; owned */
    bool has_comment;  /* another one */
    uint64_t before;   /* bytes that stand before the first entry */
    uint64_t trailing; /* bytes that follow the archive */
};

/* Reads end and directory of A->fd into the rest of A. */
int zip_archive_read(struct zip_archive *a, struct wp_error *err);
void zip_archive_clear(struct zip_archive *a); /* closes, frees */

/* How many names several entries have, directories not counted; *FIRST is an entry with one. The
 * last entry of a name counts. Negative: -ENOMEM. */
ssize_t zip_repeated_names(const struct zip_archive *a, const struct zip_entry **first);

/* The name that counts: from the Unicode Path field, else the header's. */
static inline const char *zip_name(const struct zip_archive *a, const struct zip_entry *e)
{
    return (const char *)a->names.data + e->name;
}
