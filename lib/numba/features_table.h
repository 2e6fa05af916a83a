#pragma once
/* The table of features. Private to lib/numba/features*.c. */

#include "numba/features.h"

/* A register of CPUID's answer. */
enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* What the system must save of a task besides. */
enum cpuid_state { STATE_PLAIN, STATE_AVX, STATE_AVX512, STATE_AMX, STATE_APX };

struct features_row {
    const char *name;
    const char *on; /* what it builds on, parted by spaces */
    uint32_t leaf, subleaf;
    enum cpuid_register reg;
    unsigned char bit;
    enum cpuid_state state;
    bool by_hand;          /* no compiler uses it unless the program asks for the instruction */
    unsigned char version; /* 0: BIT counts; else what the lowest byte must reach */
};
extern const struct features_row features_rows[];
