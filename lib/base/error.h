#pragma once
/* How every function of the library reports failure.
 *
 * A function returns 0 (or a count) on success and a negative errno on failure,
 * and fills the caller's struct wp_error once, at the place that knows the cause.
 * Callers hand both up unchanged. Nothing below cmd/ prints. */

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "warmpack.h"

/* error_set(ERR, ERRNUM, PATH, FMT, ...): fills ERR (may be NULL) with "PATH: TEXT" (just TEXT
 * where PATH is NULL), and ": strerror(ERRNUM)" where ERRNUM is positive, but for EBADMSG: what is
 * wrong with an archive is said by TEXT alone. Control characters of PATH are escaped. A message
 * already there is kept: the first cause is the true one. Returns -ERRNUM, or -EINVAL where ERRNUM
 * is 0 (bad input without an errno). That this is below 0 is said here, too, so that static
 * analysis of the callers knows it. */
#define error_set(...) error_negative(error_fill(__VA_ARGS__))
int error_fill(struct wp_error *err, int errnum, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static inline int error_negative(int r)
{
    return r < 0 ? r : -EINVAL;
}

/* error_set(err, ENOMEM, NULL, "out of memory"). */
void error_fill_nomem(struct wp_error *err);
static inline int error_nomem(struct wp_error *err)
{
    error_fill_nomem(err);
    return -ENOMEM;
}

/* Hands a message to a report callback (may have no function: then nothing happens).
 * "PATH: TEXT" is formed as in error_set; FMT NULL: just the path. */
void report(const struct wp_report *r, enum wp_severity severity, const char *path, const char *fmt,
            ...) __attribute__((format(printf, 4, 5)));

/* Hands on how far a job is (may have no function). Never at the same time as a message. */
void report_progress(const struct wp_report *r, uint64_t done, uint64_t total);
