/* Unpacking, where a filesystem cannot hold a time, or another is wished: changes indexes and .pyc
 * files to fit, while they are still staged. What is staged has been compared with the manifest. */

#include <sys/stat.h>

#include "base/times.h"
#include "job.h"
#include "layout/pyc.h"
#include "layout/restamp.h"
#include "manifest/links.h"
#include "tree/beneath.h"

/* Fills SOURCE for source E; false where its time is as packed, or cannot be told. */
static bool lost_time(const struct unpack *unpack, const struct entry *e,
                      struct restamp_source *source)
{
    struct stat st;

    if (e->type != ENTRY_FILE || !e->has_sha256 || beneath_stat(unpack->tree, e->path, &st) < 0)
        return false;
    *source = (struct restamp_source){.now = st.st_mtim, .before = e->mtime, .packed = e};
    return !time_is(st.st_mtim, e->mtime);
}

static const struct entry *look_up(void *ctx, const char *path, bool *is_end)
{
    const struct unpacked *item = unpack_find(ctx, path);

    (void)is_end;
    return item && !item->skipped ? &item->e : NULL;
}

static int fit_index(struct unpack *unpack, const struct placed_index *placed, struct wp_error *err)
{
    const struct entry *e;
    /* A valid index is placed once; which line it has does not matter, since its stamp fitted. */
    struct manifest_index line = {.valid = placed->was_valid};
    struct restamp_source source;
    int r;

    if (!placed->was_valid || links_follow(look_up, unpack, placed->source_shown, &e) < 0 ||
        !lost_time(unpack, e, &source))
        return 0;
    r = restamp_index(placed->fd, placed->path, &source, NULL, &line, false, err);
    unpack->result->restamped += r > 0;
    return r < 0 ? r : 0;
}

int unpack_restamp(struct unpack *unpack, struct wp_error *err)
{
    struct pyc_listing listing = {0};
    size_t pycs = 0;
    int r = 0;

    for (size_t i = 0; i < unpack->layout.placed_count && r == 0; i++)
        r = fit_index(unpack, &unpack->layout.placed[i], err);
    for (size_t i = 0;
         i < unpack->count && r == 0 && (unpack->result->restamped || unpack->o->mtime); i++) {
        struct restamp_source source;

        if (!unpack->items[i]->skipped && lost_time(unpack, &unpack->items[i]->e, &source) &&
            source.now.tv_sec != source.before.tv_sec)
            r = pyc_restamp(&listing, unpack->tree, unpack->items[i]->e.path, &source, false, &pycs,
                            err);
    }
    pyc_listing_clear(&listing);
    return r;
}
