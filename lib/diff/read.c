/* Reading the two things to be compared: archives, directories and manifests. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "pack/sink.h"

/* Nothing is written in this format. */
static const struct wp_format no_format = {.name = "diff", .home = FORMAT_HOME_DIR};

/* The job of packing, up to where an archive would begin. */
static int read_dir(struct diff_side *side, const struct wp_context *context,
                    const struct wp_diff_options *o, struct pool *pool, struct wp_error *err)
{
    const struct wp_member member = {.dir = side->given->path, .path = "."};
    const struct wp_create_options options = {.archive = side->given->path,
                                              .format = &no_format,
                                              .members = &member,
                                              .member_count = 1,
                                              .cache_dirs = o->cache_dirs,
                                              .source_roots = o->source_roots,
                                              .exclude = o->exclude,
                                              .numeric_owner = true};
    int r;

    side->pack = (struct pack){.context = context, .o = &options, .pool = pool};
    r = pack_plan(&side->pack, NULL, err);
    if (r == 0)
        r = pack_read_all(&side->pack, err);
    side->pack.o = NULL;
    return r == -EAGAIN ? -EBUSY : r; /* a source or a cache changes all the time */
}

/* ---- A manifest alone ---------------------------------------------------------------------- */

static int read_manifest(struct diff_side *side, struct pool *pool, struct wp_error *err)
{
    const char *path = side->given->path;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, path, "cannot open");
    if (!S_ISREG(st.st_mode) || st.st_size > MANIFEST_LARGEST)
        return error_set(err, 0, path, "is no manifest");
    return manifest_read_file(&side->packed.m, fd, (size_t)st.st_size, path, pool, err);
}

int diff_read(struct diff_side *side, const struct wp_context *context,
              const struct wp_diff_options *o, struct pool *pool, struct wp_error *err)
{
    const char *path = side->given->path;
    struct stat st;
    int r;

    if (side->given->archive) {
        r = archive_indexes_read(&side->packed, side->given->archive, ARCHIVE_ALL_DIGESTS, NULL,
                                 err);
        side->caches_only = side->packed.caches_only;
        array_sort(side->packed.items, side->packed.count, path_compare);
        return r;
    }
    if (stat(path, &st) < 0)
        return error_set(err, errno, path, "cannot stat");
    if (S_ISDIR(st.st_mode))
        return read_dir(side, context, o, pool, err);
    r = read_manifest(side, pool, err);
    for (size_t i = 0; i < side->packed.m.entry_count; i++)
        side->caches_only |= side->packed.m.entries[i].absent;
    return r;
}

void diff_side_clear(struct diff_side *side)
{
    diff_forget_items(side);
    pack_clear(&side->pack);
    archive_indexes_clear(&side->packed);
    *side = (struct diff_side){0};
}
