#pragma once
/* What the manifests of a tree remember of its packing, for verify. */

#include "restore/job.h"

struct remembered {
    struct wp_restore_options options;
    struct restore found; /* .trees: of each manifest, .m and .state are there */
    char **packed_roots;  /* "/srv/build/app/": where each was packed, or NULL: it is still there;
                             owned */
};

/* Finds the manifests of DIR as restore does; MANIFEST may be NULL. BASES: the absolute paths at
 * which DIR is. -ENOENT: there is none. Clear *OUT in any case. */
int remembered_read(struct remembered *out, const char *dir, const char *manifest,
                    char *const *bases, struct wp_error *err);
void remembered_clear(struct remembered *m);

/* Where PATH of the tree was packed, if that is another place: "/srv/build/app/", or NULL. */
const char *remembered_root(const struct remembered *m, const char *path);
