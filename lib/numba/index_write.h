#pragma once
/* Writing a cache index from the overloads of others: with another CPU in their keys (retargeting),
 * without some of them (pruning), or of several indexes of one source (merging).
 *
 * Python's unpicklers, the C one and the pure one, read from the result what they read from the
 * indexes that it was made of, but for what was asked to be changed: keys are copied opcode by
 * opcode (numba/pickle_copy.h). Bytes that are shared between a key and something else are not
 * changed there. What is written is read again and compared before it is handed out. Source: Numba
 * 0.52 to 0.68, core/caching.py, IndexDataCacheFile; CPython, Lib/pickle.py. */

#include "base/buf.h"
#include "numba/index.h"

/* The CPU part of a key; both texts are UTF-8, and the list may be "". */
struct index_cpu {
    const char *name;     /* "znver4" */
    const char *features; /* "+64bit,+adx,..." */
};

struct index_writer; /* an index that is being put together */

/* A new index without overloads, with the version of BASE, byte for byte, its stamp, its protocol
 * and what is behind its second pickle. The stamp can be changed afterwards, by index_restamp. BASE
 * is borrowed, and so is the text it was read from, until the writer is freed. Errors: -ENOTSUP
 * where BASE is written in a way that Numba does not use; -ENOMEM. */
int index_writer_new(struct index_writer **out, const struct index *base, struct wp_error *err);

/* Adds overload number WHICH of FROM, which may be BASE or another index of the same version of
 * Numba, and is borrowed likewise. CPU: what its key is to say in the place of its CPU name and
 * features; NULL: what it says. DATA: the data file's name, such as "k.add-3.py311.2.nbc", which
 * must have no slash; NULL: the name that it has. Overloads are written in the order of their
 * adding. Errors, after which the writer is only to be freed: -EINVAL where FROM is of another
 * version of Numba; -ENOTSUP where CPU is given and the key is of no CPU's code (key_is_for_cpu),
 * or where the overload cannot be copied: a value in it is changed after it was made, or refers to
 * what holds it from the outside; -EFBIG where the index gets larger than INDEX_LARGEST; -ENOMEM.
 */
int index_writer_add(struct index_writer *w, const struct index *from, size_t which,
                     const struct index_cpu *cpu, const char *data, struct wp_error *err);

/* Appends the index to OUT, which is as it was on failure. Errors: -EEXIST where two overloads have
 * one key, so that Numba would load the last of them alone: nothing is written then; -ENOTSUP where
 * what was written does not read as what it was made of, which no index of Numba's should bring
 * about; -EFBIG; -ENOMEM. The writer is then only to be freed. */
int index_writer_finish(struct index_writer *w, struct buf *out, struct wp_error *err);

/* W may be NULL. */
void index_writer_free(struct index_writer *w);

/* Appends to OUT the index I with CPU in the keys of those overloads for which CHOSEN (as many as I
 * has) is set; all else says what it said, in its order. Errors as above. */
int index_retarget(const struct index *i, const bool *chosen, const struct index_cpu *cpu,
                   struct buf *out, struct wp_error *err);
