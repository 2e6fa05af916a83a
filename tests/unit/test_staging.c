/* What a commit places, what it merges with, and what it refuses with nothing touched. */

#include "staging_fixture.h"

#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>

static const struct staging_options keep = {.keep_old = true};
static const struct staging_options replace = {.replace = true};

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

static mode_t mode_of(int at, const char *path)
{
    struct stat st;
    assert_int_equal(beneath_stat(at, path, &st), 0);
    return st.st_mode & 07777;
}

/* Whether the filesystem tells how many directories are in one, or they must be listed. */
static void every_fresh_directory_gets_its_attributes_named_or_not(void **state)
{
    static const struct {
        const char *path;
        mode_t mode; /* 0: not to be there */
        bool named;
    } dirs[] = {
        {"t", 0701, true},          {"t/a", 0702, true},           {"t/a/first", 0000, true},
        {"t/a/first", 0703, true},  {"t/a/none", 0750, false},     {"t/a/none/in", 0750, false},
        {"t/a-b", 0704, true},      {"t/a-b/x/y/z", 0705, true},   {"t/a-b/x", 0750, false},
        {"t/a-b/x/y", 0750, false}, {"t/a-b/x/q", 0750, false},    {"t/gone/in", 0, true},
        {"t/file", 0, true},        {"t/file/in", 0, true},        {"bare", 0750, false},
        {"bare/in", 0750, false},   {"up/named", 0706, true},      {"up", 0750, false},
        {"t/a/closed", 0100, true}, {"t/a/closed/in", 0707, true},
    };
    struct scratch *s = *state;
    for (int counted = 0; counted < 2; counted++) {
        const char *target = counted ? "counted" : "listed";
        mode_t before = umask(027);
        struct staging *g = begin(s, target, none);
        put_tree(staging_tree(g, 0),
                 "t/a/first/f=1 t/a/none/in/f=1 t/a-b/x/y/z/ t/a-b/x/q/ t/file=1 "
                 "bare/in/ up/named/ t/a/closed/in/f=1");
        g->areas[0].counts_dirs &= counted;
        for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
            struct staging_dir d = {.path = dirs[i].path,
                                    .mode = dirs[i].mode,
                                    .mtime = {.tv_sec = (time_t)i},
                                    .uid = (uid_t)-1,
                                    .gid = (gid_t)-1};
            if (dirs[i].named)
                assert_int_equal(staging_set_dir(g, 0, &d), 0);
        }
        assert_int_equal(staging_commit(g, &err), 0);
        staging_free(g);
        umask(before);
        int t = open_dir(s, target);
        for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
            struct stat st;
            if (!dirs[i].mode)
                continue;
            assert_int_equal(mode_of(t, dirs[i].path), dirs[i].mode);
            assert_int_equal(beneath_stat(t, dirs[i].path, &st), 0);
            if (dirs[i].named)
                assert_int_equal(st.st_mtim.tv_sec, i);
        }
        close(t);
    }
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

/* ---- Mounts, permissions, signals, two at once */

static int operations;

static int count_operations(const char *step)
{
    operations += strcmp(step, "operation") == 0;
    return 0;
}

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
        operations = 0;
        staging_step_hook = count_operations;
        int r = staging_commit(g, &e);
        staging_step_hook = NULL;
        staging_free(g);
        if (r != cases[i].result || exists(s->fd, "t/a") != (r == 0) ||
            (operations == 0) != (r < 0))
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

static int refuse(void *arg, const char *new)
{
    operations = 0;
    staging_step_hook = count_operations;
    int r = commit_tree(arg, new, false);
    return operations ? -100 : r;
}

static int unpack_into_foreign(void *arg)
{
    return refuse(arg, "a=new app/f=new");
}

static int unpack_over_foreign(void *arg)
{
    return refuse(arg, "a=new mine=new");
}

