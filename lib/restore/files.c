/* Repairing, second step: compares each file with what was packed. Unchanged files get back the
 * time, and after another tool the mode, that they had then. Each job of the pool looks at several
 * files. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "base/times.h"
#include "job.h"
#include "numba/caches.h"
#include "tree/behind.h"
#include "tree/beneath.h"

enum { FILES_OF_A_JOB = 32 };

/* The state that all jobs share. */
struct checking {
    struct restore *restore;
    struct repair *repair;
    bool second;          /* the second round: files that had to wait */
    pthread_mutex_t lock; /* guards what follows */
    int status;           /* of the first failure */
    struct wp_error why;
    uint64_t times, modes;
    atomic_bool failed;
};

/* The directory of the file that a job looked at last. */
struct last_dir {
    const char *path; /* of that file; borrowed */
    size_t size;      /* of the directory's part of it */
    int fd;           /* negative: none, or why it cannot be opened */
};

struct check_job {
    struct pool_job job;
    struct checking *c;
    size_t first, last;
};

enum wp_severity restore_detail(const struct restore *restore)
{
    return restore->o->dry_run ? WP_NOTE : WP_DETAIL;
}

/* ---- One file ---------------------------------------------------------------------------- */

/* Must the time of F be set? A user may want to keep the times of sources; the time of an index or
 * data file matters to warmpack alone. */
static bool wants_time(const struct restore *restore, const struct restored *f)
{
    return restore->o->restamp != WP_RESTAMP_ALWAYS || caches_is_index(f->path) ||
           caches_is_data(f->path);
}

/* The time that F is to have. */
static struct timespec wanted_time(const struct restore *restore, const struct restored *f)
{
    if (restore->o->mtime)
        return (struct timespec){.tv_sec = (time_t)*restore->o->mtime};
    return f->facts->mtime;
}

/* Must the mode be put back, to *MODE? If warmpack has repaired this tree before, the mode was
 * right then, and a later change was intended; unless the time is wrong, too: then another tool has
 * written the file since. A tool that keeps modes may or may not have obeyed the umask. */
static bool wants_mode(const struct restore *restore, const struct tree_manifest *t,
                       const struct entry *e, const struct stat *st, mode_t *mode)
{
    mode_t now = st->st_mode & 0777;

    *mode = e->mode & 0777 & ~restore->umask;
    return !restore->grafting && !restore->o->keep_modes && now != *mode &&
           now != (e->mode & 0777) && (!t->has_state || !time_is(st->st_mtim, e->mtime));
}

/* Does the file have a further name that the manifest does not record? Package managers link one
 * file into many environments, which then share its time and mode. */
static bool is_shared(const struct checking *c, const struct restored *f, const struct stat *st)
{
    const struct manifest *m = &c->repair->t->m;
    nlink_t own = 1;

    for (size_t i = 0; i < m->entry_count && f->has_links && own < st->st_nlink; i++) {
        const struct restored *other = &c->repair->files[i];
        struct stat there;

        own += other != f && other->facts == f->facts &&
               beneath_stat(c->restore->fd, other->path, &there) == 0 &&
               there.st_dev == st->st_dev && there.st_ino == st->st_ino;
    }
    return own < st->st_nlink;
}

/* Has the owner of the tree linked somebody else's file into it? As root, warmpack would change a
 * file that the owner may not change. */
static bool is_planted(const struct checking *c, const struct restored *f, const struct stat *st)
{
    struct stat tree;

    return geteuid() == 0 && st->st_nlink > 1 &&
           (fstat(c->restore->fd, &tree) < 0 || tree.st_uid != st->st_uid) && is_shared(c, f, st);
}

/* May the time of the file be set? Tried by setting the time that it has already, so that a killed
 * process leaves nothing changed. 1, 0 or negative errno. */
static int may_set_time(int fd, const struct stat *st)
{
    const struct timespec own[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

    if (futimens(fd, own) == 0)
        return 1;
    return restore_is_refused(errno) ? 0 : -errno;
}

/* Rounds *TIME as ST's filesystem will; tried with a file in staging. */
static int ask_precision(struct checking *c, const struct stat *st, struct timespec *time)
{
    const struct time_probe *probe = c->restore->probe;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *time};
    struct stat kept;
    int r;

    if (!probe || st->st_dev != probe->dev)
        return 0;
    pthread_mutex_lock(&c->lock);
    r = futimens(probe->fd, times) < 0 || fstat(probe->fd, &kept) < 0 ? -errno : 0;
    pthread_mutex_unlock(&c->lock);
    if (r == 0)
        *time = kept.st_mtim;
    return restore_is_refused(-r) ? 0 : r;
}

/* Decides which time and mode restore_set_times will set. F->now becomes the time that the file
 * will have, unless the filesystem rounds it. 0 or negative errno. */
