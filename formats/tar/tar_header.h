#pragma once
/* The 512-byte header of a tar archive, as POSIX (ustar) and GNU tar lay it out. */

#include <stdbool.h>
#include <stdint.h>

enum {
    TAR_BLOCK = 512,
    TAR_END = 1024,    /* bytes of zeros that end an archive */
    TAR_RECORD = 10240 /* what an archive is a multiple of */
};

struct tar_header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char linkname[100];
    char magic[6];   /* "ustar\0"; GNU tar: "ustar " */
    char version[2]; /* "00"; GNU tar: " \0" */
    char uname[32];
    char gname[32];
    char devmajor[8];
    char devminor[8];
    char prefix[155]; /* what stands before "/" and name */
    char end[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a tar header is one block");

enum tar_type {
    TAR_FILE = '0',
    TAR_FILE_V7 = '\0',
    TAR_HARDLINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR = '3',
    TAR_BLOCKDEV = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6',
    TAR_CONTIGUOUS = '7',
    TAR_PAX = 'x',
    TAR_PAX_SUN = 'X', /* Solaris, before POSIX gave it a letter */
    TAR_PAX_GLOBAL = 'g',
    TAR_LONG_NAME = 'L', /* GNU: the next entry's name */
    TAR_LONG_LINK = 'K', /* GNU: the next entry's link target */
    TAR_SPARSE = 'S',    /* GNU, before its pax formats */
    TAR_DUMPDIR = 'D',   /* GNU: a directory with the list of its members as content */
    TAR_MULTIVOLUME = 'M',
    TAR_VOLUME = 'V',    /* GNU: the label of the volume */
    TAR_OLD_NAMES = 'N', /* GNU, before long names: a list of renames */
    TAR_ACL_SUN = 'A'
};

/* The bytes behind content of SIZE bytes up to the next block. */
static inline unsigned tar_padding(uint64_t size)
{
    return (unsigned)(-size & (TAR_BLOCK - 1));
}

/* Writes VALUE as octal digits and a NUL, or, where they do not suffice, in base 256 as GNU tar
 * does. Readers that know pax take the pax record; this is for those that do not. */
void tar_put_number(char *field, unsigned width, int64_t value);
/* Would tar_put_number need base 256? */
bool tar_number_fits(unsigned width, int64_t value);
/* Reads either form; an empty field is 0. 0 or -EINVAL. */
int tar_get_number(const char *field, unsigned width, int64_t *value);

/* Fills in the checksum, last of all. */
void tar_put_checksum(struct tar_header *h);
/* Does the checksum fit (over signed bytes, too, as some old writers had it)? */
bool tar_checksum_fits(const struct tar_header *h);
bool tar_is_zero_block(const void *block);
