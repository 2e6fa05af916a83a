/* What a walk finds, in which order, and what it leaves out. */

#include "tree_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "tree/walk.h"

/* Reports and their severities, a line each: "W text". */
struct heard {
    struct buf text;
};

static void hear(void *ctx, enum wp_severity severity, const char *text)
{
    struct heard *h = ctx;
    buf_printf(&h->text, "%c %s\n", "DNWCF"[severity], text);
}

struct fixture {
    struct scratch *s;
    int dir;
    struct walk w;
    struct wp_error err;
    struct heard heard;
    struct wp_context context;
    struct walk_options o;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    void *s = NULL;
    if (!f || scratch_setup(&s) < 0)
        return -1;
    f->s = s;
    f->dir = f->s->fd;
    f->context = (struct wp_context){.message = hear, .user_data = &f->heard};
    f->o = (struct walk_options){.context = &f->context};
    *state = f;
    return walk_add_root(&f->w, f->s->path, &f->err) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *s = f->s;
    walk_free(&f->w);
    buf_free(&f->heard.text);
    free(f);
    return scratch_teardown(&s);
}

static const char *heard(struct fixture *f)
{
    assert_int_equal(buf_terminate(&f->heard.text), 0);
    return (char *)f->heard.text.data;
}

/* All items: type, path, "=" target; separated by spaces. */
static const char *listing(struct fixture *f)
{
    static char text[4096];
    text[0] = '\0';
    for (size_t i = 0; i < f->w.count; i++) {
        const struct entry *e = &f->w.items[i].entry;
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%c%s%s%s", i ? " " : "", "fdlho"[e->type], e -> path,
                 e -> target ? "=" : "", e->target ? e->target : "");
    }
    return text;
}

static void add(struct fixture *f, const char *path, const char *as)
{
    int r = walk_add(&f->w, 0, path, as, &f->o, &f->err);
    assert_string_equal(f->err.message, "");
    assert_int_equal(r, 0);
}

static void finish(struct fixture *f)
{
    assert_int_equal(walk_finish(&f->w, &f->err), 0);
}

static void sorts_bytewise_by_whole_path(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "a", 0755);
    make_file(f->dir, "a/b", "");
    make_file(f->dir, "a.c", "");
    make_file(f->dir, "a\xff", "");
    make_file(f->dir, "a0", "");
    make_file(f->dir, "a\n", "");
    add(f, ".", NULL);
    finish(f);
    assert_string_equal(listing(f), "da fa\n fa.c fa/b fa0 fa\xff");
    assert_ptr_equal(walk_find(&f->w, "a/b"), &f->w.items[3]);
    assert_null(walk_find(&f->w, "a/c"));
}

static void records_what_stat_says(void **state)
{
    struct fixture *f = *state;
    make_file(f->dir, "f", "hello");
    const struct timespec times[2] = {{0}, {.tv_sec = -2, .tv_nsec = 750000001}};
    assert_int_equal(utimensat(f->dir, "f", times, 0), 0);
    assert_int_equal(fchmodat(f->dir, "f", 04751, 0), 0);
    add(f, "f", NULL);
    finish(f);
    struct stat st;
    assert_int_equal(fstatat(f->dir, "f", &st, 0), 0);
    const struct walk_item *i = walk_find(&f->w, "f");
    assert_int_equal(i->entry.size, 5);
    assert_int_equal(i->entry.mode, 04751);
    assert_int_equal(i->entry.mtime.tv_sec, -2);
    assert_int_equal(i->entry.mtime.tv_nsec, 750000001);
    assert_int_equal(i->entry.uid, st.st_uid);
    assert_int_equal(i->ino, st.st_ino);
    assert_int_equal(i->ctime.tv_nsec, st.st_ctim.tv_nsec);
    if (st.st_uid == 0) {
        assert_string_equal(i->entry.uname, "root");
        assert_string_equal(i->entry.gname, "root");
    }
}

static void leaves_names_of_owners_out_where_asked(void **state)
{
    struct fixture *f = *state;
    make_file(f->dir, "f", "");
    f->o.numeric_owner = true;
    add(f, "f", NULL);
    assert_null(f->w.items[0].entry.uname);
    assert_null(f->w.items[0].entry.gname);
}

