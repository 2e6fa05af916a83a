/* Other programs read what we write, and we read what they write. */

#include <dirent.h>
#include <limits.h>

#include "tar_fixture.h"
#include "tar_shapes.h"

/* What an extracting program can keep. */
enum {
    PAX = 1,         /* exact times; without it whole seconds */
    DOUBLE_TIME = 2, /* times through a double: off by less than a microsecond */
    DIR_TIME = 4     /* a directory's time is set when all that is in it has been made */
};

static void check_extracted(const struct item *i, const char *peer, int keeps)
{
    char text[PATH_MAX];
    struct stat st;

    if (lstat(i->path, &st) < 0)
        fail_msg("%s: %s: %s", peer, i->path, strerror(errno));
    if (i->type == ENTRY_SYMLINK) {
        ssize_t n = readlink(i->path, text, sizeof(text) - 1);

        assert_true(S_ISLNK(st.st_mode) && n > 0);
        text[n] = '\0';
        assert_string_equal(text, i->target);
        return; /* not every program sets its time */
    }
    assert_int_equal(st.st_mode & 07777, i->mode);
    if (i->type == ENTRY_HARDLINK) {
        struct stat to;

        assert_int_equal(lstat(i->target, &to), 0);
        assert_true(st.st_ino == to.st_ino && st.st_dev == to.st_dev);
        return;
    }
    assert_int_equal(S_ISDIR(st.st_mode), i->type == ENTRY_DIR);
    if (i->type == ENTRY_FILE) {
        size_t n = i->content ? strlen(i->content) : 0;
        int fd = open(i->path, O_RDONLY | O_CLOEXEC);

        assert_int_equal(st.st_size, n);
        assert_int_equal(read(fd, text, sizeof(text)), n);
        if (n)
            assert_memory_equal(text, i->content, n);
        close(fd);
    }
    long off = labs(st.st_mtim.tv_nsec - i->mtime.tv_nsec);
    if (i->type == ENTRY_DIR && !(keeps & DIR_TIME))
        return;
    bool same = st.st_mtim.tv_sec == i->mtime.tv_sec &&
                (keeps & DOUBLE_TIME ? off < 1000 : !(keeps & PAX) || off == 0);
    if (!same)
        fail_msg("%s: %s: %lld.%09ld", peer, i->path, (long long)st.st_mtim.tv_sec,
                 st.st_mtim.tv_nsec);
}

/* COMMAND extracts the archive named $A into the working directory. */
static void is_extracted_by(const char *peer, const char *command, int keeps)
{
    static const struct wp_format *const all[] = {&format_tar, &format_tgz};
    char *dir = new_dir(), archive[64], here[PATH_MAX];

    assert_non_null(getcwd(here, sizeof(here)));
    for (size_t f = 0; f < 4; f++) {
        struct shapes s;
        struct buf b = {0};

        make_shapes(&s);
        for (size_t i = 0; i < s.count; i++) {
            bool fraction = s.items[i].mtime.tv_sec < 0 && s.items[i].mtime.tv_nsec != 0;

            /* bsdtar's library reads -0.5 as 0.5, which is why we do not read with it. */
            if (fraction && strcmp(peer, "bsdtar") == 0)
                s.items[i].mtime = (struct timespec){-7, 0};
        }
        pack(&b, all[f / 2], false, s.items, s.count);
        snprintf(archive, sizeof(archive), "%s.archive", dir);
        write_file(archive, &b);
        run("cd %s && export A=%s Z=%s LC_ALL=%s && umask 022 && %s 2>%s.err || { cat %s.err; exit "
            "1; }",
            dir, archive, f / 2 ? "z" : "", f % 2 ? "C" : "C.UTF-8", command, dir, dir);
        assert_int_equal(chdir(dir), 0);
        for (size_t i = 0; i < s.count; i++)
            check_extracted(&s.items[i], peer, keeps);
        assert_int_equal(chdir(here), 0);
        run("chmod -R u+rwx %s && rm -rf %s/* %s/-* %s.archive %s.err", dir, dir, dir, dir, dir);
        buf_free(&b);
        free_shapes(&s);
    }
    remove_dir(dir);
}

static void test_gnu_tar_reads_ours(void **state)
{
    (void)state;
    is_extracted_by("tar", "tar -xpf $A", PAX | DIR_TIME);
    /* Reads on behind the blocks of zeros, to the last block. */
    is_extracted_by("tar -i", "tar -xpif $A", PAX | DIR_TIME);
}

static void test_bsdtar_reads_ours(void **state)
{
    (void)state;
    if (!have("bsdtar"))
        skip();
    is_extracted_by("bsdtar", "bsdtar -xpf $A", PAX | DIR_TIME);
}

static void test_busybox_reads_ours(void **state)
{
    (void)state;
    if (!have("busybox"))
        skip();
    is_extracted_by("busybox", "busybox tar -x${Z}pf $A", 0);
}

static void test_python_reads_ours(void **state)
{
    (void)state;
    if (!have("python3"))
        skip();
    is_extracted_by("python",
                    "python3 -c 'import tarfile,os; t = tarfile.open(os.environ[\"A\"]);"
                    "t.extraction_filter = lambda member, path: member; t.extractall()'",
                    DOUBLE_TIME | DIR_TIME);
}

