#pragma once
/* What earlier.c (which files an earlier tree has), earlier_copy.c and earlier_link.c share. */

#include <stdatomic.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/texts.h"
#include "job.h"
#include "trees/trees.h"
#include "untouched.h"

/* A file of the earlier tree. */
struct known {
    char *path; /* NULL: it is none; owned */
    const struct entry *e;
    const struct untouched *untouched;
};

struct earlier {
    struct unpack *unpack;
    struct trees trees;
    struct untouched *untouched; /* of each of its manifests; owned */
    struct known *known;         /* entries of all manifests; owned */
    size_t known_count, file_count;
    struct text_table by_digest, by_name; /* numbers of those that are files */
    bool may_link; /* it goes away, so that files may become those of the new tree */
    char **names;  /* of the archive's files as unpacked, by number there; owned */
    struct sha256_many *digests;
    atomic_bool no_clones; /* the filesystems cannot */
};

/* The file of the earlier tree that should have E's content, or NULL. */
const struct known *earlier_find(const struct earlier *x, const struct entry *e);
/* A file of the archive, and one of the earlier tree that should have its content. */
struct copy {
    size_t number;  /* in the manifest */
    struct entry e; /* as unpacked; its texts are borrowed */
    const struct known *from;
};

/* The directory of the last file, mostly that of the next one, too. */
struct earlier_dir {
    int fd;
    const char *path; /* of that file; borrowed */
    size_t size;      /* of the directory's */
};

/* Stages C as another name of the earlier tree's file, where that goes away, has no other name and
 * is as a new one would be. FROM and TO, whose descriptors begin with -1, are the caller's. Is it
 * there? */
bool earlier_link_file(struct earlier *x, const struct copy *c, struct earlier_dir *from,
                       struct earlier_dir *to);
/* Stages the files whose content the earlier tree has, as its manifests say, and notes which have
 * been. 0 or negative errno. */
int earlier_copy_files(struct earlier *x, struct wp_error *err);
