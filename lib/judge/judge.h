#pragma once
/* Judges one index: would Numba load from it? The facts about files come from callbacks, so that
 * a tree on disk, one being packed and an archive are judged by the same rules. */

#include "base/error.h"
#include "manifest/manifest.h"
#include "numba/index.h"
#include "warmpack.h"

struct judge_file {
    struct timespec mtime;
    uint64_t size;
    const unsigned char *sha256; /* or NULL: not known */
};

struct judge_facts {
    /* The source: 1 and *F filled; 0: there is none; negative errno: cannot stat. */
    int (*source)(void *ctx, struct judge_file *f);
    /* The source's SHA-256, asked for only where the stamp is one. 0 or negative errno. */
    int (*digest)(void *ctx, unsigned char out[32]);
    /* Data file NAME in the index's directory: as `source`. WHOLE is cleared (with *WHY, static
     * text) where its content is truncated. */
    int (*data)(void *ctx, const char *name, struct judge_file *f, bool *whole);
    void *ctx;
    const struct timespec *index_mtime; /* of the index file; NULL: not known */
    bool *ahead; /* set where the source's time is later than that of all that was made of it: the
                    clock that gave it was ahead; NULL: nobody asks */
};

/* Fills S->status, reason, stamp, has_stamp and numba from INDEX (NULL: UNREAD says why it could
 * not be read). S->index, source and python are the caller's affair, but the source of an index
 * that has none is taken away. MISPLACED (NULL: it is not)
 * and UNWRITABLE (likewise) are reasons found by the caller. 0 or -ENOMEM. */
int judge_index(struct wp_index_status *s, const struct index *index, const struct wp_error *unread,
                const char *misplaced, const char *unwritable, const struct judge_facts *facts);

/* Sets the status of an index that could not be read, for the cause WHY: corrupt where its code
 * speaks of the content (EINVAL) or of something else than a file, else unreadable: it is not one
 * of Numba's (ENOTSUP), or an error kept us from reading it. 0 or -ENOMEM. */
int judge_unread(struct wp_index_status *s, const struct wp_error *why);

/* Sets status and reason; the reason is kept on one line. 0 or -ENOMEM. */
int judge_set(struct wp_index_status *s, enum wp_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes S->python from the name of the index's file. 0 or -ENOMEM. */
int judge_name(struct wp_index_status *s, const char *index_path);

void judge_clear(struct wp_index_status *s);

/* Appends *S (taken over; cleared on failure) and counts it. 0 or -ENOMEM. */
int judge_add(struct wp_verify_report *r, struct wp_index_status *s);
/* Judges the wrappers of gufuncs among those that would load: each calls its kernel by a symbol
 * that is another one in each process, so that without the kernel's code from the same cache the
 * program ends. For when all have been added. 0 or -ENOMEM. */
int judge_gufuncs(struct wp_verify_report *r);
/* Sorts by path. */
void judge_sort(struct wp_verify_report *r);
