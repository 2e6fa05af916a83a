/* Checks that local headers say what the directory says. */

#include <errno.h>
#include <string.h>

#include "zip_content.h"

/* The two sizes, where the long field has them: they always come together there. Without the field
 * they are what the header says, be it the largest number. */
static void take_long(const unsigned char *extra, size_t n, uint64_t *size, uint64_t *packed_size)
{
    while (n >= 4) {
        size_t length = get_le16(extra + 2);

        if (length > n - 4)
            return;
        if (get_le16(extra) == ZIP_EXTRA_64 && length >= 16) {
            *size = get_le64(extra + 4);
            *packed_size = get_le64(extra + 12);
            return;
        }
        extra += 4 + length;
        n -= 4 + length;
    }
}

/* Where a descriptor follows the content, the sizes may be left open. */
static bool sizes_agree(const struct zip_entry *e, const unsigned char *p)
{
    uint64_t packed_size = get_le32(p + 18), size = get_le32(p + 22);

    if (get_le16(p + 6) & ZIP_HAS_DESCRIPTOR)
        return true;
    if (size == ZIP_MAX32 || packed_size == ZIP_MAX32)
        take_long(p + ZIP_LOCAL_SIZE + e->name_size, get_le16(p + 28), &size, &packed_size);
    return packed_size == e->packed_size && size == e->size && get_le32(p + 14) == e->crc;
}

int zip_local_check(const struct zip_archive *a, const struct zip_entry *e, const unsigned char *p,
                    size_t n, size_t *size, const char **what)
{
    const unsigned same_flags = ZIP_ENCRYPTED;

    *size = ZIP_LOCAL_SIZE;
    if (n < *size)
        return -EAGAIN;
    *what = ZIP_TEXT_CONTRADICT;
    if (get_le32(p) != ZIP_LOCAL || get_le16(p + 26) != e->name_size)
        return -EBADMSG;
    *size += (size_t)e->name_size + get_le16(p + 28);
    if (*size > e->limit - e->at || e->packed_size > e->limit - e->at - *size)
        return -EBADMSG;
    if (n < *size)
        return -EAGAIN;
    if (memcmp(a->names.data + e->stored_name, p + ZIP_LOCAL_SIZE, e->name_size) != 0 ||
        get_le16(p + 8) != e->method || (get_le16(p + 6) & same_flags) != (e->flags & same_flags) ||
        !sizes_agree(e, p))
        return -EBADMSG;
    return 0;
}
