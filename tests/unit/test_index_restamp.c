/* Rewriting stamps: what Python reads in the result, with both of its unpicklers. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "numba/index.h"

#define DATA TEST_DATA "/numba/"

static void read_file(struct buf *out, const char *name)
{
    char path[4096];
    unsigned char piece[65536];
    size_t n;
    snprintf(path, sizeof(path), DATA "%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        assert_int_equal(buf_add(out, piece, n), 0);
    fclose(f);
}

/* Reads OLD and NEW with CPython's two unpicklers. Classes stay names, so no Numba is needed. The
 * overloads must be equal, the version too, and the stamp is to be EXPECTED, a Python literal. */
static const char reader[] = "import io, pickle, sys\n"
                             "class Any:\n"
                             "    def __init__(self, *a): self.a = a\n"
                             "    def __call__(self, *a): return Any(self.a, a)\n"
                             "    def __setstate__(self, s): self.s = repr(s)\n"
                             "    def __repr__(self): return repr(self.__dict__)\n"
                             "    def __eq__(self, o): return repr(self) == repr(o)\n"
                             "    def __hash__(self): return 1\n"
                             "def find(self, module, name):\n"
                             "    return type(name, (Any,), {'__module__': module})\n"
                             "C = type('C', (pickle.Unpickler,), {'find_class': find})\n"
                             "P = type('P', (pickle._Unpickler,), {'find_class': find})\n"
                             "def read(path, kind):\n"
                             "    with open(path, 'rb') as f:\n"
                             "        return kind(f).load(), kind(f).load()\n"
                             "old, new, expected = sys.argv[1], sys.argv[2], eval(sys.argv[3])\n"
                             "for kind in C, P:\n"
                             "    was, now = read(old, kind), read(new, kind)\n"
                             "    assert now[0] == was[0], (was, now)\n"
                             "    assert repr(now[1][0]) == repr(expected), now[1][0]\n"
                             "    assert repr(now[1][1]) == repr(was[1][1])\n";

static void assert_python_reads(const char *name, const struct buf *new, const char *expected)
{
    char path[] = "/tmp/warmpack-restamp-XXXXXX", old[4096];
    int status, fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, new->data, new->size), (ssize_t) new->size);
    close(fd);
    snprintf(old, sizeof(old), DATA "%s", name);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/usr/bin/python3", "python3", "-c", reader, old, path, expected, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(path);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Rewrites NAME for stamp TO, lets Python read it, and rewrites it back. */
static void assert_rewrites(const char *name, const struct wp_stamp *to, const char *expected)
{
    _cleanup_buf_ struct buf text = {0}, out = {0}, back = {0};
    _cleanup_(index_clear) struct index index = {0}, again = {0};
    struct wp_error err = {0};
    read_file(&text, name);
    assert_int_equal(index_read(&index, text.data, text.size, &err), 0);
    if (index_restamp(&index, text.data, text.size, to, &out, &err) < 0)
        fail_msg("%s: %s", name, err.message);
    assert_int_equal(index_read(&again, out.data, out.size, &err), 0);
    assert_true(stamp_equal(&again.stamp, to));
    assert_python_reads(name, &out, expected);

    assert_int_equal(index_restamp(&again, out.data, out.size, &index.stamp, &back, &err), 0);
    assert_int_equal(back.size, text.size);
    assert_memory_equal(back.data, text.data, text.size);
}

