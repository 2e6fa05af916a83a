#pragma once
/* What lies in a tree, held against the signed manifests of it: files have the content that was
 * packed, and so have indexes, but for what a restamp or a retarget of ours has changed in them. */

#include "manifest/originals.h"
#include "trees.h"

/* An index of a manifest. */
struct trees_signed_line {
    const char *name; /* without its directory; the first member, for path_compare */
    size_t tree;
    const struct manifest_index *line;
};

struct trees_signed {
    const struct trees *trees;
    struct manifest_originals *originals; /* of each tree; owned */
    struct trees_signed_line *lines;      /* of all of them, sorted by name; owned */
    size_t line_count;
};

/* -EKEYREJECTED where a manifest of TREES was passed over. Clear S in any case. After TREES have
 * been found with their trust, and read. */
int trees_signed_begin(struct trees_signed *s, const struct trees *trees, struct wp_error *err);
/* Is the file at PATH in the tree, whose content is another, what E became by some change of our
 * own that the caller knows of? 1, 0 or -ENOMEM. */
typedef int trees_signed_changed(void *ctx, const struct tree_manifest *t, const struct entry *e,
                                 const char *path);
/* Each file of the manifests that is in the tree has its content, or CHANGED knows why not, or it
 * is refused: -EKEYREJECTED. Indexes and data files are looked at where they are loaded from: */
int trees_signed_files(const struct trees_signed *s, trees_signed_changed *changed, void *ctx,
                       struct wp_error *err);
/* The same of index NAME in directory FD, of SOURCE in the tree, and of its data files beside it.
 * SHOWN is for messages. */
int trees_signed_index(const struct trees_signed *s, const char *source, int fd, const char *name,
                       const char *shown, struct wp_error *err);
void trees_signed_clear(struct trees_signed *s);

/* Has a manifest at the top of DIR a signature, of whomever? 1; 0, also where it is damaged. */
int trees_has_signature(const struct wp_context *context, const char *dir, struct wp_error *err);
