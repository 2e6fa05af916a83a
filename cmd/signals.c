/* Catches signals, so that a job can stop with nothing half-done. */

#include "signals.h"

#include <stddef.h>

static volatile sig_atomic_t caught;
/* SIGXCPU and SIGUSR1 are what batch systems send before they kill. */
static const int handled[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGUSR1, SIGPIPE};

static void handle(int number)
{
    if (number == SIGPIPE) {
        /* Nobody reads what is said. The next word must not kill before all is cleared up. */
        signal(SIGPIPE, SIG_IGN);
        if (caught)
            return;
    }
    __atomic_store_n(&caught, number, __ATOMIC_RELAXED); /* other threads look at it */
    /* Whoever asks twice does not want to wait for the clean-up. */
    for (size_t i = 0; i < sizeof handled / sizeof *handled && number != SIGPIPE; i++)
        signal(handled[i], SIG_DFL);
}

static void pass_over(int number)
{
    (void)number;
}

void signals_install(void)
{
    struct sigaction action = {.sa_handler = handle}, before;

    /* No SA_RESTART: a read that waits for a pipe is to come back and look at the flag. */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
        sigaddset(&action.sa_mask, handled[i]);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        /* What the parent had ignored (nohup, a shell's background job) stays ignored. */
        if (sigaction(handled[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(handled[i], &action, NULL);
    }
    /* A file that would grow beyond the limit is an error of the write, which names it. Unlike
     * ignoring, this is not inherited by a command that is run. */
    action.sa_handler = pass_over;
    if (sigaction(SIGXFSZ, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGXFSZ, &action, NULL);
}

const volatile sig_atomic_t *signals_flag(void)
{
    return &caught;
}

int signals_caught(void)
{
    return caught;
}
