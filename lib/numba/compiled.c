/* Tells of which source a compiled file of Python is. */

#include "numba/compiled.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"

char *compiled_source(const char *path)
{
    _cleanup_free_ char *dir = path_dir(path), *name = strdup(path_base(path));

    if (!dir || !name)
        return NULL;
    errno = 0;
    if (!path_has_suffix(name, ".pyc"))
        return NULL;
    name[strlen(name) - 1] = '\0'; /* k.py */
    if (strcmp(path_base(dir), "__pycache__") == 0) {
        char *above = path_dir(dir), *tag = strchr(name, '.');

        free(dir);
        dir = above;
        if (!dir)
            return NULL;
        memcpy(tag, ".py", sizeof ".py"); /* the tag is longer, or it is that */
    }
    return path_join(dir, name);
}

void compiled_set_mtime(struct buf *text, struct timespec mtime)
{
    const uint32_t seconds = htole32((uint32_t)mtime.tv_sec);

    memcpy(text->data + offsetof(struct compiled_header, mtime), &seconds, sizeof seconds);
}
