/* Repairing what was installed: adds to RECORD what installers are to remove. A distribution whose
 * metadata hold the manifest is known by that; else each is looked for whose RECORD lists the
 * sources that the caches belong to (installed.c). */

#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "layout/restamp.h"
#include "manifest/wheel_record.h"
#include "tree/beneath.h"

enum { LARGEST_RECORD = 256 << 20 };

/* TEXT ends in NUL, and is cut up into lines. */
static int split(struct record *rec, char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        if (array_grow(rec->lines, rec->count) < 0)
            return -ENOMEM;
        rec->lines[rec->count++] = line;
    }
    array_sort(rec->lines, rec->count, path_compare);
    return 0;
}

/* Is there a line that begins with LINE's name, up to its first separating comma at N? */
static bool is_listed(const struct record *rec, const char *line, size_t n)
{
    const struct path_start start = {.text = line, .n = n};

    return array_find(&start, rec->lines, rec->count, path_compare_start) != NULL;
}

/* Adds PATH of the tree, which is known to be there. 1: it is listed already; 0 or -ENOMEM. */
static int add(struct record *rec, const char *path)
{
    size_t above = strlen(rec->base), before = rec->more.size;
    const char *relative = path;

    if (above) {
        if (!path_is_under(path, rec->base) || !path[above])
            return 0; /* of the tree, but not where the distribution is */
        relative = path + above + 1;
    }
    if (wheel_record_add(&rec->more, relative, NULL, 0) < 0)
        return -ENOMEM;
    /* "PATH,,\n": what it shares with a line that has a digest ends at its first comma. */
    if (!is_listed(rec, (const char *)rec->more.data + before, rec->more.size - before - 2))
        return 0;
    rec->more.size = before;
    return 1;
}

int record_has(struct record *rec, const char *path)
{
    size_t before = rec->more.size;
    int r = add(rec, path);

    rec->more.size = before;
    return r;
}

int record_add_index(struct record *rec, const struct placed_index *placed)
{
    _cleanup_free_ char *dir = path_dir(placed->path);
    size_t count;
    const struct layout_file *files = layout_stem(placed->record, placed->file, &count);

    if (!dir)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        _cleanup_free_ char *path = path_join(dir, files[i].name);

        if (!path || add(rec, path) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* 0, also where PATH is not there, or -ENOMEM. A line too many harms nobody. */
static int add_if_there(struct record *rec, int fd, const char *path)
{
    struct stat st;

    return beneath_look(fd, path, &st) != 0 && add(rec, path) < 0 ? -ENOMEM : 0;
}

int record_add_home(struct record *rec, int fd, const char *home)
{
    static const char *const names[] = {MANIFEST_NAME, STATE_NAME};
    bool none;
    _cleanup_free_ char *ignore = trees_ignore_path(home, &none);
    int r = ignore ? add_if_there(rec, fd, ignore) : none ? 0 : -ENOMEM;

    for (size_t i = 0; i < sizeof names / sizeof *names && r == 0; i++) {
        _cleanup_free_ char *path = path_join(home, names[i]);

        r = path ? add_if_there(rec, fd, path) : -ENOMEM;
    }
    return r;
}

void record_tell(const struct restore *restore, const char *path, int r)
{
    report(restore->context, WP_WARNING, path,
           "cannot be read: %s; an installer may leave caches behind when it removes their sources",
           strerror(-r));
}

int record_read(struct record *rec, const struct restore *restore, const char *info,
                const char *base)
{
    int r;

    *rec = (struct record){.path = path_join(info, WHEEL_RECORD), .base = strdup(base)};
    if (!rec->path || !rec->base)
        return -ENOMEM;
    r = beneath_read(restore->fd, rec->path, LARGEST_RECORD, &rec->text, &rec->like);
    if (r == -ENOMEM)
        return r;
    if (r < 0 && !beneath_is_no_file(r))
        record_tell(restore, rec->path, r);
    if (r < 0 || !rec->text.size)
        return 0; /* an egg, or no installer was here */
    if (memchr(rec->text.data, '\0', rec->text.size))
        return 0; /* no RECORD that any installer reads */
    rec->lines_text = (struct buf){0};
    if (buf_add(&rec->lines_text, rec->text.data, rec->text.size) < 0 ||
        buf_terminate(&rec->lines_text) < 0)
        return -ENOMEM;
    return split(rec, (char *)rec->lines_text.data) < 0 ? -ENOMEM : 1;
}

void record_clear(struct record *rec)
{
    buf_free(&rec->text);
    buf_free(&rec->lines_text);
    buf_free(&rec->more);
    free(rec->lines);
    free(rec->path);
    free(rec->base);
    *rec = (struct record){0};
}

int record_write(struct restore *restore, struct record *rec)
{
    bool truncated = rec->text.size && rec->text.data[rec->text.size - 1] != '\n';
    _cleanup_free_ char *info = path_dir(rec->path);
    _cleanup_buf_ struct buf whole = {0};
    int r;

    if (!rec->more.size)
        return 0;
    r = restore_may_change(restore);
    if (r < 0)
        return r;
    if (!info || buf_add(&whole, rec->text.data, rec->text.size) < 0 ||
        (truncated && buf_add_str(&whole, "\n") < 0) ||
        buf_add(&whole, rec->more.data, rec->more.size) < 0)
        return -ENOMEM;
    (void)beneath_sweep(restore->fd, info);
    r = restamp_replace(restore->fd, rec->path, whole.data, whole.size, &rec->like, NULL);
    /* What is repaired is repaired; only a later removal will leave something behind. */
    if (r < 0 && r != -ENOMEM)
        report(restore->context, WP_WARNING, rec->path, "cannot be written: %s", strerror(-r));
    return r == -ENOMEM ? r : 0;
}

/* Adds to the RECORD of the distribution whose metadata hold the manifest. */
static int in_metadata(struct restore *restore, struct repair *repair)
{
    _cleanup_free_ char *place = path_dir(repair->t->home);
    _cleanup_free_ char *info = place ? path_dir(place) : NULL;
    _cleanup_free_ char *manifest = path_join(repair->t->home, MANIFEST_NAME);
    _cleanup_(record_clear) struct record rec = {0};
    const struct layout *l = repair->layout;
    int r = info && manifest ? record_read(&rec, restore, info, repair->t->base) : -ENOMEM;

    /* Where the manifest itself is not in it, nothing of ours is anybody's to remove. */
    if (r > 0)
        r = record_has(&rec, manifest);
    if (r <= 0)
        return r;
    r = record_add_home(&rec, restore->fd, repair->t->home);
    for (size_t i = 0; i < l->placed_count && r == 0; i++)
        if (l->placed[i].root == LAYOUT_TREE)
            r = record_add_index(&rec, &l->placed[i]);
    return r < 0 ? r : record_write(restore, &rec);
}

int restore_record(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = repair->t->info ? in_metadata(restore, repair) : restore_installed(restore, repair);

    return r == -ENOMEM ? error_nomem(err) : r;
}