static int plan_attributes(struct checking *c, struct restored *f, int fd, const struct stat *st,
                           struct wp_error *err)
{
    const struct restore *restore = c->restore;
    const struct timespec wanted = wanted_time(restore, f);
    bool set_time = wants_time(restore, f) && !time_is(st->st_mtim, wanted);
    bool set_mode = wants_mode(restore, c->repair->t, f->facts, st, &f->mode);
    int r;

    if (f->linked ||
        ((set_time || set_mode) &&
         (restore->o->restamp == WP_RESTAMP_AUTO ? is_shared(c, f, st) : is_planted(c, f, st))))
        set_time = set_mode = false;
    if ((set_time || set_mode) && restore_may_change(restore) < 0)
        return -EAGAIN;
    if (!restore->o->dry_run) {
        r = set_time ? may_set_time(fd, st) : 0;
        if (r < 0)
            return error_set(err, -r, f->path, "cannot set time");
        f->now = r > 0 ? wanted : st->st_mtim;
        f->sets_mode = set_mode;
        /* They are counted when they are set. */
        r = r > 0 ? ask_precision(c, st, &f->now) : 0;
        return r < 0 ? error_set(err, -r, f->path, "cannot set time") : 0;
    }
    f->now = set_time ? wanted : st->st_mtim;
    pthread_mutex_lock(&c->lock);
    c->times += set_time;
    c->modes += set_mode;
    pthread_mutex_unlock(&c->lock);
    if (set_time && f->is_source)
        report(restore->context, restore_detail(restore), f->path, "its time would be set");
    return 0;
}

/* Looks at F in the directory of the file before, where that is its own: the way there is gone once
 * for all files of a directory. 1; 0: nothing is there; negative errno. */
static int look_in_dir(const struct restore *restore, struct last_dir *d, const char *path,
                       struct stat *st)
{
    size_t n = (size_t)(path_base(path) - path);
    const char *name;

