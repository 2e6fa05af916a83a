/* Pulls bytes from files, pipes and memory. */

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

enum { FILE_CHUNK = 256 * 1024 }; /* bytes a read(2); larger ones were no faster */

void source_free(struct source *s)
{
    if (s)
        s->free(s);
}

/* ---- A file or a pipe -------------------------------------------------------------------- */

struct file_source {
    struct source base;
    int fd;
    char *name;
    unsigned char data[FILE_CHUNK];
};

static ssize_t file_pull(struct source *base, const void **data, struct wp_error *err)
{
    struct file_source *s = (struct file_source *)base;
    ssize_t n;

    do {
        if (file_wait(s->fd, POLLIN, base->interrupted) < 0)
            return error_set(err, EINTR, s->name, "cannot read");
        n = read(s->fd, s->data, sizeof(s->data));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set(err, errno, s->name, "cannot read");
    *data = s->data;
    return n;
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
    s->base = (struct source){.pull = file_pull, .free = file_free};
    s->fd = take_fd(&owned);
    s->name = copy;
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
    return s->below ? source_pull(s->below, data, err) : 0;
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
