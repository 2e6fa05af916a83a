/* Feeds the reader of data files and their object code: libFuzzer calls it. */

#include <stdint.h>

#include "numba/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct data_facts facts;

    data_read(data, size, "/srv/", &facts, NULL);
    return 0;
}
