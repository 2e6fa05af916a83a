/* Everything beneath a directory stays beneath it, whatever the names and however deep. */

#include "tree_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/buf.h"
#include "base/error.h"

static void opens_and_makes_files(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_dir(dir, "a", 0755);
    int fd = beneath_open(dir, "a/f", O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    assert_int_equal(beneath_open(dir, "a/f", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
    assert_int_equal(beneath_open(dir, "a/none", O_RDONLY, 0), -ENOENT);
    fd = beneath_open(dir, "./a//./f", O_RDONLY, 0);
    assert_true(fd >= 0);
    close(fd);
    fd = beneath_open(dir, "", O_RDONLY | O_DIRECTORY, 0);
    struct stat a, b;
    assert_int_equal(fstat(fd, &a), 0);
    assert_int_equal(fstat(dir, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    close(fd);
}

/* The number of a descriptor is no error, though an errno may have the same. */
static void a_file_may_get_the_number_of_any_errno(void **state)
{
    int dir = ((struct scratch *)*state)->fd, made[64], count = 0, last = -1;

    while (last < 40 && count < 64) {
        char name[16];
        int next = dup(dir);

        close(next);
        snprintf(name, sizeof name, "n%d", count);
        last = made[count++] = beneath_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_int_equal(last, next); /* none is lost on the way */
        assert_false(error_is_absence(last) || error_is_no_directory(last));
    }
    assert_true(last >= 40);
    while (count > 0)
        close(made[--count]);
    assert_true(error_is_absence(-ENOTDIR) && error_is_absence(-ENOENT));
    assert_false(error_is_absence(-ELOOP) || error_is_absence(0));
}

static void refuses_names_that_lead_out(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_dir(dir, "a", 0755);
    const char *const names[] = {"..", "../x", "a/..", "a/../a", "/etc", "/", "a/../../x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(beneath_open(dir, names[i], O_PATH, 0), -EINVAL);
        assert_int_equal(beneath_mkdirs(dir, names[i], 0755), -EINVAL);
        assert_int_equal(beneath_remove(dir, names[i]), -EINVAL);
        assert_int_equal(beneath_rename(dir, "a", dir, names[i]), -EINVAL);
    }
    make_file(dir, "..a", "");
    make_file(dir, "a..", "");
    struct stat st;
    assert_int_equal(beneath_stat(dir, "..a", &st), 0);
    assert_int_equal(beneath_stat(dir, "a..", &st), 0);
}

static void follows_no_symlink(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_dir(dir, "real", 0755);
    make_file(dir, "real/f", "x");
    assert_int_equal(symlinkat("real", dir, "link"), 0);
    assert_int_equal(symlinkat("real/f", dir, "flink"), 0);

    const char *name;
    struct stat st;
    struct buf b = {0};
    assert_int_equal(beneath_open(dir, "link/f", O_RDONLY, 0), -ELOOP);
    assert_int_equal(beneath_open(dir, "link", O_RDONLY | O_DIRECTORY, 0), -ELOOP);
    assert_int_equal(beneath_open(dir, "flink", O_RDONLY, 0), -ELOOP);
    assert_int_equal(beneath_open(dir, "flink", O_WRONLY | O_CREAT | O_TRUNC, 0600), -ELOOP);
    assert_int_equal(beneath_parent(dir, "link/new", &name), -ELOOP);
    assert_int_equal(beneath_mkdirs(dir, "link/new", 0700), -ELOOP);
    assert_int_equal(beneath_mkdirs(dir, "link", 0700), -ELOOP);
    assert_int_equal(beneath_rename(dir, "link/f", dir, "g"), -ELOOP);
    assert_int_equal(beneath_rename(dir, "flink", dir, "link/g"), -ELOOP);
    assert_int_equal(beneath_remove(dir, "link/f"), -ELOOP);
    assert_int_equal(beneath_read(dir, "flink", 10, &b, NULL), -ELOOP);
    assert_int_equal(beneath_chmod(dir, "flink", 0777), -ELOOP);
    assert_int_equal(beneath_stat(dir, "flink", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(beneath_stat(dir, "real/f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_false(exists(dir, "real/new"));
    buf_free(&b);
}

static void a_file_in_the_way_is_not_called_a_symlink(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_file(dir, "f", "");
    assert_int_equal(beneath_open(dir, "f/x", O_RDONLY, 0), -ENOTDIR);
    assert_int_equal(beneath_mkdirs(dir, "f", 0700), -ENOTDIR);
    assert_int_equal(beneath_mkdirs(dir, "f/x/y", 0700), -ENOTDIR);
}

static void makes_directories_with_the_exact_mode(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    mode_t old = umask(0077);
    assert_int_equal(beneath_mkdirs(dir, "a/b/c", 0755), 0);
    umask(old);
    assert_int_equal(beneath_mkdirs(dir, "a/b/c", 0700), 0);
    struct stat st;
    assert_int_equal(beneath_stat(dir, "a", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(beneath_stat(dir, "a/b/c", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

/* "d/d/d/…" of DEPTH components of LENGTH characters. */
static char *long_path(size_t depth, size_t length)
{
    char *path = malloc(depth * (length + 1));
    assert_non_null(path);
    memset(path, 'd', depth * (length + 1));
    for (size_t i = 1; i <= depth; i++)
        path[i * (length + 1) - 1] = i < depth ? '/' : '\0';
    return path;
}

static void works_beyond_path_max(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    char *path = long_path(40, 200);
    assert_int_equal(beneath_mkdirs(dir, path, 0700), 0);
    struct stat st;
    assert_int_equal(beneath_stat(dir, path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    const char *name;
    int fd = beneath_parent(dir, path, &name);
    assert_true(fd >= 0);
    assert_int_equal(strlen(name), 200);
    close(fd);
    assert_int_equal(beneath_rename(dir, path, dir, "short"), 0);
    assert_true(exists(dir, "short"));
    assert_int_equal(beneath_open(dir, path, O_PATH, 0), -ENOENT);
    path[200] = 'x'; /* a component of 401 */
    assert_int_equal(beneath_open(dir, path, O_PATH, 0), -ENAMETOOLONG);
    assert_int_equal(beneath_mkdirs(dir, path, 0700), -ENAMETOOLONG);
    free(path);
}

static void reads_whole_files_up_to_a_bound(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_file(dir, "f", "hello");
    make_file(dir, "empty", "");
    make_dir(dir, "d", 0755);
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    struct buf b = {0};
    struct stat st;
    assert_int_equal(beneath_read(dir, "f", 5, &b, &st), 0);
    assert_int_equal(b.size, 5);
    assert_memory_equal(b.data, "hello", 5);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(beneath_read(dir, "f", 4, &b, NULL), -EFBIG);
    assert_int_equal(beneath_read(dir, "empty", 4, &b, NULL), 0);
    assert_int_equal(b.size, 0);
    assert_int_equal(beneath_read(dir, "d", 4, &b, NULL), -EISDIR);
    assert_int_equal(beneath_read(dir, "fifo", 4, &b, NULL), -EINVAL);
    buf_free(&b);
    /* A file whose size is not told beforehand. */
    int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc >= 0) {
        assert_int_equal(beneath_read(proc, "status", 1 << 20, &b, NULL), 0);
        assert_true(b.size > 100);
        assert_int_equal(beneath_read(proc, "status", 10, &b, NULL), -EFBIG);
        close(proc);
    }
    buf_free(&b);
}

static void removing_what_is_absent_is_fine(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    assert_int_equal(beneath_remove(dir, "none"), 0);
    assert_int_equal(beneath_remove(dir, "none/x"), 0);
}

static void removes_trees_without_following_symlinks(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_dir(dir, "outside", 0755);
    make_file(dir, "outside/keep", "");
    make_dir(dir, "t", 0755);
    make_dir(dir, "t/\xff\n", 0755);
    make_file(dir, "t/\xff\n/f", "");
    assert_int_equal(symlinkat("../outside", dir, "t/link"), 0);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "t/d%d", i);
        make_dir(dir, name, 0755);
        strcat(name, "/f");
        make_file(dir, name, "");
        strcpy(strrchr(name, '/'), "/in");
        make_dir(dir, name, 0755);
        strcat(name, "/f");
        make_file(dir, name, "");
    }
    assert_int_equal(beneath_remove(dir, "t"), 0);
    assert_false(exists(dir, "t"));
    assert_true(exists(dir, "outside/keep"));
    assert_int_equal(beneath_remove(dir, "outside/keep"), 0);
    assert_true(exists(dir, "outside"));
}

static void removes_5000_levels_with_few_descriptors(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    char *path = long_path(5000, 1);
    assert_int_equal(beneath_mkdirs(dir, path, 0700), 0);
    /* Something beside each directory on the first levels, so that listings go on after it. */
    for (size_t i = 0; i < 100; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s/x", (int)(2 * i + 1), path);
        make_file(dir, name, "");
    }
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int r = beneath_remove(dir, "d");
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(r, 0);
    assert_false(exists(dir, "d"));
    free(path);
}

static int remove_protected(void *arg)
{
    int dir = *(int *)arg;
    if (mkdirat(dir, "t", 0700) < 0 || mkdirat(dir, "t/in", 0700) < 0 ||
        mkdirat(dir, "t/in/none", 0700) < 0 || mknodat(dir, "t/in/none/f", S_IFREG | 0400, 0) < 0 ||
        fchmodat(dir, "t/in/none", 0000, 0) < 0 || fchmodat(dir, "t/in", 0555, 0) < 0 ||
        fchmodat(dir, "t", 0500, 0) < 0)
        return -100;
    int r = beneath_remove(dir, "t");
    return r < 0 ? r : exists(dir, "t") ? -101 : 0;
}

static void a_user_removes_own_directories_without_permissions(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    assert_int_equal(fchmod(dir, 0777), 0);
    assert_int_equal(as_user(remove_protected, &dir), 0);
}

static int remove_foreign(void *arg)
{
    return beneath_remove(*(int *)arg, "t");
}

static void what_may_not_be_removed_is_an_error(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    if (geteuid() != 0)
        skip();
    make_dir(dir, "t", 0755);
    make_file(dir, "t/f", "");
    assert_int_equal(as_user(remove_foreign, &dir), -EACCES);
    assert_true(exists(dir, "t/f"));
}

static int remove_around_mount(void *arg)
{
    /* A descriptor from before sees the directory without the mount. */
    int dir = open(arg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_file(dir, "t/m/kept", "");
    int r = beneath_remove(dir, "t");
    return exists(dir, "t/m/kept") ? r : -100;
}

static void mounted_filesystems_are_not_emptied(void **state)
{
    struct scratch *s = *state;
    char mounted[128], source[128];
    make_dir(s->fd, "t", 0755);
    make_dir(s->fd, "t/m", 0755);
    make_dir(s->fd, "other", 0755);
    snprintf(mounted, sizeof mounted, "%s/t/m", s->path);
    snprintf(source, sizeof source, "%s/other", s->path);
    int r = with_mount(NULL, mounted, remove_around_mount, s->path);
    if (r == 1)
        skip();
    assert_int_equal(r, -EBUSY);
    /* Bound from the same filesystem. */
    assert_int_equal(with_mount(source, mounted, remove_around_mount, s->path), -EBUSY);
}

/* From here on the kernel of this process knows no openat2(2). */
static bool hide_openat2(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(opens_and_makes_files),
        TEST(a_file_may_get_the_number_of_any_errno),
        TEST(refuses_names_that_lead_out),
        TEST(follows_no_symlink),
        TEST(a_file_in_the_way_is_not_called_a_symlink),
        TEST(makes_directories_with_the_exact_mode),
        TEST(works_beyond_path_max),
        TEST(reads_whole_files_up_to_a_bound),
        TEST(removing_what_is_absent_is_fine),
        TEST(removes_trees_without_following_symlinks),
        TEST(removes_5000_levels_with_few_descriptors),
        TEST(a_user_removes_own_directories_without_permissions),
        TEST(what_may_not_be_removed_is_an_error),
        TEST(mounted_filesystems_are_not_emptied),
    };
    /* All of it a second time on a kernel without openat2(2). */
    pid_t pid = fork();
    if (pid == 0) {
        if (!hide_openat2()) {
            fprintf(stderr, "no seccomp: the way without openat2 is not tested\n");
            exit(0);
        }
        exit(cmocka_run_group_tests_name("without openat2", tests, NULL, NULL));
    }
    int failed = cmocka_run_group_tests_name("beneath", tests, NULL, NULL);
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        failed++;
    return failed;
}
