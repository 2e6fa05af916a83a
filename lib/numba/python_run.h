#pragma once
/* Running a Python interpreter with a script of ours. */

#include <jansson.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "warmpack.h"

struct python_run {
    const char *python;           /* a path, or a name to be looked up in $PATH */
    const char *script;           /* what it is to run, from PYTHON_RUN_BEGIN on */
    int in;                       /* its standard input; -1: nothing */
    size_t longest;               /* bytes of an answer */
    struct buf answer, complaint; /* what it wrote to standard output and error */
    pid_t pid;
    int out, err;  /* read ends; -1: at their end */
    int killed_by; /* the signal that ended it, but for our own; 0: none */
};

/* What scripts begin with. Nothing is imported from the working directory, which Python puts on
 * sys.path for -c, and what a module prints while it is imported does not mix with the answer,
 * which goes to `out`. */
#define PYTHON_RUN_BEGIN                                                                           \
    "import sys\n"                                                                                 \
    "sys.path[:] = [p for p in sys.path if p]\n"                                                   \
    "import os, json\n"                                                                            \
    "out = os.fdopen(os.dup(1), 'w')\n"                                                            \
    "os.dup2(2, 1)\n"

/* Runs it to its end, with QUESTION (NULL: nothing) as its standard input, and fills *ANSWER, the
 * caller's to drop, with what it writes, which is JSON of type TYPE. It is killed if it takes
 * longer than two minutes. 0 or negative errno; clear it in any case. */
int python_run_ask(struct python_run *run, const struct wp_context *context,
                   const struct buf *question, json_type type, json_t **answer,
                   struct wp_error *err);
/* The error of one that has not answered: its last line, or the signal that ended it. */
int python_run_complain(struct python_run *run, struct wp_error *err);
void python_run_clear(struct python_run *run);
