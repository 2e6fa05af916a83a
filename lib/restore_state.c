/* Repairing, the record of it: a further line of state.jsonl, where it says something new. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "restamp.h"
#include "restore.h"
#include "tree/beneath.h"
#include "tree/create.h"

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Does the last line say what NOW says? It may say it of a directory above the base. */
static bool says_the_same(const struct restore_tree *t, const struct manifest_state *now)
{
    const struct manifest_state *was = &t->state;
    size_t i = 0;

    if (!t->has_state || !same_text(was->layout, now->layout) ||
        !same_text(was->cache_root, now->cache_root) || !same_text(was->archive, now->archive))
        return false;
    while (i < now->root_count && t->old_bases[i] && strcmp(t->old_bases[i], now->roots[i]) == 0)
        i++;
    return i == now->root_count && !t->old_bases[i];
}

/* Through the staging where there is one, so that it appears with what it tells of. */
static int put(struct restore *r, struct restore_tree *t, const char *path, const struct buf *text,
               struct wp_error *err)
{
    struct create_policy plain = {.permissions = true};
    struct entry e = {.path = (char *)path, .mode = 0644, .size = text->size};
    struct stat like = {.st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()};
    int tree, res;

    clock_gettime(CLOCK_REALTIME, &e.mtime);
    if (!t->staging) {
        (void)beneath_stat(r->fd, path, &like);
        res = restamp_replace(r->fd, path, text->data, text->size, &like, &e.mtime);
        /* The tree is repaired all the same; only a later move will find less. */
        if (res < 0)
            report(r->o->report, WP_WARNING, path, "cannot be written: %s", strerror(-res));
        return 0;
    }
    tree = staging_tree(t->staging, 0);
    res = create_dir(tree, t->home, 0700, err);
    if (res == 0)
        res = create_file(tree, &plain, &e, text->data, text->size, err);
    if (res == 0 && staging_set_last(t->staging, 0, path) < 0)
        res = error_nomem(err);
    return res;
}

int restore_state_write(struct restore *r, struct restore_tree *t, struct wp_error *err)
{
    struct manifest_state now = {.action = (char *)"restore",
                                 .strip = t->strip,
                                 .layout = (char *)wp_layout_name(t->layout.where),
                                 .cache_root = t->layout.where_root,
                                 .archive = t->archive};
    _cleanup_free_ char *path = t->home ? path_join(t->home, STATE_NAME) : NULL;
    _cleanup_buf_ struct buf text = {0};
    size_t count = 0;
    int res = 0;

    if (!t->home)
        return 0;
    while (r->roots[count])
        count++;
    now.roots = calloc(count + 1, sizeof *now.roots);
    for (; now.roots && now.root_count < count; now.root_count++)
        if (!(now.roots[now.root_count] = *t->base ? path_join(r->roots[now.root_count], t->base)
                                                   : strdup(r->roots[now.root_count])))
            break;
    if (!path || !now.roots || now.root_count < count)
        res = -ENOMEM;
    else if (!says_the_same(t, &now)) {
        if (buf_add(&text, t->state_text.data, t->state_text.size) < 0)
            res = -ENOMEM;
        else
            res = manifest_state_write(&now, &text);
    }
    if (res < 0)
        error_nomem(err);
    else if (text.size)
        res = put(r, t, path, &text, err);
    for (size_t i = 0; i < now.root_count; i++)
        free(now.roots[i]);
    free(now.roots);
    return res;
}
