/* Everything or nothing: what a commit promises, and what is left by a process that dies. */

#include "tree_fixture.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "base/buf.h"
#include "base/digest.h"
#include "tree/staging_private.h"

/* ---- Small trees as text: "a/b=text", "a/", "a->target" */

static void put_file(int at, const char *path, const char *text)
{
    int fd = beneath_open(at, path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void put_one(int at, const char *item)
{
    char *path = strdup(item);
    char *text = strchr(path, '=');
    char *link = strstr(path, "->");
    size_t n = strlen(path);
    if (text)
        *text++ = '\0';
    else if (link)
        *link = '\0';
    char *slash = strrchr(path, '/');
    if (slash) {
        *slash = '\0';
        assert_int_equal(beneath_mkdirs(at, path, 0700), 0);
        *slash = '/';
    }
    if (text)
        put_file(at, path, text);
    else if (link)
        assert_int_equal(symlinkat(link + 2, at, path), 0);
    else
        assert_int_equal(path[n - 1], '/');
    free(path);
}

static void put_tree(int at, const char *items)
{
    char *copy = strdup(items), *save = NULL;
    for (char *item = strtok_r(copy, " ", &save); item; item = strtok_r(NULL, " ", &save))
        put_one(at, item);
    free(copy);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void show(int at, const char *prefix, struct buf *out)
{
    struct dirent **list;
    int n = scandirat(at, ".", &list, NULL, by_name);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        char path[512], text[512];
        struct stat st;
        snprintf(path, sizeof path, "%s%s", prefix, name);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            free(list[i]);
            continue;
        }
        assert_int_equal(fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        if (S_ISDIR(st.st_mode)) {
            buf_printf(out, "%s/ ", path);
            strcat(path, "/");
            int fd = openat(at, name, O_RDONLY | O_DIRECTORY);
            assert_true(fd >= 0);
            show(fd, path, out);
            close(fd);
        } else if (S_ISLNK(st.st_mode)) {
            ssize_t len = readlinkat(at, name, text, sizeof text - 1);
            text[len < 0 ? 0 : len] = '\0';
            buf_printf(out, "%s->%s ", path, text);
        } else {
            int fd = openat(at, name, O_RDONLY);
            ssize_t len = read(fd, text, sizeof text - 1);
            close(fd);
            text[len < 0 ? 0 : len] = '\0';
            buf_printf(out, "%s=%s ", path, text);
        }
        free(list[i]);
    }
    free(list);
}

static bool is_tree(int at, const char *expected)
{
    struct buf b = {0};
    int fd = openat(at, ".", O_RDONLY | O_DIRECTORY);
    show(fd, "", &b);
    close(fd);
    if (b.size)
        b.size--;
    buf_terminate(&b);
    bool same = strcmp((char *)b.data, expected) == 0;
    if (!same)
        print_message("expected \"%s\"\nfound    \"%s\"\n", expected, (char *)b.data);
    buf_free(&b);
    return same;
}
#define assert_tree(at, expected) assert_true(is_tree(at, expected))

/* ---- A staging onto TARGET of the scratch directory */

struct messages {
    char text[4096];
    int failed, warnings, notes;
};

static void take_message(void *ctx, enum wp_severity severity, const char *text)
{
    struct messages *m = ctx;
    m->failed += severity == WP_FAILED;
    m->warnings += severity == WP_WARNING;
    m->notes += severity == WP_NOTE;
    strncat(m->text, text, sizeof m->text - strlen(m->text) - 2);
    strcat(m->text, "\n");
}

static struct messages messages;
static const struct wp_report rep = {.message = take_message, .ctx = &messages};
static struct wp_error err;

static char *in_scratch(const struct scratch *s, const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, 256, "%s/%s", s->path, name);
    return p;
}

static struct staging *begin(const struct scratch *s, const char *target, struct staging_options o)
{
    struct staging *st;
    messages = (struct messages){0};
    err = (struct wp_error){0};
    o.report = &rep;
    assert_int_equal(staging_new(&st, &o, &err), 0);
    int area = staging_add_area(st, in_scratch(s, target), &err);
    if (area != 0)
        print_message("%s\n", err.message);
    assert_int_equal(area, 0);
    return st;
}

static int open_dir(const struct scratch *s, const char *name)
{
    int fd = open(in_scratch(s, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Makes target "t" as OLD, stages NEW, commits, and compares with EXPECTED. */
static void check_commit(struct scratch *s, struct staging_options o, const char *old,
                         const char *new, int result, const char *expected)
{
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(t, old);
    struct staging *st = begin(s, "t", o);
    put_tree(staging_tree(st, 0), new);
    int r = staging_commit(st, &err);
    if (r != result)
        print_message("%s\n", err.message);
    assert_int_equal(r, result);
    assert_int_equal(err.code, -result);
    staging_free(st);
    assert_tree(t, expected);
    close(t);
}

static const struct staging_options none = {0};
static const struct staging_options keep = {.keep_old = true};
static const struct staging_options replace = {.replace = true};

/* ---- Placing */

static void a_fresh_tree_is_placed_and_directories_get_their_attributes(void **state)
{
    struct scratch *s = *state;
    struct stat st;
    mode_t before = umask(027);
    struct staging *g = begin(s, "made/deep/t", none);
    put_tree(staging_tree(g, 0), "app/sub/k.py=x app/plain/f=y top=z");
    struct staging_dir d = {
        .path = "app", .mode = 0555, .mtime = {-5, 123456789}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct staging_dir sub = {.path = "app/sub",
                              .mode = 02751,
                              .mtime = {1795339396, 456441290},
                              .uid = (uid_t)-1,
                              .gid = (gid_t)-1};
    assert_int_equal(staging_set_dir(g, 0, &sub), 0);
    assert_int_equal(staging_set_dir(g, 0, &d), 0);
    struct staging_dir root = {
        .path = ".", .mode = 0711, .mtime = {77, 5}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    assert_int_equal(staging_set_dir(g, 0, &root), 0);
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    umask(before);

    int t = open_dir(s, "made/deep/t");
    assert_tree(t, "app/ app/plain/ app/plain/f=y app/sub/ app/sub/k.py=x top=z");
    assert_int_equal(fstat(t, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    assert_int_equal(st.st_mtim.tv_sec, 77);
    assert_int_equal(st.st_mtim.tv_nsec, 5);
    assert_int_equal(beneath_stat(t, "app", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
    assert_int_equal(st.st_mtim.tv_sec, -5);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    assert_int_equal(beneath_stat(t, "app/sub", &st), 0);
    assert_int_equal(st.st_mode & 07777, 02751);
    assert_int_equal(st.st_mtim.tv_nsec, 456441290);
    assert_int_equal(beneath_stat(t, "app/plain", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    close(t);
}

static void without_a_commit_nothing_is_left(void **state)
{
    struct scratch *s = *state;
    struct staging *g = begin(s, "made/deep/t", none);
    put_tree(staging_tree(g, 0), "app/f=x");
    staging_free(g);
    assert_tree(s->fd, "");
}

static void directories_are_merged_file_by_file(void **state)
{
    check_commit(
        *state, none, "app/a=old app/b=old app/d/x=old other=o",
        "app/a=new app/d/y=new app/e/f=new", 0,
        "app/ app/a=new app/b=old app/d/ app/d/x=old app/d/y=new app/e/ app/e/f=new other=o");
}

static void an_existing_directory_keeps_its_mode_unless_named(void **state)
{
    struct scratch *s = *state;
    struct stat st;
    make_dir(s->fd, "t", 0755);
    make_dir(s->fd, "t/a", 02770);
    make_dir(s->fd, "t/b", 02770);
    struct staging *g = begin(s, "t", none);
    put_tree(staging_tree(g, 0), "a/f=1 b/f=1");
    struct staging_dir d = {
        .path = "b", .mode = 0711, .mtime = {1, 2}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    assert_int_equal(staging_set_dir(g, 0, &d), 0);
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    assert_int_equal(beneath_stat(s->fd, "t/a", &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
    assert_int_equal(beneath_stat(s->fd, "t/b", &st), 0);
    assert_int_equal(st.st_mode & 07777, 02711);
    assert_int_equal(st.st_mtim.tv_sec, 1);
    assert_int_equal(st.st_mtim.tv_nsec, 2);
}

static void keeping_old_files_reports_each(void **state)
{
    check_commit(*state, keep, "app/a=old app/dir/x=old l->app",
                 "app/a=new app/dir=new app/c=new l/y=new", 0,
                 "app/ app/a=old app/c=new app/dir/ app/dir/x=old l->app");
    assert_int_equal(messages.failed, 3);
    assert_non_null(strstr(messages.text, "t/app/a: exists already, kept"));
}

static void replacing_swaps_top_level_directories_whole(void **state)
{
    check_commit(*state, replace, "app/a=old app/b/c=old file=old empty/ other=o",
                 "app/a=new file/x=new empty=new", 0,
                 "app/ app/a=new empty=new file/ file/x=new other=o");
}

static void a_symlink_to_a_directory_is_replaced_not_followed(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "outside", 0755);
    char old[300];
    snprintf(old, sizeof old, "link->%s/outside app/link->../../outside", s->path);
    check_commit(s, none, old, "link/f=new app/link/f=new", 0,
                 "app/ app/link/ app/link/f=new link/ link/f=new");
    int outside = open_dir(s, "outside");
    assert_tree(outside, "");
    close(outside);
}

static void a_directory_replaces_a_file_and_an_empty_directory_yields_to_a_file(void **state)
{
    check_commit(*state, none, "app/f=old app/e/", "app/f/x=new app/e=new", 0,
                 "app/ app/e=new app/f/ app/f/x=new");
}

static void a_full_directory_in_the_way_of_a_file_stops_all(void **state)
{
    check_commit(*state, none, "app/a=old app/z/x=old", "app/a=new app/z=new more=new", -EISDIR,
                 "app/ app/a=old app/z/ app/z/x=old");
    assert_non_null(strstr(err.message, "app/z"));
}

static void names_of_staging_are_refused(void **state)
{
    check_commit(*state, none, "a=old", ".warmpack-abcdef/f=new a=new", -EINVAL, "a=old");
}

static void removals_are_carried_out_and_may_be_filled_anew(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(t, "app/old/x=1 app/old/y=1 app/gone=1 app/stay=1 d->app");
    struct staging *g = begin(s, "t", none);
    put_tree(staging_tree(g, 0), "app/old/x=2");
    const char *const paths[] = {"app/old", "app/old/y", "app/gone", "app/none/x", "d/stay"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(staging_set_remove(g, 0, paths[i]), 0);
    assert_int_equal(staging_set_remove(g, 0, "../x"), -EINVAL);
    assert_int_equal(staging_set_remove(g, 0, "."), -EINVAL);
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    assert_tree(t, "app/ app/old/ app/old/x=2 app/stay=1 d->app");
    close(t);
}

/* ---- Several areas */

static void areas_that_overlap_are_merged(void **state)
{
    struct scratch *s = *state;
    struct staging *g = begin(s, "t", none);
    assert_int_equal(staging_add_area(g, in_scratch(s, "t"), &err), 1);
    assert_int_equal(staging_add_area(g, in_scratch(s, "t/app/cache"), &err), 2);
    assert_int_equal(staging_add_area(g, in_scratch(s, "elsewhere/c"), &err), 3);
    put_tree(staging_tree(g, 0), "app/k.py=0 app/last=0 lib/a/x=0 lib/b=0");
    put_tree(staging_tree(g, 1), "lib/a/y=1 lib/b=1 one=1");
    put_tree(staging_tree(g, 2), "pkg_1/i=2");
    put_tree(staging_tree(g, 3), "pkg_2/i=3");
    assert_int_equal(staging_set_last(g, 0, "lib/a/x"), 0);
    struct staging_dir d = {
        .path = "lib/a", .mode = 0700, .mtime = {9, 9}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    assert_int_equal(staging_set_dir(g, 0, &d), 0);
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    assert_tree(s->fd, "elsewhere/ elsewhere/c/ elsewhere/c/pkg_2/ elsewhere/c/pkg_2/i=3 "
                       "t/ t/app/ t/app/cache/ t/app/cache/pkg_1/ t/app/cache/pkg_1/i=2 "
                       "t/app/k.py=0 t/app/last=0 t/lib/ t/lib/a/ t/lib/a/x=0 t/lib/a/y=1 "
                       "t/lib/b=1 t/one=1");
    struct stat st;
    assert_int_equal(beneath_stat(s->fd, "t/lib/a", &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 9);
}

static void a_swap_never_takes_another_area_away(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(t, "app/k=old");
    struct staging *g = begin(s, "t", replace);
    assert_int_equal(staging_add_area(g, in_scratch(s, "t/app/cache"), &err), 1);
    put_tree(staging_tree(g, 0), "app/k=new");
    put_tree(staging_tree(g, 1), "pkg/i=new");
    assert_int_equal(staging_commit(g, &err), -EBUSY);
    staging_free(g);
    assert_tree(t, "app/ app/k=old");
    close(t);
}

/* ---- Order, watched step by step */

static char *watched;
static int watch_fd;
static char seen[512];

static int watch(const char *step)
{
    if (strcmp(step, "operation") == 0) {
        strcat(seen, exists(watch_fd, "app/m1") ? "1" : "-");
        strcat(seen, exists(watch_fd, "app/m2") ? "2" : "-");
        strcat(seen, exists(watch_fd, "app/.m/x") ? "m" : "-");
        strcat(seen, exists(watch_fd, "zoo") ? "z " : "- ");
    }
    return 0;
}

static void last_paths_come_last_in_their_order(void **state)
{
    struct scratch *s = *state;
    (void)watched;
    make_dir(s->fd, "t", 0755);
    watch_fd = open_dir(s, "t");
    put_tree(watch_fd, "app/x=old");
    struct staging *g = begin(s, "t", none);
    put_tree(staging_tree(g, 0), "app/m1=n app/m2=n app/.m/x=n zoo=n");
    assert_int_equal(staging_set_last(g, 0, "app/m2"), 0);
    assert_int_equal(staging_set_last(g, 0, "app/.m/x"), 0);
    assert_int_equal(staging_set_last(g, 0, "app/m1"), 0);
    seen[0] = '\0';
    staging_step_hook = watch;
    assert_int_equal(staging_commit(g, &err), 0);
    staging_step_hook = NULL;
    staging_free(g);
    close(watch_fd);
    assert_string_equal(seen, "---- ---z -2-z -2mz ");
}

/* ---- Errors and kills at every step */

static int countdown;

static int fail_later(const char *step)
{
    (void)step;
    return --countdown == 0 ? -EIO : 0;
}

static int die_later(const char *step)
{
    (void)step;
    if (--countdown == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

#define BEFORE "app/ app/a=old app/d/ app/d/x=old app/e/ app/f=old app/rm=old c/ c/pkg/ c/pkg/i=old"
#define AFTER                                                                                      \
    "app/ app/a=new app/d/ app/d/x=new app/e=new app/f/ app/f/y=new app/m=new c/ c/pkg/ "          \
    "c/pkg/i=new c/pkg/j=new z=new"

static struct staging *stage_everything(struct scratch *s, struct wp_error *e)
{
    static const struct staging_options o = {.report = &rep};
    struct staging *g;
    if (staging_new(&g, &o, e) < 0 || staging_add_area(g, in_scratch(s, "t"), e) != 0 ||
        staging_add_area(g, in_scratch(s, "t/c"), e) != 1)
        return NULL;
    put_tree(staging_tree(g, 0), "app/a=new app/d/x=new app/e=new app/f/y=new app/m=new z=new");
    put_tree(staging_tree(g, 1), "pkg/i=new pkg/j=new");
    staging_set_last(g, 0, "app/m");
    staging_set_remove(g, 0, "app/rm");
    static const struct staging_dir d = {
        .path = "app", .mode = 0711, .mtime = {3, 4}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    staging_set_dir(g, 0, &d);
    return g;
}

static int make_old(struct scratch *s)
{
    assert_int_equal(beneath_remove(s->fd, "t"), 0);
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(t, "app/a=old app/d/x=old app/e/ app/f=old app/rm=old c/pkg/i=old");
    return t;
}

/* An error at step N: 1 while there is such a step. */
static bool fails_at(struct scratch *s, int n)
{
    int t = make_old(s);
    err = (struct wp_error){0};
    messages = (struct messages){0};
    struct staging *g = stage_everything(s, &err);
    assert_non_null(g);
    countdown = n;
    staging_step_hook = fail_later;
    int r = staging_commit(g, &err);
    bool reached = countdown <= 0;
    staging_step_hook = NULL;
    staging_free(g);
    if (r == 0 || messages.warnings || strstr(err.message, "remove the journal")) {
        /* In place; what could not be removed goes with the next run. */
        g = begin(s, "t", none);
        staging_free(g);
        g = begin(s, "t/c", none);
        staging_free(g);
        assert_tree(t, AFTER);
    } else {
        assert_int_equal(r, -EIO);
        assert_tree(t, BEFORE);
    }
    close(t);
    return reached;
}

static void an_error_at_any_step_takes_everything_back(void **state)
{
    int n = 1;
    while (fails_at(*state, n))
        n++;
    assert_true(n > 15);
    staging_plain_renames = true;
    for (n = 1; fails_at(*state, n);)
        n++;
    staging_plain_renames = false;
    assert_true(n > 18);
}

/* How a child that is to be killed ended: true if it was. */
static bool killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static bool is_before_or_after(int t, bool *after)
{
    struct buf b = {0};
    int fd = openat(t, ".", O_RDONLY | O_DIRECTORY);
    show(fd, "", &b);
    close(fd);
    b.size--;
    buf_terminate(&b);
    *after = strcmp((char *)b.data, AFTER) == 0;
    bool good = *after || strcmp((char *)b.data, BEFORE) == 0;
    if (!good)
        print_message("neither: %s\n", (char *)b.data);
    buf_free(&b);
    return good;
}

/* A kill at step N of the commit, a kill at step M of the recovery (0: none), then a run in
 * peace from target BY. *AFTER: which tree it led to. */
static bool dies_at(struct scratch *s, int n, int m, const char *by, bool *after)
{
    struct stat st;
    int t = make_old(s);
    pid_t pid = fork();
    if (pid == 0) {
        struct wp_error e = {0};
        struct staging *g = stage_everything(s, &e);
        countdown = n;
        staging_step_hook = die_later;
        _exit(g && staging_commit(g, &e) == 0 ? 0 : 1);
    }
    bool reached = killed(pid);
    if (m > 0 && reached) {
        pid = fork();
        if (pid == 0) {
            struct wp_error e = {0};
            struct staging *g;
            countdown = m;
            staging_step_hook = die_later;
            _exit(staging_new(&g, &none, &e) == 0 && staging_add_area(g, in_scratch(s, by), &e) == 0
                      ? (staging_free(g), 0)
                      : 1);
        }
        (void)killed(pid);
    }
    /* From the other area: the first one's journal must be found. */
    staging_free(begin(s, by, none));
    staging_free(begin(s, "t", none));
    staging_free(begin(s, "t/c", none));
    assert_true(is_before_or_after(t, after));
    if (*after) {
        assert_int_equal(beneath_stat(t, "app", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0711);
        assert_int_equal(st.st_mtim.tv_sec, 3);
    }
    close(t);
    return reached;
}

static void check_kills(struct scratch *s, const char *by)
{
    bool after = false, was_after = false;
    int n = 1;
    for (; dies_at(s, n, 0, by, &after); n++) {
        /* Once decided, always completed. */
        assert_true(after || !was_after);
        was_after = after;
        if (n == 1 || n == 2)
            assert_false(after);
        if (n == 3)
            assert_true(after);
    }
    assert_true(n > 15);
}

static void a_kill_at_any_step_leaves_all_or_nothing(void **state)
{
    check_kills(*state, "t");
    check_kills(*state, "t/c");
    staging_plain_renames = true;
    check_kills(*state, "t");
    staging_plain_renames = false;
}

static void a_kill_of_the_recovery_is_recovered_too(void **state)
{
    bool after;
    for (int n = 3; n < 18; n += 3)
        for (int m = 1; m < 22; m += 2) {
            assert_true(dies_at(*state, n, m, m % 4 == 1 ? "t" : "t/c", &after));
            assert_true(after);
        }
}

static int fail_and_die_later(const char *step)
{
    static bool failed;
    if (strcmp(step, "take back") == 0 && --countdown == 0)
        kill(getpid(), SIGKILL);
    if (!failed && strcmp(step, "operation") == 0 && exists(watch_fd, "z")) {
        failed = true;
        return -EIO;
    }
    return 0;
}

static void a_kill_while_taking_back_is_taken_back_by_the_next_run(void **state)
{
    struct scratch *s = *state;
    for (int n = 1;; n++) {
        int t = watch_fd = make_old(s);
        pid_t pid = fork();
        if (pid == 0) {
            struct wp_error e = {0};
            struct staging *g = stage_everything(s, &e);
            countdown = n;
            staging_step_hook = fail_and_die_later;
            _exit(staging_commit(g, &e) == -EIO ? (staging_free(g), 0) : 1);
        }
        bool reached = killed(pid);
        staging_free(begin(s, "t/c", none));
        assert_tree(t, BEFORE);
        close(t);
        if (!reached) {
            assert_true(n > 3);
            break;
        }
    }
}

static void a_later_commit_completes_an_earlier_one_first(void **state)
{
    struct scratch *s = *state;
    int t = make_old(s);
    struct staging *later = begin(s, "t", none);
    put_tree(staging_tree(later, 0), "app/a=later app/m=later");
    pid_t pid = fork();
    if (pid == 0) {
        struct wp_error e = {0};
        struct staging *g = stage_everything(s, &e);
        countdown = 4;
        staging_step_hook = die_later;
        _exit(g && staging_commit(g, &e) == 0 ? 0 : 1);
    }
    assert_true(killed(pid));
    assert_int_equal(staging_commit(later, &err), 0);
    staging_free(later);
    assert_tree(t, "app/ app/a=later app/d/ app/d/x=new app/e=new app/f/ app/f/y=new app/m=later "
                   "c/ c/pkg/ c/pkg/i=new c/pkg/j=new z=new");
    close(t);
}

/* Dies with a whole journal; returns the name of the first staging of target "t". */
static void die_with_journal(struct scratch *s, char name[STAGING_NAME_SIZE])
{
    pid_t pid = fork();
    if (pid == 0) {
        struct wp_error e = {0};
        struct staging *g = stage_everything(s, &e);
        countdown = 3;
        staging_step_hook = die_later;
        _exit(g && staging_commit(g, &e) == 0 ? 0 : 1);
    }
    assert_true(killed(pid));
    DIR *d = opendir(in_scratch(s, "t"));
    name[0] = '\0';
    for (struct dirent *e; (e = readdir(d));)
        if (staging_name_is(e->d_name))
            memcpy(name, e->d_name, STAGING_NAME_SIZE);
    closedir(d);
    assert_true(name[0]);
}

static void a_cut_or_damaged_journal_counts_as_none(void **state)
{
    struct scratch *s = *state;
    for (int i = 0; i < 4; i++) {
        char name[STAGING_NAME_SIZE], path[64];
        int t = make_old(s);
        struct buf b = {0};
        die_with_journal(s, name);
        snprintf(path, sizeof path, "%s/journal", name);
        assert_int_equal(beneath_read(t, path, 1 << 20, &b, NULL), 0);
        if (i == 0)
            b.size -= 2;
        else if (i == 1)
            b.size = 0;
        else if (i == 2)
            b.data[b.size / 2] ^= 1;
        else
            b.data[b.size / 2] = '\0';
        int fd = beneath_open(t, path, O_WRONLY | O_TRUNC, 0);
        assert_int_equal(write(fd, b.data, b.size), b.size);
        close(fd);
        buf_free(&b);
        staging_free(begin(s, "t", none));
        staging_free(begin(s, "t/c", none));
        assert_tree(t, BEFORE);
        close(t);
    }
}

static void a_tree_that_was_moved_is_completed_where_it_is(void **state)
{
    struct scratch *s = *state;
    char name[STAGING_NAME_SIZE];
    beneath_remove(s->fd, "moved");
    int t = make_old(s);
    die_with_journal(s, name);
    assert_int_equal(renameat(s->fd, "t", s->fd, "moved"), 0);
    staging_free(begin(s, "moved", none));
    /* The other area cannot be found any more. */
    struct stat st;
    assert_int_equal(beneath_stat(t, "z", &st), 0);
    assert_int_equal(beneath_stat(t, "app/m", &st), 0);
    assert_int_equal(beneath_stat(t, name, &st), -ENOENT);
    close(t);
}

/* ---- What is not ours */

static void only_real_stagings_are_removed(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(s->fd, "victim/lock=x victim/f=x");
    put_tree(t, ".warmpack-aaaaaa/f=nolock .warmpack-bbbbbb=file .warmpack-cccccc->../victim "
                ".warmpack-ddddddd/lock=longname .warmpack/lock=x .warmpack-eeeeee/lock=x "
                ".warmpack-ffffff/ .warmpack-gggg.g/lock=x");
    assert_int_equal(chmod(in_scratch(s, "t/.warmpack-eeeeee"), 0755), 0);
    assert_int_equal(chmod(in_scratch(s, "victim"), 0700), 0);
    bool root = geteuid() == 0;
    if (root) {
        put_tree(t, ".warmpack-other0/lock=x");
        assert_int_equal(renameat(t, ".warmpack-other0", t, ".warmpack-zzzzzz"), 0);
        assert_int_equal(chown(in_scratch(s, "t/.warmpack-zzzzzz"), 1234, 1234), 0);
    }
    staging_free(begin(s, "t", none));
    /* Only the empty one, whose maker died at once, is gone. */
    assert_true(is_tree(t, root
                               ? ".warmpack/ .warmpack/lock=x .warmpack-aaaaaa/ "
                                 ".warmpack-aaaaaa/f=nolock .warmpack-bbbbbb=file "
                                 ".warmpack-cccccc->../victim .warmpack-ddddddd/ "
                                 ".warmpack-ddddddd/lock=longname .warmpack-eeeeee/ "
                                 ".warmpack-eeeeee/lock=x .warmpack-gggg.g/ "
                                 ".warmpack-gggg.g/lock=x .warmpack-zzzzzz/ .warmpack-zzzzzz/lock=x"
                               : ".warmpack/ .warmpack/lock=x .warmpack-aaaaaa/ "
                                 ".warmpack-aaaaaa/f=nolock .warmpack-bbbbbb=file "
                                 ".warmpack-cccccc->../victim .warmpack-ddddddd/ "
                                 ".warmpack-ddddddd/lock=longname .warmpack-eeeeee/ "
                                 ".warmpack-eeeeee/lock=x .warmpack-gggg.g/ "
                                 ".warmpack-gggg.g/lock=x"));
    int victim = open_dir(s, "victim");
    assert_tree(victim, "f=x lock=x");
    close(victim);
    close(t);
}

static void a_forged_journal_reaches_nothing_outside(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(s->fd, "outside/f=x");
    /* The digest is right, but the paths lead out, or through a symlink. */
    const char *const ops[] = {"remove 0 ../outside/f",
                               "remove 0 /etc/passwd",
                               "remove 7 a",
                               "remove 0 a/%2e%2e/%2e%2e/outside/f",
                               "put 0 1 2 x",
                               "dir 0 99 0 0 0 0 x",
                               "remove 0 %00",
                               "remove 0 %zz",
                               "nonsense",
                               "remove 0 "};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        char text[1024], hex[65];
        unsigned char digest[32];
        put_tree(t, ".warmpack-aaaaaa/lock= .warmpack-aaaaaa/new/ .warmpack-aaaaaa/old/");
        int n =
            snprintf(text, sizeof text, "warmpack-journal 1 merge\narea .warmpack-aaaaaa %s\n%s\n",
                     in_scratch(s, "t"), ops[i]);
        sha256_of(text, (size_t)n, digest);
        hex_encode(digest, 32, hex);
        snprintf(text + n, sizeof text - (size_t)n, "end 1 %s\n", hex);
        put_file(t, ".warmpack-aaaaaa/journal", text);
        staging_free(begin(s, "t", none));
        assert_tree(t, "");
        int outside = open_dir(s, "outside");
        assert_tree(outside, "f=x");
        close(outside);
    }
    close(t);
}

static void a_journal_cannot_draw_in_a_directory_that_does_not_point_back(void **state)
{
    struct scratch *s = *state;
    char text[1024], hex[65];
    unsigned char digest[32];
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(s->fd,
             "v/f=x v/.warmpack-bbbbbb/lock= v/.warmpack-bbbbbb/new/ "
             "v/.warmpack-bbbbbb/old/ v/.warmpack-bbbbbb/journal-at=/nowhere/.warmpack-cccccc");
    put_tree(t, ".warmpack-aaaaaa/lock= .warmpack-aaaaaa/new/ .warmpack-aaaaaa/old/");
    int n = snprintf(text, sizeof text,
                     "warmpack-journal 1 merge\narea .warmpack-aaaaaa %s\n"
                     "area .warmpack-bbbbbb %s\nremove 1 f\n",
                     in_scratch(s, "t"), in_scratch(s, "v"));
    sha256_of(text, (size_t)n, digest);
    hex_encode(digest, 32, hex);
    snprintf(text + n, sizeof text - (size_t)n, "end 1 %s\n", hex);
    put_file(t, ".warmpack-aaaaaa/journal", text);
    staging_free(begin(s, "t", none));
    assert_int_equal(messages.warnings, 1);
    assert_tree(t, "");
    assert_true(exists(s->fd, "v/f"));
    close(t);
}

/* ---- Mounts, permissions, signals, two at once */

static int check_mounts(void *arg)
{
    struct scratch *s = arg;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 77;
    mkdirat(s->fd, "t", 0755);
    put_tree(s->fd, "t/app/m/f=x t/app/file=x t/swap/deep/m/f=x t/bind/f=x src/f=y");
    if (mount("none", in_scratch(s, "t/app/m"), "tmpfs", 0, NULL) < 0 ||
        mount(in_scratch(s, "src/f"), in_scratch(s, "t/app/file"), NULL, MS_BIND, NULL) < 0 ||
        mount(in_scratch(s, "src"), in_scratch(s, "t/swap/deep/m"), NULL, MS_BIND, NULL) < 0 ||
        mount(in_scratch(s, "src"), in_scratch(s, "t/bind"), NULL, MS_BIND, NULL) < 0)
        return 77;
    static const struct {
        const char *new;
        bool replace;
        int result;
    } cases[] = {
        {"a=new app/m/g=new", false, -EXDEV}, {"a=new app/file=new", false, -EBUSY},
        {"a=new bind/f=new", false, -EXDEV},  {"a=new bind/f=new", true, -EBUSY},
        {"a=new swap/f=new", true, -EBUSY},   {"a=new app/m=new", false, -EBUSY},
        {"a=new swap/f=new", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct staging_options o = {.replace = cases[i].replace};
        struct wp_error e = {0};
        struct staging *g;
        if (staging_new(&g, &o, &e) < 0 || staging_add_area(g, in_scratch(s, "t"), &e) < 0)
            return 50;
        put_tree(staging_tree(g, 0), cases[i].new);
        int r = staging_commit(g, &e);
        staging_free(g);
        if (r != cases[i].result || exists(s->fd, "t/a") != (r == 0))
            return 1 + (int)i;
    }
    return exists(s->fd, "src/f") ? 0 : 60;
}

static void mount_points_are_found_before_anything_is_touched(void **state)
{
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(check_mounts(*state));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int commit_tree(struct scratch *s, const char *new, bool replaces)
{
    struct staging_options o = {.replace = replaces};
    struct staging *g;
    struct wp_error e = {0};
    if (staging_new(&g, &o, &e) < 0)
        return -ENOMEM;
    int r = staging_add_area(g, in_scratch(s, "t"), &e);
    if (r == 0) {
        put_tree(staging_tree(g, 0), new);
        struct staging_dir d = {
            .path = "app/ro", .mode = 0555, .mtime = {8, 8}, .uid = (uid_t)-1, .gid = (gid_t)-1};
        staging_set_dir(g, 0, &d);
        d.path = "top";
        staging_set_dir(g, 0, &d);
        r = staging_commit(g, &e);
    }
    staging_free(g);
    return r;
}

static int unpack_twice(void *arg)
{
    struct scratch *s = arg;
    struct stat st;
    for (int i = 0; i < 3; i++) {
        int r = commit_tree(s, i ? "app/ro/f=2 app/ro/g=2 top/f=2" : "app/ro/f=1 top/f=1", i == 2);
        if (r < 0)
            return r;
        if (beneath_stat(s->fd, "t/app/ro", &st) < 0 || (st.st_mode & 07777) != 0555 ||
            st.st_mtim.tv_sec != 8 || beneath_stat(s->fd, "t/top", &st) < 0 ||
            (st.st_mode & 07777) != 0555)
            return -100 - i;
    }
    return 0;
}

static void read_only_directories_can_be_unpacked_again_by_their_owner(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "t", 0777);
    assert_int_equal(as_user(unpack_twice, s), 0);
    int t = open_dir(s, "t");
    assert_tree(t, "app/ app/ro/ app/ro/f=2 app/ro/g=2 top/ top/f=2");
    close(t);
}

static int unpack_into_foreign(void *arg)
{
    return commit_tree(arg, "a=new app/f=new", false);
}

static int unpack_over_foreign(void *arg)
{
    return commit_tree(arg, "a=new mine=new", false);
}

static void what_may_not_be_written_is_found_before_anything_is_touched(void **state)
{
    struct scratch *s = *state;
    if (geteuid() != 0)
        skip();
    make_dir(s->fd, "t", 01777);
    int t = open_dir(s, "t");
    put_tree(t, "app/f=old mine=old");
    assert_int_equal(fchmodat(t, "app", 0755, 0), 0);
    assert_int_equal(as_user(unpack_into_foreign, s), -EACCES);
    assert_tree(t, "app/ app/f=old mine=old");
    assert_int_equal(as_user(unpack_over_foreign, s), -EPERM);
    assert_tree(t, "app/ app/f=old mine=old");
    close(t);
}

static void an_interrupt_before_the_journal_changes_nothing(void **state)
{
    struct scratch *s = *state;
    static volatile sig_atomic_t interrupted;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(t, "a=old");
    struct staging *g = begin(s, "t", (struct staging_options){.interrupted = &interrupted});
    put_tree(staging_tree(g, 0), "a=new b=new");
    interrupted = 1;
    assert_int_equal(staging_commit(g, &err), -EINTR);
    staging_free(g);
    assert_tree(t, "a=old");
    close(t);
}

static void a_commit_waits_for_another_one_on_the_same_target(void **state)
{
    struct scratch *s = *state;
    static volatile sig_atomic_t interrupted;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    struct staging *g = begin(s, "t", (struct staging_options){.interrupted = &interrupted});
    put_tree(staging_tree(g, 0), "a=new");
    assert_int_equal(flock(t, LOCK_EX), 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* Shares the descriptions: letting go here lets go for all. */
        poll(NULL, 0, 100);
        put_tree(t, "seen=1");
        flock(t, LOCK_UN);
        _exit(0);
    }
    assert_int_equal(staging_commit(g, &err), 0);
    assert_true(exists(t, "seen"));
    waitpid(pid, NULL, 0);
    staging_free(g);
    close(t);
}

static void two_processes_at_once_both_succeed(void **state)
{
    struct scratch *s = *state;
    enum { CHILDREN = 4, ROUNDS = 25 };
    pid_t pids[CHILDREN];
    for (int c = 0; c < CHILDREN; c++) {
        pids[c] = fork();
        if (pids[c] != 0)
            continue;
        for (int i = 0; i < ROUNDS; i++) {
            char new[100];
            snprintf(new, sizeof new, "app/%d-%d=x app/d%d/%d=y app/same=x", c, i, i, c);
            if (commit_tree(s, new, false) < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (int c = 0; c < CHILDREN; c++)
        assert_false(killed(pids[c]));
    int t = open_dir(s, "t");
    int files = 0;
    for (int c = 0; c < CHILDREN; c++)
        for (int i = 0; i < ROUNDS; i++) {
            char name[64];
            snprintf(name, sizeof name, "app/%d-%d", c, i);
            files += exists(t, name);
            snprintf(name, sizeof name, "app/d%d/%d", i, c);
            files += exists(t, name);
        }
    assert_int_equal(files, 2 * CHILDREN * ROUNDS);
    struct dirent **list;
    int n = scandirat(t, ".", &list, NULL, by_name);
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    assert_int_equal(n, 3); /* ".", ".." and app: no staging is left */
    close(t);
}

static void the_staging_of_a_living_process_stays(void **state)
{
    struct scratch *s = *state;
    struct staging *living = begin(s, "t", none);
    put_tree(staging_tree(living, 0), "a=1");
    struct staging *g = begin(s, "t", none);
    put_tree(staging_tree(g, 0), "b=1");
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    assert_int_equal(staging_commit(living, &err), 0);
    staging_free(living);
    int t = open_dir(s, "t");
    assert_tree(t, "a=1 b=1");
    close(t);
}

static void names_of_any_bytes_and_any_depth_are_committed(void **state)
{
    struct scratch *s = *state;
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    char deep[4001] = "";
    while (strlen(deep) + 2 < sizeof deep)
        strcat(deep, "d/");
    assert_int_equal(beneath_mkdirs(t, deep, 0755), 0);
    put_tree(t, "\n%41\xff\x01/x=old");
    char name[4100];
    snprintf(name, sizeof name, "%sf", deep);
    pid_t pid = fork();
    if (pid == 0) {
        struct wp_error e = {0};
        struct staging *g = begin(s, "t", none);
        assert_int_equal(beneath_mkdirs(staging_tree(g, 0), deep, 0755), 0);
        put_file(staging_tree(g, 0), name, "new");
        put_tree(staging_tree(g, 0), "\n%41\xff\x01/x=new");
        countdown = 3;
        staging_step_hook = die_later;
        _exit(staging_commit(g, &e) == 0 ? 0 : 1);
    }
    assert_true(killed(pid));
    staging_free(begin(s, "t", none));
    struct stat st;
    assert_int_equal(beneath_stat(t, name, &st), 0);
    assert_int_equal(st.st_size, 3);
    struct buf b = {0};
    assert_int_equal(beneath_read(t, "\n%41\xff\x01/x", 10, &b, NULL), 0);
    assert_memory_equal(b.data, "new", 3);
    buf_free(&b);
    close(t);
}

#define test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_fresh_tree_is_placed_and_directories_get_their_attributes),
        test(without_a_commit_nothing_is_left),
        test(directories_are_merged_file_by_file),
        test(an_existing_directory_keeps_its_mode_unless_named),
        test(keeping_old_files_reports_each),
        test(replacing_swaps_top_level_directories_whole),
        test(a_symlink_to_a_directory_is_replaced_not_followed),
        test(a_directory_replaces_a_file_and_an_empty_directory_yields_to_a_file),
        test(a_full_directory_in_the_way_of_a_file_stops_all),
        test(names_of_staging_are_refused),
        test(removals_are_carried_out_and_may_be_filled_anew),
        test(areas_that_overlap_are_merged),
        test(a_swap_never_takes_another_area_away),
        test(last_paths_come_last_in_their_order),
        test(an_error_at_any_step_takes_everything_back),
        test(a_kill_at_any_step_leaves_all_or_nothing),
        test(a_kill_of_the_recovery_is_recovered_too),
        test(a_kill_while_taking_back_is_taken_back_by_the_next_run),
        test(a_later_commit_completes_an_earlier_one_first),
        test(a_cut_or_damaged_journal_counts_as_none),
        test(a_tree_that_was_moved_is_completed_where_it_is),
        test(only_real_stagings_are_removed),
        test(a_forged_journal_reaches_nothing_outside),
        test(a_journal_cannot_draw_in_a_directory_that_does_not_point_back),
        test(mount_points_are_found_before_anything_is_touched),
        test(read_only_directories_can_be_unpacked_again_by_their_owner),
        test(what_may_not_be_written_is_found_before_anything_is_touched),
        test(an_interrupt_before_the_journal_changes_nothing),
        test(a_commit_waits_for_another_one_on_the_same_target),
        test(two_processes_at_once_both_succeed),
        test(the_staging_of_a_living_process_stays),
        test(names_of_any_bytes_and_any_depth_are_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
