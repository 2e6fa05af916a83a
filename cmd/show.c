/* Words numbers and reports, and prints names on standard output. */

#include "show.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "signals.h"
#include "text.h"

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

const char *show_plural(uint64_t n, const char *singular, const char *plural)
{
    return n == 1 ? singular : plural;
}

const char *show_name(const char *text)
{
    static char *last[4];
    static size_t next;
    char **place = &last[next++ % 4];

    free(*place);
    *place = wp_escape(text);
    if (!*place)
        message_no_memory();
    return *place ? *place : "";
}

const char *show_signature(const struct wp_overload *o)
{
    return o->signature ? show_name(o->signature) : "(a key of another form)";
}

void show_begin(struct show_line *line)
{
    *line = (struct show_line){0};
    line->f = open_memstream(&line->text, &line->size);
}

void show_add(struct show_line *line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (line->f)
        vfprintf(line->f, fmt, ap);
    va_end(ap);
}

void show_add_count(struct show_line *line, uint64_t n, const char *one, const char *many,
                    const char *done)
{
    if (n)
        show_add(line, "; %llu %s%s%s", (unsigned long long)n, show_plural(n, one, many),
                 done ? " " : "", done ? done : "");
}

void show_add_archive(struct show_line *line, const char *path, const struct wp_create_result *r)
{
    char size[SHOW_SIZE];

    show_size(size, r->bytes_written);
    show_add(line, "%s: %llu %s, %s; ", strcmp(path, "-") == 0 ? "standard output" : path,
             (unsigned long long)r->entries, show_plural(r->entries, "file", "files"), size);
    show_add_verdict(line, &r->verify);
}

void show_add_verdict(struct show_line *line, const struct wp_verify_report *r)
{
    const char *before = " (";

    if (r->count == 0) {
        show_add(line, "no cache indexes");
        return;
    }
    show_add(line, "%zu of %zu cache indexes valid", wp_verify_report_loads(r), r->count);
    for (int s = 0; s < WP_STATUS_COUNT; s++) {
        if (s == WP_VALID || r->by_status[s] == 0)
            continue;
        show_add(line, "%s%zu %s", before, r->by_status[s], wp_status_name((enum wp_status)s));
        before = ", ";
    }
    if (before[0] == ',')
        show_add(line, ")");
}

void show_add_place(struct show_line *line, enum wp_layout layout, const char *cache_dir, bool set,
                    size_t count)
{
    if (cache_dir)
        show_add(line, "; caches in %s%s", cache_dir, set ? " (set NUMBA_CACHE_DIR)" : "");
    else if (count && layout == WP_LAYOUT_IN_TREE)
        show_add(line, "; caches in tree");
}

void show_add_retarget(struct show_line *line, const struct wp_retarget_result *r)
{
    show_add(line, "; %zu of %zu overloads for CPUs load on %s", r->loads, r->overloads, r->cpu);
    for (size_t i = 0; i < r->build_count; i++) {
        const struct wp_retarget_build *b = &r->builds[i];

        if (b->is_chosen && !b->is_native)
            show_add(line, ", compiled for %s", b->cpu);
    }
}

void show_end(struct show_line *line)
{
    bool failed = !line->f || ferror(line->f);

    if (line->f && fclose(line->f) != 0)
        failed = true;
    if (failed)
        message_no_memory();
    else
        message_summary("%s", line->text);
    free(line->text);
}

void show_invalid(const struct wp_verify_report *r, bool lost)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct wp_index_status *s = r->indexes + i;

        if (!wp_status_loads(s->status))
            message_tell(lost ? MESSAGE_LOST : MESSAGE_WARNING, "%s: %s: %s", show_name(s->index),
                         wp_status_name(s->status), s->reason ? s->reason : "not valid");
    }
}

/* The errno of an early flush, of which stdio keeps only that it failed; 0: none failed. */
static int flush_error;

void show_flush(void)
{
    errno = 0;
    if (fflush(stdout) != 0 && !flush_error)
        flush_error = errno;
}

void show_finish(void)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fclose(stdout) != 0)
        failed = true;
    if (!errno)
        errno = flush_error;
    if (failed && signals_caught() == SIGPIPE)
        message_raise(128 + SIGPIPE);
    else if (failed)
        message_error("standard output: %s", errno ? strerror(errno) : "cannot write");
}
