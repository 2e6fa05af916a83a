/* Files are made with the content, owner, mode and time of their entries, and nowhere else. */

#include "tree_fixture.h"

#include <pthread.h>

#include "base/buf.h"
#include "tree/create.h"

static const struct create_policy plain = {.umask = 022};

static struct entry file(const char *path)
{
    return (struct entry){.path = (char *)path, .mode = 0644, .mtime = {.tv_sec = 1}};
}

static int make(int dir, const struct create_policy *p, const struct entry *e)
{
    struct wp_error err = {0};
    int r = create_file(dir, p, e, "hello", 5, &err);
    assert_int_equal(r, -err.code);
    return r;
}

static struct stat look(int dir, const char *path)
{
    struct stat st;
    assert_int_equal(beneath_stat(dir, path, &st), 0);
    return st;
}

static void writes_content_mode_and_time(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    struct entry e = file("f\xff\n");
    e.mode = 0755;
    e.mtime = (struct timespec){.tv_sec = 1795339396, .tv_nsec = 456441290};
    assert_int_equal(make(dir, &plain, &e), 0);
    struct stat st = look(dir, e.path);
    assert_int_equal(st.st_mode, S_IFREG | 0755);
    assert_int_equal(st.st_mtim.tv_sec, 1795339396);
    assert_int_equal(st.st_mtim.tv_nsec, 456441290);
    struct buf b = {0};
    assert_int_equal(beneath_read(dir, e.path, 100, &b, NULL), 0);
    assert_int_equal(b.size, 5);
    assert_memory_equal(b.data, "hello", 5);
    buf_free(&b);
}

static void holds_times_before_1970_and_after_2106(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    const struct timespec times[] = {{-1, 500000000}, {-86400 * 365, 1}, {4300000000, 999999999}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%zu", i);
        struct entry e = file(name), l = file("l");
        e.mtime = l.mtime = times[i];
        assert_int_equal(make(dir, &plain, &e), 0);
        struct stat st = look(dir, name);
        assert_int_equal(st.st_mtim.tv_sec, times[i].tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, times[i].tv_nsec);
        l.target = name;
        assert_int_equal(create_symlink(dir, &plain, &l, NULL), 0);
        st = look(dir, "l");
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(st.st_mtim.tv_sec, times[i].tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, times[i].tv_nsec);
        assert_int_equal(unlinkat(dir, "l", 0), 0);
    }
}

static void modes_are_those_of_tar(void **state)
{
    (void)state;
    struct entry e = file("f");
    e.mode = 06777;
    assert_int_equal(create_mode(&(struct create_policy){.umask = 027}, &e), 0750);
    assert_int_equal(create_mode(&(struct create_policy){.umask = 027, .permissions = true}, &e),
                     06777);
    const struct create_policy root = {.superuser = true};
    e.mode = 07777;
    assert_int_equal(create_mode(&root, &e), 0777);
    e.type = ENTRY_DIR;
    assert_int_equal(create_mode(&root, &e), 03777);
    assert_int_equal(create_mode(&(struct create_policy){.umask = 022}, &e), 0755);
}

static void modes_do_not_depend_on_the_umask_of_the_process(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    const struct create_policy exact = {.umask = 022, .permissions = true};
    struct entry e = file("f");
    e.mode = 04666;
    mode_t old = umask(0777);
    int r = make(dir, &exact, &e);
    umask(old);
    assert_int_equal(r, 0);
    assert_int_equal(look(dir, "f").st_mode & 07777, 04666);
}

/* Which calls are saved where something is known of new files must not be seen in them. */
static void what_is_known_of_new_files_does_not_change_them(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    const mode_t modes[] = {0644, 0755, 0664, 0777, 0444, 0200, 04755};
    mode_t old = umask(027);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const struct create_policy known = {.owner = geteuid() == 0,
                                            .permissions = true,
                                            .knows_owner = true,
                                            .uid = geteuid(),
                                            .gid = getegid(),
                                            .granted = 0750};
        struct entry e = file("f");
        e.mode = modes[i];
        for (id_t owner = 0; owner < 3; owner++) {
            e.uid = (uid_t)(owner == 1);
            e.gid = (gid_t)(owner == 2);
            assert_int_equal(make(dir, &known, &e), 0);
            struct stat st = look(dir, "f");
            assert_int_equal(st.st_mode & 07777, modes[i]);
            assert_int_equal(st.st_uid, known.owner ? e.uid : geteuid());
            assert_int_equal(st.st_gid, known.owner ? e.gid : getegid());
            assert_int_equal(unlinkat(dir, "f", 0), 0);
        }
    }
    umask(old);
}

static void what_exists_is_not_overwritten(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_file(dir, "there", "old");
    assert_int_equal(symlinkat("target", dir, "link"), 0);
    struct entry e = file("there");
    assert_int_equal(make(dir, &plain, &e), -EEXIST);
    e = file("link");
    assert_int_equal(make(dir, &plain, &e), -EEXIST);
    assert_false(exists(dir, "target"));
    e.target = (char *)"x";
    assert_int_equal(create_symlink(dir, &plain, &e, NULL), -EEXIST);
}

