/* Feeds the readers of zip archives: libFuzzer calls it. */

#include "fuzz_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4 && data[0] == 'P' && data[1] == 'K')
        fuzz_archive(data, size);
    return 0;
}
