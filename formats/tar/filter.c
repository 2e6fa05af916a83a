/* bzip2 and xz, which we read but do not write: libarchive's filters, used for themselves alone. */

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tar.h"

struct filter {
    struct source base;
    struct source *below; /* owned */
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
    archive_set_error(a, -(int)n, "cannot read");
    return ARCHIVE_FATAL;
}

static int failure(struct filter *f, struct wp_error *err)
{
    const char *why = archive_error_string(f->archive);

    if (f->failed)
        return f->failed; /* with ERR filled by the source that failed */
    return error_set(err, 0, f->name, "the archive is damaged: %s", why ? why : "unknown error");
}

/* Opening reads the first bytes, so it waits until someone pulls. */
static int start(struct filter *f, struct wp_error *err)
{
    struct archive_entry *e;
    int rc;

    if (archive_read_open(f->archive, f, NULL, pull_below, NULL) != ARCHIVE_OK)
        return failure(f, err);
    f->open = true;
    rc = archive_read_next_header(f->archive, &e);
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
        int rc = archive_read_data_block(f->archive, data, &n, &offset);

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

    archive_read_free(f->archive);
    source_free(f->below);
    free(f->name);
    free(f);
}

int tar_filter_source(struct source **out, struct source *below, const char *name,
                      struct wp_error *err)
{
    struct filter *f = calloc(1, sizeof(*f));

    if (!f) {
        source_free(below);
        return error_nomem(err);
    }
    f->base = (struct source){.pull = filter_pull, .free = filter_free};
    f->below = below;
    f->archive = archive_read_new();
    f->name = strdup(name);
    if (!f->archive || !f->name || archive_read_support_filter_bzip2(f->archive) < ARCHIVE_WARN ||
        archive_read_support_filter_xz(f->archive) < ARCHIVE_WARN ||
        archive_read_support_format_raw(f->archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(f->archive) != ARCHIVE_OK) {
        filter_free(&f->base);
        return error_nomem(err);
    }
    *out = &f->base;
    return 0;
}