static void nothing_is_made_through_a_symlink(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_dir(dir, "outside", 0755);
    make_file(dir, "f", "");
    assert_int_equal(symlinkat("outside", dir, "link"), 0);
    struct entry e = file("link/f");
    assert_int_equal(make(dir, &plain, &e), -ELOOP);
    e.target = (char *)"f";
    assert_int_equal(create_symlink(dir, &plain, &e, NULL), -ELOOP);
    assert_int_equal(create_hardlink(dir, &e, NULL), -ELOOP);
    assert_int_equal(create_dir(dir, "link/d", 0700, NULL), -ELOOP);
    make_file(dir, "outside/secret", "");
    e = file("g");
    e.target = (char *)"link/secret";
    assert_int_equal(create_hardlink(dir, &e, NULL), -ELOOP);
    e.target = (char *)"../../etc/passwd";
    assert_int_equal(create_hardlink(dir, &e, NULL), -EINVAL);
    assert_false(exists(dir, "outside/f"));
    assert_false(exists(dir, "g"));
}

static void errors_name_the_file_and_the_cause(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    struct wp_error err = {0};
    struct entry e = file("none/f");
    assert_int_equal(create_file(dir, &plain, &e, "", 0, &err), -ENOENT);
    assert_string_equal(err.message, "none/f: cannot create file: No such file or directory");
    err = (struct wp_error){0};
    e = file("l");
    e.target = (char *)"none";
    assert_int_equal(create_hardlink(dir, &e, &err), -ENOENT);
    assert_string_equal(err.message,
                        "l: cannot create hard link to none: No such file or directory");
}

static void hard_links_are_the_same_file(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    make_dir(dir, "d", 0755);
    make_file(dir, "d/f", "");
    struct entry e = file("g");
    e.target = (char *)"d/f";
    assert_int_equal(create_hardlink(dir, &e, NULL), 0);
    assert_int_equal(look(dir, "g").st_ino, look(dir, "d/f").st_ino);
    /* A link to a symlink is one to the symlink itself. */
    assert_int_equal(symlinkat("f", dir, "d/l"), 0);
    e = file("m");
    e.target = (char *)"d/l";
    assert_int_equal(create_hardlink(dir, &e, NULL), 0);
    assert_true(S_ISLNK(look(dir, "m").st_mode));
}

static void directories_are_made_with_their_parents(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    struct wp_error err = {0};
    assert_int_equal(create_dir(dir, "", 0700, &err), 0);
    assert_int_equal(create_dir(dir, "a/b/c", 0700, &err), 0);
    assert_int_equal(create_dir(dir, "a/b/c", 0700, &err), 0);
    assert_int_equal(look(dir, "a/b").st_mode & 07777, 0700);
    make_file(dir, "f", "");
    assert_int_equal(create_dir(dir, "f", 0700, &err), -ENOTDIR);
}

