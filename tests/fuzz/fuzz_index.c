/* Feeds the reader of indexes, and all that is told of one: libFuzzer calls it. */

#include <stdint.h>
#include <stdlib.h>

#include "judge/overloads.h"
#include "numba/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wp_index_status status = {0};
    struct wp_error err = {0};
    struct index index;

    if (index_read(&index, data, size, &err) == 0)
        overloads_fill(&status, &index, NULL, NULL, &err);
    overloads_clear(&status);
    index_clear(&index);
    return 0;
}
