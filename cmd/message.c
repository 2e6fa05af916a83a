/* Writes all messages to standard error, and keeps the exit status. */

#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "signals.h"
#include "text.h"

static bool quiet, verbose;
static const char *verb; /* whose help is hinted at; NULL: the program's */
static int status = STATUS_DONE;
static size_t transient; /* columns of the transient line on the screen; 0: there is none */

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

void message_set_level(bool is_quiet, bool is_verbose)
{
    quiet = is_quiet;
    verbose = is_verbose;
}

void message_raise(int at_least)
{
    if (at_least > status)
        status = at_least;
}

int message_status(void)
{
    return status;
}

bool message_colour(FILE *f)
{
    const char *none = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (none && *none)
        return false;
    return term && *term && strcmp(term, "dumb") != 0 && isatty(fileno(f));
}

/* One write for a line, so that lines of several processes do not mix. Control characters would let
 * a name write to the user's terminal. */
static void put(const char *colour, bool prefix, const char *text, const char *hint)
{
    _cleanup_free_ char *escaped = text_escape(text);
    _cleanup_free_ char *line = NULL;
    bool coloured = prefix && colour && message_colour(stderr);

    message_transient(NULL);
    if (!escaped ||
        asprintf(&line, "%s%s%s%s%s\n", coloured ? colour : "", prefix ? "warmpack:" : "",
                 coloured ? PLAIN " "
                 : prefix ? " "
                          : "",
                 escaped, hint ? hint : "") < 0) {
        line = NULL;
        fputs("warmpack: out of memory\n", stderr);
        return;
    }
    fwrite(line, 1, strlen(line), stderr);
}

static void put_formatted(const char *colour, bool prefix, const char *hint, const char *fmt,
                          va_list ap) __attribute__((format(printf, 4, 0)));
static void put_formatted(const char *colour, bool prefix, const char *hint, const char *fmt,
                          va_list ap)
{
    _cleanup_free_ char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        put(NULL, true, "out of memory", NULL);
        return;
    }
    put(colour, prefix, text, hint);
}

int message_error(const char *fmt, ...)
{
    va_list ap;

    message_raise(STATUS_FAILED);
    va_start(ap, fmt);
    put_formatted(RED, true, NULL, fmt, ap);
    va_end(ap);
    return STATUS_FAILED;
}

int message_errno(const char *path)
{
    return message_error("%s: %s", path, strerror(errno));
}

int message_no_memory(void)
{
    return message_error("out of memory");
}

void message_set_verb(const char *name)
{
    verb = name;
}

int message_usage(const char *fmt, ...)
{
    char hint[64];
    va_list ap;

    message_raise(STATUS_FAILED);
    snprintf(hint, sizeof hint, "; try 'warmpack %s%s--help'", verb ? verb : "", verb ? " " : "");
    va_start(ap, fmt);
    put_formatted(RED, true, hint, fmt, ap);
    va_end(ap);
    return STATUS_FAILED;
}

int message_outcome(int r, const struct wp_error *err)
{
    int caught = signals_caught();

    message_transient(NULL);
    if (r >= 0)
        return 0;
    if (caught == SIGPIPE) { /* nobody reads on, which needs no words */
        message_raise(128 + caught);
    } else if (r == -EINTR && caught) {
        put(RED, true, "interrupted", NULL);
        message_raise(128 + caught);
    } else if (err->message[0]) {
        message_error("%s", err->message);
    } else {
        message_error("%s", strerror(-r));
    }
    return message_status();
}

void message_warning(const char *fmt, ...)
{
    va_list ap;

    if (quiet)
        return;
    va_start(ap, fmt);
    put_formatted(YELLOW, true, NULL, fmt, ap);
    va_end(ap);
}

void message_lost(const char *fmt, ...)
{
    va_list ap;

    message_raise(STATUS_LOST);
    va_start(ap, fmt);
    put_formatted(YELLOW, true, NULL, fmt, ap);
    va_end(ap);
}

void message_summary(const char *fmt, ...)
{
    va_list ap;

    if (quiet)
        return;
    va_start(ap, fmt);
    put_formatted(NULL, false, NULL, fmt, ap);
    va_end(ap);
}

void message_transient(const char *line)
{
    _cleanup_free_ char *out = NULL;
    size_t columns = line ? strlen(line) : 0;
    size_t over = transient > columns ? transient - columns : 0;

    if (!line && !transient)
        return;
    transient = columns;
    /* What the new line does not cover is overwritten with spaces: every terminal can do that. */
    if (asprintf(&out, "\r%s%*s%s", line ? line : "", (int)over, "", line ? "" : "\r") < 0)
        out = NULL;
    else
        fwrite(out, 1, strlen(out), stderr);
}

void message_receive(void *user_data, enum wp_severity severity, const char *text)
{
    (void)user_data;
    switch (severity) {
    case WP_DETAIL:
        /* Member names, as tar -v gives them: without the program's name. */
        if (verbose)
            put(NULL, false, text, NULL);
        break;
    case WP_NOTE:
    case WP_WARNING:
        message_warning("%s", text);
        break;
    case WP_CHANGED:
        message_lost("%s", text);
        break;
    case WP_FAILED:
        message_error("%s", text);
        break;
    }
}
