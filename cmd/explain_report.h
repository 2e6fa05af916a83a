#pragma once
/* What the processes of an explained command have told, gathered from their files. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct explain_process {
    json_t *facts; /* its line "process": pid, argv, numba, python; owned */
    size_t loaded, compiled;
    double seconds; /* of compiling */
};

/* Something that was compiled: by how many processes, for one cause. */
struct explain_compiled {
    json_t *facts; /* of the first: function, source, line, signature, cause, detail, cure; owned */
    size_t count;
    double seconds;
};

struct explain_report {
    struct explain_process *processes;
    size_t process_count;
    struct explain_compiled *compiled; /* what took longest comes first */
    size_t compiled_count;
    size_t loaded;
    double seconds;
    bool disabled; /* a process ran with NUMBA_DISABLE_JIT */
};

/* Reads the files in DIR. Says what is wrong; returns 0 or the exit status. */
int explain_report_read(struct explain_report *out, const char *dir);
void explain_report_clear(struct explain_report *r);
/* The text of a fact, "" where it is none. */
const char *explain_text(const json_t *facts, const char *name);