/* ---- Theirs ------------------------------------------------------------------------------ */

/* Makes the shapes (not those that need pax, where SHORT) in the working directory. */
static void make_tree(const struct shapes *s, bool is_short)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct item *it = &s->items[i];
        struct timespec times[2] = {it->mtime, it->mtime};

        if (is_short && (strlen(it->path) > 98 || (it->target && strlen(it->target) > 99)))
            continue;
        char *dir = strdup(it->path), *slash = strrchr(dir, '/');
        for (char *p = dir; slash && p <= slash; p++) {
            if (*p != '/')
                continue;
            *p = '\0';
            assert_true(mkdir(dir, 0755) == 0 || errno == EEXIST);
            *p = '/';
        }
        free(dir);
        if (it->type == ENTRY_DIR) {
            assert_true(mkdir(it->path, 0755) == 0 || errno == EEXIST);
        } else if (it->type == ENTRY_SYMLINK) {
            assert_int_equal(symlink(it->target, it->path), 0);
        } else if (it->type == ENTRY_HARDLINK) {
            assert_int_equal(link(it->target, it->path), 0);
            continue;
        } else {
            FILE *f = fopen(it->path, "w");

            assert_non_null(f);
            if (it->content)
                fputs(it->content, f);
            fclose(f);
        }
        assert_int_equal(utimensat(AT_FDCWD, it->path, times, AT_SYMLINK_NOFOLLOW), 0);
    }
}

static char *file_content(const char *path, size_t n)
{
    char *data = malloc(n + 1);
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_int_equal(fread(data, 1, n + 1, f), n);
    fclose(f);
    return data;
}

/* Is what we read the tree in the working directory? */
static void check_read(const struct contents *c, const char *peer, bool exact, bool old)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct entry *e = &c->entries[i];
        char target[PATH_MAX];
        struct stat st;

        if (e->path[0] == '\0')
            continue; /* "./" */
        if (lstat(e->path, &st) < 0)
            fail_msg("%s: no such name: %s", peer, e->path);
        assert_int_equal(e->mode, st.st_mode & 07777);
        assert_int_equal(e->uid, st.st_uid);
        if (S_ISFIFO(st.st_mode)) {
            assert_int_equal(e->type, ENTRY_OTHER);
            continue;
        }
        bool before = st.st_mtim.tv_sec < 0 && !exact; /* not every format knows those */
        if (!before && (e->mtime.tv_sec != st.st_mtim.tv_sec ||
                        (exact && e->mtime.tv_nsec != st.st_mtim.tv_nsec)))
            fail_msg("%s: %s: %lld.%09ld", peer, e->path, (long long)e->mtime.tv_sec,
                     e->mtime.tv_nsec);
        if (e->type == ENTRY_HARDLINK) {
            struct stat to;

            assert_int_equal(lstat(e->target, &to), 0);
            assert_int_equal(to.st_ino, st.st_ino);
        } else if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(e->path, target, sizeof(target) - 1);

            assert_int_equal(e->type, ENTRY_SYMLINK);
            target[n] = '\0';
            assert_string_equal(e->target, target);
        } else if (S_ISREG(st.st_mode)) {
            char *data = file_content(e->path, (size_t)st.st_size);

            assert_int_equal(e->type, ENTRY_FILE);
            assert_int_equal(c->data[i].size, st.st_size);
            if (st.st_size)
                assert_memory_equal(data, c->data[i].data, c->data[i].size);
            free(data);
        } else if (!old) {
            assert_int_equal(e->type, ENTRY_DIR);
        }
    }
}

struct theirs {
    const char *name, *command; /* packs "." into $A */
    bool is_short, exact;
};

static void read_theirs(const struct theirs *t)
{
    char *dir = new_dir(), here[PATH_MAX], archive[64];
    struct contents c = {0};
    struct shapes s;
    struct stat st;
    size_t want = 0;

    assert_non_null(getcwd(here, sizeof(here)));
    make_shapes(&s);
    snprintf(archive, sizeof(archive), "%s.archive", dir);
    assert_int_equal(chdir(dir), 0);
    make_tree(&s, t->is_short);
    if (!t->is_short)
        assert_int_equal(mkfifo("fifo", 0600), 0);
    run("export A=%s; %s 2>%s.err || { cat %s.err; exit 1; }", archive, t->command, dir, dir);
    if (read_all(&c, open(archive, O_RDONLY | O_CLOEXEC), NULL) < 0)
        fail_msg("%s: %s", t->name, c.err.message);
    check_read(&c, t->name, t->exact, false);
    for (size_t i = 0; i < s.count; i++)
        want += !t->is_short && lstat(s.items[i].path, &st) == 0;
    if (c.count == 0 || c.count + 1 < want) /* one of them may be excluded */
        fail_msg("%s: only %zu entries", t->name, c.count);
    assert_int_equal(chdir(here), 0);
    run("rm -f %s.archive %s.err", dir, dir);
    contents_clear(&c);
    free_shapes(&s);
    remove_dir(dir);
}

