#pragma once
/* One line on stderr that says how far the job is. */

#include <stdbool.h>
#include <stdint.h>

enum progress_when { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

/* AUTO: where stderr is a terminal, and not with -q. */
void progress_set(enum progress_when when, bool quiet);
bool progress_shown(void);

/* For struct wp_context: bytes done of TOTAL (0: unknown). */
void progress_update(void *user_data, uint64_t done, uint64_t total);
