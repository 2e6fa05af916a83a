#pragma once
/* Standard output, and how numbers and reports are worded. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "warmpack.h"

enum { SHOW_SIZE = 32 };

/* "661 bytes", "82.2 MB" (powers of 1000). */
void show_size(char out[SHOW_SIZE], uint64_t bytes);

/* "1 cache directory", "2 cache directories": PLURAL where N is not 1. */
const char *show_plural(uint64_t n, const char *singular, const char *plural);

/* "(int64, float64)", or a word for a key that has no signature; good as long as a name's text. */
const char *show_signature(const struct wp_overload *o);

/* TEXT with control characters escaped. What it returns is good for the next three calls. */
const char *show_name(const char *text);

/* The line of a summary, gathered and then told at once. */
struct show_line {
    FILE *f; /* owned; NULL: no memory */
    char *text;
    size_t size;
};
void show_begin(struct show_line *line);
void show_add(struct show_line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "app.tgz: 12 files, 82.2 MB; 3 of 3 cache indexes valid", of an archive that was written to that
 * path. */
void show_add_archive(struct show_line *line, const char *path, const struct wp_create_result *r);
/* "; 2 links made", or nothing where N is 0; DONE may be NULL. */
void show_add_count(struct show_line *line, uint64_t n, const char *one, const char *many,
                    const char *done);
/* "32 of 33 cache indexes valid (1 stale)", or "no cache indexes". */
void show_add_verdict(struct show_line *line, const struct wp_verify_report *r);
/* "; caches in DIR", and what the consumer must set, or nothing. COUNT indexes. */
void show_add_place(struct show_line *line, enum wp_layout layout, const char *cache_dir, bool set,
                    size_t count);
/* "; 14 of 14 overloads load there (x86-64-v3 as znver4)". */
void show_add_retarget(struct show_line *line, const struct wp_retarget_result *r);
void show_end(struct show_line *line);

/* Each index that is not valid, with its reason. LOST: that makes the exit status 1. */
void show_invalid(const struct wp_verify_report *r, bool lost);

/* Flushes stdout, before something goes to stderr; show_finish says what failed. */
void show_flush(void);

/* Flushes and closes stdout: what could not be written (a full disk) is an error. */
void show_finish(void);
