#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "stream/pool.h"

struct counting_job {
    struct pool_job job;
    atomic_uint *count;
    pthread_t ran_on;
};

static void count_up(struct pool_job *job)
{
    struct counting_job *c = (struct counting_job *)job;

    c->ran_on = pthread_self();
    atomic_fetch_add(c->count, 1);
}

static void every_job_runs_once(unsigned threads, unsigned jobs)
{
    struct pool *p = pool_new(threads);
    struct counting_job *job = calloc(jobs, sizeof(*job));
    atomic_uint count = 0;

    assert_non_null(p);
    assert_non_null(job);
    for (unsigned i = 0; i < jobs; i++) {
        job[i] = (struct counting_job){.job.run = count_up, .count = &count};
        pool_submit(p, &job[i].job);
    }
    pool_drain(p);
    assert_int_equal(atomic_load(&count), jobs);
    pool_free(p);
    free(job);
}

static void test_a_million_small_jobs_run_once_each(void **state)
{
    (void)state;
    every_job_runs_once(1, 1000);
    every_job_runs_once(2, 1000000);
    every_job_runs_once(7, 20000);
}

static void test_a_pool_has_no_more_threads_than_its_memory_is_stated_for(void **state)
{
    struct pool *p = pool_new(1000);

    (void)state;
    assert_int_equal(pool_threads(p), 64);
    pool_free(p);
}

static void test_a_pool_of_one_runs_everything_in_the_caller(void **state)
{
    struct pool *p = pool_new(1);
    atomic_uint count = 0;
    struct counting_job job = {.job.run = count_up, .count = &count};

    (void)state;
    assert_int_equal(pool_threads(p), 1);
    pool_submit(p, &job.job);
    usleep(10000);
    assert_int_equal(atomic_load(&count), 0); /* nobody else is there to run it */
    pool_drain(p);
    assert_int_equal(atomic_load(&count), 1);
    assert_true(pthread_equal(job.ran_on, pthread_self()));
    pool_free(p);
}

static void test_zero_threads_means_one_for_each_usable_cpu(void **state)
{
    cpu_set_t before, one;
    struct pool *p = pool_new(0);

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(pool_threads(p), CPU_COUNT(&before));
    pool_free(p);

    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    p = pool_new(0);
    assert_int_equal(pool_threads(p), 1);
    pool_free(p);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static bool reached(void *arg)
{
    atomic_uint *count = arg;

    return atomic_load(count) >= 1;
}

/* One job at a time, awaited each time: an owner that goes to sleep just as the worker finishes
 * would hang here. */
static void test_waiting_misses_no_wakeup(void **state)
{
    struct pool *p = pool_new(2);

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        atomic_uint count = 0;
        struct counting_job job = {.job.run = count_up, .count = &count};
        pool_submit(p, &job.job);
        if (i % 3 == 0)
            sched_yield();
        pool_help_until(p, reached, &count);
    }
    pool_free(p);
}

struct chain_job {
    struct pool_job job;
    struct pool *pool;
    unsigned left;
    atomic_uint *end;
};

static void go_on(struct pool_job *job)
{
    struct chain_job *c = (struct chain_job *)job;

    if (c->left-- > 0)
        pool_submit(c->pool, job);
    else
        atomic_fetch_add(c->end, 1);
}

static void test_jobs_may_submit_jobs_and_the_drain_waits_for_them(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct pool *p = pool_new(threads);
        atomic_uint end = 0;
        struct chain_job chain[3];

        for (int i = 0; i < 3; i++) {
            chain[i] = (struct chain_job){.job.run = go_on, .pool = p, .left = 2000, .end = &end};
            pool_submit(p, &chain[i].job);
        }
        pool_drain(p);
        assert_int_equal(atomic_load(&end), 3);
        pool_free(p);
    }
}

struct ordered_job {
    struct pool_job job;
    unsigned number;
    unsigned *expected; /* no lock: the strand itself must keep the jobs apart */
    bool *good;
};

static void check_order(struct pool_job *job)
{
    struct ordered_job *o = (struct ordered_job *)job;

    if (*o->expected != o->number)
        *o->good = false;
    *o->expected = o->number + 1;
}

static void test_a_strand_runs_its_jobs_in_order_one_at_a_time(void **state)
{
    enum { STRANDS = 3, JOBS = 5000 };
    struct pool *p = pool_new(4);
    struct strand strand[STRANDS];
    unsigned expected[STRANDS] = {0};
    bool good[STRANDS] = {true, true, true};
    struct ordered_job *job = calloc((size_t)STRANDS * JOBS, sizeof(*job));

    (void)state;
    assert_non_null(job);
    for (int s = 0; s < STRANDS; s++)
        strand_init(&strand[s], p);
    for (unsigned i = 0; i < JOBS; i++) {
        for (unsigned s = 0; s < STRANDS; s++) {
            struct ordered_job *j = &job[s * JOBS + i];
            *j = (struct ordered_job){
                .job.run = check_order, .number = i, .expected = &expected[s], .good = &good[s]};
            strand_submit(&strand[s], &j->job);
        }
    }
    for (int s = 0; s < STRANDS; s++) {
        strand_drain(&strand[s]);
        assert_int_equal(expected[s], JOBS);
        assert_true(good[s]);
    }
    pool_free(p);
    free(job);
}

struct asking_job {
    struct pool_job job;
    int answer;
};

static void ask(struct pool_job *job)
{
    struct asking_job *a = (struct asking_job *)job;

    a->answer = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void give_up_privileges(void *arg)
{
    *(int *)arg = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void test_what_is_run_alone_holds_for_every_thread(void **state)
{
    enum { JOBS = 1000 };
    struct pool *p = pool_new(3);
    struct asking_job job[JOBS];
    int done = -1;

    (void)state;
    pool_run_alone(p, give_up_privileges, &done);
    assert_int_equal(done, 0);
    assert_int_equal(pool_threads(p), 3);
    for (int i = 0; i < JOBS; i++) {
        job[i] = (struct asking_job){.job.run = ask};
        pool_submit(p, &job[i].job);
    }
    pool_drain(p);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(job[i].answer, 1);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_million_small_jobs_run_once_each),
        cmocka_unit_test(test_a_pool_has_no_more_threads_than_its_memory_is_stated_for),
        cmocka_unit_test(test_a_pool_of_one_runs_everything_in_the_caller),
        cmocka_unit_test(test_zero_threads_means_one_for_each_usable_cpu),
        cmocka_unit_test(test_waiting_misses_no_wakeup),
        cmocka_unit_test(test_jobs_may_submit_jobs_and_the_drain_waits_for_them),
        cmocka_unit_test(test_a_strand_runs_its_jobs_in_order_one_at_a_time),
        cmocka_unit_test(test_what_is_run_alone_holds_for_every_thread),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
