/* Repairing, fifth step: changes indexes and .pyc files to fit whose source does not have the time
 * that they remember, and only where the source's content is what was packed. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "layout/pyc.h"
#include "layout/restamp.h"
#include "numba/index.h"
#include "tree/behind.h"
#include "tree/beneath.h"

enum { LARGEST = 1 << 28 };

/* Reads the index where it now lies; INDEX points into TEXT. 1; 0: it cannot be loaded either;
 * negative errno. */
static int read_index(const struct placed_index *placed, struct index *index, struct buf *text,
                      struct wp_error *err)
{
    int r = behind_read(placed->fd, placed->path, LARGEST, text, NULL);

    if (r < 0)
        return beneath_is_out_of_reach(r) ? 0 : error_set(err, -r, placed->shown, "cannot be read");
    r = index_read(index, text->data, text->size, NULL);
    return r == -ENOMEM ? error_nomem(err) : r == 0;
}

/* ---- Data files -------------------------------------------------------------------------- */

/* A data file older than its source is the sign of a Numba that died while saving. This one is as
 * it was packed, beside a valid index, and only its source is newer now: it gets the same time. */
static int renew(const struct restore *restore, int fd, const char *path,
                 const struct restamp_source *source, const struct entry *packed,
                 struct wp_error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, source->now};
    const char *name;
    _cleanup_close_ int dir = beneath_parent(fd, path, &name);
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    bool is_own = false;
    int r = dir < 0 ? dir : fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;

    if (r == 0) {
        is_own = S_ISREG(st.st_mode) && st.st_nlink == 1;
        r = behind_look(dir, name, &st);
    }
    if (r > 0)
        r = time_is_before(st.st_mtim, source->now) ? behind_has_content(dir, name, packed->sha256)
                                                    : 0;
    if (r < 0 && !beneath_is_out_of_reach(r))
        return error_set(err, -r, path, "cannot be read");
    if (r <= 0)
        return 0;
    if (restore_may_change(restore) < 0)
        return -EAGAIN;
    if (is_own && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    /* Somebody else's, or of others, too: a copy of our own takes its place, where that is allowed.
     */
    r = behind_read(dir, name, LARGEST, &text, &st);
    if (r == 0)
        r = restamp_replace_read(dir, name, text.data, text.size, &st, &source->now);
    return r < 0 && r != -EBUSY && !beneath_is_out_of_reach(r) && !restore_is_refused(-r)
               ? error_set(err, -r, path, "cannot be given a new time")
               : 0;
}

static int renew_data(const struct restore *restore, struct tree_manifest *t,
                      const struct placed_index *placed, const struct manifest_index *line,
                      const struct restamp_source *source, struct wp_error *err)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    _cleanup_free_ char *here = path_dir(placed->path), *there = path_dir(line->index);
    int r = here && there ? read_index(placed, &index, &text, err) : error_nomem(err);

    if (r <= 0)
        return r;
    r = 0;
    for (size_t i = 0; i < index.count && r == 0; i++) {
        _cleanup_free_ char *path = path_join(here, index.overloads[i].data);
        _cleanup_free_ char *archived = path_join(there, index.overloads[i].data);
        const struct entry *e = archived ? manifest_find(&t->m, archived) : NULL;

        if (!path || !archived)
            return error_nomem(err);
        if (e && e->type == ENTRY_FILE && e->has_sha256)
            r = renew(restore, placed->fd, path, source, e, err);
    }
    return r;
}

/* ---- Indexes ----------------------------------------------------------------------------- */

/* An index that fits its source by time and size, but whose source has other content: Numba would
 * run code of what is no longer there. */
static void warn_of_wrong_code(struct restore *restore, const struct placed_index *placed,
                               const struct restored *f, const struct manifest_index *line)
{
    if (!line->valid || !line->has_stamp || line->stamp.kind == WP_STAMP_CONTENT ||
        !time_is(f->facts->mtime, f->before))
        return;
    restore->result->lost++;
    report(restore->context, WP_WARNING, placed->shown,
           "its source has other content, but the time and maybe the size that the index "
           "remembers: Numba would not notice");
}

static int remove_index(const struct placed_index *placed, struct wp_error *err)
{
    const char *name;
    _cleanup_close_ int dir = beneath_parent(placed->fd, placed->path, &name);

    if (dir < 0 || unlinkat(dir, name, 0) < 0)
        return error_set(err, dir < 0 ? -dir : errno, placed->shown, "cannot be removed");
    return 0;
}

/* An index that fits its source, but not what else its code came from: Numba would load it, and
 * with stamps of content it does so whatever the times are. */
static int remove_old_code(struct restore *restore, struct placed_index *placed,
                           const struct restored *f, const struct manifest_index *line,
                           struct wp_error *err)
{
    _cleanup_(index_clear) struct index index = {0};
    _cleanup_buf_ struct buf text = {0};
    int r = line->valid ? read_index(placed, &index, &text, err) : 0;

    if (r <= 0)
        return r;
    r = 0;
    if (stamp_matches(&index.stamp, f->before, f->facts->size, f->facts->sha256) != 1 ||
        !line->has_stamp || !stamp_equal(&line->stamp, &index.stamp))
        return 0;
    if (!restore->o->dry_run && !placed->staged) {
        r = remove_index(placed, err);
        placed->removed = r == 0;
    }
    restore->result->lost++;
    if (r == 0)
        report(restore->context, WP_WARNING, placed->shown,
               "a file that its code came from has changed, and Numba would not notice: it %s "
               "removed",
               placed->removed ? "is" : "would be");
    return r;
}

