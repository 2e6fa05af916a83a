#pragma once
/* Judges what Numba compares besides place and stamp: its version, Python's, and the CPU. */

#include "base/error.h"
#include "numba/features.h"
#include "numba/index.h"
#include "warmpack.h"

/* What keys are held against. NULL members are not known and not compared. */
struct judge_expect {
    const char *numba, *python, *triple, *cpu, *features; /* borrowed */
    const char *who;        /* for reasons: the interpreter, or "NUMBA_CPU_NAME" */
    const char *machine;    /* likewise: "this machine" */
    struct wp_python asked; /* owned; what the interpreter said */
    struct features host;
    bool has_host;
    bool keeps_host; /* a CPU's name is set alone: Numba keeps the features of its machine */
};

/* Asks the interpreter of O, where there is one. End it in any case. */
int judge_expect_begin(struct judge_expect *e, const struct wp_context *context,
                       const struct wp_verify_options *o, struct wp_error *err);
void judge_expect_end(struct judge_expect *e);
/* Is anything but this machine known? */
bool judge_expect_knows(const struct judge_expect *e);

/* Fills S->overloads from INDEX (see overloads_fill), and where S was found valid so far, judges
 * its keys. INDEX NULL: it could not be read. 0 or -ENOMEM. */
int judge_keys(struct wp_index_status *s, const struct index *index, const struct judge_expect *e,
               int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx,
               struct wp_error *err);

/* The same for S whose overloads are there already, and which was found valid so far. */
int judge_against(struct wp_index_status *s, const struct judge_expect *e);

/* Of each function and signature, can an overload run on the machine? 1, 0 or -ENOMEM. */
int judge_can_run(const struct wp_index_status *s, const struct judge_expect *e);
