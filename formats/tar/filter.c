/* Reads bzip2 and xz, which we do not write, with libarchive's filters, used for themselves alone.
 */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "libarchive/libarchive.h"
#include "tar.h"

struct filter {
    struct source base;
    struct source *below; /* owned */
    const struct libarchive *la;
    struct archive *archive;
    char *name;
    struct wp_error *err; /* the caller's, while libarchive calls us back */
    int failed;           /* what `below` returned, negative errno */
    bool open, ended;
};

static la_ssize_t pull_below(struct archive *a, void *arg, const void **data)
{
    struct filter *f = arg;
    ssize_t n = source_pull(f->below, data, f->err);

    if (n >= 0)
        return n;
    f->failed = (int)n;
    f->la->set_error(a, -(int)n, "cannot read");
    return ARCHIVE_FATAL;
}

static int failure(struct filter *f, struct wp_error *err)
{
    const char *why = f->la->error_string(f->archive);

    if (f->failed)
        return f->failed; /* with ERR filled by the source that failed */
    return error_set(err, 0, f->name, "the archive is damaged: %s", why ? why : "unknown error");
}

/* Opening reads the first bytes, so it waits until someone pulls. */
static int start(struct filter *f, struct wp_error *err)
{
    struct archive_entry *e;
    int rc;

    if (f->la->read_open(f->archive, f, NULL, pull_below, NULL) != ARCHIVE_OK)
        return failure(f, err);
    f->open = true;
    rc = f->la->read_next_header(f->archive, &e);
    if (rc == ARCHIVE_EOF)
        f->ended = true;
    else if (rc != ARCHIVE_OK)
        return failure(f, err);
    return 0;
}

static ssize_t filter_pull(struct source *base, const void **data, struct wp_error *err)
{
    struct filter *f = (struct filter *)base;
    la_int64_t offset;
    size_t n = 0;

    f->err = err;
    if (!f->open) {
        int rc = start(f, err);

        if (rc < 0)
            return rc;
    }
    while (!f->ended && n == 0) {
        int rc = f->la->read_data_block(f->archive, data, &n, &offset);

        if (rc == ARCHIVE_EOF)
            f->ended = true;
        else if (rc != ARCHIVE_OK)
            return failure(f, err);
    }
    return f->ended ? 0 : (ssize_t)n;
}

static void filter_free(struct source *base)
{
    struct filter *f = (struct filter *)base;

    if (f->archive)
        f->la->read_free(f->archive);
    source_free(f->below);
    free(f->name);
    free(f);
}

int tar_filter_source(struct source **out, struct source *below, const char *name,
                      struct wp_error *err)
{
    const struct libarchive *la = libarchive_load();
    struct filter *f = la ? calloc(1, sizeof(*f)) : NULL;

    if (!f) {
        source_free(below);
        return la ? error_nomem(err) : error_set(err, 0, name, LIBARCHIVE_MISSING);
    }
    f->base = (struct source){.pull = filter_pull, .free = filter_free};
    f->below = below;
    f->la = la;
    f->archive = la->read_new();
    f->name = strdup(name);
    if (!f->archive || !f->name || la->read_support_filter_bzip2(f->archive) < ARCHIVE_WARN ||
        la->read_support_filter_xz(f->archive) < ARCHIVE_WARN ||
        la->read_support_format_raw(f->archive) != ARCHIVE_OK ||
        la->read_support_format_empty(f->archive) != ARCHIVE_OK) {
        filter_free(&f->base);
        return error_nomem(err);
    }
    *out = &f->base;
    return 0;
}
