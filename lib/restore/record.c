/* Repairing an installed wheel: adds to RECORD what installers are to remove. The state beside the
 * manifest, and caches that lie beside their sources now, are listed like what was installed. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"
#include "manifest/wheel_record.h"
#include "tree/beneath.h"

enum { LARGEST_RECORD = 256 << 20 };

struct record {
    const struct repair *repair;
    char **lines; /* sorted, into the text; owned */
    size_t count;
    struct buf more;
};

/* TEXT ends in NUL, and is cut up into lines. */
static int split(struct record *rec, char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        if (array_grow(rec->lines, rec->count) < 0)
            return -ENOMEM;
        rec->lines[rec->count++] = line;
    }
    if (rec->count)
        qsort(rec->lines, rec->count, sizeof *rec->lines, path_compare);
    return 0;
}

/* Is there a line that begins with LINE's name, up to its first separating comma at N? */
static bool is_listed(const struct record *rec, const char *line, size_t n)
{
    const struct path_start start = {.text = line, .n = n};

    return rec->count &&
           bsearch(&start, rec->lines, rec->count, sizeof *rec->lines, path_compare_start) != NULL;
}

/* Lists PATH of the tree, which is known to be there. 1: it is listed already. */
static int list_file(struct record *rec, const char *path)
{
    size_t above = strlen(rec->repair->t->base), before = rec->more.size;
    const char *relative = path;

    if (above) {
        if (!path_is_under(path, rec->repair->t->base) || !path[above])
            return 0; /* of the tree, but not where the distribution is */
        relative = path + above + 1;
    }
    if (wheel_record_add(&rec->more, relative) < 0)
        return -ENOMEM;
    /* "PATH,,\n": what it shares with a line that has a digest ends at its first comma. */
    if (!is_listed(rec, (const char *)rec->more.data + before, rec->more.size - before - 2))
        return 0;
    rec->more.size = before;
    return 1;
}

static int list_index(struct record *rec, const struct placed_index *placed)
{
    _cleanup_free_ char *dir = path_dir(placed->path);
    size_t count;
    const struct layout_file *files = layout_stem(placed->record, placed->file, &count);

    if (!dir)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        _cleanup_free_ char *path = path_join(dir, files[i].name);

        if (!path || list_file(rec, path) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int list_all(struct record *rec, struct restore *restore, const char *state)
{
    const struct layout *l = rec->repair->layout;
    struct stat st;

    if (beneath_stat(restore->fd, state, &st) == 0 && list_file(rec, state) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < l->placed_count; i++)
        if (l->placed[i].root == LAYOUT_TREE && list_index(rec, &l->placed[i]) < 0)
            return -ENOMEM;
    return 0;
}

static int append(struct restore *restore, const char *path, const struct buf *text,
                  const struct buf *more, const struct stat *like)
{
    _cleanup_buf_ struct buf whole = {0};
    bool truncated = text->size && text->data[text->size - 1] != '\n';
    int r;

    if (buf_add(&whole, text->data, text->size) < 0 ||
        (truncated && buf_add_str(&whole, "\n") < 0) || buf_add(&whole, more->data, more->size) < 0)
        return -ENOMEM;
    r = restamp_replace(restore->fd, path, whole.data, whole.size, like, NULL);
    /* What is repaired is repaired; only a later removal will leave something behind. */
    if (r < 0 && r != -ENOMEM)
        report(restore->context, WP_WARNING, path, "cannot be written: %s", strerror(-r));
    return r == -ENOMEM ? r : 0;
}

int restore_record(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    _cleanup_free_ char *place = repair->t->info ? path_dir(repair->t->home) : NULL;
    _cleanup_free_ char *info = place ? path_dir(place) : NULL;
    _cleanup_free_ char *path = info ? path_join(info, WHEEL_RECORD) : NULL;
    _cleanup_free_ char *state = info ? path_join(repair->t->home, STATE_NAME) : NULL;
    _cleanup_free_ char *manifest = info ? path_join(repair->t->home, MANIFEST_NAME) : NULL;
    _cleanup_buf_ struct buf text = {0}, lines = {0};
    struct record rec = {.repair = repair};
    struct stat st;
    int r;

    if (!repair->t->info)
        return 0;
    if (!path || !state || !manifest)
        return error_nomem(err);
    if (beneath_read(restore->fd, path, LARGEST_RECORD, &text, &st) < 0 || !text.size)
        return 0; /* an egg, or no installer was here */
    if (memchr(text.data, '\0', text.size))
        return 0; /* no RECORD that any installer reads */
    beneath_sweep(restore->fd, info);
    r = buf_add(&lines, text.data, text.size) < 0 || buf_terminate(&lines) < 0
            ? -ENOMEM
            : split(&rec, (char *)lines.data);
    /* Where the manifest itself is not in it, nothing of ours is anybody's to remove. */
    if (r == 0 && (r = list_file(&rec, manifest)) == 1) {
        r = list_all(&rec, restore, state);
        if (r == 0 && rec.more.size && restore_may_change(restore) < 0)
            r = -EAGAIN;
        if (r == 0 && rec.more.size)
            r = append(restore, path, &text, &rec.more, &st);
    }
    buf_free(&rec.more);
    free(rec.lines);
    return r == -EAGAIN ? r : r < 0 ? error_nomem(err) : 0;
}
