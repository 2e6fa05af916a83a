/* Makes .pyc files fit a source that has another time than they remember: PEP 552. */

#include "pyc.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/own_names.h"
#include "base/temporary.h"
#include "numba/compiled.h"
#include "tree/beneath.h"

/* "MODULE.TAG.pyc" or "MODULE.TAG.opt-N.pyc"? A tag has no dot. */
static bool is_pyc_of(const char *name, const char *module, size_t n)
{
    size_t end = strlen(name);
    const char *tag, *dot;

    if (end < n + 6 || strncmp(name, module, n) != 0 || name[n] != '.' ||
        !path_has_suffix(name, ".pyc"))
        return false;
    tag = name + n + 1;
    dot = strchr(tag, '.');
    return dot == name + end - 4 || strncmp(dot, ".opt-", 5) == 0;
}

/* Is HEADER that of a file made from SOURCE, whose time it does not have? */
static bool is_to_change(const struct compiled_header *header, const struct restamp_source *source)
{
    const uint32_t held = le32toh(header->mtime);

    return header->flags == 0 && le32toh(header->size) == (uint32_t)source->packed->size &&
           held != (uint32_t)source->now.tv_sec &&
           (held == (uint32_t)source->before.tv_sec ||
            held == (uint32_t)source->packed->mtime.tv_sec);
}

/* Says the header alone that the file stays as it is? Most do. */
static bool is_settled(int dir, const char *name, const struct restamp_source *source)
{
    struct compiled_header header;
    _cleanup_close_ int fd = beneath_open_read(dir, name);

    return fd >= 0 && file_read_at(fd, &header, sizeof header, 0) == sizeof header &&
           !is_to_change(&header, source);
}

/* 1 where the file was changed. */
static int patch(int fd, const char *path, const struct restamp_source *source, bool dry_run,
                 struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct compiled_header header;
    struct stat st;
    int r;

    if (is_settled(fd, path, source))
        return 0;
    r = restamp_read(fd, path, &text, &st);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 || text.size < sizeof header)
        return 0;
    memcpy(&header, text.data, sizeof header);
    if (!is_to_change(&header, source))
        return 0;
    compiled_set_mtime(&text, source->now);
    r = dry_run ? 0 : restamp_replace_read(fd, path, text.data, text.size, &st, NULL);
    /* Python can do without: it compiles again. */
    return r == -ENOMEM || r == -ENOSPC || r == -EIO
               ? error_set(err, -r, path, "cannot change the source's time in it")
               : r == 0;
}

void pyc_listing_clear(struct pyc_listing *l)
{
    if (l->dir)
        closedir(l->dir);
    free(l->place);
    path_list_clear(&l->names);
    *l = (struct pyc_listing){0};
}

static int add_name(struct pyc_listing *l, const char *name, bool dry_run)
{
    if (!dry_run && temporary_is(name, OWN_REPLACING))
        (void)temporary_remove_dead(dirfd(l->dir), name, OWN_LINK_TAIL);
    return path_has_suffix(name, ".pyc") ? path_list_add(&l->names, strdup(name)) : 0;
}

/* Lists __pycache__ in directory ABOVE, unless that was done last. */
static int list(struct pyc_listing *l, int fd, const char *above, bool dry_run,
                struct wp_error *err)
{
    _cleanup_free_ char *place = path_join(above, "__pycache__");
    struct dirent *item;
    int r;

    if (!place)
        return error_nomem(err);
    if (l->place && strcmp(l->place, place) == 0)
        return 0;
    pyc_listing_clear(l);
    r = beneath_list(fd, place, &l->dir);
    if (r == -EACCES)
        r = 0; /* Python can do without: it compiles again */
    while (r > 0 && (r = file_next(l->dir, &item)) > 0)
        r = add_name(l, item->d_name, dry_run) < 0 ? -ENOMEM : 1;
    if (r < 0)
        return r == -ENOMEM ? error_nomem(err) : error_set(err, -r, place, "cannot read directory");
    path_list_sort(&l->names);
    l->place = take_ptr(place);
    return 0;
}

int pyc_restamp(struct pyc_listing *l, int fd, const char *path,
                const struct restamp_source *source, bool dry_run, size_t *count,
                struct wp_error *err)
{
    const char *module = path_base(path);
    size_t n = strlen(module);
    _cleanup_free_ char *above = path_dir(path);
    int r;

    if (!above)
        return error_nomem(err);
    if (!path_has_suffix(module, ".py"))
        return 0;
    n -= strlen("py"); /* with the dot */
    r = list(l, fd, above, dry_run, err);
    if (r < 0)
        return r;
    for (size_t i = array_first(k, l->names.count, strncmp(l->names.v[k], module, n) < 0);
         i < l->names.count && strncmp(l->names.v[i], module, n) == 0; i++) {
        r = is_pyc_of(l->names.v[i], module, n - 1)
                ? patch(dirfd(l->dir), l->names.v[i], source, dry_run, err)
                : 0;
        if (r < 0)
            return r;
        *count += (size_t)r;
    }
    return 0;
}
