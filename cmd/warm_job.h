#pragma once
/* What the steps of `warmpack warm` share. */

#include "args.h"
#include "explain_report.h"
#include "warm_cpus.h"
#include "watched.h"

/* The tree, warmed for one CPU. */
struct build {
    const struct warm_cpu *cpu;
    char *caches;  /* the root of its caches; owned */
    char *archive; /* what was packed of it; owned */
    size_t functions, overloads;
    double seconds;                      /* of the first run */
    struct explain_report first, second; /* of the runs in place */
};

struct warm {
    const struct wp_context *context;
    const struct args *a;
    const char **command;      /* owned, the words are not */
    char *command_text;        /* as a shell would take it; owned */
    char *real;                /* DIR without symlinks; owned */
    char *dir;                 /* that the members are relative to, absolute; owned */
    char *cwd;                 /* owned */
    struct wp_member *members; /* owned */
    size_t member_count;
    struct string_list exclude, cache_dirs;
    const struct wp_format *format;
    struct warm_cpus cpus;
    struct build *builds; /* one for each CPU; owned */
    char *scratch;        /* owned */
    char *copy;           /* of DIR, there; owned */
    char *merged;         /* the archive that is proved; owned, or NULL */
    double seconds;       /* of the run there */
    struct explain_report there;
    size_t failed; /* functions that are compiled there and not in a second run in place */
    struct wp_create_result made;
};

/* Each says what is wrong, and returns 0 or the exit status. */

/* ---- warm_prepare.c: what the command line asks for, before anything runs */
int warm_prepare(struct warm *w);

/* ---- warm_build.c */
/* Runs the command with OPTIONS; WHERE is for messages. *SECONDS (may be NULL): how long it took.
 */
int warm_run_command(const struct warm *w, const struct child_options *options, const char *where,
                     double *seconds, struct explain_report *out);
/* Warms the tree for B's CPU: in a process that finds nothing warm, and in one that finds all that
 * the first one saved. What that compiles is never loaded anywhere. */
int warm_build(const struct warm *w, struct build *b);

/* ---- warm_pack.c */
/* Packs each build, and merges them where there are several, into the scratch directory. */
int warm_pack_builds(struct warm *w);
/* Writes the archive that was asked for. */
int warm_write(struct warm *w);

/* ---- warm_prove.c */
/* Runs the command on a copy elsewhere; w->failed counts what is compiled there alone. */
int warm_prove(struct warm *w);

/* ---- warm_tell.c */
void warm_tell(const struct warm *w, bool written);
