#pragma once
/* Standard output, and how numbers and reports are worded. */

#include <stdbool.h>
#include <stdint.h>

#include "warmpack.h"

enum { SHOW_SIZE = 32, SHOW_TIME = 48 };

/* "661 bytes", "82.2 MB" (powers of 1000). */
void show_size(char out[SHOW_SIZE], uint64_t bytes);

/* A time as a decimal string with nine digits after the point, as the manifest has it. */
void show_time(char out[SHOW_TIME], int64_t sec, int32_t nsec);

/* "1 cache directory", "2 cache directories": PLURAL where N is not 1. */
const char *show_plural(uint64_t n, const char *singular, const char *plural);

/* TEXT with control characters escaped, on stdout. */
void show_name(const char *text);

/* "32 of 33 cache indexes valid (1 stale)", or "no cache indexes". Allocated; NULL: no memory. */
char *show_verdict(const struct wp_verify_report *r);

/* "; 2 links made", or nothing where N is 0: appended to the line of a summary. 0 or -ENOMEM. */
struct buf;
int show_add_count(struct buf *line, uint64_t n, const char *one, const char *many,
                   const char *done);
/* "; VERDICT", where there is one. */
int show_add_verdict(struct buf *line, const struct wp_verify_report *r);
/* Where the caches are, and what the consumer must set: the end of a summary. COUNT indexes. */
int show_add_place(struct buf *line, enum wp_layout layout, const char *cache_dir, bool set,
                   size_t count);
/* Says the line. RC: what became of appending to it. */
void show_summary(struct buf *line, int rc);
/* Each index that is not valid, with its reason. LOST: that makes the exit status 1. */
void show_invalid(const struct wp_verify_report *r, bool lost);

/* Flushes and closes stdout: what could not be written (a full disk) is an error. */
void show_finish(void);
