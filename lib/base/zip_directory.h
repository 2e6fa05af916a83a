#pragma once
/* The directory of a zip archive: the records at its end, which say where its entries are. Whoever
 * asks makes of their names, times and extra fields what it needs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A zip: a regular file, or a part of one. Places in it count from its own beginning. */
struct zip_part {
    int fd;        /* borrowed */
    uint64_t at;   /* where in the file it begins */
    uint64_t size; /* bytes */
};

/* Up to N bytes from PLACE on: fewer only where the zip ends. Their number, or negative errno. */
ssize_t zip_part_read(const struct zip_part *z, void *to, size_t n, uint64_t place);

/* Readers differ in which end record counts, and in what they take from it. */
enum zip_rules {
    ZIP_AS_UNZIP,     /* the last one whose comment ends with the file, but for zeros; else the last
                       * one that fits the file from its first byte on; zip64 */
    ZIP_AS_ZIPIMPORT, /* the last one, whatever follows it; without zip64 and number of entries */
};

struct zip_end {
    uint64_t count;     /* entries, as it says */
    uint64_t directory; /* where the central directory begins */
    uint64_t size;      /* bytes of it */
    uint64_t shift;     /* bytes that stand in front of the archive: places of entries lack them */
    uint64_t trailing;  /* bytes that follow the archive and are not zeros alone */
    uint64_t comment;   /* where the archive's comment begins */
    uint16_t comment_size; /* bytes of it */
    bool zip64;
    bool is_volume; /* the last of several: -EBADMSG */
};

/* Finds the end of Z. 0; -ENOMEM or another negative errno of reading; -EBADMSG and *WHAT, which
 * says of the archive what is wrong with it. */
int zip_end_find(const struct zip_part *z, enum zip_rules rules, struct zip_end *e,
                 const char **what);

/* An entry's record, with its numbers as they stand there. */
struct zip_central {
    const unsigned char *name, *extra; /* the directory's, until the next record is asked for */
    uint16_t name_size, extra_size;
    uint16_t host; /* who made it */
    uint16_t flags, method, time, date;
    uint32_t crc, packed_size, size;
    uint32_t attributes; /* external */
    uint32_t at;         /* of the local header; the end's shift is to be added */
};

/* The records, read piece by piece. */
struct zip_directory {
    struct zip_part part;
    unsigned char *data; /* a part of the directory; owned */
    size_t pos, end;     /* what of it has not been looked at */
    uint64_t next;       /* where the bytes after these stand */
    uint64_t left;       /* of the directory, from there on */
};

/* 0 or -ENOMEM; zip_directory_close in any case. */
int zip_directory_open(struct zip_directory *d, const struct zip_part *z, const struct zip_end *e);
/* The next record into C: 1; 0 at the end; negative as from zip_end_find. */
int zip_directory_next(struct zip_directory *d, struct zip_central *c, const char **what);
void zip_directory_close(struct zip_directory *d);
