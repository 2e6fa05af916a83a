/* Hands out the plain bytes of a tar archive. */

#include "tar_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The next run of the source: 1; 0 at its end. */
static int next_run(struct tar_stream *s, struct wp_error *err)
{
    const void *run = NULL;
    ssize_t got = source_pull(s->source, &run, err);

    s->pulls++;
    if (got <= 0)
        return (int)got;
    s->run = run;
    s->size = s->left = (size_t)got;
    s->gap = s->source->gap;
    return 1;
}

ssize_t tar_stream_some(struct tar_stream *s, uint64_t max, const void **data, struct wp_error *err)
{
    size_t n;
    int r = s->left > 0 ? 1 : next_run(s, err);

    if (r <= 0)
        return r;
    if (s->gap)
        return error_set(err, EBADMSG, s->name, "what was left out is needed");
    n = s->left < max ? s->left : (size_t)max;
    *data = s->run;
    s->run += n;
    s->left -= n;
    s->offset += n;
    return (ssize_t)n;
}

int tar_stream_cut(const struct tar_stream *s, struct wp_error *err)
{
    if (s->offset < TAR_BLOCK)
        return error_set(err, 0, s->name, "not a tar archive: it ends after %llu bytes",
                         (unsigned long long)s->offset);
    return error_set(err, 0, s->name, "the archive is truncated: it ends after %llu bytes of tar",
                     (unsigned long long)s->offset);
}

int tar_stream_read(struct tar_stream *s, void *to, size_t n, struct wp_error *err)
{
    unsigned char *at = to;

    for (size_t done = 0; done < n;) {
        const void *data;
        ssize_t got = tar_stream_some(s, n - done, &data, err);

        if (got < 0)
            return (int)got;
        if (got == 0)
            return done == 0 ? 0 : tar_stream_cut(s, err);
        memcpy(at + done, data, (size_t)got);
        done += (size_t)got;
    }
    return 1;
}

/* Less than this is read through: the kernel has read it ahead already. */
enum { SEEK_LEAST = 1 << 20 };

static bool step_over(struct tar_stream *s, uint64_t n)
{
    struct stat st;
    off_t at;

    if (s->seek_fd < 0 || s->left > 0 || n < SEEK_LEAST)
        return false;
    at = lseek(s->seek_fd, 0, SEEK_CUR);
    if (at < 0 || fstat(s->seek_fd, &st) < 0 || at > st.st_size || n > (uint64_t)(st.st_size - at))
        return false; /* a truncated file is read, to say where it ends */
    if (lseek(s->seek_fd, (off_t)n, SEEK_CUR) < 0)
        return false;
    s->offset += n;
    s->pulls++;
    return true;
}

/* Does a gap come next? Takes at most *N bytes of it off *N. */
static bool skip_gap(struct tar_stream *s, uint64_t *n)
{
    const uint64_t part = s->gap < *n ? s->gap : *n;

    s->gap -= part;
    s->offset += part;
    *n -= part;
    return part > 0;
}

int tar_stream_skip(struct tar_stream *s, uint64_t n, struct wp_error *err)
{
    while (n > 0) {
        int r;

        if (step_over(s, n))
            return 0;
        r = s->left > 0 ? 1 : next_run(s, err);
        if (r < 0)
            return r;
        if (skip_gap(s, &n))
            continue;
        const void *data;
        ssize_t got = tar_stream_some(s, n, &data, err);

        if (got < 0)
            return (int)got;
        if (got == 0)
            return tar_stream_cut(s, err);
        n -= (uint64_t)got;
    }
    return 0;
}

int tar_stream_place(struct tar_stream *s, uint64_t *place, struct wp_error *err)
{
    int r;

    *place = SOURCE_NO_PLACE;
    r = s->left > 0 ? 1 : next_run(s, err);
    if (r > 0 && s->left == s->size && s->gap == 0)
        *place = s->source->place;
    return r < 0 ? r : 0;
}

static bool is_zero(const unsigned char *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Padding is shorter: the largest record that tar writes has half as much. */
enum { LONGEST_REST = 64 << 20 };

int tar_stream_drain(struct tar_stream *s, struct tar_rest *rest, struct wp_error *err)
{
    uint64_t end = s->offset + LONGEST_REST;
    const unsigned char *data;
    const void *run;
    ssize_t got;

    *rest = (struct tar_rest){.is_more = false};
    while ((got = tar_stream_some(s, UINT64_MAX, &run, err)) > 0) {
        if (s->offset > end) {
            rest->is_more = true;
            return 0;
        }
        size_t n = (size_t)got, kept = n < TAR_BLOCK ? TAR_BLOCK - n : 0;

        data = run;
        rest->is_more |=
            !is_zero(rest->last, TAR_BLOCK - kept) || !is_zero(data, n - (TAR_BLOCK - kept));
        memmove(rest->last, rest->last + TAR_BLOCK - kept, kept);
        memcpy(rest->last + kept, data + n - (TAR_BLOCK - kept), TAR_BLOCK - kept);
    }
    return (int)got;
}
