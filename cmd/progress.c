/* Shows how far a job is. */

#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "show.h"

enum { INTERVAL_MS = 100 };

static bool shown;
static int64_t last_ms; /* when the line was drawn; 0: never */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_set(enum progress_when when, bool quiet)
{
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);

    shown = when == PROGRESS_ALWAYS || (when == PROGRESS_AUTO && terminal && !quiet);
}

bool progress_shown(void)
{
    return shown;
}

void progress_update(void *user_data, uint64_t done, uint64_t total)
{
    char a[SHOW_SIZE], b[SHOW_SIZE], line[4 * SHOW_SIZE];
    int64_t now = now_ms();

    (void)user_data;
    if (last_ms && now - last_ms < INTERVAL_MS)
        return;
    last_ms = now;
    show_size(a, done);
    if (total == 0) {
        snprintf(line, sizeof line, "%s", a);
    } else {
        double part = done < total ? 100.0 * (double)done / (double)total : 100.0;

        show_size(b, total);
        snprintf(line, sizeof line, "%3.0f %%  %s of %s", part, a, b);
    }
    message_transient(line);
}
