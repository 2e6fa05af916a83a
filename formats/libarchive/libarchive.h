#pragma once
/* libarchive, for the few archives that need it. To load it, with all that it needs in turn, is
 * more than half of what the program does before it begins, so it is loaded when it is first asked
 * for. The static program has it linked in. */

#include <archive.h>
#include <archive_entry.h>

#define LIBARCHIVE_MISSING "libarchive.so.13 is needed to read it, and cannot be loaded"

/* NOLINTBEGIN(bugprone-macro-parentheses): types and names cannot stand in any. */
#define LIBARCHIVE_FUNCTIONS(each)                                                                 \
    each(error_string);                                                                            \
    each(read_data);                                                                               \
    each(read_data_block);                                                                         \
    each(read_free);                                                                               \
    each(read_new);                                                                                \
    each(read_next_header);                                                                        \
    each(read_open);                                                                               \
    each(read_support_filter_bzip2);                                                               \
    each(read_support_filter_xz);                                                                  \
    each(read_support_format_empty);                                                               \
    each(read_support_format_raw);                                                                 \
    each(read_support_format_zip_streamable);                                                      \
    each(set_error)

#define LIBARCHIVE_MEMBER(name) __typeof__(archive_##name) *name
struct libarchive {
    LIBARCHIVE_FUNCTIONS(LIBARCHIVE_MEMBER); /* archive_read_new() and so on */
};
/* NOLINTEND(bugprone-macro-parentheses) */

/* Any thread; for good. NULL: it is not there, LIBARCHIVE_MISSING. */
const struct libarchive *libarchive_load(void);
