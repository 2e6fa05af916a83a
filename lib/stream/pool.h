#pragma once
/* A fixed set of threads that run jobs, first in first out.
 *
 * The thread that owns the pool counts as one of its threads: while it waits it runs jobs
 * itself (pool_help_until). A pool of one thread therefore starts none, and everything
 * happens in the caller. Jobs must never wait for other jobs. */

#include <stdbool.h>

struct pool;

struct pool_job {
    void (*run)(struct pool_job *job); /* called once, on any thread */
    struct pool_job *next;             /* the pool's, while queued */
};

/* THREADS >= 1; 0 means one for each CPU that this process may use (cpus_usable). At most 64 are
 * made. NULL and errno on failure. */
struct pool *pool_new(unsigned threads);
unsigned pool_threads(const struct pool *p);

/* Queues JOB, which the caller keeps alive until it has run. Any thread, jobs included. */
void pool_submit(struct pool *p, struct pool_job *job);

/* Runs queued jobs on this thread until DONE(arg) says true; sleeps where the queue is empty,
 * and asks again after each job that any thread finishes. What DONE reads and jobs write is
 * atomic or has a lock. Owner's thread only. */
void pool_help_until(struct pool *p, bool (*done)(void *arg), void *arg);

/* Waits (helping) until nothing is queued or running. */
void pool_drain(struct pool *p);

/* Drains, calls RUN(arg) while there is no thread but the owner's, and starts the others anew, so
 * that they inherit what RUN has made of the calling one. Owner's thread only. */
void pool_run_alone(struct pool *p, void (*run)(void *arg), void *arg);

/* Drains, joins, frees. NULL is fine. */
void pool_free(struct pool *p);

/* A strand: jobs submitted to it run one at a time, in their order, on whatever thread. */
struct strand {
    struct pool *pool;
    struct pool_job *head, *tail; /* waiting; guarded by the pool's lock */
    bool running;                 /* guarded by the pool's lock */
    struct pool_job runner;       /* what the pool's queue holds for this strand */
};
void strand_init(struct strand *s, struct pool *p);
void strand_submit(struct strand *s, struct pool_job *job);
/* Waits (helping) until all jobs of the strand have run. After that, and not when its last job
 * says so, the strand may be freed. Owner's thread only. */
void strand_drain(struct strand *s);

/* ---- cpus.c: how many CPUs this process may use at once, the default number of threads */

/* The CPUs that the affinity mask allows (sched_getaffinity(2)), and no more than the CPU time that
 * the process's control groups allow, rounded up: a container with 1.5 of 64 CPUs uses two threads.
 * At least 1. What cannot be found out limits nothing. */
unsigned cpus_usable(void);

/* The limit of the control groups alone, in whole CPUs, rounded up; 0: there is none. Version 1
 * (the controller "cpu") and version 2 (cpu.max), every group from the process's own up to the root
 * of the mount. CGROUP and MOUNTINFO are the files of proc(5), /proc/self/cgroup and
 * /proc/self/mountinfo. */
unsigned cpus_quota(const char *cgroup, const char *mountinfo);
