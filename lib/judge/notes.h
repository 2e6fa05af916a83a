#pragma once
/* What verify tells besides its judgements: see enum wp_note_kind. */

#include "base/path.h"
#include "manifest/manifest.h"
#include "numba/data.h"
#include "numba/places.h"
#include "warmpack.h"

/* Adds a note. 0 or -ENOMEM. */
int note_add(struct wp_verify_report *r, enum wp_note_kind kind, const char *path, const char *fmt,
             ...) __attribute__((format(printf, 4, 5)));

/* Adds the notes on one judged index and the object code of its data files. */
int note_index(struct wp_verify_report *r, const struct wp_index_status *s,
               const struct data_facts *facts, const char *old_root);
/* Code of S for a CPU, or with a feature, that is not known here: nobody can say where it runs. */
int note_unknown(struct wp_verify_report *r, const struct wp_index_status *s);
/* The source of S has a time that was in the future when S was made of it. */
int note_ahead(struct wp_verify_report *r, const struct wp_index_status *s);
/* Keys of S say how their kernel is launched. numba-cuda looks for such only where a marker lies
 * beside the index: SIZE_OF gives the bytes of file NAME there, as for overloads_fill. */
int note_marker(struct wp_verify_report *r, const struct wp_index_status *s,
                int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx);
/* What it says. */
#define NO_MARKER                                                                                  \
    "its keys say how the kernel is launched, and the marker (.lcs) beside it is missing: "        \
    "numba-cuda looks for shorter keys and compiles again"
/* An index in DIR belongs to OWNER; U will run Python. 1 where a note was added. */
int note_sticky(struct wp_verify_report *r, const char *dir, const char *shown, uid_t owner,
                const struct places_user *u);

/* Adds FILE, by its name in the report, to the cache files that are no indexes, if it is one. */
int leftovers_add(struct path_list *l, const char *file);
/* Which of them no index of R names. */
int note_leftovers(struct wp_verify_report *r, const struct path_list *l);

/* LOCATORS (NULL: not set) take the place of what is judged here. */
int note_locators(struct wp_verify_report *r, const char *locators);
/* Settings of this environment that differ from those at packing, as manifest M has them. */
int note_settings(struct wp_verify_report *r, const struct manifest *m);
