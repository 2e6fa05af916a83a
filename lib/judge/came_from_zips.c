/* Finds which modules lie in the zips of a tree, from which Python may import them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "judge/came_from.h"
#include "numba/zipped.h"

enum { LARGEST_TEXT = 256 << 20 };

struct came_from_zip {
    size_t file;
    struct path_list tops; /* names of modules and packages at its top, sorted; owned */
};

/* Of two that follow each other with one name, one is kept. */
static int add_top(void *ctx, const char *member)
{
    struct path_list *tops = ctx;
    size_t n = strcspn(member, "/");

    if (!member[n])
        n -= strlen(".py");
    if (tops->count && strlen(tops->v[tops->count - 1]) == n &&
        memcmp(tops->v[tops->count - 1], member, n) == 0)
        return 0;
    return path_list_add(tops, strndup(member, n));
}

static int in_memory(const struct buf *text, struct wp_error *err)
{
    _cleanup_close_ int fd = memfd_create("warmpack", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : file_write(fd, text->data, text->size);

    return r < 0 ? error_set(err, -r, NULL, "cannot look into a zip") : take_fd(&fd);
}

static bool is_zip(const struct buf *text)
{
    return text->size > 2 && memcmp(text->data, "PK", 2) == 0;
}

/* What is no zip, or is damaged, has none. */
static int list_tops(struct path_list *tops, const struct buf *text, struct wp_error *err)
{
    _cleanup_close_ int fd = is_zip(text) ? in_memory(text, err) : -1;
    int r = fd < 0 ? 0 : zipped_sources(fd, add_top, tops);

    path_list_sort(tops);
    if (fd < 0 && is_zip(text))
        return fd;
    return r == -ENOMEM ? error_nomem(err) : 0;
}

int came_from_open_zip(struct buf *text, struct wp_error *err)
{
    _cleanup_buf_ struct buf zip = *text;
    _cleanup_close_ int fd = -1;
    int r = 0;

    *text = (struct buf){0};
    if (!is_zip(&zip))
        return 0;
    fd = in_memory(&zip, err);
    if (fd < 0)
        return fd;
    r = zipped_text(fd, LARGEST_TEXT, text);
    /* What cannot be read may import anything. */
    if (r < 0 && r != -ENOMEM) {
        buf_clear(text);
        r = buf_add_str(text, "__import__\n");
    }
    return r < 0 ? error_nomem(err) : 0;
}

/* Adds zip FILE to those that were looked into, as the last of them. */
static int look_into(struct came_from *c, size_t file, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct came_from_zip *zip;
    int r;

    if (array_grow(c->zips, c->zip_count) < 0)
        return error_nomem(err);
    zip = &c->zips[c->zip_count++];
    *zip = (struct came_from_zip){.file = file};
    r = c->read(c->ctx, file, &text, err);
    return r < 0 ? r : list_tops(&zip->tops, &text, err);
}

int came_from_zip_has(void *arg, size_t file, const char *name, size_t n, struct wp_error *err)
{
    struct came_from *c = arg;
    _cleanup_free_ char *top = strndup(name, n);
    size_t at = 0;
    int r = top ? 0 : error_nomem(err);

    while (at < c->zip_count && c->zips[at].file != file)
        at++;
    if (r == 0 && at == c->zip_count)
        r = look_into(c, file, err);
    return r < 0 ? r : path_list_has(&c->zips[at].tops, top);
}

void came_from_clear_zips(struct came_from *c)
{
    for (size_t i = 0; i < c->zip_count; i++)
        path_list_clear(&c->zips[i].tops);
    free(c->zips);
}
