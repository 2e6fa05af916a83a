#pragma once
/* What lies in a tree, held against the signed manifests of it: files have the content that was
 * packed, and so have indexes, but for what a restamp or a retarget of ours has changed in them. */

#include "manifest/originals.h"
#include "trees.h"

struct trees_signed {
    const struct trees *trees;
    struct manifest_originals *originals; /* of each tree; owned */
};

/* -EKEYREJECTED where a manifest of TREES was passed over. Clear S in any case. After TREES have
 * been found with their trust, and read. */
int trees_signed_begin(struct trees_signed *s, const struct trees *trees, struct wp_error *err);
/* Each file of the manifests that is in the tree has its content, or it is refused: -EKEYREJECTED.
 * Indexes and data files are looked at where they are loaded from: */
int trees_signed_files(const struct trees_signed *s, struct wp_error *err);
/* The same of index NAME in directory FD, of SOURCE in the tree, and of its data files beside it.
 * SHOWN is for messages. */
int trees_signed_index(const struct trees_signed *s, const char *source, int fd, const char *name,
                       const char *shown, struct wp_error *err);
void trees_signed_clear(struct trees_signed *s);
