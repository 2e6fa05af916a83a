#pragma once
/* Unpacking without half-done results: everything is made in a staging directory on the
 * filesystem where it will stay, then renamed into place from a journal.
 *
 * A staging has one or more areas. An area is a target directory (DIR of extract, a cache root)
 * and a staged tree, `TARGET/.warmpack-XXXXXX/new/`, held by a lock while in use. The caller fills
 * the staged trees as they should appear under the targets, then commits all areas at once.
 *
 *   before the journal is written  failure or kill: the targets are untouched; the staging whose
 *                                  lock nobody holds is removed by the next staging_add_area
 *   after                          the next staging_add_area of the same target completes it
 *
 * The journal lies in the first area; the others name it. It is on the disk before the first
 * rename; everything else is only with `sync`.
 *
 * Areas may have the same target, or one beneath the other: an earlier area's tree is then merged
 * with a later one's. While staging_commit renames, and while an earlier run is completed, the
 * target directories are flock()ed. A caller that wants them earlier takes them with staging_lock,
 * and has them no longer after staging_commit. */

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"

struct staging;

struct staging_options {
    bool keep_old;  /* files that exist stay; each is reported with WP_FAILED */
    bool replace;   /* a top-level directory that exists is swapped, not merged */
    bool sync;      /* fsync before the journal and after the commit */
    bool opens_own; /* new directories of warmpack's own get 0755 whatever the umask, where files
                       get the modes that they had when packed */
    const struct wp_context *context;
    /* The mode of PATH of area 0 before the umask took bits off it, which a default ACL of the
     * directory that it goes into replaces; 0: it stays as it is. NULL: that of all. */
    mode_t (*packed_mode)(void *ctx, const char *path);
    void *ctx;
};

/* Final attributes of a directory, set after the rename (it may not be writable then). */
struct staging_dir {
    const char *path; /* in the area; borrowed until the commit */
    mode_t mode;      /* 07777 */
    struct timespec mtime;
    uid_t uid; /* (uid_t)-1: leave */
    gid_t gid;
};

int staging_new(struct staging **out, const struct staging_options *o, struct wp_error *err);

/* Adds an area for directory TARGET (symlinks in it as typed are followed; made with its parents
 * where missing and removed again if nothing is committed). Completes or removes what earlier,
 * dead runs left there, or above it, from where they may have changed what is in it. Returns the
 * area's number, 0 for the first. */
int staging_add_area(struct staging *s, const char *target, struct wp_error *err);

/* Likewise, on another user's ground: missing directories are made that user's own at once. */
struct staging_owner {
    uid_t uid;
    gid_t gid;
    bool guarded; /* symlinks that the user may have made are refused */
};
int staging_add_area_for(struct staging *s, const char *target, const struct staging_owner *owner,
                         struct wp_error *err);

/* Locks the targets. Waits for other runs, and says so; not long for a program that is none of
 * them, since whoever may read a directory can lock it. */
int staging_lock(struct staging *s, struct wp_error *err);

/* Descriptors of the staged tree (empty at first, mode 0700) and of the target. The staging's. */
int staging_tree(const struct staging *s, int area);
int staging_target(const struct staging *s, int area);

/* What modes of new files lose in AREA: the umask, or where the target has a default ACL, which
 * takes its place, what that does not grant. */
mode_t staging_umask(const struct staging *s, int area);
/* Do new files of AREA belong to whom the process acts for? Not so in a setgid directory of another
 * group, for one. */
bool staging_gives_own(const struct staging *s, int area);

/* Does directory PATH of AREA, or where that has yet to be made the one above it, hand a default
 * ACL on to what is made there? Then a file from elsewhere is to be copied into the staged tree,
 * not moved: it has the ACL of where it was. 1, 0 or negative errno. */
int staging_gives_acl(const struct staging *s, int area, const char *path);

/* Directories not named here are merged into existing ones silently and get 0755 & ~umask when
 * new. An existing directory keeps its mode, owner and labels unless named; named ones get mode
 * and mtime (as tar does; a setgid bit that is there stays), and owner where given; with keep_old
 * they stay as they are. "" or "." is the target itself. One whose attributes cannot be set is
 * reported with WP_FAILED. A directory that its owner may not write to is made writable for the
 * time of the commit. -EINVAL: PATH leads out. */
int staging_set_dir(struct staging *s, int area, const struct staging_dir *d);

/* PATH of an area is renamed after everything else, in the order of the calls (the manifest). */
int staging_set_last(struct staging *s, int area, const char *path);

/* Removes (if there) PATH of the target at commit time: old data that the new files replace. With
 * keep_old nothing is removed. */
int staging_set_remove(struct staging *s, int area, const char *path);

/* Plans the renames and finds what cannot be done, with nothing touched: a directory in the way
 * of a file (-EISDIR; an empty one is replaced), another filesystem below the target (-EXDEV), a
 * mount point, a target that cannot be written. An existing directory is merged: each file is
 * replaced by rename; a symlink or file where a directory comes is removed. Then writes the
 * journal and carries it out. An error on the way takes back what was done: whatever is returned
 * but 0, the targets are as they were, unless ERR says where old data is left, or that the journal
 * cannot be removed or written to disk after the renames. Waits for another
 * process that commits onto the same target; -EBUSY after ten minutes. The staged trees are gone
 * afterwards, the targets stay open. */
int staging_commit(struct staging *s, struct wp_error *err);

/* Is there, in PATH or a directory above it, something that a run of this user has left or is
 * working on, or for root, of the directory's owner? 1, 0 or negative errno. */
int staging_has_leftovers_above(const char *path);
/* An error where a run, from that directory or with ABOVE from one above it, changes something in
 * PATH just now, or was killed while it did: what is read there belongs to two releases. */
int staging_check_done(const char *path, bool above, struct wp_error *err);
/* Likewise of DIR, what it lies in, and STAGED, directories below it that have staging: a warning,
 * and whether there was one. */
struct path_list;
bool staging_warn_of_unfinished(const char *dir, const struct path_list *staged,
                                const struct wp_context *context);
/* Completes or takes back what dead runs left in DIR and with ABOVE in those above it, as
 * staging_add_area does, and waits while another process renames something there. 1; 0: there was
 * nothing, or no such directory; negative errno. */
int staging_recover_in(const char *dir, bool above, const struct wp_context *context,
                       struct wp_error *err);
/* Likewise, without waiting for anybody, and as far as that can be done. */
void staging_try_recovery(const char *dir, bool above, const struct wp_context *context);
/* As staging_recover_in in those of PATHS, directories of DIR, which FD is, and in those between,
 * as far as they are there: what is put over them is to come last. Sorts PATHS. 0 or negative
 * errno. */
int staging_recover_below(int fd, const char *dir, struct path_list *paths,
                          const struct wp_context *context, struct wp_error *err);

/* Removes staging directories not committed, releases locks, frees. NULL is fine. */
void staging_free(struct staging *s);
