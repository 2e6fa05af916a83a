#pragma once
/* A cache index (.nbi): the version, the stamp, and which data file each overload has.
 * Source: Numba 0.52 to 0.67, numba/core/caching.py, IndexDataCacheFile. */

#include "base/buf.h"
#include "numba/pickle.h"
#include "numba/stamp.h"

/* Bytes of an index that is looked at: real ones have some kilobytes. */
enum { INDEX_LARGEST = 64 << 20 };

/* The parts of "MODULE.QUALNAME-LINE.pyXYABI.nbi". */
struct index_name {
    size_t stem;     /* length of what index and data files share: up to ".nbi" */
    char python[16]; /* "311", with ABI flags */
};
/* 0, or -EINVAL where NAME is not an index's name. */
int index_name_parse(const char *name, struct index_name *out);
/* Is NAME a data file ("STEM.N.nbc")? Then *STEM is its stem's length. */
bool index_is_data_name(const char *name, size_t *stem);
/* Is NAME a file that belongs to an index, as its data files do, or the marker of numba-cuda
 * ("STEM.lcs"), without which it looks for shorter keys than the index has? */
bool index_is_part_name(const char *name, size_t *stem);
/* The marker's name for the index called NAME. Allocated; NULL on no memory. */
char *index_marker_name(const char *name);
/* "x.tmp.123ab": what Numba writes before it renames. */
bool index_is_temporary(const char *name);

struct index_overload {
    const struct pickle_value *key; /* (signature, magic, code), for inspection */
    char *data;                     /* the .nbc file's name, any bytes but a slash and NUL */
};

struct index {
    char *numba; /* version string; owned */
    struct wp_stamp stamp;
    struct index_overload *overloads; /* owned */
    size_t count;
    struct pickle *version_pickle, *body_pickle; /* owned; keys point into the latter */
    const unsigned char *text;                   /* borrowed: what it was read from, SIZE bytes */
    size_t size;
    size_t body_at;        /* where the second pickle starts in the file */
    size_t body_end;       /* where it ends; Numba ignores what is behind */
    size_t stamp_float_at; /* MTIME: offset of the 8 bytes of the double in the file; else 0 */
};

/* Parses the bytes of an .nbi (TEXT must outlive the index). Errors: -EINVAL, with what is wrong
 * and where; -ENOTSUP, which is also the code in ERR, where no Numba wrote it: it may be sound and
 * somebody else's, so it is never called corrupt or removed. A stamp of a kind not known is no
 * error (WP_STAMP_UNKNOWN). */
int index_read(struct index *out, const unsigned char *text, size_t size, struct wp_error *err);
void index_clear(struct index *i);

/* Reads the pickle of a data file, for lib/numba/data.c. -EINVAL where Numba could not, -ENOTSUP
 * where no Numba wrote it. */
int index_read_data(struct pickle **out, const unsigned char *text, size_t size,
                    struct wp_error *err);

/* Writes TEXT, the bytes that I was read from, with the numbers of stamp TO (of the same kind) in
 * place of its own into OUT. All else stays byte for byte: rewritten back it is what it was. Both
 * of Python's unpicklers take the result as they took TEXT. -ENOTSUP where the stamp is written in
 * a way that Numba does not use. */
int index_restamp(const struct index *i, const unsigned char *text, size_t size,
                  const struct wp_stamp *to, struct buf *out, struct wp_error *err);

/* Is the .nbc a whole pickle? 0, also where no Numba wrote it and so nothing is known of it;
 * -EINVAL where Numba could not unpickle it; -ENOMEM. */
int index_check_data(const unsigned char *text, size_t size, struct wp_error *err);
