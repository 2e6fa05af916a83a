#pragma once
/* SIGINT and SIGTERM ask the job to stop; a second one kills. */

#include <signal.h>

void signals_install(void);
/* For options->interrupted: set by the handler. */
const volatile sig_atomic_t *signals_flag(void);
/* The signal's number; 0: none came. */
int signals_caught(void);
