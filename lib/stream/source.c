/* Pulls bytes from files, pipes and memory. */

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

enum { FILE_CHUNK = 256 * 1024 }; /* bytes for each read(2); larger ones were no faster */

void source_free(struct source *s)
{
    if (!s)
        return;
    free(s->gaps);
    s->free(s);
}

int source_leave_out(struct source *s, const struct source_gap *gaps, size_t n)
{
    s->gaps = reallocarray(s->gaps, n ? n : 1, sizeof *s->gaps);
    if (!s->gaps)
        return -ENOMEM;
    if (n)
        memcpy(s->gaps, gaps, n * sizeof *gaps);
    s->gap_count = n;
    return 0;
}

/* ---- A file or a pipe -------------------------------------------------------------------- */

struct file_source {
    struct source base;
    int fd;
    char *name;
    uint64_t at;       /* in the file, of the next byte to give; only where there are gaps */
    size_t used, size; /* of DATA: given, and read; likewise */
    unsigned char data[FILE_CHUNK];
};

static ssize_t file_read_some(struct file_source *s, struct wp_error *err)
{
    ssize_t n;

    do {
        if (file_wait(s->fd, POLLIN, s->base.interrupted) < 0)
            return error_set(err, EINTR, s->name, "cannot read");
        n = read(s->fd, s->data, sizeof(s->data));
    } while (n < 0 && errno == EINTR);
    return n < 0 ? error_set(err, errno, s->name, "cannot read") : n;
}

/* Over the gaps that begin here: over what has been read of them, and then in the file. */
static int step_over_gaps(struct file_source *s, struct wp_error *err)
{
    struct source *b = &s->base;
    const uint64_t from = s->at;

    for (; b->gaps_done < b->gap_count && b->gaps[b->gaps_done].at == s->at; b->gaps_done++)
        s->at = b->gaps[b->gaps_done].end;
    b->gap = s->at - from;
    if (b->gap <= s->size - s->used) {
        s->used += (size_t)b->gap;
        return 0;
    }
    s->used = s->size = 0;
    if (s->at > INT64_MAX || lseek(s->fd, (off_t)s->at, SEEK_SET) < 0)
        return error_set(err, errno, s->name, "cannot read");
    return 0;
}

/* Up to the next gap. */
static ssize_t pull_between(struct file_source *s, const void **data, struct wp_error *err)
{
    const struct source *b = &s->base;
    ssize_t n = step_over_gaps(s, err);

    if (n == 0 && s->used == s->size) {
        s->used = s->size = 0;
        n = file_read_some(s, err);
        s->size = n > 0 ? (size_t)n : 0;
    }
    if (n < 0 || s->used == s->size)
        return n < 0 ? n : 0;
    *data = s->data + s->used;
    n = (ssize_t)(s->size - s->used);
    if (b->gaps_done < b->gap_count && b->gaps[b->gaps_done].at - s->at < (uint64_t)n)
        n = (ssize_t)(b->gaps[b->gaps_done].at - s->at);
    s->used += (size_t)n;
    s->at += (uint64_t)n;
    return n;
}

static ssize_t file_pull(struct source *base, const void **data, struct wp_error *err)
{
    struct file_source *s = (struct file_source *)base;

    if (base->gap_count)
        return pull_between(s, data, err);
    *data = s->data;
    return file_read_some(s, err);
}

static void file_free(struct source *base)
{
    struct file_source *s = (struct file_source *)base;

    close(s->fd);
    free(s->name);
    free(s);
}

int source_file(struct source **out, int fd, const char *name, struct wp_error *err)
{
    _cleanup_close_ int owned = fd;
    struct file_source *s = malloc(sizeof(*s));
    char *copy = strdup(name);

    if (!s || !copy) {
        free(s);
        free(copy);
        return error_nomem(err);
    }
    memset(s, 0, offsetof(struct file_source, data));
    s->base = (struct source){.pull = file_pull, .free = file_free, .has_gaps = true};
    s->fd = take_fd(&owned);
    s->name = copy;
    const off_t at = lseek(fd, 0, SEEK_CUR);
    s->at = at < 0 ? 0 : (uint64_t)at;
    /* A hint only; what is no file refuses it. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *out = &s->base;
    return 0;
}

/* ---- Bytes already read, given again ------------------------------------------------------ */

struct prefix_source {
    struct source base;
    struct source *below;
    size_t size;  /* of the prefix */
    bool is_past; /* the prefix has been given */
    unsigned char prefix[];
};

static ssize_t prefix_pull(struct source *base, const void **data, struct wp_error *err)
{
    struct prefix_source *s = (struct prefix_source *)base;

    if (!s->is_past && s->size > 0) {
        s->is_past = true;
        *data = s->prefix;
        return (ssize_t)s->size;
    }
    if (!s->below)
        return 0;
    s->below->interrupted = base->interrupted;
    return source_pull(s->below, data, err);
}

static void prefix_free(struct source *base)
{
    struct prefix_source *s = (struct prefix_source *)base;

    source_free(s->below);
    free(s);
}

int source_with_prefix(struct source **out, const void *prefix, size_t n, struct source *below,
                       struct wp_error *err)
{
    size_t size;

    if (n > SSIZE_MAX || __builtin_add_overflow(sizeof(struct prefix_source), n, &size))
        return error_nomem(err);
    struct prefix_source *s = malloc(size);
    if (!s)
        return error_nomem(err);
    *s = (struct prefix_source){
        .base = {.pull = prefix_pull, .free = prefix_free}, .below = below, .size = n};
    if (n > 0)
        memcpy(s->prefix, prefix, n);
    *out = &s->base;
    return 0;
}
