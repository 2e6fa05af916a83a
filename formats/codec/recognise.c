#include "codec.h"

static const struct codec *const readable[] = {&codec_gzip, &codec_zstd};

const struct codec *codec_recognise(const unsigned char *start, size_t n)
{
    for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
        if (readable[i]->recognises(start, n))
            return readable[i];
    return NULL;
}
