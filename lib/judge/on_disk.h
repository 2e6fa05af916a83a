#pragma once
/* Judging indexes on disk. Shared by verify and by the end of extract. */

#include "keys.h"
#include "numba/places.h"
#include "warmpack.h"

/* One index to judge. Strings are borrowed. */
struct verify_place {
    const char *index, *index_shown;   /* path on disk; path in the report */
    const char *source, *source_shown; /* SOURCE NULL: not known */
    const char *misplaced;             /* reason, or NULL */
};

/* State of a run: the user, and whether he can write to the directory last asked for. */
struct verify {
    struct places_user user;
    bool is_caller;
    char *dir; /* last asked for; owned */
    char *unwritable;
    char *sticky; /* directory that a note was last taken of; owned */
    /* For the job of verifying; NULL: keys and object code are not looked at. */
    const struct judge_expect *expect;
    struct wp_verify_report *notes; /* takes notes; not NULL with EXPECT */
    const char *old_root;           /* looked for in object code, or NULL */
};

int verify_begin(struct verify *verify, const char *user, struct wp_error *err);
void verify_end(struct verify *verify);

/* Reads and judges the index; *S is the caller's to add or clear. 0, or a negative errno where not
 * even a judgement can be made (no memory). */
int verify_place(struct verify *verify, const struct verify_place *place, struct wp_index_status *s,
                 struct wp_error *err);

/* Why Numba, run by the user, does not come to look in the user-wide place for sources of DIR:
 * it finds DIR/__pycache__ usable first. *WHY, allocated, is NULL where it does come. 0 or
 * -ENOMEM. */
int verify_shadowed(struct verify *verify, const char *source_dir, char **why);
