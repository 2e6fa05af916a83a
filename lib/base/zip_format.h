#pragma once
/* The records of a zip archive (APPNOTE.TXT 6.3), as reading and writing share them. */

#include "buf.h"
#include "little_endian.h"

enum {
    ZIP_LOCAL = 0x04034b50, /* signatures */
    ZIP_CENTRAL = 0x02014b50,
    ZIP_END = 0x06054b50,
    ZIP_END64 = 0x06064b50,
    ZIP_LOCATOR64 = 0x07064b50,
    ZIP_DESCRIPTOR = 0x08074b50,

    ZIP_LOCAL_SIZE = 30, /* bytes, without name, extra fields and comment */
    ZIP_CENTRAL_SIZE = 46,
    ZIP_END_SIZE = 22,
    ZIP_END64_SIZE = 56,
    ZIP_LOCATOR64_SIZE = 20,

    ZIP_STORED = 0, /* methods */
    ZIP_DEFLATED = 8,

    ZIP_ENCRYPTED = 1 << 0, /* flags */
    ZIP_HAS_DESCRIPTOR = 1 << 3,
    ZIP_UTF8 = 1 << 11,
    ZIP_MASKED = 1 << 13, /* the central directory is encrypted */

    ZIP_EXTRA_64 = 0x0001, /* extra fields */
    ZIP_EXTRA_NTFS = 0x000a,
    ZIP_EXTRA_TIME = 0x5455,
    ZIP_EXTRA_UNIX_OLD = 0x5855,
    ZIP_EXTRA_UNIX = 0x7875,
    ZIP_EXTRA_UNICODE_PATH = 0x7075,

    ZIP_HOST_FAT = 0, /* who made an entry */
    ZIP_HOST_UNIX = 3,
    ZIP_HOST_NTFS = 10,
    ZIP_HOST_VFAT = 14,
    ZIP_HOST_DARWIN = 19,

    ZIP_DOS_DIRECTORY = 0x10, /* the low byte of the external attributes */
};

#define ZIP_MAX32 0xffffffffu /* says: look into the zip64 field */
#define ZIP_MAX16 0xffffu
