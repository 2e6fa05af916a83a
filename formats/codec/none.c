/* Passes bytes on without compression, for a plain tar. Nothing in it points at the manifest, which
 * is found from the end. Earlier archives have a block with a pointer behind the blocks of zeros;
 * but readers that go on behind these, such as "tar -i", take it for a damaged header. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"

enum { TAR_BLOCK = 512, MAGIC_AT = 257 };

static int none_pack(struct format_block *b, int level, struct wp_error *err)
{
    struct buf swap = b->packed;

    (void)level;
    (void)err;
    b->packed = b->plain;
    b->plain = swap;
    buf_clear(&b->plain);
    return 0;
}

static void make_pointer(char block[TAR_BLOCK], uint64_t offset)
{
    memset(block, 0, TAR_BLOCK);
    snprintf(block, TAR_BLOCK, "warmpack-manifest-offset=%llu\n", (unsigned long long)offset);
}

static bool none_read_pointer(const unsigned char *bytes, uint64_t *offset)
{
    static const char text[] = "warmpack-manifest-offset=";
    char expected[TAR_BLOCK];

    if (memcmp(bytes, text, sizeof(text) - 1) != 0 || bytes[TAR_BLOCK - 1] != '\0')
        return false;
    *offset = strtoull((const char *)bytes + sizeof(text) - 1, NULL, 10);
    make_pointer(expected, *offset); /* so the number is written in the one way there is */
    return memcmp(bytes, expected, TAR_BLOCK) == 0 && *offset % TAR_BLOCK == 0;
}

static bool begins_entry(const unsigned char *start, size_t n)
{
    return n >= MAGIC_AT + 5 && memcmp(start + MAGIC_AT, "ustar", 5) == 0;
}

const struct codec codec_none = {
    .name = "none",
    .block_size = 1024 * 1024,
    .pack = none_pack,
    .begins = begins_entry,
    .pointer_size = TAR_BLOCK,
    .read_pointer = none_read_pointer,
};
