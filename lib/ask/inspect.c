/* The job of inspecting: tells what is in the indexes, without judging them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/indexes.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "judge/judge.h"
#include "judge/notes.h"
#include "judge/overloads.h"
#include "numba/caches.h"
#include "numba/code_names.h"
#include "tree/beneath.h"
#include "tree/walk.h"

/* Where the data files and the sources of an index may lie. */
struct beside {
    const char *dir;                       /* of the index */
    const struct archive_indexes *archive; /* NULL: on disk */
    int error; /* errno of the first of those files that cannot be looked at; 0: of none */
};

/* Is there a file called PATH on disk? */
static bool is_file(struct beside *b, const char *path, struct stat *st)
{
    int r = stat(path, st) < 0 ? -errno : 0;

    if (r < 0 && !error_is_absence(r) && !b->error)
        b->error = -r;
    return r == 0 && S_ISREG(st->st_mode);
}

static int size_beside(void *ctx, const char *name, uint64_t *size)
{
    struct beside *b = ctx;
    _cleanup_free_ char *path = path_join(b->dir, name);
    const struct entry *e =
        path && b->archive ? archive_indexes_file(b->archive, path, NULL) : NULL;
    struct stat st;

    if (e)
        *size = e->size;
    if (!path)
        return -ENOMEM;
    if (b->archive)
        return e != NULL;
    if (!is_file(b, path, &st))
        return 0;
    *size = (uint64_t)st.st_size;
    return 1;
}

/* The module that the code of O was compiled as, where we may read its data file. 0 or -ENOMEM. */
static int find_module(struct wp_overload *o, struct beside *b)
{
    _cleanup_free_ char *path = path_join(b->dir, o->data);
    _cleanup_(code_names_clear) struct code_names names = {0};
    _cleanup_buf_ struct buf text = {0};
    int r = path ? file_read(path, INDEX_LARGEST, &text, NULL) : -ENOMEM;

    if (r < 0 && !beneath_is_out_of_reach(r) && !b->error)
        b->error = -r;
    if (r == 0)
        r = code_names_read_data(&names, text.data, text.size, NULL);
    if (r == 0 && names.module && !(o->module = strdup(names.module)))
        r = -ENOMEM;
    return r == -ENOMEM ? r : 0;
}

/* Adds what is in TEXT to REPORT; UNREAD, where that is not NULL, says why it could not be read. S
 * has index and source, and stays the caller's to clear. */
static int add_index(struct wp_verify_report *report, struct wp_index_status *s,
                     const struct buf *text, const struct wp_error *unread, struct beside *beside,
                     struct wp_error *err)
{
    struct wp_error why = unread ? *unread : (struct wp_error){0};
    _cleanup_(index_clear) struct index index = {0};
    int r =
        unread ? error_negative(-unread->code) : index_read(&index, text->data, text->size, &why);

    s->status = WP_VALID;
    if (r == 0) {
        s->stamp = index.stamp;
        s->has_stamp = true;
        s->numba = strdup(index.numba);
        r = s->numba ? overloads_fill(s, &index, size_beside, beside, &why) : -ENOMEM;
    }
    for (size_t i = 0; i < s->overload_count && r == 0 && !beside->archive; i++)
        r = find_module(&s->overloads[i], beside);
    if (r < 0 && r != -ENOMEM)
        r = judge_unread(s, &why);
    if (r == 0)
        r = judge_name(s, s->index);
    if (r == 0)
        r = note_marker(report, s, size_beside, beside);
    if (r == 0)
        r = judge_add(report, s);
    return r < 0 ? error_nomem(err) : 0; /* all else is a verdict */
}

static bool exists(void *ctx, const char *path)
{
    struct stat st;

    return is_file(ctx, path, &st);
}

/* The source of an index in tree, where it is there. */
static int find_source(struct wp_index_status *s, struct beside *beside)
{
    const char *dir = beside->dir;
    _cleanup_free_ char *sources = path_dir(dir);
    bool found = false;

    if (!sources)
        return -ENOMEM;
    if (strcmp(path_base(dir), "__pycache__") != 0)
        return 0;
    s->source = caches_source_of(path_base(s->index), sources, exists, beside, &found);
    if (!s->source)
        return -ENOMEM;
    if (!found)
        free(take_ptr(s->source));
    return 0;
}

