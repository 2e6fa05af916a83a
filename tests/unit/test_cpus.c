/* The default number of threads obeys the quota of control groups. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/pool.h"

static char top[] = "/tmp/warmpack-cpus-XXXXXX";

static int make_top(void **state)
{
    (void)state;
    memcpy(top + sizeof top - 7, "XXXXXX", 6);
    return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

static const char *place(const char *name)
{
    static char path[2][256];
    static unsigned turn;

    snprintf(path[++turn % 2], sizeof *path, "%s/%s", top, name);
    return path[turn % 2];
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(place(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_dir(const char *name)
{
    assert_int_equal(mkdir(place(name), 0755), 0);
}

/* A line of mountinfo for the group ROOT, mounted at NAME. */
static void write_mount(const char *root, const char *name, const char *type, const char *super)
{
    char line[512];

    snprintf(
        line, sizeof line,
        "22 1 0:21 / /proc rw - proc proc rw\n31 22 0:29 %s %s rw,relatime shared:4 - %s none %s\n",
        root, place(name), type, super);
    write_file("mountinfo", line);
}

static unsigned quota(void)
{
    return cpus_quota(place("cgroup"), place("mountinfo"));
}

static void the_quota_of_version_2_is_rounded_up(void **state)
{
    (void)state;
    write_file("cgroup", "0::/app\n");
    make_dir("v2");
    make_dir("v2/app");
    write_mount("/", "v2", "cgroup2", "rw");
    write_file("v2/app/cpu.max", "150000 100000\n");
    assert_int_equal(quota(), 2);
    write_file("v2/app/cpu.max", "5000 100000\n");
    assert_int_equal(quota(), 1);
    write_file("v2/app/cpu.max", "max 100000\n");
    assert_int_equal(quota(), 0);
}

static void the_least_quota_on_the_way_up_counts(void **state)
{
    (void)state;
    write_file("cgroup", "0::/pod/app\n");
    make_dir("v2");
    make_dir("v2/pod");
    make_dir("v2/pod/app");
    write_mount("/", "v2", "cgroup2", "rw");
    write_file("v2/pod/cpu.max", "300000 100000\n");
    write_file("v2/pod/app/cpu.max", "max 100000\n");
    assert_int_equal(quota(), 3);
    write_file("v2/pod/app/cpu.max", "400000 50000\n");
    assert_int_equal(quota(), 3);
    write_file("v2/pod/app/cpu.max", "50000 50000\n");
    assert_int_equal(quota(), 1);
}

static void a_container_that_is_mounted_its_own_group_is_found(void **state)
{
    (void)state;
    write_file("cgroup", "4:cpuset:/\n3:cpu,cpuacct:/docker/ab12\n1:name=systemd:/x\n");
    make_dir("v1");
    write_mount("/docker/ab12", "v1", "cgroup", "rw,cpu,cpuacct");
    write_file("v1/cpu.cfs_quota_us", "250000\n");
    write_file("v1/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 3);
    write_file("v1/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(quota(), 0);
}

static void what_cannot_be_read_limits_nothing(void **state)
{
    (void)state;
    assert_int_equal(quota(), 0);
    write_file("cgroup", "nonsense\n\n0\n::\n5:cpu\n");
    write_file("mountinfo", "1 2\n - \n1 2 3 4 5 6 - cgroup2\n");
    assert_int_equal(quota(), 0);
    write_file("cgroup", "0::/gone\n");
    make_dir("v2");
    write_mount("/", "v2", "cgroup2", "rw");
    assert_int_equal(quota(), 0);
    make_dir("v2/gone");
    write_file("v2/gone/cpu.max", "100000");
    assert_int_equal(quota(), 0);
    write_file("v2/gone/cpu.max", "100000 0\n");
    assert_int_equal(quota(), 0);
}

/* In a real group of the kernel's, where this user may make one. */
static void a_real_group_counts(void **state)
{
    char group[] = "/sys/fs/cgroup/cpu/warmpack-XXXXXX", path[128];
    int status = -1;
    FILE *f;

    (void)state;
    if (!mkdtemp(group)) {
        print_message("SKIP: no control group of version 1 can be made here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group);
    f = fopen(path, "w");
    if (f) {
        fputs("100000", f);
        status = fclose(f) == 0 ? 0 : -1;
    }
    if (status == 0) {
        pid_t child = fork();
        if (child == 0) {
            snprintf(path, sizeof path, "%s/cgroup.procs", group);
            f = fopen(path, "w");
            if (!f || fprintf(f, "%d", (int)getpid()) < 0 || fclose(f) != 0)
                _exit(2);
            _exit(cpus_usable() == 1 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    assert_int_equal(rmdir(group), 0);
    if (status == -1 || (WIFEXITED(status) && WEXITSTATUS(status) == 2)) {
        print_message("SKIP: the control group cannot be used here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void no_more_than_the_affinity_mask_allows(void **state)
{
    cpu_set_t before, one;
    unsigned n;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    n = cpus_usable();
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(n, 1);
    assert_true(cpus_usable() >= 1 && cpus_usable() <= (unsigned)CPU_COUNT(&before));
}

int main(void)
{
#define IN_TOP(test) cmocka_unit_test_setup_teardown(test, make_top, remove_top)
    const struct CMUnitTest tests[] = {
        IN_TOP(the_quota_of_version_2_is_rounded_up),
        IN_TOP(the_least_quota_on_the_way_up_counts),
        IN_TOP(a_container_that_is_mounted_its_own_group_is_found),
        IN_TOP(what_cannot_be_read_limits_nothing),
        cmocka_unit_test(a_real_group_counts),
        cmocka_unit_test(no_more_than_the_affinity_mask_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