/* Modes that shut out their owner, for the target, a directory in it, and one below that. */
static int shut_directories(void *arg)
{
    struct scratch *s = arg;
    struct staging_options o = {.context = &rep};
    struct wp_error e = {0};
    struct staging *g;
    struct staging_dir d = {.mtime = {8, 9}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (mkdirat(s->fd, "t/own", 0755) < 0 || mkdirat(s->fd, "t/own/app", 0755) < 0 ||
        mkdirat(s->fd, "t/own/app/sub", 0755) < 0 || staging_new(&g, &o, &e) < 0 ||
        staging_add_area(g, in_scratch(s, "t/own"), &e) < 0)
        return -100;
    put_tree(staging_tree(g, 0), "app/f=1 app/sub/f=1");
    d.path = ".";
    d.mode = 0555;
    staging_set_dir(g, 0, &d);
    d.path = "app";
    d.mode = 0600;
    staging_set_dir(g, 0, &d);
    d.path = "app/sub";
    d.mode = 0711;
    staging_set_dir(g, 0, &d);
    int r = staging_commit(g, &e);
    staging_free(g);
    return r < 0 ? r : -messages.failed - messages.warnings;
}

static void attributes_come_from_the_bottom_up_and_after_the_staging_is_gone(void **state)
{
    struct scratch *s = *state;
    struct stat st;
    make_dir(s->fd, "t", 0777);
    messages = (struct messages){0};
    assert_int_equal(as_user(shut_directories, s), 0);
    int t = open_dir(s, "t/own");
    assert_int_equal(fstat(t, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
    assert_int_equal(st.st_mtim.tv_sec, 8);
    assert_int_equal(beneath_stat(t, "app", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    if (geteuid() == 0) {
        assert_tree(t, "app/ app/f=1 app/sub/ app/sub/f=1");
        assert_int_equal(beneath_stat(t, "app/sub", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0711);
    }
    close(t);
}

/* Another process takes the fresh staging for dead, between mkdir and flock. */
static struct scratch *cleaned;
static int cleanings;

static int clean_up(const char *step)
{
    if (strcmp(step, "lock") != 0 || ++cleanings > 3)
        return 0;
    struct staging *g;
    struct wp_error e = {0};
    staging_step_hook = NULL;
    assert_int_equal(staging_new(&g, &none, &e), 0);
    assert_int_equal(staging_add_area(g, in_scratch(cleaned, "t"), &e), 0);
    staging_free(g);
    staging_step_hook = clean_up;
    return 0;
}

static int looks; /* until one fails */

static int fail_to_look(const char *step)
{
    return strcmp(step, "look") == 0 && looks-- == 0 ? -EIO : 0;
}

static void what_cannot_be_looked_at_is_not_taken_for_moved(void **state)
{
    struct scratch *s = *state;
    bool failed = true;

    for (int n = 0; failed; n++) {
        char name[16];
        struct wp_error e = {0};

        assert_true(n < 100);
        snprintf(name, sizeof name, "l%d", n);
        make_dir(s->fd, name, 0755);
        int t = open_dir(s, name);
        put_tree(t, "a=old d/b=old");
        struct staging *g = begin(s, name, none);
        put_tree(staging_tree(g, 0), "a=new c=new d/b=new d/e=new");
        looks = n;
        staging_step_hook = fail_to_look;
        int r = staging_commit(g, &e);
        staging_step_hook = NULL;
        staging_free(g);
        failed = looks < 0;
        assert_int_equal(r, failed ? -EIO : 0);
        assert_tree(t, failed ? "a=old d/ d/b=old" : "a=new c=new d/ d/b=new d/e=new");
        close(t);
    }
}

static int makings; /* until one fails */

static int fail_to_open_made(const char *step)
{
    return strcmp(step, "made") == 0 && makings-- == 0 ? -EIO : 0;
}

static void a_target_that_was_made_and_cannot_be_opened_is_gone(void **state)
{
    struct scratch *s = *state;

    for (int level = 0; level < 3; level++) {
        struct staging *g;
        struct wp_error e = {0};

        assert_int_equal(staging_new(&g, &none, &e), 0);
        makings = level;
        staging_step_hook = fail_to_open_made;
        assert_int_equal(staging_add_area(g, in_scratch(s, "t/u/v"), &e), -EIO);
        staging_step_hook = NULL;
        staging_free(g);
        assert_false(exists(s->fd, "t"));
    }
}

static void a_staging_removed_while_it_is_made_is_made_again(void **state)
{
    cleaned = *state;
    cleanings = 0;
    make_dir(cleaned->fd, "t", 0755);
    staging_step_hook = clean_up;
    struct staging *g = begin(cleaned, "t", none);
    staging_step_hook = NULL;
    assert_int_equal(cleanings, 4);
    put_tree(staging_tree(g, 0), "a=1");
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    int t = open_dir(cleaned, "t");
    assert_tree(t, "a=1");
    close(t);
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
    const struct wp_context context = {.message = take_message, .interrupted = &interrupted};
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    put_tree(t, "a=old");
    struct staging *g = begin(s, "t", (struct staging_options){.context = &context});
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
    const struct wp_context context = {.message = take_message, .interrupted = &interrupted};
    make_dir(s->fd, "t", 0755);
    int t = open_dir(s, "t");
    struct staging *g = begin(s, "t", (struct staging_options){.context = &context});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_fresh_tree_is_placed_and_directories_get_their_attributes),
        test(every_fresh_directory_gets_its_attributes_named_or_not),
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
        test(mount_points_are_found_before_anything_is_touched),
        test(read_only_directories_can_be_unpacked_again_by_their_owner),
        test(attributes_come_from_the_bottom_up_and_after_the_staging_is_gone),
        test(what_cannot_be_looked_at_is_not_taken_for_moved),
        test(a_target_that_was_made_and_cannot_be_opened_is_gone),
        test(a_staging_removed_while_it_is_made_is_made_again),
        test(what_may_not_be_written_is_found_before_anything_is_touched),
        test(an_interrupt_before_the_journal_changes_nothing),
        test(a_commit_waits_for_another_one_on_the_same_target),
        test(two_processes_at_once_both_succeed),
        test(the_staging_of_a_living_process_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
