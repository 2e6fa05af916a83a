#pragma once
/* SIGHUP, SIGINT and SIGTERM ask the job to stop; a second one kills. So does SIGPIPE: who wrote
 * into the pipe of a reader that is gone clears up first. */

#include <signal.h>

void signals_install(void);
/* For struct wp_context: set by the handler. */
const volatile sig_atomic_t *signals_flag(void);
/* The signal's number; 0: none came. */
int signals_caught(void);
