/* Everything or nothing: what is left by an error, and by a process that dies, at any step. */

#include "staging_fixture.h"

#include <poll.h>
#include <sys/file.h>

static int watched; /* the target */

/* Hundreds of commits, each with an fsync: in memory, where there is such a place. */
static int memory_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    strcpy(s->path, "/dev/shm/warmpack-test-XXXXXX");
    if (!mkdtemp(s->path)) {
        free(s);
        return scratch_setup(state);
    }
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = s;
    return s->fd < 0 ? -1 : 0;
}
#undef test
#define test(f) cmocka_unit_test_setup_teardown(f, memory_setup, scratch_teardown)

/* ---- At every step */

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
    static const struct staging_options o = {.context = &rep};
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
    static const struct staging_dir top = {
        .path = "", .mode = 0511, .mtime = {5, 6}, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (geteuid() == 0)
        staging_set_dir(g, 0, &top);
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
        assert_int_equal(fstat(t, &st), 0);
        assert_int_equal(st.st_mode & 07777, geteuid() == 0 ? 0511 : 0755);
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
    if (!failed && strcmp(step, "operation") == 0 && exists(watched, "z")) {
        failed = true;
        return -EIO;
    }
    return 0;
}

static void a_kill_while_taking_back_is_taken_back_by_the_next_run(void **state)
{
    struct scratch *s = *state;
    for (int n = 1;; n++) {
        int t = watched = make_old(s);
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
        if (own_is_staging(e->d_name))
            memcpy(name, e->d_name, STAGING_NAME_SIZE);
    closedir(d);
    assert_true(name[0]);
}

/* As a process that has found the dead staging, and waits with its lock for our commit to end. */
static void a_commit_waits_for_one_who_completes_an_earlier_one(void **state)
{
    struct scratch *s = *state;
    char name[STAGING_NAME_SIZE], path[64];
    int t = make_old(s);
    int pipes[2];
    die_with_journal(s, name);
    snprintf(path, sizeof path, "%s/lock", name);
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = beneath_open(t, path, O_RDWR, 0);
        if (flock(fd, LOCK_EX) < 0 || write(pipes[1], "x", 1) != 1)
            _exit(1);
        poll(NULL, 0, 150);
        _exit(0);
    }
    char c;
    assert_int_equal(read(pipes[0], &c, 1), 1);
    struct staging *g = begin(s, "t", none);
    put_tree(staging_tree(g, 0), "app/a=later");
    assert_int_equal(staging_commit(g, &err), 0);
    staging_free(g);
    assert_false(killed(pid));
    assert_true(exists(t, "z"));
    struct stat st;
    assert_int_equal(beneath_stat(t, "app/a", &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(beneath_stat(t, name, &st), -ENOENT);
    close(pipes[0]);
    close(pipes[1]);
    close(t);
}

/* The old directory had to be made writable; the new one in its place is not to be touched. */
static int replace_read_only(void *arg)
{
    struct scratch *s = arg;
    struct staging_options o = {.replace = true};
    struct staging *g;
    struct wp_error e = {0};
    struct stat st;
    for (int n = 1;; n++) {
        if (beneath_remove(s->fd, "t/own") < 0 || mkdirat(s->fd, "t/own", 0755) < 0 ||
            mkdirat(s->fd, "t/own/top", 0755) < 0 || fchmodat(s->fd, "t/own/top", 0555, 0) < 0)
            return -100;
        pid_t pid = fork();
        if (pid == 0) {
            if (staging_new(&g, &o, &e) < 0 || staging_add_area(g, in_scratch(s, "t/own"), &e) != 0)
                _exit(1);
            put_tree(staging_tree(g, 0), "top/f=new");
            struct staging_dir d = {
                .path = "top", .mode = 0711, .mtime = {3, 4}, .uid = (uid_t)-1, .gid = (gid_t)-1};
            staging_set_dir(g, 0, &d);
            d.path = ".";
            d.mode = 0555;
            staging_set_dir(g, 0, &d);
            countdown = n;
            staging_step_hook = die_later;
            _exit(staging_commit(g, &e) == 0 ? 0 : 1);
        }
        int status;
        waitpid(pid, &status, 0);
        if (staging_new(&g, &none, &e) < 0)
            return -101;
        /* The target may be read-only by now. */
        int r = staging_add_area(g, in_scratch(s, "t/own"), &e);
        if (r != 0 && r != -EACCES)
            return -103;
        if (n == 4 && (beneath_stat(s->fd, "t/own", &st) < 0 || (st.st_mode & 07777) != 0555))
            return -104;
        staging_free(g);
        if (beneath_stat(s->fd, "t/own/top", &st) < 0 ||
            (st.st_mode & 07777) != (exists(s->fd, "t/own/top/f") ? 0711 : 0555))
            return -n;
        if (WIFEXITED(status))
            return n > 6 && WEXITSTATUS(status) == 0 ? 0 : -102;
    }
}

static void a_read_only_directory_is_replaced_in_spite_of_kills(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(chmod(s->path, 0755), 0);
    make_dir(s->fd, "t", 0777);
    assert_int_equal(as_user(replace_read_only, s), 0);
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
        assert_int_equal(messages.notes + messages.warnings + messages.failed, 0);
        assert_tree(t, "");
        int outside = open_dir(s, "outside");
        assert_tree(outside, "f=x");
        close(outside);
    }
    close(t);
}

static void a_journal_is_believed_in_its_own_staging_only(void **state)
{
    struct scratch *s = *state;
    char name[STAGING_NAME_SIZE];
    int t = make_old(s);
    die_with_journal(s, name);
    assert_int_equal(renameat(t, name, t, ".warmpack-aaaaaa"), 0);
    staging_free(begin(s, "t", none));
    staging_free(begin(s, "t/c", none));
    assert_tree(t, BEFORE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(an_error_at_any_step_takes_everything_back),
        test(a_kill_at_any_step_leaves_all_or_nothing),
        test(a_kill_of_the_recovery_is_recovered_too),
        test(a_kill_while_taking_back_is_taken_back_by_the_next_run),
        test(a_later_commit_completes_an_earlier_one_first),
        test(a_commit_waits_for_one_who_completes_an_earlier_one),
        test(a_read_only_directory_is_replaced_in_spite_of_kills),
        test(a_cut_or_damaged_journal_counts_as_none),
        test(a_tree_that_was_moved_is_completed_where_it_is),
        test(names_of_any_bytes_and_any_depth_are_committed),
        test(only_real_stagings_are_removed),
        test(a_forged_journal_reaches_nothing_outside),
        test(a_journal_is_believed_in_its_own_staging_only),
        test(a_journal_cannot_draw_in_a_directory_that_does_not_point_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
