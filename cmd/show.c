#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "message.h"
#include "signals.h"

void show_size(char out[SHOW_SIZE], uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        snprintf(out, SHOW_SIZE, "%u %s", (unsigned)bytes, bytes == 1 ? "byte" : "bytes");
        return;
    }
    /* 999.95 would be shown as 1000.0. */
    for (; value >= 999.95 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1000;
    snprintf(out, SHOW_SIZE, "%.1f %s", value, units[unit]);
}

void show_time(char out[SHOW_TIME], int64_t sec, int32_t nsec)
{
    bool negative = sec < 0;
    uint64_t whole = negative ? 0 - (uint64_t)sec : (uint64_t)sec;

    /* -1 s and 500 ms past it is half a second before the epoch. */
    if (negative && nsec > 0) {
        whole--;
        nsec = 1000000000 - nsec;
    }
    snprintf(out, SHOW_TIME, "%s%" PRIu64 ".%09" PRId32, negative ? "-" : "", whole, nsec);
}

const char *show_plural(uint64_t n, const char *singular, const char *plural)
{
    return n == 1 ? singular : plural;
}

void show_name(const char *text)
{
    _cleanup_free_ char *escaped = path_escape(text);

    if (!escaped) {
        message_error("out of memory");
        return;
    }
    fputs(escaped, stdout);
}

char *show_verdict(const struct wp_verify_report *r)
{
    _cleanup_buf_ struct buf text = {0};
    const char *before = " (";
    int rc;

    if (r->count == 0)
        return strdup("no cache indexes");
    rc = buf_printf(&text, "%zu of %zu cache indexes valid", r->by_status[WP_VALID], r->count);
    for (int s = 0; s < WP_STATUS_COUNT && !rc; s++) {
        if (s == WP_VALID || r->by_status[s] == 0)
            continue;
        rc = buf_printf(&text, "%s%zu %s", before, r->by_status[s],
                        wp_status_name((enum wp_status)s));
        before = ", ";
    }
    if (rc || (before[0] == ',' && buf_add(&text, ")", 1)) || buf_terminate(&text))
        return NULL;
    return (char *)take_ptr(text.data);
}

int show_add_count(struct buf *line, uint64_t n, const char *one, const char *many,
                   const char *done)
{
    return n ? buf_printf(line, "; %llu %s %s", (unsigned long long)n, show_plural(n, one, many),
                          done)
             : 0;
}

int show_add_verdict(struct buf *line, const struct wp_verify_report *r)
{
    _cleanup_free_ char *verdict = show_verdict(r);

    return verdict ? buf_printf(line, "; %s", verdict) : -ENOMEM;
}

int show_add_place(struct buf *line, enum wp_layout layout, const char *cache_dir, bool set,
                   size_t count)
{
    if (cache_dir)
        return buf_printf(line, "; caches in %s%s", cache_dir, set ? " (set NUMBA_CACHE_DIR)" : "");
    if (count && layout == WP_LAYOUT_IN_TREE)
        return buf_add_str(line, "; caches in tree");
    return 0;
}

void show_summary(struct buf *line, int rc)
{
    if (rc || buf_terminate(line))
        message_error("out of memory");
    else
        message_summary("%s", (const char *)line->data);
}

void show_invalid(const struct wp_verify_report *r, bool lost)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct wp_index_status *s = r->indexes + i;
        _cleanup_free_ char *name = NULL;

        if (s->status == WP_VALID)
            continue;
        name = path_escape(s->index);
        (lost ? message_lost : message_warning)("%s: %s: %s", name ? name : "?",
                                                wp_status_name(s->status),
                                                s->reason ? s->reason : "not valid");
    }
}

void show_finish(void)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fclose(stdout) != 0)
        failed = true;
    if (failed && signals_caught() == SIGPIPE)
        message_raise(128 + SIGPIPE);
    else if (failed)
        message_error("standard output: %s", errno ? strerror(errno) : "cannot write");
}
