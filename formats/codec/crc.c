/* Takes the CRC-32 of gzip and zip. */

#include "crc.h"

#ifdef WARMPACK_ISAL
#include <isa-l/crc.h>
#else
#include <libdeflate.h>
#endif

#if defined(WARMPACK_ISAL) && defined(__x86_64__)

/* ISA-L leaves the upper halves of the vector registers in use, and that makes what comes next
 * slower by more than was gained: libcrypto's SHA-256 is written for the lower halves. */
__attribute__((target("avx"))) static void clear_upper_halves(void)
{
    __builtin_ia32_vzeroupper();
}

/* It takes a quarter of the time of libdeflate 1.14 where the processor can multiply 512 bits at
 * once, and as long elsewhere. */
uint32_t crc_add(uint32_t crc, const void *data, size_t n)
{
    crc = crc32_gzip_refl(crc, data, n);
    if (__builtin_cpu_supports("avx"))
        clear_upper_halves();
    return crc;
}

#elif defined(WARMPACK_ISAL)

uint32_t crc_add(uint32_t crc, const void *data, size_t n)
{
    return crc32_gzip_refl(crc, data, n);
}

#else

uint32_t crc_add(uint32_t crc, const void *data, size_t n)
{
    return libdeflate_crc32(crc, data, n);
}

#endif
