#pragma once
/* What the steps of unpacking share. Private to lib/unpack.
 *
 * The way of an entry: archive → selection and safety (unpack.c) → staged tree (files.c) →
 * comparison with the manifest (check.c) → caches to their new places (layout.c) →
 * commit → verification (verify.c). */

#include <stdbool.h>
#include <stddef.h>

#include "archive/patterns.h"
#include "archive/reading.h"
#include "base/entry.h"
#include "base/lock_file.h"
#include "commit/staging.h"
#include "judge/on_disk.h"
#include "layout/layout.h"
#include "manifest/manifest.h"
#include "manifest/signature.h"
#include "restore/graft.h"
#include "retarget/retarget.h"
#include "tree/create.h"
#include "warmpack.h"

/* An entry of the archive, in the order of the archive. */
struct unpacked {
    struct entry e; /* path and target as unpacked, after --strip-components; in unpack.texts */
    char *archived; /* path in the archive; NULL: the same; there, too */
    bool skipped;   /* not selected, or of a kind that is not unpacked */
    uint32_t inode; /* links.c: of a file that has hard links, and of those */
};

static inline const char *unpack_archived(const struct unpacked *item)
{
    return item->archived ? item->archived : item->e.path;
}

struct unpack_links;

struct unpack {
    const struct wp_extract_options *o;
    struct wp_archive *a;
    struct wp_extract_result *result;
    struct patterns patterns; /* what is to be unpacked */
    struct create_policy policy;
    struct timespec mtime; /* that the policy may point to */
    mode_t umask;          /* of the process; the policy's is 0 for root, as in tar */
    const char *dir;       /* -C */
    char *dir_path;        /* absolute, lexical; owned */
    uint64_t size;         /* of the files so far, in bytes */
    bool told_size;        /* that they are many times the archive's */
    struct staging *staging;
    int tree;                /* descriptor of the staged tree of DIR: area 0 */
    int target;              /* of DIR itself; the staging's, unless APART */
    int own_target;          /* DIR, where that is open apart from the staging; -1: it is not */
    bool apart;              /* DIR is only read: area 0 is made in the cache root, and emptied */
    struct texts texts;      /* of the items */
    struct unpacked **items; /* owned, as are the structs */
    size_t count;
    size_t *slots; /* hash table over items' paths: number + 1, or 0; owned */
    size_t slot_count;
    struct unpack_links *links; /* hard links; NULL: none yet; owned */
    struct manifest manifest;
    bool has_manifest;
    bool grafts;         /* caches alone, onto sources that are there */
    struct graft *graft; /* NULL: not begun; owned */
    struct wp_restore_options graft_options;
    bool is_recorded;              /* it was read before the entries */
    unsigned char text_sha256[32]; /* of its text */
    uint64_t text_size;
    char *home;           /* as unpacked: "TOP/.warmpack/ID"; NULL: none; owned */
    char **roots;         /* absolute paths that DIR will have for Python; NULL-ended; owned */
    struct verify verify; /* the user who runs Python */
    struct layout layout;
    struct retarget_who who; /* with --retarget */
    char *state;             /* digest of the options, for state.jsonl; owned */
    struct trust trust;      /* whose archives are taken */
    char *above;             /* DIR, or what was there of it at first; owned */
    bool is_again;           /* the archive is not as its manifest says: all of it is read */
    struct {
        char *home;   /* as unpacked; NULL: not known before the entries; owned */
        bool *taken;  /* by number in the manifest: content that is staged already; owned */
        bool *wanted; /* likewise: that comes from the archive; owned */
        struct format_expected expected;
    } earlier;
};

/* Path of an archive name after --strip-components; NULL with *GONE where nothing is left. Names
 * of warmpack's own directory keep it whole. Allocated. */
char *unpack_name(const struct unpack *unpack, const char *archived, bool *gone);
/* Likewise for a directory whose contents count: "" is DIR itself. */
char *unpack_dir_name(const struct unpack *unpack, const char *archived, bool *gone);
/* The item unpacked as PATH, or NULL. */
struct unpacked *unpack_find(const struct unpack *unpack, const char *path);

