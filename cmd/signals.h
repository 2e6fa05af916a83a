#pragma once
/* SIGHUP, SIGINT, SIGQUIT, SIGTERM, and SIGXCPU and SIGUSR1 of batch systems, ask the job to stop;
 * a second one kills. So does SIGPIPE: who wrote into the pipe of a reader that is gone clears up
 * first. SIGXFSZ ends nothing: what was too large is said by an error. */

#include <signal.h>

void signals_install(void);
/* For struct wp_context: set by the handler. */
const volatile sig_atomic_t *signals_flag(void);
/* The signal's number; 0: none came. */
int signals_caught(void);
