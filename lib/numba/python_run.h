#pragma once
/* Running a Python interpreter with a script of ours. */

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "warmpack.h"

struct python_run {
    const char *python; /* a path, or a name to be looked up in $PATH */
    const char *script; /* what it is to run; nothing is imported from the working directory, which
                           it takes off sys.path itself */
    int in;             /* its standard input; -1: nothing */
    size_t longest;     /* bytes of an answer */
    struct buf answer, complaint; /* what it wrote to standard output and error */
    pid_t pid;
    int out, err;  /* read ends; -1: at their end */
    int killed_by; /* the signal that ended it, but for our own; 0: none */
};

/* Runs it to its end, and kills it if it takes longer than two minutes. 0 or negative errno; clear
 * it in any case. */
int python_run(struct python_run *run, const struct wp_context *context, struct wp_error *err);
/* The error of one that has not answered: its last line, or the signal that ended it. */
int python_run_complain(struct python_run *run, struct wp_error *err);
void python_run_clear(struct python_run *run);
