#pragma once
/* What the steps of retargeting share. Private to lib/retarget.
 *
 * Which builds there are, and which of them to take (choice.c) → each index as it was, by
 * state.jsonl (original.c) → as it is to be (overloads.c) → state.jsonl and the indexes are written
 * (retarget.c). */

#include "manifest/originals.h"
#include "numba/index.h"
#include "numba/index_write.h"
#include "numba/key.h"
#include "retarget/retarget.h"

/* Overloads with the same CPU in their keys. */
struct build {
    struct wp_retarget_build told; /* of it, but for is_chosen; owned */
    struct features need;
};

struct builds {
    struct build *list; /* owned */
    size_t count;
    const struct build *chosen; /* the one for the whole tree; NULL: none */
};

/* ---- choice.c */
/* Adds what is in INDEX. */
int builds_add(struct builds *b, const struct retarget_job *job, const struct index *index,
               struct wp_error *err);
/* Chooses the one with most features among those that can run; what was packed for that very CPU
 * comes first. */
void builds_choose(struct builds *b, const struct manifest *m);
/* The one of KEY, or NULL. */
const struct build *builds_find(const struct builds *b, const struct wp_overload *key);
void build_clear(struct wp_retarget_build *b);
void builds_clear(struct builds *b);

/* ---- original.c */
/* Appends to OUT the index NOW, read from TEXT, as it was before it was retargeted; overloads that
 * Numba has added since are as they are. ORIGINAL NULL: it never was. */
int original_find(const struct retarget_job *job, const struct retarget_index *item,
                  const struct manifest_original *original, const struct index *now,
                  struct buf *out, struct wp_error *err);

/* ---- overloads.c */
/* What is to be done with the overloads of an index. */
struct choice {
    bool *chosen; /* its key becomes WHO's; owned */
    bool *loads;  /* WHO's Numba loads it then; owned */
    bool any;
};
/* Fills C for INDEX. 0; -ENOTSUP: they are too many to be compared; other negative errnos. Clear C
 * in any case. */
int choice_make(const struct index *index, const struct builds *builds, struct choice *c);
void choice_clear(struct choice *c);
/* Adds to RESULT's counts. 0 or negative errno. */
int choice_count(struct wp_retarget_result *result, const struct index *index,
                 const struct choice *c);
/* Does anything go? */
bool choice_drops(const struct retarget_job *job, const struct builds *builds,
                  const struct index *index, const struct choice *c);
/* Appends to OUT the index without the overloads that do not load there. */
int choice_prune(const struct index *index, const struct choice *c, const struct index_cpu *cpu,
                 struct buf *out, struct wp_error *err);
/* Notes the data files that nothing names then; only such as are called after the index. 0 or
 * -ENOMEM. */
int choice_note_gone(struct retarget_index *item, const struct index *index,
                     const struct choice *c);
