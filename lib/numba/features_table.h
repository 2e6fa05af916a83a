#pragma once
/* The tables of features and CPUs. Private to lib/numba/features*.c. */

#include "numba/features.h"

/* A register of CPUID's answer. */
enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* What the system must save of a task besides. */
enum cpuid_state { STATE_PLAIN, STATE_AVX, STATE_AVX512, STATE_AMX, STATE_APX };

struct features_row {
    const char *name;
    const char *on; /* what it builds on, separated by spaces */
    /* x86-64 */
    uint32_t leaf, subleaf;
    enum cpuid_register reg;
    unsigned char bit;
    enum cpuid_state state;
    bool by_hand;          /* no compiler uses it unless the program asks for the instruction */
    unsigned char version; /* 0: BIT counts; else what the lowest byte must reach */
    /* aarch64: bits of AT_HWCAP and AT_HWCAP2, all of which must be set */
    uint64_t caps, caps2;
};
/* Each ends with a row without a name; features are numbered through both, in this order. */
extern const struct features_row features_x86_rows[], features_aarch64_rows[];
extern const unsigned features_x86_count, features_aarch64_count;
/* NULL behind the last. */
const struct features_row *features_row(unsigned id);
/* The numbers of ARCH are from *FIRST to before *END. */
void features_ids(enum features_arch arch, unsigned *first, unsigned *end);

struct features_cpu {
    const char *names;   /* that stand for it, separated by spaces */
    const char *like;    /* one of another row's; NULL: the base is empty */
    const char *more;    /* features that LIKE lacks, separated by spaces */
    const char *without; /* features of LIKE that it lacks; NULL: none */
};
/* A row stands behind the one it is like; each ends with one without names. */
extern const struct features_cpu features_x86_cpus[], features_aarch64_cpus[];

/* The features that a system with these AT_HWCAP and AT_HWCAP2 has. */
void features_of_hwcaps(uint64_t caps, uint64_t caps2, struct features *out);