static void a_file_written_in_parts_ends_with_its_hole(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    struct entry e = file("f");
    e.size = 10 << 20;
    int fd = create_open(dir, &e, NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(create_close(fd, &plain, &e, NULL), 0);
    struct stat st = look(dir, "f");
    assert_int_equal(st.st_size, 10 << 20);
    assert_true(st.st_blocks < 1000);
    assert_int_equal(st.st_mtim.tv_sec, 1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);

    e = file("g");
    e.size = UINT64_MAX;
    fd = create_open(dir, &e, NULL);
    assert_int_equal(create_close(fd, &plain, &e, NULL), -EFBIG);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static int fill(void *arg)
{
    static char data[256 << 10];
    struct wp_error err = {0};
    struct entry e = file("full/f");
    /* A descriptor from before sees the directory without the mount. */
    int dir = open(arg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = create_file(dir, &plain, &e, data, sizeof data, &err);
    return strcmp(err.message, "full/f: cannot write: No space left on device") == 0 ? r : -100;
}

static void a_full_filesystem_is_an_error(void **state)
{
    struct scratch *s = *state;
    char path[128];
    make_dir(s->fd, "full", 0755);
    snprintf(path, sizeof path, "%s/full", s->path);
    int r = with_mount(NULL, path, fill, s->path);
    if (r == 1)
        skip();
    assert_int_equal(r, -ENOSPC);
}

static void owners_are_found_by_name_first(void **state)
{
    (void)state;
    const struct create_policy by_name = {.owner = true};
    const struct create_policy by_number = {.owner = true, .numeric_owner = true};
    struct entry e = file("f");
    uid_t uid;
    gid_t gid;
    e.uid = 4711;
    e.gid = 4712;
    e.uname = (char *)"root";
    e.gname = (char *)"no such group";
    for (int again = 0; again < 2; again++) {
        create_owner(&by_name, &e, &uid, &gid);
        assert_int_equal(uid, 0);
        assert_int_equal(gid, 4712);
        create_owner(&by_number, &e, &uid, &gid);
        assert_int_equal(uid, 4711);
        assert_int_equal(gid, 4712);
    }
    create_owner(&plain, &e, &uid, &gid);
    assert_int_equal(uid, (uid_t)-1);
    assert_int_equal(gid, (gid_t)-1);
}

static void root_sets_owners_and_keeps_setuid(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    if (geteuid() != 0)
        skip();
    const struct create_policy all = {.owner = true, .numeric_owner = true, .permissions = true};
    struct entry e = file("f"), l = file("l");
    e.mode = 06755;
    e.uid = l.uid = 4711;
    e.gid = l.gid = 4712;
    l.target = (char *)"f";
    assert_int_equal(make(dir, &all, &e), 0);
    assert_int_equal(create_symlink(dir, &all, &l, NULL), 0);
    struct stat st = look(dir, "f");
    assert_int_equal(st.st_mode & 07777, 06755);
    assert_int_equal(st.st_uid, 4711);
    assert_int_equal(st.st_gid, 4712);
    assert_int_equal(look(dir, "l").st_uid, 4711);
}

static int make_for_another(void *arg)
{
    const struct create_policy owner = {.owner = true, .numeric_owner = true};
    struct entry e = file("f");
    return create_file(*(int *)arg, &owner, &e, "", 0, NULL);
}

static void a_user_cannot_give_files_away(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    assert_int_equal(fchmod(dir, 0777), 0);
    assert_int_equal(as_user(make_for_another, &dir), -EPERM);
}

static int make_read_only(void *arg)
{
    struct entry e = file("f");
    e.mode = 0;
    return create_file(*(int *)arg, &plain, &e, "x", 1, NULL);
}

static void a_user_makes_files_without_permissions(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    assert_int_equal(fchmod(dir, 0777), 0);
    assert_int_equal(as_user(make_read_only, &dir), 0);
    struct stat st = look(dir, "f");
    assert_int_equal(st.st_mode & 07777, 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(st.st_mtim.tv_sec, 1);
}

static void names_may_be_longer_than_path_max(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    struct buf path = {0};
    for (int i = 0; i < 25; i++)
        buf_printf(&path, "%0200d/", i);
    path.size--;
    buf_terminate(&path);
    assert_int_equal(create_dir(dir, (char *)path.data, 0700, NULL), 0);
    size_t n = path.size;
    struct entry e;
    buf_printf(&path, "/f");
    buf_terminate(&path);
    e = file((char *)path.data);
    assert_int_equal(make(dir, &plain, &e), 0);
    struct entry h = file("h");
    h.target = e.path;
    assert_int_equal(create_hardlink(dir, &h, NULL), 0);
    path.size = n;
    buf_printf(&path, "/l");
    buf_terminate(&path);
    e = file((char *)path.data);
    e.target = (char *)"f";
    assert_int_equal(create_symlink(dir, &plain, &e, NULL), 0);
    assert_true(S_ISLNK(look(dir, e.path).st_mode));
    buf_free(&path);
}

struct worker {
    int dir, number, failed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct create_policy owner = {.owner = geteuid() == 0};
    for (int i = 0; i < 500; i++) {
        char name[32], user[8];
        snprintf(name, sizeof name, "d%d/f%d", i % 7, i * 2 + w->number);
        snprintf(user, sizeof user, "u%d", i % 11);
        struct entry e = file(name);
        e.uname = user;
        char parent[8];
        snprintf(parent, sizeof parent, "d%d", i % 7);
        w->failed |= create_dir(w->dir, parent, 0755, NULL) < 0;
        w->failed |= create_file(w->dir, &owner, &e, "x", 1, NULL) < 0;
    }
    return NULL;
}

static void threads_make_different_files(void **state)
{
    int dir = ((struct scratch *)*state)->fd;
    struct worker workers[2] = {{.dir = dir}, {.dir = dir, .number = 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_false(workers[i].failed);
    }
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "d%d/f%d", i / 2 % 7, i);
        assert_int_equal(look(dir, name).st_size, 1);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_content_mode_and_time),
        TEST(holds_times_before_1970_and_after_2106),
        TEST(modes_are_those_of_tar),
        TEST(modes_do_not_depend_on_the_umask_of_the_process),
        TEST(what_is_known_of_new_files_does_not_change_them),
        TEST(what_exists_is_not_overwritten),
        TEST(nothing_is_made_through_a_symlink),
        TEST(errors_name_the_file_and_the_cause),
        TEST(hard_links_are_the_same_file),
        TEST(directories_are_made_with_their_parents),
        TEST(a_file_written_in_parts_ends_with_its_hole),
        TEST(a_full_filesystem_is_an_error),
        TEST(owners_are_found_by_name_first),
        TEST(root_sets_owners_and_keeps_setuid),
        TEST(a_user_cannot_give_files_away),
        TEST(a_user_makes_files_without_permissions),
        TEST(names_may_be_longer_than_path_max),
        TEST(threads_make_different_files),
    };
    return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
