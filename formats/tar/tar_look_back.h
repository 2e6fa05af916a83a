#pragma once
/* The last entry of a tar, found from its end: nothing there says where it begins, as every block
 * of a tar is for every reader of tar. */

#include <stdint.h>

/* In a plain tar of ours a comment in the extended header of the last entry, the manifest, says
 * where that begins: with this and the number. So an archive to which others have been joined is
 * known for one. */
#define TAR_OFFSET_COMMENT "warmpack-manifest-offset="

/* Where in FD's file, a plain tar, its last entry begins, with its extended headers: 1 and *OFFSET;
 * 0 where no entry of at most MOST bytes stands right before the zeros that end the file, or it is
 * no regular file; negative errno. */
int tar_look_back(int fd, uint64_t most, uint64_t *offset);
