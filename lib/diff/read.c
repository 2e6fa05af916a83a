/* Reading the two things to be compared: archives, directories and manifests. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "job.h"

enum { BLOCK_SIZE = 1 << 20 };

/* ---- A directory: the job of packing, up to where an archive would begin ------------------- */

static int take_nothing(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    (void)w;
    (void)err;
    buf_clear(&b->plain);
    return 0;
}

static int take_no_entry(struct format_writer *w, struct format_block *b, const struct entry *e,
                         struct wp_error *err)
{
    (void)w;
    (void)b;
    (void)e;
    (void)err;
    return 0;
}

static int take_no_block(struct format_writer *w, struct format_block *b, uint64_t offset,
                         struct wp_error *err)
{
    (void)offset;
    return take_nothing(w, b, err);
}

static void drop_block(struct format_block *b)
{
    buf_free(&b->plain);
}

/* Content is read and digested, and goes nowhere. */
static const struct format_writer_ops ops = {.begin_block = take_nothing,
                                             .add_header = take_no_entry,
                                             .add_end = take_no_entry,
                                             .seal = take_nothing,
                                             .drop_block = drop_block,
                                             .written = take_no_block};
static const struct wp_format no_format = {.name = "diff", .home = FORMAT_HOME_DIR};

static int read_walk(struct pack *p, struct wp_error *err)
{
    struct format_writer writer = {.ops = &ops, .block_size = BLOCK_SIZE};
    struct output nowhere = {
        .fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .direct = true, .dir = -1};
    bool changed = false;
    int r;

    if (nowhere.fd < 0)
        return error_set(err, errno, NULL, "cannot start reading");
    r = pack_blocks(p, &writer, &nowhere, &changed, err);
    close(nowhere.fd);
    return r;
}

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
        r = read_walk(&side->pack, err);
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
        r = archive_indexes_read(&side->packed, side->given->archive, ARCHIVE_ALL_DIGESTS, err);
        side->caches_only = side->packed.caches_only;
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