static void names_members_as_tar_does(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "a", 0755);
    make_dir(f->dir, "a/b", 0755);
    make_file(f->dir, "a/b/c", "");
    make_file(f->dir, "a/b/d", "");
    add(f, "./a//b/c", NULL);
    add(f, "a/b/", "as/./me");
    add(f, "a/b", "");
    finish(f);
    assert_string_equal(listing(f), "fa/b/c das/me fas/me/c fas/me/d fc fd");
    const struct walk_item *i = walk_find(&f->w, "as/me/c");
    assert_non_null(i);
    assert_string_equal(i->name, "a/b/c");
    assert_null(walk_find(&f->w, "a/b/c")->name);
    assert_null(walk_find(&f->w, "a/b"));
}

static void a_member_under_a_name_of_its_own(void **state)
{
    struct fixture *f = *state;
    make_file(f->dir, "f", "");
    add(f, ".", "top");
    finish(f);
    assert_string_equal(listing(f), "dtop ftop/f");
    assert_string_equal(walk_find(&f->w, "top/f")->name, "f");
    int fd = walk_open(&f->w, walk_find(&f->w, "top"), O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    close(fd);
}

static void a_missing_member_is_an_error(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(walk_add(&f->w, 0, "none/x", NULL, &f->o, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.message, "none/x: No such file or directory"));
}

static void refuses_archive_names_that_lead_out(void **state)
{
    struct fixture *f = *state;
    make_file(f->dir, "f", "");
    assert_int_equal(walk_add(&f->w, 0, "f", "../f", &f->o, &f->err), -EINVAL);
    f->err = (struct wp_error){0};
    assert_int_equal(walk_add(&f->w, 0, "f", "/f", &f->o, &f->err), -EINVAL);
}

static void drops_items_named_twice(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "a", 0755);
    make_file(f->dir, "a/f", "");
    make_file(f->dir, "g", "longer");
    add(f, "a", NULL);
    add(f, "a/f", NULL);
    add(f, "g", "a/f");
    finish(f);
    assert_string_equal(listing(f), "da fa/f");
    assert_int_equal(f->w.items[1].entry.size, 6);
}

static void refuses_a_directory_and_a_file_of_one_name(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "a", 0755);
    make_file(f->dir, "f", "");
    add(f, "a", NULL);
    add(f, "f", "a");
    assert_int_equal(walk_finish(&f->w, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.message, "a: named twice"));
}

static void later_names_of_a_file_are_hard_links(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "z", 0755);
    make_file(f->dir, "z/first", "hello");
    assert_int_equal(linkat(f->dir, "z/first", f->dir, "b", 0), 0);
    assert_int_equal(linkat(f->dir, "z/first", f->dir, "z/a", 0), 0);
    make_file(f->dir, "c", "hello");
    assert_int_equal(linkat(f->dir, "c", f->dir, "d", 0), 0);
    add(f, "z", NULL);
    add(f, "b", NULL);
    add(f, "d", NULL);
    finish(f);
    assert_string_equal(listing(f), "fb fd dz hz/a=b hz/first=b");
    assert_int_equal(walk_find(&f->w, "b")->entry.size, 5);
    assert_int_equal(walk_find(&f->w, "z/a")->entry.size, 0);
}

static void keeps_symlinks(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "d", 0755);
    make_file(f->dir, "d/f", "");
    assert_int_equal(symlinkat("d", f->dir, "to-d"), 0);
    assert_int_equal(symlinkat("no\nwhere\xff", f->dir, "to-none"), 0);
    add(f, ".", NULL);
    finish(f);
    assert_string_equal(listing(f), "dd fd/f lto-d=d lto-none=no\nwhere\xff");
    assert_int_equal(walk_find(&f->w, "to-d")->entry.size, 0);
}

static void members_may_lie_behind_symlinks(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "v1", 0755);
    make_dir(f->dir, "v1/app", 0755);
    make_file(f->dir, "v1/app/f", "x");
    make_file(f->dir, "v1/app/g", "x");
    assert_int_equal(symlinkat("v1", f->dir, "current"), 0);
    add(f, "current/app", NULL);
    add(f, "current/app/g", "g");
    add(f, "v1/../v1/app/f", "f");
    add(f, "current/", "dir");
    add(f, "current", NULL);
    finish(f);
    assert_string_equal(listing(f), "lcurrent=v1 dcurrent/app fcurrent/app/f fcurrent/app/g "
                                    "ddir ddir/app fdir/app/f fdir/app/g ff fg");
    for (size_t i = 0; i < f->w.count; i++) {
        const struct walk_item *item = &f->w.items[i];
        if (item->entry.type == ENTRY_SYMLINK)
            continue;
        int fd = walk_open(&f->w, item, O_RDONLY);
        struct stat st;
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_ino, item->ino);
        close(fd);
    }
    /* The name of an item's root and its own make a path that leads there. */
    const struct walk_item *item = walk_find(&f->w, "current/app/f");
    assert_string_equal(item->name, "app/f");
    assert_non_null(strstr(f->w.root_names[item->root], "/current"));
}

