/* Runs jobs on a fixed set of threads. */

#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

/* More threads than this help nobody, and each has blocks in memory. */
enum { POOL_MAX_THREADS = 64 };

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;          /* workers sleep here while nothing is queued */
    pthread_cond_t news;          /* the owner sleeps here in pool_help_until */
    struct pool_job *head, *tail; /* queued jobs, oldest first */
    size_t queued, running;       /* jobs */
    unsigned idle;                /* workers asleep */
    bool owner_waits;
    bool stop;
    unsigned long finished; /* counts finished jobs: tells whether DONE is worth asking again */
    unsigned workers;       /* threads beside the owner's */
    pthread_t worker[];
};

static void enqueue_locked(struct pool *p, struct pool_job *job)
{
    job->next = NULL;
    if (p->tail)
        p->tail->next = job;
    else
        p->head = job;
    p->tail = job;
    p->queued++;

    if (p->idle > 0)
        pthread_cond_signal(&p->work);
    /* Workers that are already on their way to wake count as idle, too: what they cannot all
     * take is for the owner. */
    if (p->owner_waits && p->queued > p->idle)
        pthread_cond_signal(&p->news);
}

/* Runs the oldest job. Called and left with the lock held; it is open while the job runs. */
static void run_one_locked(struct pool *p)
{
    struct pool_job *job = p->head;

    p->head = job->next;
    if (!p->head)
        p->tail = NULL;
    p->queued--;
    p->running++;
    pthread_mutex_unlock(&p->lock);

    job->run(job); /* JOB may be gone after this. */

    pthread_mutex_lock(&p->lock);
    p->running--;
    p->finished++;
    if (p->owner_waits)
        pthread_cond_signal(&p->news);
}

static void *worker_main(void *arg)
{
    struct pool *p = arg;

    pthread_mutex_lock(&p->lock);
    while (true) {
        if (p->head) {
            run_one_locked(p);
        } else if (p->stop) {
            break;
        } else {
            p->idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->idle--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for the thread that owns the pool: its handler sets a flag that the job watches,
 * and its system calls are the ones to be interrupted. Faults stay with the thread at fault. */
static void start_workers(struct pool *p, unsigned wanted)
{
    sigset_t block, before;

    sigfillset(&block);
    sigdelset(&block, SIGSEGV);
    sigdelset(&block, SIGBUS);
    sigdelset(&block, SIGFPE);
    sigdelset(&block, SIGILL);
    sigdelset(&block, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &block, &before);
    /* Where the system gives fewer threads (a limit of the container), those do the work. */
    while (p->workers < wanted && pthread_create(&p->worker[p->workers], NULL, worker_main, p) == 0)
        p->workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct pool *pool_new(unsigned threads)
{
    if (threads == 0)
        threads = cpus_usable();
    if (threads > POOL_MAX_THREADS)
        threads = POOL_MAX_THREADS;

    struct pool *p = calloc(1, sizeof(*p) + (threads - 1) * sizeof(p->worker[0]));
    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->news, NULL);
    start_workers(p, threads - 1);
    return p;
}

unsigned pool_threads(const struct pool *p)
{
    return p->workers + 1;
}

void pool_submit(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    enqueue_locked(p, job);
    pthread_mutex_unlock(&p->lock);
}

void pool_help_until(struct pool *p, bool (*done)(void *arg), void *arg)
{
    pthread_mutex_lock(&p->lock);
    while (true) {
        /* DONE is asked with the lock open, so that it may take locks of its own. A job that
         * finishes meanwhile changes the count, and then DONE is asked again before sleeping. */
        unsigned long seen = p->finished;
        pthread_mutex_unlock(&p->lock);
        if (done(arg))
            return;
        pthread_mutex_lock(&p->lock);
        if (p->finished != seen)
            continue;
        if (p->head) {
            run_one_locked(p);
            continue;
        }
        p->owner_waits = true;
        pthread_cond_wait(&p->news, &p->lock);
        p->owner_waits = false;
    }
}

static bool is_quiet(void *arg)
{
    struct pool *p = arg;

    pthread_mutex_lock(&p->lock);
    bool quiet = p->queued == 0 && p->running == 0;
    pthread_mutex_unlock(&p->lock);
    return quiet;
}

void pool_drain(struct pool *p)
{
    pool_help_until(p, is_quiet, p);
}

static void end_workers(struct pool *p)
{
    pool_drain(p);
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    while (p->workers > 0)
        pthread_join(p->worker[--p->workers], NULL);
    p->stop = false;
}

void pool_run_alone(struct pool *p, void (*run)(void *arg), void *arg)
{
    unsigned workers = p->workers;

    end_workers(p);
    run(arg);
    start_workers(p, workers);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    end_workers(p);
    pthread_cond_destroy(&p->news);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* A strand with something to do has one job in the pool's queue, its runner. It runs one job of
 * the strand and queues itself anew, so that a busy strand does not keep a thread from others. */
static void strand_run(struct pool_job *runner)
{
    struct strand *s = (struct strand *)((char *)runner - offsetof(struct strand, runner));
    struct pool *p = s->pool;

    pthread_mutex_lock(&p->lock);
    struct pool_job *job = s->head;
    s->head = job->next;
    if (!s->head)
        s->tail = NULL;
    pthread_mutex_unlock(&p->lock);

    job->run(job);

    pthread_mutex_lock(&p->lock);
    if (s->head)
        enqueue_locked(p, &s->runner);
    else
        s->running = false;
    pthread_mutex_unlock(&p->lock);
}

void strand_init(struct strand *s, struct pool *p)
{
    *s = (struct strand){.pool = p, .runner = {.run = strand_run}};
}

void strand_submit(struct strand *s, struct pool_job *job)
{
    struct pool *p = s->pool;

    pthread_mutex_lock(&p->lock);
    job->next = NULL;
    if (s->tail)
        s->tail->next = job;
    else
        s->head = job;
    s->tail = job;
    if (!s->running) {
        s->running = true;
        enqueue_locked(p, &s->runner);
    }
    pthread_mutex_unlock(&p->lock);
}

static bool strand_is_idle(void *arg)
{
    struct strand *s = arg;

    pthread_mutex_lock(&s->pool->lock);
    bool idle = !s->running;
    pthread_mutex_unlock(&s->pool->lock);
    return idle;
}

void strand_drain(struct strand *s)
{
    pool_help_until(s->pool, strand_is_idle, s);
}