/* SHOWN is PATH, or points into it: then one that cannot be read is no reason to give up. */
static int inspect_file(const char *path, const char *shown, struct wp_verify_report *report,
                        struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(path);
    _cleanup_buf_ struct buf text = {0};
    struct beside beside = {.dir = dir};
    _cleanup_(judge_clear) struct wp_index_status s = {0};
    struct wp_error why = {0};
    int r = file_read(path, INDEX_LARGEST, &text, NULL);

    if (r == -EINVAL)
        error_set(&why, 0, path == shown ? path : NULL, "cannot be read: it is no regular file");
    else if (r < 0)
        error_set(&why, -r, path == shown ? path : NULL, "cannot be read");
    if (r == -ENOMEM || (r < 0 && path == shown)) {
        if (err)
            *err = why;
        return r;
    }
    s.index = strdup(path);
    if (!dir || !s.index || find_source(&s, &beside) < 0)
        return error_nomem(err);
    if (shown != path) {
        /* Beneath a directory, names are relative to it. */
        size_t above = strlen(path) - strlen(shown);

        memmove(s.index, s.index + above, strlen(shown) + 1);
        if (s.source && strncmp(s.source, path, above) == 0)
            memmove(s.source, s.source + above, strlen(s.source + above) + 1);
    }
    r = add_index(report, &s, &text, r < 0 ? &why : NULL, &beside, err);
    return r == 0 && beside.error
               ? error_set(err, beside.error, path, "its source or data cannot be looked at")
               : r;
}

static int inspect_tree(const char *dir, const struct walk_options *o,
                        struct wp_verify_report *report, struct wp_error *err)
{
    struct walk walk = {0};
    int root, r;

    r = root = walk_add_root(&walk, dir, err);
    if (r >= 0)
        r = walk_add(&walk, (unsigned)root, ".", "", o, err);
    if (r == 0)
        r = walk_finish(&walk, err);
    for (size_t i = 0; i < walk.count && r == 0; i++) {
        const struct entry *e = &walk.items[i].entry;
        _cleanup_free_ char *path = NULL;

        if (!caches_is_index(e->path))
            continue;
        path = path_join(dir, e->path);
        r = path ? context_check(o->context, err) : error_nomem(err);
        if (r == 0 && caches_is_index_at(e, path))
            r = inspect_file(path, path + strlen(path) - strlen(e->path), report, err);
    }
    walk_free(&walk);
    return r;
}

int wp_inspect_path(const struct wp_context *context, const char *path,
                    struct wp_verify_report *result, struct wp_error *err)
{
    struct walk_options o = {.numeric_owner = true, .context = context};
    struct stat st;
    int r;

    *result = (struct wp_verify_report){0};
    if (stat(path, &st) < 0)
        return error_set(err, errno, path, "cannot stat");
    r = S_ISDIR(st.st_mode) ? inspect_tree(path, &o, result, err)
                            : inspect_file(path, path, result, err);
    judge_sort(result);
    if (r < 0)
        wp_verify_report_clear(result);
    return r;
}

static int inspect_found(const struct archive_indexes *found, const struct archive_index *item,
                         struct wp_verify_report *report, struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(item->path);
    struct beside beside = {.dir = dir, .archive = found};
    _cleanup_(judge_clear) struct wp_index_status s = {0};
    struct wp_error unread = {0};
    const char *misplaced;
    bool has_source;

    if (item->unread)
        error_set(&unread, 0, NULL, "%s", item->unread);
    s.index = strdup(item->path);
    s.source = archive_indexes_source(found, item, &misplaced, &has_source);
    if (!dir || !s.index || !s.source)
        return error_nomem(err);
    if (!has_source)
        free(take_ptr(s.source));
    return add_index(report, &s, &item->text, item->unread ? &unread : NULL, &beside, err);
}

int wp_inspect_archive(struct wp_archive *a, struct wp_verify_report *result, struct wp_error *err)
{
    struct archive_indexes found;
    int r = archive_indexes_read(&found, a, ARCHIVE_SOURCE_DIGESTS, NULL, err);

    *result = (struct wp_verify_report){0};
    for (size_t i = 0; i < found.count && r == 0; i++)
        r = inspect_found(&found, &found.items[i], result, err);
    judge_sort(result);
    archive_indexes_clear(&found);
    if (r < 0)
        wp_verify_report_clear(result);
    return r;
}
