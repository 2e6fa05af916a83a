/* Judges one index on disk. */

#include "on_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/path.h"
#include "judge.h"
#include "keys.h"
#include "notes.h"
#include "numba/data.h"
#include "numba/index.h"
#include "numba/stamp.h"
#include "numba/zipped.h"

enum { LARGEST = 1 << 28 }; /* bytes of a data file that are looked at */

struct disk {
    const struct verify_place *place;
    const struct verify *verify;
    const char *dir;         /* of the index */
    bool zipped;             /* the source lies in a zip: that has its time and size */
    struct data_facts facts; /* of all data files looked at */
    struct timespec mtime;   /* of the index */
    struct timespec source;  /* the source's time */
    bool ahead;              /* the source's time is later than the clock was */
};

static int source_on_disk(void *ctx, struct judge_file *f)
{
    struct disk *d = ctx;
    struct stat st;

    if (!d->place->source)
        return 0;
    if (stat(d->place->source, &st) < 0) {
        _cleanup_free_ char *zip =
            error_is_no_directory(-errno) ? zipped_file(d->place->source) : NULL;

        d->zipped = zip != NULL;
        if (!zip || stat(zip, &st) < 0)
            return error_is_absence(-errno) ? 0 : -errno;
    }
    if (!S_ISREG(st.st_mode))
        return 0;
    d->source = st.st_mtim;
    *f = (struct judge_file){.mtime = st.st_mtim, .size = (uint64_t)st.st_size};
    return 1;
}

/* Could the user read what the caller could? A place that Numba ignores is not read at all. */
static bool is_readable(const struct disk *d, const struct stat *st)
{
    return d->verify->unwritable || places_readable(st, &d->verify->user);
}

