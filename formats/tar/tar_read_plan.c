/* Reads a tar by a plan, which leaves parts of it out. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "manifest/manifest.h"
#include "tar_look_back.h"
#include "tar_pointer.h"
#include "tar_read.h"

static int misled(const struct tar_reader *r, struct wp_error *err)
{
    error_set(err, 0, r->name, "the archive does not hold what its manifest says");
    return -EBADMSG;
}

int tar_read_planned(struct tar_reader *r, struct wp_error *err)
{
    const struct tar_planned *p = &r->plan.list[r->planned];

    if (!p->is_left_out)
        return p->at < r->in.offset ? misled(r, err)
                                    : tar_stream_skip(&r->in, p->at - r->in.offset, err);
    r->planned++;
    return entry_copy(&r->entry, p->e) < 0 ? error_nomem(err) : 1;
}

int tar_read_check_planned(struct tar_reader *r, struct wp_error *err)
{
    const struct tar_planned *p = &r->plan.list[r->planned++];
    const struct entry *e = &r->entry;

    if (r->ended || strcmp(e->path, p->e ? p->e->path : r->base.mark) != 0)
        return misled(r, err);
    if (p->e && (r->in.offset != p->at + p->header || e->type != p->e->type ||
                 (e->type == ENTRY_FILE && e->size != p->e->size)))
        return misled(r, err);
    return 1;
}

static int plan(struct tar_reader *r, const struct format_expected *x, struct wp_error *err)
{
    const struct format_open_options o = {.name = r->name, .pool = r->pool};
    _cleanup_free_ char *mark = NULL;
    bool is_rounded;
    uint64_t manifest;
    int rc = codec_find_manifest(r->codec, r->fd, &manifest);

    if (rc == 0 && r->is_raw)
        rc = tar_look_back(r->fd, MANIFEST_LARGEST, &manifest);
    if (rc == 1)
        rc = tar_read_mark(r->codec, r->fd, &o, &mark, &is_rounded, err);
    if (rc == 1)
        rc = tar_plan_make(&r->plan, x, r->codec, r->fd, mark, is_rounded, manifest);
    if (rc == 1 && source_leave_out(r->in.source, r->plan.gaps, r->plan.gap_count) < 0)
        rc = -ENOMEM;
    if (rc != 1) {
        tar_plan_clear(&r->plan);
    } else {
        r->base.mark = take_ptr(mark); /* which stands where nothing may be read */
        r->in.seek_fd = -1;            /* the source steps over what is left out */
    }
    return rc == -ENOMEM ? error_nomem(err) : rc == 1;
}

int tar_read_expect(struct format_reader *base, const struct format_expected *x,
                    struct wp_error *err)
{
    struct tar_reader *r = (struct tar_reader *)base;
    struct wp_error ignored = {0};
    int rc;

    if (!r->is_file || !r->codec)
        return 0;
    /* What has been read to recognise a plain tar may hold what is to be left out. */
    rc = r->is_raw ? tar_read_rewind(base, &ignored) : 0;
    if (rc == 0 && r->in.source->has_gaps)
        rc = plan(r, x, &ignored);
    /* What is wrong with the archive, reading it finds. */
    return rc == -ENOMEM ? error_nomem(err) : r->plan.count > 0;
}

const struct source_gap *tar_read_left_out(const struct format_reader *base, size_t *count)
{
    const struct tar_reader *r = (const struct tar_reader *)base;

    *count = r->plan.gap_count;
    return r->plan.gaps;
}

int tar_read_rewind(struct format_reader *base, struct wp_error *err)
{
    struct tar_reader *r = (struct tar_reader *)base;
    _cleanup_close_ int fd = file_open_again(r->fd);
    _cleanup_close_ int again = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct source *source;
    int rc;

    if (again < 0)
        return error_set(err, fd < 0 ? -fd : errno, r->name, "cannot be opened");
    rc = codec_open(&source, r->codec, take_fd(&fd), NULL, 0, r->name, r->pool, err);
    if (rc < 0)
        return rc;
    source->interrupted = context_interrupted(r->context);
    tar_read_clear(r);
    r->fd = take_fd(&again);
    *r = (struct tar_reader){
        .base = {.ops = r->base.ops, .is_rounded = r->base.is_rounded},
        .in = {.source = source, .name = r->name, .seek_fd = r->is_raw ? r->fd : -1},
        .name = r->name,
        .context = r->context,
        .codec = r->codec,
        .pool = r->pool,
        .fd = r->fd,
        .is_raw = r->is_raw,
        .is_file = true};
    return 0;
}
