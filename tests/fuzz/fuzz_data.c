/* Feeds the reader of data files and their object code: libFuzzer calls it. */

#include <stdint.h>

#include "numba/code_names.h"
#include "numba/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct code_names names;
    struct data_facts facts;

    data_read(data, size, "/srv/", &facts, NULL);
    code_names_read_data(&names, data, size, NULL);
    code_names_clear(&names);
    return 0;
}
