#pragma once
/* Running the command of a user, and waiting for it. */

#include <stdbool.h>

struct child_options {
    const char *const *command; /* looked up in $PATH; ends with NULL */
    const char *const *set;     /* "NAME=VALUE", to be set in its environment; ends with NULL */
    const char *const *unset;   /* names, likewise; NULL: none */
    const char *dir;            /* its working directory; NULL: this one */
    bool stdout_to_stderr;      /* standard output is kept for what is said at the end */
};

/* Runs it to its end. Signals that ask this process to stop are handed on. *STATUS becomes what a
 * shell would call its exit status: 128 and the number where a signal ended it. 0, or -errno where
 * it cannot be run. */
int child_run(const struct child_options *o, int *status);