/* ---- unpack.c */
/* Takes what the options name: keys, DIR, WHO. Clear in any case. */
int unpack_begin(struct unpack *unpack, struct wp_error *err);
void unpack_clear(struct unpack *unpack);

/* ---- size.c: counts file E; -EINVAL where it is one too many of the bytes allowed */
int unpack_add_size(struct unpack *unpack, const struct entry *e, struct wp_error *err);
/* Warns once where that is suspiciously much. When the content has been there: a header may lie. */
void unpack_tell_size(struct unpack *unpack);

/* ---- items.c: the entries */
/* Is the entry of that archive name wanted? */
bool unpack_selected(const struct unpack *unpack, const char *path);
/* A copy of the archive's entry with its name as unpacked, not in the table yet, whose size is
 * counted if it is wanted; *OUT is the caller's to free(3), also on failure. */
int unpack_make_item(struct unpack *unpack, const struct entry *e, struct unpacked **out,
                     struct wp_error *err);
/* Refuses names that would lead out of DIR. */
int unpack_check_safe(const struct entry *e, struct wp_error *err);

/* Appends ITEM (taken over on success), which becomes the one that its path finds. 0 or -ENOMEM. */
int unpack_add_item(struct unpack *unpack, struct unpacked *item);
/* Removes a file from the staged tree, and directories that are empty then. */
int unpack_remove(struct unpack *unpack, struct unpacked *item, struct wp_error *err);
/* *OUT is the index that data file ITEM belongs to; NULL: it is none, or that is not there. 0 or
 * -ENOMEM. */
int unpack_index_of(const struct unpack *unpack, const struct unpacked *item,
                    struct unpacked **out);
/* Is there a selection, so that caches may have come without their sources? Those beside the
 * manifest always come. */
bool unpack_is_selection(const struct unpack *unpack);

/* ---- stdout.c */
int unpack_to_stdout(struct unpack *unpack, struct wp_error *err);

/* ---- recover.c */
/* Completes what killed runs left in the directories that the archive is unpacked over. */
int unpack_recover_below(struct unpack *unpack, struct wp_error *err);

/* ---- if_needed.c */
/* Is DIR as this archive and these options would leave it: 1, 0, negative errno. */
int unpack_is_current(struct unpack *unpack, struct wp_error *err);
/* Held while unpacking. Its file goes away with it: whoever gets the lock looks whether the file is
 * still the one that he opened. */
struct unpack_lock {
    struct lock_file file;
    int dir;  /* DIR; -1: not opened; owned */
    int made; /* directories made for it */
};
/* Is DIR as this archive and these options would leave it: 1; 0: it is not, and LOCK is held;
 * negative errno. End it in any case. */
int unpack_needed_begin(struct unpack *unpack, struct unpack_lock *lock, struct wp_error *err);
void unpack_needed_end(const struct unpack *unpack, struct unpack_lock *lock, bool failed);

/* ---- files.c: writes files with the pool */
struct unpack_files;
int unpack_files_new(struct unpack_files **out, struct unpack *unpack, struct wp_error *err);
/* Content of regular file ITEM is pulled from the reader and written. ITEM lives until the end. */
int unpack_files_add(struct unpack_files *f, struct unpacked *item, struct wp_error *err);
/* Waits until all is written. */
int unpack_files_finish(struct unpack_files *f, struct wp_error *err);
void unpack_files_free(struct unpack_files *f); /* waits; NULL is fine */

/* ---- manifest.c: the last entry */
/* Takes the current entry, the manifest, and leaves its bytes in TEXT, which is empty. */
int unpack_take_manifest(struct unpack *unpack, struct archive_reading *in, struct buf *text,
                         struct wp_error *err);
/* Takes it into the staged tree. */
int unpack_stage_manifest(struct unpack *unpack, const struct entry *e, struct wp_error *err);
/* Where the format holds less than the manifest, or the archive is to be of somebody who is
 * trusted, reads that first. */
int unpack_read_recorded(struct unpack *unpack, struct wp_error *err);

