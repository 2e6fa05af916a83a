#pragma once
/* Numba's settings for this run. */

#include "args.h"

/* Takes those of .numba_config.yaml in the working directory into the environment, where that has
 * none of the name, as Numba does. Not where an interpreter is run, which reads the file itself.
 * Says what is wrong; returns 0 or the exit status. */
int settings_take(const struct wp_context *context, const struct args *a);
