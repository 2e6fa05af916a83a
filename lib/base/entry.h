#pragma once
/* One thing of a tree or an archive: what walking, formats, the manifest and staging pass on. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum entry_type { ENTRY_FILE, ENTRY_DIR, ENTRY_SYMLINK, ENTRY_HARDLINK, ENTRY_OTHER };

struct entry {    /* sorted by its first member: path_compare */
    char *path;   /* name in the archive: relative, clean (path_clean), any bytes; owned */
    char *target; /* symlink: its text; hardlink: the path of an earlier entry; else NULL; owned */
    enum entry_type type; /* ENTRY_OTHER: device, FIFO, socket (readers only) */
    mode_t mode;          /* permission bits, 07777 */
    uid_t uid;
    gid_t gid;
    char *uname, *gname;   /* user and group names, or NULL; owned */
    uint64_t size;         /* bytes of content; 0 but for files */
    struct timespec mtime; /* tv_nsec in 0..999999999 always, also before 1970 */
    union {
        unsigned char sha256[32]; /* of the content, with has_sha256 */
        struct {
            uint32_t major, minor;
        } device; /* of ENTRY_OTHER that is 'c' or 'b' */
    };
    bool has_sha256;
    char special; /* of ENTRY_OTHER, as ls shows it: 'p', 'c', 'b', 's'; 0: not known */
    bool absent;  /* a manifest tells of it, but the archive does not hold it */
};

void entry_clear(struct entry *e); /* frees the members, zeroes the struct */
int entry_copy(struct entry *to, const struct entry *from); /* deep; 0 or -ENOMEM */
/* Gives TO what FROM says of time, mode and owner, such as a manifest of an entry whose format
 * cannot hold that. 0 or -ENOMEM. */
int entry_take_attributes(struct entry *to, const struct entry *from);
/* What tells GOT from what a manifest says of it, WANT, apart from content and hard links: "is of
 * another type than the manifest says"; NULL: nothing. Static. */
const char *entry_difference(const struct entry *got, const struct entry *want);
/* Likewise of the names of user and group. */
const char *entry_owner_difference(const struct entry *got, const struct entry *want);