/* ---- earlier.c: content that an earlier tree has (--from, --replace) */
/* May there be one? */
bool unpack_has_earlier(const struct unpack *unpack);
/* Stages the files whose content it has, where the manifest has been read, and tells the reader
 * that they are not wanted. */
int unpack_take_earlier(struct unpack *unpack, struct wp_error *err);
/* Stages nothing: tells the reader what would be wanted. Where the manifest has been read. */
int unpack_expect_earlier(struct unpack *unpack, struct wp_error *err);
/* Is ITEM, a file of the archive, staged by that? Then its digest is set. */
bool unpack_is_taken(struct unpack *unpack, struct unpacked *item);
void unpack_earlier_clear(struct unpack *unpack);

/* ---- links.c: hard links and symlinks */
/* Notes hard link ITEM, whose target is what has that name now. Where EARLIER, which has ITEM's own
 * name, is that very file, ITEM is skipped. */
int unpack_links_add(struct unpack *unpack, struct unpacked *item, const struct unpacked *earlier,
                     struct wp_error *err);
/* EARLIER is about to be replaced: makes the links to it while it is there. */
int unpack_links_resolve(struct unpack *unpack, const struct unpacked *earlier,
                         struct wp_error *err);
/* All files are there: makes the other hard links, then the symlinks, then links to those. */
int unpack_links_make(struct unpack *unpack, struct wp_error *err);
void unpack_links_free(struct unpack_links *l);

/* ---- check.c: is it what was packed? */
int unpack_check(struct unpack *unpack, struct wp_error *err);

/* ---- merged.c: takes out of the staged tree the indexes whose code came from what the tree will
 * not have as it was packed */
int unpack_leave_out(struct unpack *unpack, struct wp_error *err);

/* ---- layout.c: caches to their places in the staged trees */
int unpack_layout(struct unpack *unpack, struct wp_error *err);
/* Is PATH a source that CTX, a struct unpack, has, or that is there for caches alone? */
bool unpack_is_source(void *ctx, const char *path);

/* ---- restamp.c: restamps indexes whose source did not keep its recorded time; before the commit
 */
int unpack_restamp(struct unpack *unpack, struct wp_error *err);

/* ---- times.c: gives all that is staged the one time that is wished */
int unpack_set_times(struct unpack *unpack, struct wp_error *err);

/* ---- graft.c: --caches-only */
/* Removes from the staged tree the caches that do not fit the target's sources. */
int unpack_graft(struct unpack *unpack, struct wp_error *err);

/* ---- apart.c */
/* Adds area 0 and fills TARGET. Where caches alone go to a cache root, and DIR is only read, that
 * is made in the cache root. */
int unpack_begin_areas(struct unpack *unpack, struct wp_error *err);
/* Then: when caches are in their places, nothing else is committed. */
int unpack_drop_apart(struct unpack *unpack, struct wp_error *err);

/* ---- verify.c: judges the placed indexes, after the commit */
int unpack_verify(struct unpack *unpack, struct wp_error *err);
/* Without a manifest: warns where indexes among the unpacked files are stale. */
int unpack_warn_stale(struct unpack *unpack, struct wp_error *err);

/* ---- supersede.c: removes, at the commit, manifests of archives that this one replaces;
 * those that lose some files only no longer say that their archive is here. */
int unpack_supersede(struct unpack *unpack, struct wp_error *err);

/* ---- state.c: state.jsonl, and --if-needed */
int unpack_state_write(struct unpack *unpack, struct wp_error *err);
/* The keys are WHO's now, so that all is done which the options ask for. */
int unpack_state_end(struct unpack *unpack, struct wp_error *err);
/* The paths that DIR, which must be there, will have for Python. */
int unpack_plan_roots(struct unpack *unpack, struct wp_error *err);
/* Digest of all options that change what is unpacked. Allocated. */
char *unpack_state_options(const struct unpack *unpack);
/* Does DIR hold the archive whose manifest is TEXT already, unpacked with the same options? 1, with
 * the result told, or 0. HOME as unpacked. */
int unpack_state_current(struct unpack *unpack, const char *home, const void *text, size_t size);
