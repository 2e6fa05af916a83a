#pragma once
/* The only door to stderr and to the exit status. */

#include <stdbool.h>
#include <stdio.h>

#include "warmpack.h"

enum {
    STATUS_DONE = 0,
    STATUS_LOST = 1,   /* done, but an index that was valid is not valid now, or a file changed */
    STATUS_FAILED = 2, /* bad usage, bad input or an I/O error */
};

/* -q: warnings and summaries are left out. -v: details are shown. */
void message_set_level(bool quiet, bool verbose);

enum message_kind { MESSAGE_ERROR, MESSAGE_USAGE, MESSAGE_WARNING, MESSAGE_LOST, MESSAGE_SUMMARY };
/* Tells the text as its kind is told, see below. Returns the exit status that it stands for. */
int message_tell(enum message_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "warmpack: TEXT", always shown; the exit status becomes STATUS_FAILED, which is returned. */
#define message_error(...) message_tell(MESSAGE_ERROR, __VA_ARGS__)

/* The same with what errno says of PATH, and for want of memory. */
int message_errno(const char *path);
int message_no_memory(void);

/* The same with a hint at the help of the verb, or of the program where none is set. */
#define message_usage(...) message_tell(MESSAGE_USAGE, __VA_ARGS__)
void message_set_verb(const char *verb); /* borrowed; NULL: none */

/* A job returned R, and its progress is no longer shown. Below 0 it filled ERR: says why; after a
 * signal only that, and the exit status tells the signal's number. Returns 0 or the exit status. */
int message_outcome(int r, const struct wp_error *err);

/* "warmpack: TEXT", not with -q. */
#define message_warning(...) message_tell(MESSAGE_WARNING, __VA_ARGS__)

/* "warmpack: TEXT", always shown; the exit status becomes at least STATUS_LOST. */
#define message_lost(...) message_tell(MESSAGE_LOST, __VA_ARGS__)

/* TEXT alone, the last line of a job; not with -q. */
#define message_summary(...) message_tell(MESSAGE_SUMMARY, __VA_ARGS__)

/* For struct wp_context: tells a message by its severity. */
void message_receive(void *user_data, enum wp_severity severity, const char *text);

/* The exit status is at least STATUS. */
void message_raise(int status);
int message_status(void);

/* A line that later output replaces; NULL removes it. For progress. */
void message_transient(const char *line);

/* May F be written to in colour? A terminal, and the environment does not object. */
bool message_colour(FILE *f);
