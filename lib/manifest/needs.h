#pragma once
/* What the code for one of a manifest's CPUs needs, so that readers need no table of CPUs. */

#include "manifest/json_line.h"
#include "manifest/manifest.h"

/* The features that code for CPU ("TRIPLE NAME FEATURES") needs, by the names in which LLVM tells
 * what a machine has: sorted, separated by commas; *OUT is NULL where something in it is not known
 * here. Allocated. 0 or -ENOMEM. */
int needs_of_cpu(const char *cpu, char **out);

/* The header's member "needs": a list for each CPU of M, null where it is not known. */
void needs_write(struct json_writer *w, const struct manifest *m);
/* Fills M->needs, after its CPUs, where L has the member. */
int needs_read(struct json_line *l, struct manifest *m);
