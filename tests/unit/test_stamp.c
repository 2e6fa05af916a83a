/* Stamps: the double that Python makes of a time, and what satisfies a stamp. */

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "numba/stamp.h"

/* In Python's struct; where qemu runs the test, Python is the real machine's. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define STRUCT_ORDER "<"
#else
#define STRUCT_ORDER ">"
#endif

/* A fixed run of random numbers (splitmix64). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Times of all kinds: around the epoch, of today, before 1901, after 2106, and far away. */
static struct timespec random_time(uint64_t *state)
{
    static const int64_t spans[] = {10,        2000000000, 1LL << 31, 1LL << 32,
                                    1LL << 33, 1LL << 34,  1LL << 40, 1LL << 53};
    int64_t span = spans[next_random(state) % 8];
    int64_t sec = (int64_t)(next_random(state) % (uint64_t)span);
    uint64_t kind = next_random(state) % 8;
    long nsec = (long)(next_random(state) % 1000000000);
    if (next_random(state) % 3 == 0)
        sec = -sec;
    if (kind == 0)
        nsec = 0;
    if (kind == 1)
        nsec = 999999999 - nsec % 3;
    if (kind == 2)
        nsec = nsec / 1000 * 1000;
    return (struct timespec){.tv_sec = sec, .tv_nsec = nsec};
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

/* Reads "sec nsec double" as binary records and exits with 1 at the first that differs. Python
 * rounds each operation by itself, as os.stat does. */
static const char check_table[] =
    "import struct, sys\n"
    "data = sys.stdin.buffer.read()\n"
    "bad = [(s, n) for s, n, bits in struct.iter_unpack('" STRUCT_ORDER "qqQ', data)\n"
    "       if struct.unpack('=Q', struct.pack('=d', float(s) + 1e-9 * n))[0] != bits]\n"
    "print(bad[:5], file=sys.stderr) if bad else None\n"
    "sys.exit(len(data) != 24000000 or bool(bad))\n";

static void a_million_times_are_python_s_to_the_bit(void **state)
{
    (void)state;
    char command[1024];
    uint64_t random = 1;
    unsigned fused_differs = 0;
    snprintf(command, sizeof(command), "/usr/bin/python3 -c \"%s\"", check_table);
    FILE *f = popen(command, "w");
    assert_non_null(f);
    for (int i = 0; i < 1000000; i++) {
        struct timespec t = random_time(&random);
        uint64_t bits = bits_of(stamp_mtime(t));
        int64_t record[3] = {t.tv_sec, t.tv_nsec, (int64_t)bits};
        assert_int_equal(fwrite(record, sizeof(record), 1, f), 1);
        fused_differs += bits != bits_of(fma(1e-9, (double)t.tv_nsec, (double)t.tv_sec));
    }
    assert_int_equal(pclose(f), 0);
    /* Or the table would not notice a fused multiply-add. */
    assert_true(fused_differs > 1000);
}

/* Prints the bits of st_mtime of DIR/0 to DIR/199. */
static const char stat_files[] =
    "import os, struct, sys\n"
    "for i in range(200):\n"
    "    print(struct.pack('>d', os.stat('%s/%%d' %% i).st_mtime).hex())\n";

static void real_files_have_the_time_that_os_stat_gives(void **state)
{
    (void)state;
    char dir[] = "/tmp/warmpack-test-XXXXXX", path[64], script[512], command[1024], hex[17];
    struct stat st[200];
    uint64_t random = 2;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 200; i++) {
        struct timespec times[2] = {{0}, random_time(&random)};
        /* From 1902 to 2445, which is what common filesystems hold. */
        times[1].tv_sec = times[1].tv_sec % (1LL << (i % 2 ? 31 : 33));
        if (times[1].tv_sec < -2147483647)
            times[1].tv_sec = -times[1].tv_sec;
        snprintf(path, sizeof(path), "%s/%d", dir, i);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(futimens(fd, times), 0);
        assert_int_equal(fstat(fd, &st[i]), 0);
        close(fd);
    }
    snprintf(script, sizeof(script), stat_files, dir);
    snprintf(command, sizeof(command), "/usr/bin/python3 -c \"%s\"", script);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    for (int i = 0; i < 200; i++) {
        char want[17];
        assert_int_equal(fscanf(f, "%16s", hex), 1);
        snprintf(want, sizeof(want), "%016llx",
                 (unsigned long long)bits_of(stamp_mtime(st[i].st_mtim)));
        assert_string_equal(hex, want);
    }
    /* To the end: Python must not find the pipe closed before the last newline. */
    assert_int_equal(fgetc(f), '\n');
    assert_int_equal(fgetc(f), EOF);
    assert_int_equal(pclose(f), 0);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_stamp_of_time_wants_the_same_double_and_size(void **state)
{
    (void)state;
    struct timespec t = {1795339396, 456441290}, whole = {1795339396, 0};
    struct wp_stamp s = {.kind = WP_STAMP_MTIME, .mtime = 1795339396.4564414, .size = 661};
    assert_int_equal(stamp_matches(&s, t, 661, NULL), 1);
    assert_int_equal(stamp_matches(&s, t, 662, NULL), 0);
    assert_int_equal(stamp_matches(&s, whole, 661, NULL), 0);
    t.tv_nsec = 456441600; /* another nanosecond, the next double */
    assert_int_equal(stamp_matches(&s, t, 661, NULL), 0);
    t.tv_nsec = 456441291; /* another nanosecond, the same double */
    assert_int_equal(stamp_matches(&s, t, 661, NULL), 1);
    s.mtime = NAN;
    assert_int_equal(stamp_matches(&s, t, 661, NULL), 0);
}

static void a_whole_second_satisfies_both_kinds(void **state)
{
    (void)state;
    struct timespec whole = {1795339396, 0}, more = {1795339396, 500000000};
    struct wp_stamp s = {.kind = WP_STAMP_MTIME, .mtime = 1795339396, .size = 1};
    assert_int_equal(stamp_matches(&s, whole, 1, NULL), 1);
    assert_int_equal(stamp_matches(&s, more, 1, NULL), 0);
    s.kind = WP_STAMP_SECONDS;
    assert_int_equal(stamp_matches(&s, whole, 1, NULL), 1);
    assert_int_equal(stamp_matches(&s, whole, 2, NULL), 0);
}

/* int(math.floor(st_mtime)) of the locator that knows no fractions. */
static void seconds_are_the_floor_of_the_double(void **state)
{
    (void)state;
    struct wp_stamp s = {.kind = WP_STAMP_SECONDS, .mtime = 1795339396, .size = 1};
    assert_int_equal(stamp_matches(&s, (struct timespec){1795339396, 900000000}, 1, NULL), 1);
    assert_int_equal(stamp_matches(&s, (struct timespec){1795339397, 0}, 1, NULL), 0);
    /* The double nearest to this is the next whole second. */
    assert_int_equal(stamp_matches(&s, (struct timespec){1795339395, 999999999}, 1, NULL), 1);
    s.mtime = -1;
    assert_int_equal(stamp_matches(&s, (struct timespec){-1, 500000000}, 1, NULL), 1);
    assert_int_equal(stamp_matches(&s, (struct timespec){0, 500000000}, 1, NULL), 0);
}

static void a_stamp_of_content_wants_the_digest_alone(void **state)
{
    (void)state;
    struct wp_stamp s = {.kind = WP_STAMP_CONTENT, .sha256 = {1, 2, 3}};
    unsigned char same[32] = {1, 2, 3}, other[32] = {1, 2, 4};
    struct timespec any = {5, 6};
    assert_int_equal(stamp_matches(&s, any, 7, same), 1);
    assert_int_equal(stamp_matches(&s, any, 7, other), 0);
    assert_int_equal(stamp_matches(&s, any, 7, NULL), -ENODATA);
}

static void nothing_satisfies_a_stamp_that_is_not_known(void **state)
{
    (void)state;
    struct wp_stamp s = {.kind = WP_STAMP_UNKNOWN};
    assert_int_equal(stamp_matches(&s, (struct timespec){0, 0}, 0, s.sha256), 0);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(wp_stamp_kind_name(WP_STAMP_MTIME), "mtime");
    assert_string_equal(wp_stamp_kind_name(WP_STAMP_SECONDS), "seconds");
    assert_string_equal(wp_stamp_kind_name(WP_STAMP_CONTENT), "content");
    assert_string_equal(wp_stamp_kind_name(WP_STAMP_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_times_are_python_s_to_the_bit),
        cmocka_unit_test(real_files_have_the_time_that_os_stat_gives),
        cmocka_unit_test(a_stamp_of_time_wants_the_same_double_and_size),
        cmocka_unit_test(a_whole_second_satisfies_both_kinds),
        cmocka_unit_test(seconds_are_the_floor_of_the_double),
        cmocka_unit_test(a_stamp_of_content_wants_the_digest_alone),
        cmocka_unit_test(nothing_satisfies_a_stamp_that_is_not_known),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