static int find_source(const struct repair *repair, const struct placed_index *placed,
                       struct restored **out)
{
    _cleanup_free_ char *archived =
        path_join(repair->t->dirs[placed->tag].archived, path_base(placed->source_shown));

    *out = NULL;
    return archived ? restore_find_file(repair, archived, out) : -ENOMEM;
}

struct restored *restore_source_of(const struct repair *repair, const struct placed_index *placed)
{
    struct restored *f;

    (void)find_source(repair, placed, &f);
    return f;
}

/* The source of PLACED, the manifest's line of it, and the times of that source; each is NULL or
 * zeros where it is not known. */
struct fitting {
    struct restored *f;
    const struct manifest_index *line;
    struct restamp_source source;
};

static int find_fitting(const struct repair *repair, const struct placed_index *placed,
                        struct fitting *out, struct wp_error *err)
{
    int r = find_source(repair, placed, &out->f);

    if (r == 0)
        r = tree_find_index_line(repair->t, placed->tag, path_base(placed->path), &out->line);
    if (r < 0)
        return error_nomem(err);
    if (out->f)
        out->source = (struct restamp_source){
            .now = out->f->now, .before = out->f->before, .packed = out->f->facts};
    return 0;
}

/* Is the source the file whose content was looked at, though its time may not be set yet? A new
 * release may have been put over it. 1, 0 or negative errno. */
static int is_still_there(const struct restore *restore, const struct restored *f)
{
    struct stat st;
    int r = f->linked ? behind_look(restore->fd, f->path, &st)
                      : beneath_look(restore->fd, f->path, &st);

    return r > 0 ? st.st_dev == f->dev && st.st_ino == f->ino &&
                       (time_is(st.st_mtim, f->now) || time_is(st.st_mtim, f->before))
                 : r;
}

static int fit_index(struct restore *restore, struct repair *repair, struct placed_index *placed,
                     struct wp_error *err)
{
    struct fitting fit = {0};
    int r = find_fitting(repair, placed, &fit, err);
    const struct manifest_index *line = fit.line;
    const struct restored *f = fit.f;

    if (r < 0 || !f || placed->fd < 0)
        return r;
    if (f->status == RESTORED_CHANGED && line)
        warn_of_wrong_code(restore, placed, f, line);
    if (f->status == RESTORED_HELD && line)
        r = remove_old_code(restore, placed, f, line, err);
    if (r < 0 || f->status != RESTORED_SAME)
        return r;
    r = is_still_there(restore, f);
    if (r < 0)
        return error_set(err, -r, f->path, "cannot stat");
    if (r == 0 && !restore->o->dry_run && !restore->looking)
        return 0;
    r = 0;
    if (restore->o->restamp != WP_RESTAMP_NEVER)
        r = restamp_index(placed->fd, placed->path, &fit.source, line ? &repair->t->m : NULL, line,
                          restore->o->dry_run || restore->looking, err);
    if (r > 0 && restore_may_change(restore) < 0)
        return -EAGAIN;
    if (r > 0) {
        restore->result->restamped++;
        report(restore->context, restore_detail(restore), placed->shown,
               restore->o->dry_run ? "its stamp would be changed" : "its stamp is changed");
    }
    if (r >= 0 && line && line->valid && !restore->o->dry_run)
        r = renew_data(restore, repair->t, placed, line, &fit.source, err);
    return r < 0 ? r : 0;
}

/* ---- .pyc files -------------------------------------------------------------------------- */

static int fit_pycs(struct restore *restore, struct pyc_listing *listing, const struct restored *f,
                    struct wp_error *err)
{
    struct restamp_source source = {.now = f->now, .before = f->before, .packed = f->facts};
    const size_t before = restore->result->pycs;
    int r;

    if (f->now.tv_sec == f->before.tv_sec && f->now.tv_sec == f->facts->mtime.tv_sec)
        return 0;
    r = pyc_restamp(listing, restore->fd, f->path, &source, restore->o->dry_run || restore->looking,
                    &restore->result->pycs, err);
    return r == 0 && restore->result->pycs > before ? restore_may_change(restore) : r;
}

/* Data files that share an inode with what they are moved from had its time set with that. */
static int renew_staged(struct restore *restore, struct repair *repair,
                        const struct placed_index *placed, struct wp_error *err)
{
    struct fitting fit = {0};
    int r = find_fitting(repair, placed, &fit, err);

    if (r < 0 || !fit.f || fit.f->status != RESTORED_SAME || placed->fd < 0 || !fit.line ||
        !fit.line->valid)
        return r;
    return renew_data(restore, repair->t, placed, fit.line, &fit.source, err);
}

int restore_renew_staged(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < repair->layout->placed_count && r == 0; i++)
        if (repair->layout->placed[i].staged)
            r = renew_staged(restore, repair, &repair->layout->placed[i], err);
    return r;
}

int restore_stamps(struct restore *restore, struct repair *repair, int which, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < repair->layout->placed_count && r == 0; i++) {
        struct placed_index *placed = &repair->layout->placed[i];

        r = context_check(restore->context, err);
        if (r == 0 && which & (placed->staged ? STAMPS_STAGED : STAMPS_STAYING))
            r = fit_index(restore, repair, placed, err);
    }
    return r;
}

int restore_pycs(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    _cleanup_(pyc_listing_clear) struct pyc_listing listing = {0};
    int r = 0;

    for (size_t i = 0; i < repair->t->m.entry_count && r == 0 && !restore->apart; i++)
        if (repair->files[i].status == RESTORED_SAME && restore->o->restamp != WP_RESTAMP_NEVER)
            r = fit_pycs(restore, &listing, &repair->files[i], err);
    return r;
}
