#pragma once
/* What earlier.c (which files an earlier tree has) and earlier_copy.c share. */

#include <stdatomic.h>

#include "base/texts.h"
#include "job.h"
#include "trees/trees.h"

struct earlier {
    struct unpack *unpack;
    struct trees trees;
    struct path_list paths;      /* of its files, by number */
    struct text_table by_digest; /* numbers of those */
    char **names;                /* of the archive's files as unpacked, by number there; owned */
    struct sha256_many *digests;
    atomic_bool no_clones; /* the filesystems cannot */
};

/* The file of the earlier tree that should have E's content, or NULL. */
const char *earlier_find(const struct earlier *x, const struct entry *e);
/* Stages the files whose content the earlier tree has, as its manifests say, and notes which have
 * been. 0 or negative errno. */
int earlier_copy_files(struct earlier *x, struct wp_error *err);
