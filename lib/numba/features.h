#pragma once
/* What CPUs can do, in the names that LLVM has for it and Numba writes into keys; for x86-64 and
 * aarch64.
 * Sources: the manuals of Intel and AMD for CPUID; Linux, arch/arm64/include/uapi/asm/hwcap.h; LLVM
 * 11 to 22, X86.td, X86TargetParser.def, AArch64Features.td, AArch64Processors.td and Host.cpp for
 * the names and what they imply. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* What a target triple begins with. */
enum features_arch {
    FEATURES_UNKNOWN, /* whose code may run on what is named below, for all that is known here */
    FEATURES_OTHER,   /* whose code does not */
    FEATURES_X86_64,
    FEATURES_AARCH64
};
/* Is TRIPLE of a system that is not Linux, whose object code nothing here loads? */
bool features_is_of_other_system(const char *triple);
/* The architecture of a triple such as "x86_64-pc-linux-gnu". */
enum features_arch features_arch_of(const char *triple);
/* That of this program. */
enum features_arch features_arch_here(void);
/* "x86_64", "aarch64", "other", "unknown": static. */
const char *features_arch_name(enum features_arch arch);
/* Can a machine run code, as far as the architecture goes? */
bool features_arch_can_run(enum features_arch machine, enum features_arch code);

/* A set of features of one architecture. */
struct features {
    enum features_arch arch;
    uint64_t bits[4]; /* by number */
};

/* Does ARCH have a feature of this name ("avx2", N bytes)? Then *ID is its number. */
bool features_find(enum features_arch arch, const char *name, size_t n, unsigned *id);
/* Static. NULL behind the last feature of all architectures. */
const char *features_name(unsigned id);
bool features_has(const struct features *f, unsigned id);
/* Adds what the feature is and what it builds on. */
void features_add(struct features *f, unsigned id);
/* Removes the feature and what builds on it. */
void features_remove(struct features *f, unsigned id);

/* What ARCH's CPU called NAME has. False: LLVM may know the name, but this table does not. */
bool features_of_cpu(enum features_arch arch, const char *name, struct features *out);

/* The canonical text of a set, appended to OUT and terminated: the names without signs, sorted
 * bytewise, separated by commas; "" for none. Two such texts can be compared as sets by who has no
 * table. 0 or -ENOMEM. */
int features_text(const struct features *f, struct buf *out);

/* The whole set that code needs which was compiled for TRIPLE with this CPU name and list: what the
 * name implies (less what only hand-written code uses, see below), then the list in its order, as
 * LLVM reads it. Nothing is guessed. Errors: -ENOTSUP, with the reason, for an architecture, a CPU
 * or a feature that is not known here; -ENOMEM. */
int features_needed(struct features *out, const char *triple, const char *cpu, const char *list,
                    struct wp_error *err);

/* Takes from HAVE, what a machine can do, each feature that the list of its Numba has with a minus,
 * and what builds on it: Numba denies AVX on some machines that have it, without the system's
 * support or with NUMBA_ENABLE_AVX=0 (core/config.py, avx_default). */
void features_deny(struct features *have, const char *list);

/* What code with this key was compiled for, as far as it is known. */
struct features_code {
    struct features set;
    bool knows_cpu;     /* the name is in the table */
    struct buf unknown; /* names with a plus that are not, separated by spaces; terminated */
};

/* The features that the name implies, then the list in its order ("+avx2,-fma"), as LLVM reads it.
 * Of what the name implies, features that only hand-written code uses (such as pku) are left out:
 * a hypervisor hides them at will. 0 or -ENOMEM. */
int features_of_code(struct features_code *out, enum features_arch arch, const char *cpu,
                     const char *list);
void features_code_clear(struct features_code *c);

/* One entry of a list after another: the name's length, 0 at the end. *SIGN is its sign, or NUL
 * where it has none; *AT is moved on. */
size_t features_next(const char **at, char *sign, const char **name);

/* Does LIST speak of all that a release of LLVM knows, as the one that Numba writes for the machine
 * it runs on? */
bool features_is_full(const char *list);

/* What this machine has and its system lets programs use. False: it is neither x86-64 nor
 * aarch64. */
bool features_of_host(struct features *out);

/* "avx512f, avx512bw and 3 more": what NEED has and HAVE lacks, or "an aarch64 machine". 0 where
 * nothing is lacking, else 1 with OUT filled and terminated; -ENOMEM. */
int features_missing(const struct features *need, const struct features *have, struct buf *out);

/* Would LIST be refused by a shell or a configuration file, as no list that Numba wrote is?
 * Letters, digits and "+-_.," alone are safe; so are CPU names. */
bool features_is_plain(const char *text);
