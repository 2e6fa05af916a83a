#pragma once
/* The CPUs for which a tree is warmed. */

#include "string_list.h"
#include "warmpack.h"

struct warm_cpu {
    char *given;       /* as on the command line; owned */
    struct wp_cpu cpu; /* NAME NULL: the one of this machine, as Numba finds it */
};

struct warm_cpus {
    struct warm_cpu *v; /* owned */
    size_t count;
};

/* Reads the arguments of --cpu: "here", names such as x86-64-v3, probes, and "common:" before
 * several of them; this machine's where there is none. Refuses what this machine cannot run. Says
 * what is wrong; returns 0 or the exit status. */
int warm_cpus_read(struct warm_cpus *out, const struct wp_context *context,
                   const struct string_list *given);
void warm_cpus_clear(struct warm_cpus *c);
