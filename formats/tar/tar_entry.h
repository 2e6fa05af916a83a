#pragma once
/* From a header and what extended headers said about it to an entry. */

#include "base/entry.h"
#include "pax.h"
#include "tar_header.h"

struct tar_member {
    struct tar_header header;
    struct pax pax;              /* records that hold for this entry, the global ones included */
    char *long_name, *long_link; /* GNU's, or NULL; owned */
    bool has_extension;          /* an extended header waits for its entry */
};

/* Forgets all and starts anew with the GLOBAL records. 0 or -ENOMEM. */
int tar_member_begin(struct tar_member *m, const struct pax *global);
void tar_member_clear(struct tar_member *m);

/* Bytes that stand behind the header in the archive: 0 for links, directories and devices,
 * whatever their header says. 0, or -EINVAL where the number is malformed. */
int tar_member_stored(const struct tar_member *m, uint64_t *stored);

/* Bytes of content that the header of E tells of, though E should have none: the directory of a tar
 * from before directories had a type, and a hard link. Writers differ in whether they are there. */
uint64_t tar_member_doubtful(const struct tar_member *m, const struct entry *e);

/* Fills E, which is clear, but for the size of sparse files (E->size is what is stored). 0,
 * -ENOMEM, or -EINVAL where a number or a name is malformed. */
int tar_member_entry(const struct tar_member *m, struct entry *e);