static void absolute_members(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "d", 0755);
    make_file(f->dir, "d/f", "");
    char path[128];
    snprintf(path, sizeof path, "%s/d", f->s->path);
    add(f, path, "d");
    finish(f);
    assert_string_equal(listing(f), "dd fd/f");
    int fd = walk_open(&f->w, walk_find(&f->w, "d/f"), O_RDONLY);
    assert_true(fd >= 0);
    close(fd);
}

static void without_follow_a_file_that_became_a_symlink_is_not_opened(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "d", 0755);
    make_file(f->dir, "d/f", "");
    add(f, "d", NULL);
    finish(f);
    assert_int_equal(renameat(f->dir, "d", f->dir, "e"), 0);
    assert_int_equal(symlinkat("e", f->dir, "d"), 0);
    assert_int_equal(walk_open(&f->w, walk_find(&f->w, "d/f"), O_RDONLY), -ELOOP);
}

static void follows_symlinks_where_asked(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "d", 0755);
    make_file(f->dir, "d/f", "hello");
    assert_int_equal(symlinkat("d", f->dir, "to-d"), 0);
    assert_int_equal(symlinkat("d/f", f->dir, "a-f"), 0);
    f->o.follow = true;
    add(f, ".", NULL);
    finish(f);
    assert_string_equal(listing(f), "fa-f dd hd/f=a-f dto-d hto-d/f=a-f");
    int fd = walk_open(&f->w, walk_find(&f->w, "to-d/f"), O_RDONLY);
    assert_true(fd >= 0);
    close(fd);
}

static void some_members_are_followed_and_others_are_not(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "d", 0755);
    make_file(f->dir, "d/f", "");
    assert_int_equal(symlinkat("d", f->dir, "l"), 0);
    f->o.follow = true;
    add(f, "l", NULL);
    f->o.follow = false;
    add(f, "l", "k");
    finish(f);
    assert_string_equal(listing(f), "lk=d dl fl/f");
    int fd = walk_open(&f->w, walk_find(&f->w, "l/f"), O_RDONLY);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(walk_open(&f->w, walk_find(&f->w, "k"), O_RDONLY), -ELOOP);
}

static void symlink_loops_end(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "d", 0755);
    make_dir(f->dir, "d/e", 0755);
    assert_int_equal(symlinkat("..", f->dir, "d/e/up"), 0);
    assert_int_equal(symlinkat("../..", f->dir, "d/e/top"), 0);
    make_file(f->dir, "d/e/f", "");
    f->o.follow = true;
    add(f, "d", NULL);
    finish(f);
    assert_string_equal(listing(f), "dd dd/e fd/e/f dd/e/top");
    assert_non_null(strstr(heard(f), "d/e/up: symlink loop"));
    assert_non_null(strstr(heard(f), "d/e/top/d: symlink loop"));
}

static void loops_to_a_root_without_an_item_end(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlinkat(".", f->dir, "self"), 0);
    f->o.follow = true;
    add(f, ".", NULL);
    finish(f);
    assert_string_equal(listing(f), "");
    assert_non_null(strstr(heard(f), "self: symlink loop"));
}

static void a_dangling_symlink_cannot_be_followed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlinkat("none", f->dir, "l"), 0);
    f->o.follow = true;
    assert_int_equal(walk_add(&f->w, 0, ".", NULL, &f->o, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.message, "l: cannot stat: No such file"));
}

static void sockets_and_the_like_are_skipped_with_a_warning(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkfifoat(f->dir, "fifo", 0600), 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", f->s->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    add(f, ".", NULL);
    close(fd);
    finish(f);
    assert_int_equal(f->w.count, 0);
    assert_non_null(strstr(heard(f), "/fifo: FIFO ignored"));
    assert_non_null(strstr(heard(f), "/socket: socket ignored"));
}