static void test_ours_reads_gnu_tar(void **state)
{
    static const struct theirs all[] = {
        {"gnu", "tar -cf $A --format=gnu .", false, false},
        {"oldgnu", "tar -cf $A --format=oldgnu .", false, false},
        {"pax", "tar -cf $A --format=pax .", false, true},
        {"pax in C", "LC_ALL=C tar -cf $A --format=pax .", false, true},
        {"pax in UTF-8", "LC_ALL=C.UTF-8 tar -cf $A --format=pax .", false, true},
        {"ustar", "tar -cf $A --format=ustar --exclude=?*1970 --exclude=*octal* d", true, false},
        {"v7", "tar -cf $A --format=v7 --exclude=?*1970 --exclude=*octal* d", true, false},
        {"label", "tar -cf $A --format=gnu -V label .", false, false},
        {"pax label", "tar -cf $A --format=pax -V label --pax-option=comment=x .", false, true},
        {"incremental", "tar -cf $A --format=gnu -g $A.snar . ; rm -f $A.snar", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        read_theirs(&all[i]);
}

static void test_ours_reads_bsdtar(void **state)
{
    static const struct theirs all[] = {
        {"bsd pax", "LC_ALL=C.UTF-8 bsdtar -cf $A --format=pax .", false, false},
        {"bsd pax in C", "LC_ALL=C bsdtar -cf $A --format=pax .", false, false},
        {"bsd gnutar", "bsdtar -cf $A --format=gnutar --exclude=*octal* .", false, false},
        {"bsd ustar", "bsdtar -cf $A --format=ustar --exclude=?*1970 --exclude=*octal* d", true},
        {"bsd v7", "bsdtar -cf $A --format=v7 --exclude=?*1970 --exclude=*octal* d", true},
    };

    (void)state;
    if (!have("bsdtar"))
        skip();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        read_theirs(&all[i]);
}

#define PYTHON(format)                                                                             \
    "python3 -c 'import tarfile,os; t = tarfile.open(os.environ[\"A\"], \"w\", "                   \
    "format=tarfile." format "); t.add(\".\"); t.close()'"

static void test_ours_reads_busybox_and_python(void **state)
{
    static const struct theirs busybox = {"busybox", "busybox tar -cf $A .", false, false};
    static const struct theirs python[] = {
        {"python gnu", PYTHON("GNU_FORMAT"), false, false},
        {"python pax", PYTHON("PAX_FORMAT"), false, false},
    };

    (void)state;
    if (have("busybox"))
        read_theirs(&busybox);
    for (size_t i = 0; i < 2 && have("python3"); i++)
        read_theirs(&python[i]);
}

/* ---- Sparse files ------------------------------------------------------------------------ */

static void make_sparse(const char *path, unsigned runs, off_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    for (unsigned i = 0; i < runs; i++)
        assert_int_equal(pwrite(fd, "data of this run", 16, (off_t)i * 131072 + 8), 16);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static void test_ours_reads_sparse_files(void **state)
{
    static const char *const commands[] = {
        "tar -cSf $A --format=gnu .",
        "tar -cSf $A --format=oldgnu .",
        "tar -cSf $A --format=pax --sparse-version=0.0 .",
        "tar -cSf $A --format=pax --sparse-version=0.1 .",
        "tar -cSf $A --format=pax --sparse-version=1.0 .",
        "tar -cSf $A --format=posix --pax-option=delete=mtime .",
        "bsdtar -cf $A --format=pax .",
    };
    char *dir = new_dir(), here[PATH_MAX], archive[64];

    (void)state;
    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(archive, sizeof(archive), "%s.archive", dir);
    assert_int_equal(chdir(dir), 0);
    make_sparse("1 hole", 0, 1 << 20);
    make_sparse("2 runs", 2, 1 << 20);
    make_sparse("6 runs", 6, 6 * 131072);
    make_sparse("60 runs, more than fit a header", 60, 60 * 131072 + 12345);
    make_sparse("ends in data", 3, 2 * 131072 + 24);
    make_sparse("plain", 0, 0);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct contents c = {0};

        if (strncmp(commands[i], "bsdtar", 6) == 0 && !have("bsdtar"))
            continue;
        run("export A=%s; %s", archive, commands[i]);
        if (read_all(&c, open(archive, O_RDONLY | O_CLOEXEC), NULL) < 0)
            fail_msg("%s: %s", commands[i], c.err.message);
        assert_int_equal(c.count, 7);
        check_read(&c, commands[i], false, false);
        contents_clear(&c);
    }
    assert_int_equal(chdir(here), 0);
    run("rm -f %s.archive", dir);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gnu_tar_reads_ours),
        cmocka_unit_test(test_bsdtar_reads_ours),
        cmocka_unit_test(test_busybox_reads_ours),
        cmocka_unit_test(test_python_reads_ours),
        cmocka_unit_test(test_ours_reads_gnu_tar),
        cmocka_unit_test(test_ours_reads_bsdtar),
        cmocka_unit_test(test_ours_reads_busybox_and_python),
        cmocka_unit_test(test_ours_reads_sparse_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
