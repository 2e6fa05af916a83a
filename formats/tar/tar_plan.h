#pragma once
/* Where the entries lie in a tar of ours, known from its manifest alone: our writer makes the same
 * headers of the same entry. So pieces of the archive can be left out that nothing is wanted of. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"
#include "codec/codec.h"
#include "stream/source.h"

struct tar_planned {
    const struct entry *e; /* the caller's */
    uint64_t at;           /* where its headers begin in the tar */
    uint64_t header;       /* bytes of them */
    bool is_left_out;      /* they are not all read */
};

struct tar_plan {
    struct tar_planned *list; /* in the archive's order; the last has E NULL: the manifest; owned */
    size_t count;             /* with that */
    struct source_gap *gaps;  /* owned */
    size_t gap_count;
};

/* Plans reading the archive that FD is, whose first header says MARK (that of the
 * first entry, IS_ROUNDED as all are), where the manifest begins
 * with the piece at MANIFEST: 1; 0: X does not account for every byte before that, or nothing would
 * be left out; negative errno. Clear *OUT in any case. */
int tar_plan_make(struct tar_plan *out, const struct format_expected *x, const struct codec *codec,
                  int fd, const char *mark, bool is_rounded, uint64_t manifest);
void tar_plan_clear(struct tar_plan *p);
