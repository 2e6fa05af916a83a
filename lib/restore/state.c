/* Repairing, the record of it: adds a further line to state.jsonl where there is something new to
 * say.
 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"
#include "numba/caches.h"
#include "tree/beneath.h"

/* Does the last line say what NOW says? It may say it of a directory above the base. */
static bool says_the_same(const struct tree_manifest *t, const struct manifest_state *now)
{
    const struct manifest_state *was = &t->state;
    size_t i = 0;

    if (!t->has_state || !text_same(was->layout, now->layout) ||
        !text_same(was->cache_root, now->cache_root) || !text_same(was->archive, now->archive))
        return false;
    while (i < now->root_count && t->old_bases[i] && strcmp(t->old_bases[i], now->roots[i]) == 0)
        i++;
    return i == now->root_count && !t->old_bases[i];
}

/* Writes it through the staging where there is one, so that it appears with what it tells of. */
static int put(struct restore *restore, struct repair *repair, const struct buf *text,
               struct wp_error *err)
{
    _cleanup_free_ char *path = path_join(repair->t->home, STATE_NAME);
    int r;

    if (!path)
        return error_nomem(err);
    if (repair->staging) {
        r = trees_state_stage(repair->staging, repair->t->home, text, err);
        if (r == 0)
            r = trees_ignore_stage(repair->staging, repair->t->home, false, err);
        return r == 0 && staging_set_last(repair->staging, 0, path) < 0 ? error_nomem(err) : r;
    }
    r = restamp_put(restore->fd, path, text, NULL);
    /* The tree is repaired all the same; only a later move will find less. */
    if (r < 0)
        report(restore->context, WP_WARNING, path, "cannot be written: %s", strerror(-r));
    else
        trees_ignore_write(restore->fd, repair->t->home);
    return 0;
}

/* Hex digest of the manifest's text. 0 or negative errno. */
static int manifest_digest(const struct restore *restore, const struct tree_manifest *t,
                           char hex[2 * SHA256_SIZE + 1])
{
    _cleanup_free_ char *path = path_join(t->home, MANIFEST_NAME);
    _cleanup_close_ int fd = path ? beneath_open_read(restore->fd, path) : -ENOMEM;
    unsigned char digest[SHA256_SIZE];
    int r = fd < 0 ? fd : sha256_of_file(fd, digest);

    if (r == 0)
        hex_encode(digest, sizeof digest, hex);
    return r;
}

/* Does an index lie in a cache root that only the state remembers? */
static bool lies_in_root(const struct layout *l)
{
    for (size_t i = 0; i < l->placed_count; i++)
        if (l->placed[i].root != LAYOUT_TREE)
            return true;
    return false;
}

int restore_state_write(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    const struct tree_manifest *t = repair->t;
    char archive[2 * SHA256_SIZE + 1];
    struct manifest_state now = {.action = (char *)"restore",
                                 .strip = t->strip,
                                 .layout = (char *)wp_layout_name(repair->layout->where),
                                 .cache_root = repair->layout->where_root,
                                 .archive = archive};
    _cleanup_buf_ struct buf text = {0};
    int r;

    if (!t->home || restore->apart)
        return 0;
    if (repair->root_away && !lies_in_root(repair->layout)) {
        report(restore->context, WP_WARNING, t->state.cache_root,
               "is not there now: caches that may lie in it are looked for again by the next "
               "restore");
        return 0;
    }
    r = manifest_digest(restore, t, archive);
    if (r < 0)
        return error_set(err, -r, t->name, "cannot be read");
    while (restore->roots[now.root_count])
        now.root_count++;
    now.roots = trees_bases(restore->roots, now.root_count, t->base);
    if (!now.roots)
        return error_nomem(err);
    if (!says_the_same(t, &now)) {
        if (restore_may_change(restore) < 0)
            r = -EAGAIN;
        else if (buf_add(&text, t->state_text.data, t->state_text.size) < 0 ||
                 manifest_state_write(&now, &text) < 0)
            r = error_nomem(err);
        else
            r = put(restore, repair, &text, err);
    }
    caches_free_bases(now.roots);
    return r;
}
