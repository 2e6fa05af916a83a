#pragma once
/* Judges what Numba compares besides place and stamp: its version, Python's, and the CPU. */

#include "base/error.h"
#include "numba/features.h"
#include "numba/index.h"
#include "warmpack.h"

/* What keys are held against. NULL members are not known and not compared. */
struct judge_expect {
    struct wp_python python; /* owned; what the interpreter said */
    const char *triple, *cpu, *features;
    const char *who; /* for reasons: the interpreter, or "NUMBA_CPU_NAME" */
    struct features host;
    bool has_host;
};

/* Asks the interpreter of O, where there is one. End it in any case. */
int judge_expect_begin(struct judge_expect *e, const struct wp_verify_options *o,
                       struct wp_error *err);
void judge_expect_end(struct judge_expect *e);
/* Is anything but this machine known? */
bool judge_expect_knows(const struct judge_expect *e);

/* Fills S->overloads from INDEX (see overloads_fill), and where S was found valid so far, judges
 * its keys. INDEX NULL: it could not be read. 0 or -ENOMEM. */
int judge_keys(struct wp_index_status *s, const struct index *index, const struct judge_expect *e,
               int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx,
               struct wp_error *err);