static void a_time_in_a_real_index_becomes_another(void **state)
{
    (void)state;
    static const char *const names[] = {"app.add-5.py311.nbi", "app.ufunc-15.py311.nbi",
                                        "app.callback-26.py311.nbi", "guf-app.gufunc-20.py311.nbi",
                                        "app.make.locals.inner-32.py311.nbi"};
    struct timespec t = {.tv_sec = 1600000000, .tv_nsec = 123456789};
    struct wp_stamp to = stamp_of(WP_STAMP_MTIME, t, 822, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_rewrites(names[i], &to, "(1600000000 + 1e-9 * 123456789, 822)");
}

static void times_before_1970_and_of_empty_files_are_written(void **state)
{
    (void)state;
    struct timespec t = {.tv_sec = -2, .tv_nsec = 500000000};
    struct wp_stamp to = stamp_of(WP_STAMP_MTIME, t, 0, NULL);
    assert_rewrites("app.size-0-1.py311.nbi", &to, "(-1.5, 0)");
    to = stamp_of(WP_STAMP_MTIME, t, 661, NULL);
    assert_rewrites("app.empty-1.py311.nbi", &to, "(-1.5, 661)");
}

static void whole_seconds_take_as_many_bytes_as_they_need(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *expected;
    } cases[] = {{0, "(0, 661)"},
                 {255, "(255, 661)"},
                 {256, "(256, 661)"},
                 {65536, "(65536, 661)"},
                 {INT32_MAX, "(2147483647, 661)"},
                 {INT64_C(2147483648), "(2147483648, 661)"},
                 {INT64_C(549755813887), "(549755813887, 661)"},
                 {INT64_C(549755813888), "(549755813888, 661)"},
                 {INT64_C(1) << 52, "(2**52, 661)"},
                 {-1, "(-1, 661)"},
                 {INT32_MIN, "(-2147483648, 661)"},
                 {INT64_C(-2147483649), "(-2147483649, 661)"},
                 {INT64_C(-549755813888), "(-549755813888, 661)"},
                 {INT64_C(-549755813889), "(-549755813889, 661)"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct timespec t = {.tv_sec = cases[i].seconds};
        struct wp_stamp to = stamp_of(WP_STAMP_SECONDS, t, 661, NULL);
        assert_rewrites("app.seconds-1.py311.nbi", &to, cases[i].expected);
        assert_rewrites("app.before-1970-1.py311.nbi", &to, cases[i].expected);
    }
}

static void seconds_are_the_floor_of_the_time(void **state)
{
    (void)state;
    struct timespec t = {.tv_sec = -2, .tv_nsec = 500000000};
    struct wp_stamp to = stamp_of(WP_STAMP_SECONDS, t, 661, NULL);
    assert_rewrites("app.seconds-1.py311.nbi", &to, "(-2, 661)");
}

static void a_digest_becomes_another(void **state)
{
    (void)state;
    struct wp_stamp to = {.kind = WP_STAMP_CONTENT};
    memset(to.sha256, 0x5a, sizeof(to.sha256));
    assert_rewrites("app.content-1.py311.nbi", &to, "b'Z' * 32");
}

static void a_stamp_of_another_kind_or_size_is_refused(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf text = {0}, out = {0};
    _cleanup_(index_clear) struct index index = {0};
    struct timespec t = {.tv_sec = 1};
    struct wp_stamp seconds = stamp_of(WP_STAMP_SECONDS, t, 822, NULL);
    struct wp_stamp larger = stamp_of(WP_STAMP_MTIME, t, 823, NULL);
    read_file(&text, "app.add-5.py311.nbi");
    assert_int_equal(index_read(&index, text.data, text.size, NULL), 0);
    assert_int_equal(index_restamp(&index, text.data, text.size, &seconds, &out, NULL), -ENOTSUP);
    assert_int_equal(index_restamp(&index, text.data, text.size, &larger, &out, NULL), -EINVAL);
    assert_int_equal(out.size, 0);
}

/* (1, 1), the second written as a reference to the first: changing the time would change the size.
 */
static void a_time_that_is_shared_with_the_size_is_refused(void **state)
{
    (void)state;
    static const unsigned char text[] = "\x80\x04\x8c\x01"
                                        "1\x94."
                                        "\x80\x04K\x01\x94h\x00\x86}\x86.";
    _cleanup_buf_ struct buf out = {0};
    _cleanup_(index_clear) struct index index = {0};
    struct wp_stamp to = {.kind = WP_STAMP_SECONDS, .mtime = 7, .size = 1};
    assert_int_equal(index_read(&index, text, sizeof(text) - 1, NULL), 0);
    assert_int_equal(index_restamp(&index, text, sizeof(text) - 1, &to, &out, NULL), -ENOTSUP);
}

/* The frame ends before the stamp does: the pure unpickler would refuse whatever is written. */
static void a_frame_that_cuts_the_stamp_is_refused(void **state)
{
    (void)state;
    static const unsigned char text[] = "\x80\x04\x8c\x01"
                                        "1\x94."
                                        "\x80\x04\x95\x01\0\0\0\0\0\0\0K\x01K\x01\x86}\x86.";
    _cleanup_buf_ struct buf out = {0};
    _cleanup_(index_clear) struct index index = {0};
    struct wp_stamp to = {.kind = WP_STAMP_SECONDS, .mtime = 70000, .size = 1};
    assert_int_equal(index_read(&index, text, sizeof(text) - 1, NULL), 0);
    assert_int_equal(index_restamp(&index, text, sizeof(text) - 1, &to, &out, NULL), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_in_a_real_index_becomes_another),
        cmocka_unit_test(times_before_1970_and_of_empty_files_are_written),
        cmocka_unit_test(whole_seconds_take_as_many_bytes_as_they_need),
        cmocka_unit_test(seconds_are_the_floor_of_the_time),
        cmocka_unit_test(a_digest_becomes_another),
        cmocka_unit_test(a_stamp_of_another_kind_or_size_is_refused),
        cmocka_unit_test(a_time_that_is_shared_with_the_size_is_refused),
        cmocka_unit_test(a_frame_that_cuts_the_stamp_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
