/* Feeds the readers of tar archives and of their compressions: libFuzzer calls it. */

#include <stdio.h>

#include "fuzz_archive.h"

enum { BLOCK = 512, SUM_AT = 148, SUM_SIZE = 8, MAGIC_AT = 257 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 && !(data[0] == 'P' && data[1] == 'K'))
        fuzz_archive(data, size);
    return 0;
}

#ifdef WARMPACK_FUZZER
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Headers whose sum is wrong are refused at once, so that nothing behind them would be tried. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    for (size_t at = 0; seed % 8 && at + BLOCK <= size; at += BLOCK) {
        char text[SUM_SIZE];
        unsigned sum = 0;

        if (memcmp(data + at + MAGIC_AT, "ustar", 5) != 0)
            continue;
        memset(data + at + SUM_AT, ' ', SUM_SIZE);
        for (size_t i = 0; i < BLOCK; i++)
            sum += data[at + i];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(data + at + SUM_AT, text, SUM_SIZE - 1);
    }
    return size;
}
#endif
