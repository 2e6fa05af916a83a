/* Finds what this machine can do: from the CPUID instruction, or from what Linux tells on aarch64.
 */

#include "numba/features_table.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* Which register sets the system saves when it switches tasks: without that, programs must not
 * use what the CPU has. */
static bool has_state(enum cpuid_state state)
{
    enum { OSXSAVE = 1 << 27 };
    enum { AVX = 0x6, AVX512 = 0xe6, AMX = 0x60000, APX = 0x80000 };
    static const uint32_t masks[] = {
        [STATE_PLAIN] = 0, [STATE_AVX] = AVX, [STATE_AVX512] = AVX512,
        [STATE_AMX] = AMX, [STATE_APX] = APX,
    };
    uint32_t a, b, c, d;

    if (state == STATE_PLAIN)
        return true;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & masks[state]) == masks[state];
}

/* Does the register's answer say that there is ROW's feature? */
static bool says(const struct features_row *row, uint32_t answer)
{
    return row->version ? (answer & 0xff) >= row->version : answer >> row->bit & 1;
}

bool features_of_host(struct features *out)
{
    *out = (struct features){.arch = FEATURES_X86_64};
    for (unsigned i = 0; features_x86_rows[i].name; i++) {
        const struct features_row *row = &features_x86_rows[i];
        uint32_t regs[4];

        if (__get_cpuid_count(row->leaf, row->subleaf, &regs[0], &regs[1], &regs[2], &regs[3]) &&
            says(row, regs[row->reg]) && has_state(row->state))
            out->bits[i / 64] |= UINT64_C(1) << i % 64;
    }
    return true;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

bool features_of_host(struct features *out)
{
    features_of_hwcaps(getauxval(AT_HWCAP), getauxval(AT_HWCAP2), out);
    return true;
}
#else
bool features_of_host(struct features *out)
{
    *out = (struct features){.arch = features_arch_here()};
    return false;
}
#endif
