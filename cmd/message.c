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
 * a name write to the user's terminal. COLOUR is that of the program's name, which stands before
 * all but what is told without one. TEXT NULL: there was no memory for it. */
static void put(const char *colour, const char *text, const char *hint)
{
    _cleanup_free_ char *escaped = text ? text_escape(text) : NULL;
    _cleanup_free_ char *line = NULL;
    bool coloured = colour && message_colour(stderr);

    message_transient(NULL);
    if (escaped)
        line = text_printf("%s%s%s%s%s\n", coloured ? colour : "", colour ? "warmpack:" : "",
                           coloured ? PLAIN " "
                           : colour ? " "
                                    : "",
                           escaped, hint);
    fputs(line ? line : "warmpack: out of memory\n", stderr);
}

static const struct {
    const char *colour;
    int status; /* what the exit status becomes at least; STATUS_DONE: not told with -q */
} kinds[] = {
    [MESSAGE_ERROR] = {RED, STATUS_FAILED},    [MESSAGE_USAGE] = {RED, STATUS_FAILED},
    [MESSAGE_WARNING] = {YELLOW, STATUS_DONE}, [MESSAGE_LOST] = {YELLOW, STATUS_LOST},
    [MESSAGE_SUMMARY] = {NULL, STATUS_DONE},
};

int message_tell(enum message_kind kind, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    char hint[64] = "";
    va_list ap;

    if (quiet && kinds[kind].status == STATUS_DONE)
        return STATUS_DONE;
    message_raise(kinds[kind].status);
    if (kind == MESSAGE_USAGE)
        snprintf(hint, sizeof hint, "; try 'warmpack %s%s--help'", verb ? verb : "",
                 verb ? " " : "");
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    put(kinds[kind].colour, text, hint);
    return kinds[kind].status;
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

int message_outcome(int r, const struct wp_error *err)
{
    int caught = signals_caught();

    message_transient(NULL);
    if (r >= 0)
        return 0;
    if (caught == SIGPIPE) { /* nobody reads on, which needs no words */
        message_raise(128 + caught);
    } else if (r == -EINTR && caught) {
        put(RED, "interrupted", "");
        message_raise(128 + caught);
    } else if (err->message[0]) {
        message_error("%s", err->message);
    } else {
        message_error("%s", strerror(-r));
    }
    return message_status();
}

void message_transient(const char *line)
{
    size_t columns = line ? strlen(line) : 0;
    size_t over = transient > columns ? transient - columns : 0;
    _cleanup_free_ char *out = NULL;

    if (!line && !transient)
        return;
    transient = columns;
    /* What the new line does not cover is overwritten with spaces: every terminal can do that. */
    out = text_printf("\r%s%*s%s", line ? line : "", (int)over, "", line ? "" : "\r");
    if (out)
        fputs(out, stderr);
}

void message_receive(void *user_data, enum wp_severity severity, const char *text)
{
    static const enum message_kind kind[] = {[WP_NOTE] = MESSAGE_WARNING,
                                             [WP_WARNING] = MESSAGE_WARNING,
                                             [WP_CHANGED] = MESSAGE_LOST,
                                             [WP_FAILED] = MESSAGE_ERROR};

    (void)user_data;
    /* Member names, as tar -v gives them: without the program's name. */
    if (severity == WP_DETAIL && verbose)
        put(NULL, text, "");
    else if (severity != WP_DETAIL)
        message_tell(kind[severity], "%s", text);
}