static void own_directories_are_left_out(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, ".warmpack", 0755);
    make_dir(f->dir, ".warmpack-Ab3XyZ", 0755);
    make_file(f->dir, ".warmpack-Ab3XyZ1", "");
    make_file(f->dir, ".warmpack-Ab3Xy", "");
    make_file(f->dir, ".warmpack-Ab3Xy_", "");
    make_file(f->dir, ".warmpackrc", "");
    make_dir(f->dir, "d", 0755);
    make_dir(f->dir, "d/.warmpack", 0755);
    add(f, ".", NULL);
    add(f, ".warmpack", NULL);
    finish(f);
    assert_string_equal(listing(f),
                        "f.warmpack-Ab3Xy f.warmpack-Ab3XyZ1 f.warmpack-Ab3Xy_ f.warmpackrc dd");
}

static void what_only_has_an_own_name_is_packed(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, ".warmpack.lock", 0755);
    make_file(f->dir, ".warmpack-Ab3XyZ", "");
    make_dir(f->dir, "d", 0755);
    make_file(f->dir, "d/.warmpack", "");
    make_file(f->dir, "d/.warmpack.lock", "");
    make_dir(f->dir, "EGG-INFO", 0755);
    make_file(f->dir, "EGG-INFO/warmpack", "");
    assert_int_equal(symlinkat("d", f->dir, ".warmpack"), 0);
    add(f, ".", NULL);
    finish(f);
    assert_string_equal(listing(f), "l.warmpack=d f.warmpack-Ab3XyZ d.warmpack.lock dEGG-INFO "
                                    "fEGG-INFO/warmpack dd fd/.warmpack");
}

static void the_output_is_not_packed(void **state)
{
    struct fixture *f = *state;
    make_file(f->dir, "out.tgz", "");
    make_file(f->dir, "f", "");
    struct stat st;
    assert_int_equal(fstatat(f->dir, "out.tgz", &st, 0), 0);
    f->o.skip_dev = st.st_dev;
    f->o.skip_ino = st.st_ino;
    add(f, ".", NULL);
    finish(f);
    assert_string_equal(listing(f), "ff");
    assert_non_null(strstr(heard(f), "out.tgz: is the archive being written; not packed"));
}

static void excluded_directories_are_not_entered(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "a", 0755);
    make_dir(f->dir, "a/skip", 0000);
    make_dir(f->dir, "b", 0755);
    make_file(f->dir, "b/x.pyc", "");
    make_file(f->dir, "b/x.py", "");
    const char *const patterns[] = {"skip", "*.pyc", NULL};
    f->o.exclude = patterns;
    add(f, "a", NULL);
    add(f, "b", NULL);
    add(f, "a/skip", "a/skip");
    finish(f);
    assert_string_equal(listing(f), "da db fb/x.py");
}

static void patterns_match_as_tar_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *path, *pattern;
        bool matches;
    } cases[] = {
        {"a/b/c.pyc", "*.pyc", true},
        {"a/b/c.pyc", "b", true},
        {"a/b/c.pyc", "a/b", true},
        {"a/b/c.pyc", "b/c.pyc", true},
        {"a/b/c.pyc", "b/c", false},
        {"a/b/c.pyc", "a", true},
        {"a/b/c.pyc", "a/*.pyc", true},
        {"a/b/c.pyc", "b*", true},
        {"a/b/c.pyc", "?", true},
        {"a/b/c.pyc", "c.py", false},
        {"a/b/c.pyc", "", false},
        {"a/b/c.pyc", "[ab]/c.*", true},
        {"a/b/c.pyc", "a*py", false},
        {"x.pyc/a", "*.pyc", true},
        {"ab/c", "b", false},
        {"a/b", "a/b/c", false},
        {"a/x*y", "x\\*y", true},
        {"a/xzy", "x\\*y", false},
        {"a/\xff\xfe/b", "?\xfe", true},
        {"a/\xff.o", "*.o", true},
        {"a/.hidden", "*hidden", true},
        {"a/b", "b/", false},
        {"aa/b", "a?/b", true},
        {"__pycache__/x", "__pycache__", true},
        {"p/__pycache__", "__pycache__", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const patterns[] = {"nothing", cases[i].pattern, NULL};
        if (walk_excluded(cases[i].path, patterns) != cases[i].matches)
            fail_msg("%s %s", cases[i].pattern, cases[i].path);
    }
    assert_false(walk_excluded("a", NULL));
}

