/* Fills the caller's error and hands reports to whoever asked for them. */

#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* "PATH: TEXT", or just "PATH" where there is no text; truncated to fit. A path may take half of
 * the room, so that the cause is not pushed off the end. */
static void compose(char *out, size_t room, const char *path, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));
static void compose(char *out, size_t room, const char *path, const char *fmt, va_list ap)
{
    size_t used = 0;

    out[0] = '\0';
    if (path) {
        char *shown = wp_escape(path);
        int n =
            snprintf(out, room, "%.*s%s", (int)(room / 2), shown ? shown : "?", fmt ? ": " : "");

        free(shown);
        used = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    }
    if (fmt)
        vsnprintf(out + used, room - used, fmt, ap);
}

int error_fill(struct wp_error *err, int errnum, const char *path, const char *fmt, ...)
{
    int code = errnum > 0 ? errnum : EINVAL;

    if (err && !err->code) {
        va_list ap;
        size_t used;

        err->code = code;
        va_start(ap, fmt);
        compose(err->message, sizeof err->message, path, fmt, ap);
        va_end(ap);
        used = strlen(err->message);
        if (errnum > 0 && errnum != EBADMSG && errnum != EKEYREJECTED)
            snprintf(err->message + used, sizeof err->message - used, "%s%s",
                     used && err->message[used - 1] != ' ' ? ": " : "", strerror(errnum));
    }
    return -code;
}

void error_note(struct wp_error *err, const char *text)
{
    size_t used = err && err->code ? strlen(err->message) : 0;

    if (used)
        snprintf(err->message + used, sizeof err->message - used, "; %s", text);
}

void error_fill_nomem(struct wp_error *err)
{
    error_fill(err, ENOMEM, NULL, "out of memory");
}

bool error_is_no_entry(int r)
{
    return r == -ENOENT;
}

bool error_is_no_directory(int r)
{
    return r == -ENOTDIR;
}

bool error_is_absence(int r)
{
    return error_is_no_entry(r) || error_is_no_directory(r);
}

void report(const struct wp_context *c, enum wp_severity severity, const char *path,
            const char *fmt, ...)
{
    struct wp_error text = {0};
    va_list ap;

    if (!c || !c->message)
        return;
    va_start(ap, fmt);
    compose(text.message, sizeof text.message, path, fmt, ap);
    va_end(ap);
    /* Pool threads report, too: the callback is promised one call at a time. */
    pthread_mutex_lock(&one_at_a_time);
    c->message(c->user_data, severity, text.message);
    pthread_mutex_unlock(&one_at_a_time);
}

void report_progress(const struct wp_context *c, uint64_t done, uint64_t total)
{
    if (!c || !c->progress)
        return;
    pthread_mutex_lock(&one_at_a_time);
    c->progress(c->user_data, done, total);
    pthread_mutex_unlock(&one_at_a_time);
}

int context_check(const struct wp_context *c, struct wp_error *err)
{
    return context_stops(c) ? error_set(err, EINTR, NULL, "interrupted") : 0;
}

static bool in_use(void *const *pointers, size_t pointer_count, const uint64_t *numbers,
                   size_t number_count)
{
    bool used = false;

    for (size_t i = 0; i < pointer_count; i++)
        used = used || pointers[i];
    for (size_t i = 0; i < number_count; i++)
        used = used || numbers[i];
    return used;
}

int reserved_check(const struct wp_context *c, void *const *pointers, const uint64_t *numbers,
                   size_t count, struct wp_error *err)
{
    if (!in_use(pointers, count, numbers, count) &&
        (!c || !in_use(c->reserved_ptr, sizeof c->reserved_ptr / sizeof *c->reserved_ptr,
                       c->reserved_int, sizeof c->reserved_int / sizeof *c->reserved_int)))
        return 0;
    return error_set(err, 0, NULL, "libwarmpack " WP_VERSION " does not know all of these options");
}