static int digest_on_disk(void *ctx, unsigned char out[32])
{
    const struct disk *d = ctx;
    _cleanup_close_ int fd =
        d->zipped ? -1 : open(d->place->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (d->zipped)
        return zipped_digest_at(d->place->source, out);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    return is_readable(d, &st) ? sha256_of_file(fd, out) : -EACCES;
}

/* Is the data file whole? What else is found in it is added to what others had. 1, 0 or -ENOMEM. */
static int look_into_data(struct disk *d, const struct buf *text)
{
    struct data_facts facts;
    int r = data_read(text->data, text->size, d->verify->old_root, &facts, NULL);

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    d->facts.has_text = d->facts.has_text || facts.has_text;
    if (!*d->facts.svml)
        memcpy(d->facts.svml, facts.svml, sizeof facts.svml);
    return facts.whole;
}

static int data_on_disk(void *ctx, const char *name, struct judge_file *f, bool *whole)
{
    struct disk *d = ctx;
    _cleanup_free_ char *path = path_join(d->dir, name);
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r = path ? file_read(path, LARGEST, &text, &st) : -ENOMEM;

    if (error_is_absence(r))
        return 0;
    if (r < 0)
        return r;
    if (!is_readable(d, &st))
        return -EACCES;
    *f = (struct judge_file){.mtime = st.st_mtim, .size = (uint64_t)st.st_size};
    r = d->verify->expect ? look_into_data(d, &text) : index_check_data(text.data, text.size, NULL);
    if (r == -ENOMEM)
        return r;
    *whole = d->verify->expect ? r > 0 : r == 0;
    return 1;
}

static int remember_writable(struct verify *verify, const char *dir)
{
    int why;

    if (verify->dir && strcmp(verify->dir, dir) == 0)
        return 0;
    free(verify->dir);
    free(take_ptr(verify->unwritable));
    verify->dir = strdup(dir);
    if (!verify->dir)
        return -ENOMEM;
    why = places_writable(dir, &verify->user);
    if (why == ENOMEM) {
        free(take_ptr(verify->dir));
        return -ENOMEM;
    }
    if (why) {
        struct wp_error text = {0};

        error_set(&text, why, NULL, "%s cannot write to the directory, so Numba ignores it",
                  verify->user.name ? verify->user.name : "the user");
        verify->unwritable = strdup(text.message);
        if (!verify->unwritable)
            return -ENOMEM;
    }
    return 0;
}

/* The place of the index cannot be written to: can any other that Numba would try for its source?
 * 1, 0 or -ENOMEM. */
static int has_other_place(const struct verify *verify, const struct verify_place *place)
{
    _cleanup_free_ char *user_wide = places_user_wide(&verify->user, verify->is_caller);
    const bool is_out = !user_wide && errno == ENOMEM;
    _cleanup_free_ char *sources = place->source ? path_dir(place->source) : NULL;
    _cleanup_free_ char *in_tree = sources ? path_join(sources, "__pycache__") : NULL;
    int why;

    if (is_out || (place->source && !in_tree))
        return -ENOMEM;
    if (!in_tree || !user_wide)
        return 1;
    why = places_writable(in_tree, &verify->user);
    if (why && why != ENOMEM)
        why = places_writable(user_wide, &verify->user);
    return why == ENOMEM ? -ENOMEM : !why;
}

/* That Numba refuses to begin is told in place of why. 0 or -ENOMEM. */
static int judge_other_places(const struct verify *verify, struct wp_index_status *s,
                              const struct verify_place *place)
{
    int r = s->status == WP_UNWRITABLE ? has_other_place(verify, place) : 1;

    return r ? r < 0 ? r : 0
             : judge_set(
                   s, WP_UNWRITABLE,
                   "%s can write neither there nor to any other place of Numba's: the program "
                   "stops with \"no locator available\"",
                   verify->user.name ? verify->user.name : "the user");
}

static int size_on_disk(void *ctx, const char *name, uint64_t *size)
{
    const struct disk *d = ctx;
    _cleanup_free_ char *path = path_join(d->dir, name);
    struct stat st;

    if (!path)
        return -ENOMEM;
    if (stat(path, &st) < 0)
        return error_is_absence(-errno) ? 0 : -errno;
    *size = (uint64_t)st.st_size;
    return 1;
}

/* Takes a note of a sticky directory once. */
static int look_at_directory(struct verify *verify, const struct disk *disk, uid_t owner)
{
    _cleanup_free_ char *shown = path_dir(disk->place->index_shown);
    int told;

    if (!shown)
        return -ENOMEM;
    if (verify->sticky && strcmp(verify->sticky, disk->dir) == 0)
        return 0;
    told = note_sticky(verify->notes, disk->dir, shown, owner, &verify->user);
    if (told <= 0)
        return told;
    free(verify->sticky);
    verify->sticky = strdup(disk->dir);
    return verify->sticky ? 0 : -ENOMEM;
}

/* Judges what the interpreter that was asked lacks. 0 or -ENOMEM. */
static int judge_lacking(const struct judge_expect *e, struct wp_index_status *s,
                         const struct disk *disk)
{
    if (!wp_status_loads(s->status))
        return 0;
    if (e->asked.no_whole_seconds && s->stamp.kind == WP_STAMP_SECONDS &&
        s->stamp.mtime != stamp_mtime(disk->source))
        return judge_set(s, WP_STALE,
                         "its stamp is of whole seconds, which no locator of %s makes, and the "
                         "source's time is not",
                         e->who);
    if (e->asked.no_svml && *disk->facts.svml)
        return judge_set(s, WP_UNSAFE_SVML,
                         "its code calls %s of Intel's SVML library, which %s does not find",
                         disk->facts.svml, e->who);
    return 0;
}

/* Judges the keys of an index and takes notes. */
static int look_closer(struct verify *verify, struct wp_index_status *s, const struct index *index,
                       struct disk *disk, uid_t owner, struct wp_error *err)
{
    int r = judge_keys(s, index, verify->expect, size_on_disk, disk, err);

    if (r == 0 && judge_lacking(verify->expect, s, disk) < 0)
        r = error_nomem(err);
    if (r == 0 && (note_index(verify->notes, s, &disk->facts, verify->old_root) < 0 ||
                   (disk->ahead && note_ahead(verify->notes, s) < 0) ||
                   note_marker(verify->notes, s, size_on_disk, disk) < 0 ||
                   look_at_directory(verify, disk, owner) < 0))
        r = error_nomem(err);
    return r;
}

int verify_place(struct verify *verify, const struct verify_place *place, struct wp_index_status *s,
                 struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(place->index);
    _cleanup_buf_ struct buf text = {0};
    struct disk disk = {.place = place, .verify = verify, .dir = dir};
    struct judge_facts facts = {.source = source_on_disk,
                                .digest = digest_on_disk,
                                .data = data_on_disk,
                                .ctx = &disk,
                                .index_mtime = &disk.mtime,
                                .ahead = &disk.ahead};
    struct wp_error why = {0};
    struct index index = {0};
    struct stat st = {.st_uid = verify->user.uid};
    int r;

    s->index = strdup(place->index_shown);
    s->source = place->source_shown ? strdup(place->source_shown) : NULL;
    if (!dir || !s->index || (place->source_shown && !s->source) ||
        judge_name(s, place->index) < 0 || remember_writable(verify, dir) < 0)
        return error_nomem(err);
    r = file_read(place->index, INDEX_LARGEST, &text, &st);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r == -EINVAL)
        error_set(&why, 0, NULL, "cannot be read: it is no regular file");
    else if (r == -EISDIR)
        error_set(&why, 0, NULL, "cannot be read: it is a directory");
    else if (r < 0)
        error_set(&why, -r, NULL, "cannot be read");
    else if (!is_readable(&disk, &st))
        r = error_set(&why, EACCES, NULL, "%s cannot read it",
                      verify->user.name ? verify->user.name : "the user");
    else
        r = index_read(&index, text.data, text.size, &why);
    disk.mtime = st.st_mtim;
    if (r == -ENOMEM)
        r = error_nomem(err);
    else if (judge_index(s, r < 0 ? NULL : &index, &why, place->misplaced, verify->unwritable,
                         &facts) < 0 ||
             judge_other_places(verify, s, place) < 0)
        r = error_nomem(err);
    else
        r = verify->expect ? look_closer(verify, s, r < 0 ? NULL : &index, &disk, st.st_uid, err)
                           : 0;
    index_clear(&index);
    return r;
}

int verify_shadowed(struct verify *verify, const char *source_dir, char **why)
{
    _cleanup_free_ char *in_tree = path_join(source_dir, "__pycache__");
    int not_usable = in_tree ? places_writable(in_tree, &verify->user) : ENOMEM;

    *why = NULL;
    if (not_usable)
        return not_usable == ENOMEM ? -ENOMEM : 0;
    if (asprintf(why, "Numba looks in %s first, which is usable", in_tree) < 0)
        *why = NULL;
    return *why ? 0 : -ENOMEM;
}

int verify_begin(struct verify *verify, const char *user, struct wp_error *err)
{
    *verify = (struct verify){.is_caller = user == NULL};
    return places_user(&verify->user, user, err);
}

void verify_end(struct verify *verify)
{
    places_user_clear(&verify->user);
    free(verify->dir);
    free(verify->unwritable);
    free(verify->sticky);
    *verify = (struct verify){0};
}
