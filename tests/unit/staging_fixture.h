#pragma once
/* Trees as text, and stagings onto directories of the scratch directory. */

#include "tree_fixture.h"

#include <dirent.h>
#include <signal.h>

#include "base/buf.h"
#include "base/digest.h"
#include "commit/staging_private.h"

/* ---- Small trees as text: "a/b=text", "a/", "a->target" */

static inline void put_file(int at, const char *path, const char *text)
{
    int fd = beneath_open(at, path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline void put_one(int at, const char *item)
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

static inline void put_tree(int at, const char *items)
{
    char *copy = strdup(items), *save = NULL;
    for (char *item = strtok_r(copy, " ", &save); item; item = strtok_r(NULL, " ", &save))
        put_one(at, item);
    free(copy);
}

static inline int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static inline void show(int at, const char *prefix, struct buf *out)
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

static inline bool is_tree(int at, const char *expected)
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

static inline void take_message(void *ctx, enum wp_severity severity, const char *text)
{
    struct messages *m = ctx;
    m->failed += severity == WP_FAILED;
    m->warnings += severity == WP_WARNING;
    m->notes += severity == WP_NOTE;
    strncat(m->text, text, sizeof m->text - strlen(m->text) - 2);
    strcat(m->text, "\n");
}

static struct messages messages;
static const struct wp_context rep = {.message = take_message, .user_data = &messages};
static struct wp_error err;

static inline char *in_scratch(const struct scratch *s, const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, 256, "%s/%s", s->path, name);
    return p;
}

static inline struct staging *begin(const struct scratch *s, const char *target,
                                    struct staging_options o)
{
    struct staging *st;
    messages = (struct messages){0};
    err = (struct wp_error){0};
    if (!o.context)
        o.context = &rep;
    assert_int_equal(staging_new(&st, &o, &err), 0);
    int area = staging_add_area(st, in_scratch(s, target), &err);
    if (area != 0)
        print_message("%s\n", err.message);
    assert_int_equal(area, 0);
    return st;
}

static inline int open_dir(const struct scratch *s, const char *name)
{
    int fd = open(in_scratch(s, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static const struct staging_options none = {0};

/* How a child that is to be killed ended: true if it was. */
static inline bool killed(pid_t pid)
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

#define test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
