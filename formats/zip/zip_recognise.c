/* Tells whether a file is a zip. */

#include <sys/stat.h>

#include "base/zip_directory.h"
#include "base/zip_format.h"
#include "zip.h"

bool zip_recognises(const void *start, size_t n)
{
    const unsigned char *p = start;
    uint32_t magic = n >= 4 ? get_le32(p) : 0;

    /* The last one begins archives that were once meant to be split. */
    return magic == ZIP_LOCAL || magic == ZIP_END || magic == ZIP_END64 ||
           (magic == ZIP_DESCRIPTOR && n >= 8 && get_le32(p + 4) == ZIP_LOCAL);
}

bool zip_ends_here(int fd)
{
    struct zip_part z = {.fd = fd};
    const char *what = NULL;
    struct zip_end e = {0};
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    z.size = (uint64_t)st.st_size;
    return zip_end_find(&z, ZIP_AS_UNZIP, &e, &what) == 0 ? e.count > 0 : e.is_volume;
}