    if (d->fd < 0 || d->size != n || memcmp(d->path, path, n) != 0) {
        cleanup_close(&d->fd);
        *d = (struct last_dir){path, n, beneath_parent(restore->fd, path, &name)};
    }
    if (d->fd < 0)
        return beneath_is_absence(d->fd) ? 0 : d->fd;
    if (fstatat(d->fd, path + n, st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return error_is_absence(-errno) ? 0 : -errno;
}

/* Like beneath_look, but follows a symbolic link to the file behind it. */
static int look(const struct restore *restore, struct last_dir *d, struct restored *f,
                struct stat *st)
{
    int r = look_in_dir(restore, d, f->path, st);

    f->behind = r == 0;
    f->linked = r == 0 || (r > 0 && S_ISLNK(st->st_mode));
    return f->linked ? behind_look(restore->fd, f->path, st) : r;
}

static int open_file(const struct restore *restore, const struct restored *f)
{
    return f->linked ? behind_open(restore->fd, f->path) : beneath_open_read(restore->fd, f->path);
}

static int check_file(struct checking *c, struct last_dir *d, struct restored *f,
                      struct wp_error *err)
{
    const struct entry *e = f->facts;
    unsigned char digest[SHA256_SIZE];
    _cleanup_close_ int fd = -1;
    struct stat st, after;
    mode_t mode;
    int r;

    f->status = RESTORED_MISSING;
    r = look(c->restore, d, f, &st);
    if (r < 0 && r != -EACCES)
        return error_set(err, -r, f->path, "cannot stat");
    if (r == -EACCES)
        report(c->restore->context, WP_WARNING, f->path, "cannot be looked at: %s", strerror(-r));
    if (r <= 0 || !S_ISREG(st.st_mode))
        return 0;
    f->status = RESTORED_CHANGED;
    f->before = f->now = st.st_mtim;
    if ((uint64_t)st.st_size != e->size)
        return 0;
    /* A file whose size and time are the same to the nanosecond is not read, unless it is a source:
     * the code that an index would run must be known for certain. */
    if (!f->is_source && !c->restore->o->mtime && time_is(st.st_mtim, e->mtime) &&
        !wants_mode(c->restore, c->repair->t, e, &st, &mode)) {
        f->status = RESTORED_SAME;
        return 0;
    }
    fd = f->linked ? open_file(c->restore, f) : beneath_open_read(d->fd, path_base(f->path));
    if (fd < 0 && fd != -EACCES && fd != -EPERM && !beneath_is_absence(fd))
        return error_set(err, -fd, f->path, "cannot be read");
    if (fd < 0) {
        report(c->restore->context, WP_WARNING, f->path, "cannot be read: %s", strerror(-fd));
        return 0;
    }
    if (fstat(fd, &st) < 0)
        return error_set(err, errno, f->path, "cannot stat");
    r = sha256_of_file(fd, digest);
    if (r < 0)
        return error_set(err, -r, f->path, "cannot be read");
    if (fstat(fd, &after) < 0)
        return error_set(err, errno, f->path, "cannot stat");
    f->before = f->now = after.st_mtim;
    if (memcmp(digest, e->sha256, sizeof digest) != 0 || !time_is(st.st_ctim, after.st_ctim) ||
        st.st_size != after.st_size)
        return 0;
    f->status = f->behind && c->restore->grafting ? RESTORED_BEHIND : RESTORED_SAME;
    f->ctime = after.st_ctim;
    f->dev = after.st_dev;
    f->ino = after.st_ino;
    return f->waits ? 0 : plan_attributes(c, f, fd, &after, err);
}

/* Finishes a file that had to wait: its content was unchanged, and its caches are usable. */
static int finish_file(struct checking *c, struct restored *f, struct wp_error *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;

    if (f->status != RESTORED_SAME || !f->waits)
        return 0;
    fd = open_file(c->restore, f);
    if (fd < 0 && fd != -EACCES && fd != -EPERM && !beneath_is_absence(fd))
        return error_set(err, -fd, f->path, "cannot be read");
    if (fd >= 0 && fstat(fd, &st) < 0)
        return error_set(err, errno, f->path, "cannot stat");
    /* Its time may have been set meanwhile through another of its names. */
    if (fd < 0 || st.st_dev != f->dev || st.st_ino != f->ino ||
        (st.st_nlink == 1 && !time_is(st.st_ctim, f->ctime))) {
        f->status = RESTORED_CHANGED;
        return 0;
    }
    return plan_attributes(c, f, fd, &st, err);
}

static void run_job(struct pool_job *job)
{
    struct check_job *j = (struct check_job *)job;
    struct checking *c = j->c;
    struct last_dir d = {.fd = -1};

    for (size_t i = j->first; i < j->last && !atomic_load(&c->failed); i++) {
        struct restored *f = &c->repair->files[i];
        struct wp_error why = {0};
        int r = 0;

        if (!f->facts || (c->restore->grafting && !f->is_source))
            continue;
        r = context_check(c->restore->context, &why);
        if (r == 0)
            r = c->second ? finish_file(c, f, &why) : check_file(c, &d, f, &why);
        if (r == 0)
            continue;
        pthread_mutex_lock(&c->lock);
        if (!c->status) {
            c->status = r;
            c->why = why;
        }
        pthread_mutex_unlock(&c->lock);
        atomic_store(&c->failed, true);
    }
    cleanup_close(&d.fd);
}

/* ---- All of them ------------------------------------------------------------------------- */

static int look_at_files(struct restore *restore, struct repair *repair, bool second,
                         struct wp_error *err)
{
    size_t jobs = repair->t->m.entry_count / FILES_OF_A_JOB + 1;
    _cleanup_free_ struct check_job *job = calloc(jobs, sizeof *job);
    struct checking c = {.restore = restore, .repair = repair, .second = second};

    if (!job)
        return error_nomem(err);
    pthread_mutex_init(&c.lock, NULL);
    atomic_init(&c.failed, false);
    for (size_t i = 0; i < jobs; i++) {
        size_t first = i * FILES_OF_A_JOB, last = first + FILES_OF_A_JOB;

        job[i] = (struct check_job){
            .job.run = run_job,
            .c = &c,
            .first = first,
            .last = last < repair->t->m.entry_count ? last : repair->t->m.entry_count};
        pool_submit(restore->pool, &job[i].job);
    }
    pool_drain(restore->pool);
    pthread_mutex_destroy(&c.lock);
    restore->result->times += c.times;
    restore->result->modes += c.modes;
    if (c.status < 0)
        error_pass(err, &c.why);
    return c.status;
}

/* Reports once why some unchanged sources get no caches. */
static void warn_of_linked_directories(const struct restore *restore, const struct repair *repair)
{
    const struct restored *first = NULL;
    size_t count = 0;

    for (size_t i = 0; i < repair->t->m.entry_count; i++) {
        const struct restored *f = &repair->files[i];

        if (!f->waits || f->status != RESTORED_BEHIND)
            continue;
        first = first ? first : f;
        count++;
    }
    if (first)
        report(restore->context, WP_WARNING, first->path,
               "a directory above it is a symbolic link, through which nothing is written: caches "
               "of %zu %s there are left out",
               count, count == 1 ? "source" : "sources");
}

int restore_check_files(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    int r = look_at_files(restore, repair, false, err);

    if (r == 0)
        r = restore_hold(restore, repair, err);
    if (r == 0)
        r = look_at_files(restore, repair, true, err);
    if (r == 0)
        warn_of_linked_directories(restore, repair);
    return r < 0 ? r : restore_memory(repair, err);
}
