#pragma once
/* What `env` has gathered. Private to lib/ask. */

#include "base/error.h"
#include "warmpack.h"

struct env_probe {
    char *name; /* of its file */
    struct wp_probe probe;
};

/* A CPU that something was compiled for, or that Numba on a probed machine compiles for. Strings
 * are borrowed from reports and probes. */
struct env_target {
    const char *from; /* where it was met first, for messages */
    const char *triple, *cpu, *features;
    const char *machine; /* of a probe: what the machine has; else NULL */
};

struct wp_env {
    const struct wp_context *context; /* the caller's */
    struct wp_verify_report *reports; /* owned; of wp_inspect_... */
    size_t report_count;
    struct env_probe *probes; /* owned */
    size_t probe_count;
    /* One for each CPU that keys in the reports were made; the list is owned. */
    const struct wp_overload **retargeted;
    size_t retargeted_count;
};

/* All different targets in E. Allocated; at least one, else -EINVAL. */
int env_targets(const struct wp_env *e, struct env_target **out, size_t *count,
                struct wp_error *err);

/* Takes those of the *COUNT targets T out whose code cannot run on the architecture of this
 * machine, unless probes were given. -EINVAL where none is left. */
int env_drop_foreign(const struct wp_env *e, struct env_target *t, size_t *count,
                     struct wp_error *err);

/* ---- env_retargeted.c */
/* Notes the CPUs that keys in FOUND, of tree DIR, were made. */
int env_find_retargeted(struct wp_env *e, const char *dir, const struct wp_verify_report *found,
                        struct wp_error *err);
/* Were keys made this CPU's? */
bool env_is_retargeted(const struct wp_env *e, const char *cpu, const char *features);
