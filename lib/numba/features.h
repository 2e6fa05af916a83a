#pragma once
/* What x86-64 CPUs can do, in the names that LLVM has for it and Numba writes into keys.
 * Sources: the manuals of Intel and AMD for CPUID; LLVM 11 to 22, X86.td, X86TargetParser.def and
 * Host.cpp for the names. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct features {
    uint64_t bits[3]; /* by place in the table */
};

/* Is there a feature of this name ("avx2")? Then *ID is its place. */
bool features_find(const char *name, size_t n, unsigned *id);
/* Static. NULL behind the last feature. */
const char *features_name(unsigned id);
bool features_has(const struct features *f, unsigned id);
/* Adds what the feature is and what it builds on. */
void features_add(struct features *f, unsigned id);
/* Removes the feature and what builds on it. */
void features_remove(struct features *f, unsigned id);

/* What the CPU called NAME has. False: LLVM may know the name, but this table does not. */
bool features_of_cpu(const char *name, struct features *out);

/* What code with this key was compiled for. */
struct features_code {
    struct features set;
    bool knows_cpu;     /* the name is in the table */
    struct buf unknown; /* names with a plus that are not, parted by spaces; terminated */
};

/* The features that the name implies, then the list in its order ("+avx2,-fma"), as LLVM reads it.
 * Of what the name implies, features that only hand-written code uses (such as pku) are left out:
 * a hypervisor hides them at will. 0 or -ENOMEM. */
int features_of_code(struct features_code *out, const char *cpu, const char *list);
void features_code_clear(struct features_code *c);

/* One entry of a list after another: the name's length, 0 at the end. *SIGN is its sign, or NUL
 * where it has none; *AT is moved on. */
size_t features_next(const char **at, char *sign, const char **name);

/* Does LIST speak of all that a release of LLVM knows, as the one that Numba writes for the machine
 * it runs on? */
bool features_is_full(const char *list);

/* What this machine has and its system lets programs use. False: no x86-64 machine. */
bool features_of_host(struct features *out);

/* "avx512f, avx512bw and 3 more": what NEED has and HAVE lacks. 0 where nothing is lacking, else 1
 * with OUT filled and terminated; -ENOMEM. */
int features_missing(const struct features *need, const struct features *have, struct buf *out);

/* Would LIST be refused by a shell or a configuration file, as no list that Numba wrote is?
 * Letters, digits and "+-_.," alone are safe; so are CPU names. */
bool features_is_plain(const char *text);
