#pragma once
/* How every function of the library reports failure.
 *
 * A function returns 0 (or a count) on success and a negative errno on failure,
 * and fills the caller's struct wp_error once, at the place that knows the cause.
 * Callers hand both up unchanged. Nothing below cmd/ prints. */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
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

/* Adds "; TEXT" to an error that is there. For what came after a change that stays. */
void error_note(struct wp_error *err, const char *text);
/* error_set(err, ENOMEM, NULL, "out of memory"). */
void error_fill_nomem(struct wp_error *err);
static inline int error_nomem(struct wp_error *err)
{
    error_fill_nomem(err);
    return -ENOMEM;
}

/* Hands CAUSE on, unless an error is there already. */
static inline void error_pass(struct wp_error *err, const struct wp_error *cause)
{
    if (err && !err->code)
        *err = *cause;
}

/* Is R, a result, the negative errno that answers "is it there?", and not a failure to look? Only
 * these say that nothing is there; every other errno is an error, and ends the job or is a verdict
 * of its own. Nothing else in the library compares errno with ENOENT or ENOTDIR. A result that is
 * not negative is none: a file descriptor may have the number of any errno. */
bool error_is_absence(int r); /* ENOENT or ENOTDIR: nothing is there */
/* ENOENT alone, for calls that say ENOTDIR of something that is there, such as rmdir(2). */
bool error_is_no_entry(int r);
bool error_is_no_directory(int r); /* ENOTDIR alone: something else is in the way */

/* The context C of a job may be NULL everywhere. */

/* Hands a message to the caller, if it wants to hear any. "PATH: TEXT" is formed as in error_set;
 * FMT NULL: just the path. */
void report(const struct wp_context *c, enum wp_severity severity, const char *path,
            const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Hands on how far a job is. Never at the same time as a message. */
void report_progress(const struct wp_context *c, uint64_t done, uint64_t total);

/* What stops a job; NULL: nothing. */
static inline const volatile sig_atomic_t *context_interrupted(const struct wp_context *c)
{
    return c ? c->interrupted : NULL;
}
static inline unsigned context_threads(const struct wp_context *c)
{
    return c ? c->threads : 0;
}
/* Is the job to stop? The signal handler may run on another thread. */
static inline bool context_stops(const struct wp_context *c)
{
    return c && c->interrupted && __atomic_load_n(c->interrupted, __ATOMIC_RELAXED);
}
/* 0, or -EINTR with a message where it is. */
int context_check(const struct wp_context *c, struct wp_error *err);

/* 0, or -EINVAL with a message where reserved members of C and of the options O (a pointer to the
 * struct) are in use: whoever calls was built for a later version. */
#define options_check(c, o, err)                                                                   \
    reserved_check(c, (o)->reserved_ptr, (o)->reserved_int,                                        \
                   sizeof(o)->reserved_int / sizeof *(o)->reserved_int, err)
int reserved_check(const struct wp_context *c, void *const *pointers, const uint64_t *numbers,
                   size_t count, struct wp_error *err);
