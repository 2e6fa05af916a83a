#pragma once
/* A command whose Pythons tell what Numba loads and compiles in them. */

#include "child.h"
#include "explain_report.h"

/* Runs COMMAND so, and reads what its processes told. *STATUS as child_run gives it. Says what is
 * wrong; returns 0 or the exit status. *OUT is the caller's to clear. */
int watched_run(const struct child_options *command, int *status, struct explain_report *out);
