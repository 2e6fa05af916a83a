/* Feeds the reader of manifests: libFuzzer calls it. */

#include <stdint.h>

#include "manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest m = {0};

    manifest_read(&m, data, size, "manifest.jsonl", NULL, NULL);
    manifest_clear(&m);
    return 0;
}
