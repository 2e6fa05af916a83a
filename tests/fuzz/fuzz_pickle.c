/* Feeds the pickle reader, and prints what it made: libFuzzer calls it. */

#include <stdint.h>

#include "base/cleanup.h"
#include "numba/pickle.h"
#include "numba/repr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pickle_limits limits = {.memory = 16 << 20};
    _cleanup_buf_ struct buf text = {0};
    struct pickle *p;
    size_t used;

    if (pickle_read(&p, data, size, &used, &limits, NULL) < 0)
        return 0;
    repr_repr(pickle_root(p), &text);
    pickle_free(p);
    return 0;
}