static void deep_trees_with_names_beyond_path_max(void **state)
{
    struct fixture *f = *state;
    char part[201];
    memset(part, 'p', 200);
    part[200] = '\0';
    struct buf path = {0};
    for (int i = 0; i < 30; i++) {
        buf_printf(&path, "%s%s", i ? "/" : "", part);
    }
    buf_terminate(&path);
    assert_int_equal(beneath_mkdirs(f->dir, (char *)path.data, 0755), 0);
    buf_printf(&path, "/f");
    buf_terminate(&path);
    int fd = beneath_open(f->dir, (char *)path.data, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    close(fd);
    for (int follow = 0; follow < 2; follow++) {
        struct walk w = {0};
        f->o.follow = follow;
        assert_int_equal(walk_add_root(&w, f->s->path, &f->err), 0);
        assert_int_equal(walk_add(&w, 0, ".", NULL, &f->o, &f->err), 0);
        assert_int_equal(walk_finish(&w, &f->err), 0);
        assert_int_equal(w.count, 31);
        const struct walk_item *item = walk_find(&w, (char *)path.data);
        assert_non_null(item);
        fd = walk_open(&w, item, O_RDONLY);
        assert_true(fd >= 0);
        close(fd);
        walk_free(&w);
    }
    buf_free(&path);
}

static int walk_unreadable(void *arg)
{
    const char *dir = arg;
    struct walk w = {0};
    struct wp_error err = {0};
    struct walk_options o = {0};
    int r = walk_add_root(&w, dir, &err);
    if (r == 0)
        r = walk_add(&w, 0, "d", NULL, &o, &err);
    walk_free(&w);
    if (r == -EACCES && !strstr(err.message, "d/closed: cannot open directory: Permission denied"))
        return -100;
    return r;
}

static void an_unreadable_directory_is_an_error(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    make_dir(f->dir, "d", 0755);
    make_dir(f->dir, "d/closed", 0700);
    assert_int_equal(as_user(walk_unreadable, f->s->path), -EACCES);
}

/* The walk has listed a and b and is in one of them: the other goes. */
static void remove_the_other(void *ctx, enum wp_severity severity, const char *text)
{
    struct fixture *f = ctx;
    hear(&f->heard, severity, text);
    if (severity == WP_WARNING)
        beneath_remove(f->dir, strstr(text, "a/fifo") ? "b" : "a");
}

static void what_vanishes_meanwhile_is_left_out_with_a_warning(void **state)
{
    struct fixture *f = *state;
    make_dir(f->dir, "a", 0755);
    make_dir(f->dir, "b", 0755);
    assert_int_equal(mkfifoat(f->dir, "a/fifo", 0600), 0);
    assert_int_equal(mkfifoat(f->dir, "b/fifo", 0600), 0);
    f->context = (struct wp_context){.message = remove_the_other, .user_data = f};
    add(f, ".", NULL);
    finish(f);
    assert_int_equal(f->w.count, 1);
    assert_non_null(strstr(heard(f), "\nC "));
    assert_non_null(strstr(heard(f), ": directory removed before it was read"));
}

static void interruption_ends_the_walk(void **state)
{
    struct fixture *f = *state;
    volatile sig_atomic_t interrupted = 1;
    make_file(f->dir, "f", "");
    f->context.interrupted = &interrupted;
    assert_int_equal(walk_add(&f->w, 0, ".", NULL, &f->o, &f->err), -EINTR);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sorts_bytewise_by_whole_path),
        TEST(records_what_stat_says),
        TEST(leaves_names_of_owners_out_where_asked),
        TEST(names_members_as_tar_does),
        TEST(a_member_under_a_name_of_its_own),
        TEST(a_missing_member_is_an_error),
        TEST(refuses_archive_names_that_lead_out),
        TEST(drops_items_named_twice),
        TEST(refuses_a_directory_and_a_file_of_one_name),
        TEST(later_names_of_a_file_are_hard_links),
        TEST(keeps_symlinks),
        TEST(members_may_lie_behind_symlinks),
        TEST(absolute_members),
        TEST(without_follow_a_file_that_became_a_symlink_is_not_opened),
        TEST(follows_symlinks_where_asked),
        TEST(some_members_are_followed_and_others_are_not),
        TEST(symlink_loops_end),
        TEST(loops_to_a_root_without_an_item_end),
        TEST(a_dangling_symlink_cannot_be_followed),
        TEST(sockets_and_the_like_are_skipped_with_a_warning),
        TEST(own_directories_are_left_out),
        TEST(what_only_has_an_own_name_is_packed),
        TEST(the_output_is_not_packed),
        TEST(excluded_directories_are_not_entered),
        TEST(patterns_match_as_tar_has_it),
        TEST(deep_trees_with_names_beyond_path_max),
        TEST(an_unreadable_directory_is_an_error),
        TEST(what_vanishes_meanwhile_is_left_out_with_a_warning),
        TEST(interruption_ends_the_walk),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
