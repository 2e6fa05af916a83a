/* Takes the SHA-256 of several texts at once, with libipsec-mb where it is. */

#include "base/digest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Several digests on the way at once, in the library's words: lanes. One thread's at a time. */
struct lanes;

struct sha256_many {
    pthread_mutex_t lock;
    struct lanes *idle; /* guarded by the lock; owned */
};

static void one_by_one(const struct sha256_text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sha256_of(texts[i].data, texts[i].size, texts[i].out);
}

#ifdef WARMPACK_IPSEC_MB

#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>

/* The library counts in 16 bits, and leaves room for the padding. */
enum { MOST_BYTES = 65535 - 64 - 8 };

struct lanes {
    struct lanes *next;
    IMB_MGR *manager; /* owned; NULL: the library cannot be used on this processor */
};

/* Where the processor has instructions for SHA-256, two lanes of them: sixteen of AVX-512 are not
 * faster when all are full, and texts of different lengths leave most of them empty. */
static void begin_lanes(IMB_MGR *manager)
{
    if (manager->features & IMB_FEATURE_SHANI)
        init_mb_mgr_sse(manager);
    else
        init_mb_mgr_auto(manager, NULL);
}

static struct lanes *lanes_new(void)
{
    struct lanes *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->manager = alloc_mb_mgr(0);
    if (l->manager)
        begin_lanes(l->manager);
    if (l->manager && imb_get_errno(l->manager) != 0) {
        free_mb_mgr(l->manager);
        l->manager = NULL;
    }
    return l;
}

static void lanes_free(struct lanes *l)
{
    if (l->manager)
        free_mb_mgr(l->manager);
    free(l);
}

static bool submit(IMB_MGR *manager, const struct sha256_text *t)
{
    IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
    bool good = true;

    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = IMB_AUTH_SHA_256;
    job->src = t->data;
    job->dst = NULL;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = t->size;
    job->auth_tag_output = t->out;
    job->auth_tag_output_len_in_bytes = SHA256_SIZE;
    for (job = IMB_SUBMIT_JOB(manager); job; job = IMB_GET_COMPLETED_JOB(manager))
        good &= job->status == IMB_STATUS_COMPLETED;
    return good && imb_get_errno(manager) == 0;
}

/* False where not all are right. */
static bool in_lanes(struct lanes *l, const struct sha256_text *texts, size_t n)
{
    bool good = l->manager != NULL;

    for (size_t i = 0; i < n && good; i++) {
        if (texts[i].size > 0 && texts[i].size <= MOST_BYTES)
            good = submit(l->manager, &texts[i]);
        else
            one_by_one(&texts[i], 1);
    }
    for (IMB_JOB *job; l->manager && (job = IMB_FLUSH_JOB(l->manager));)
        good &= job->status == IMB_STATUS_COMPLETED;
    return good;
}

#else

struct lanes {
    struct lanes *next;
};

static struct lanes *lanes_new(void)
{
    return NULL;
}

static void lanes_free(struct lanes *l)
{
    free(l);
}

static bool in_lanes(struct lanes *l, const struct sha256_text *texts, size_t n)
{
    (void)l, (void)texts, (void)n;
    return false;
}

#endif

struct sha256_many *sha256_many_new(void)
{
    struct sha256_many *m = calloc(1, sizeof *m);

    if (m)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

void sha256_many_free(struct sha256_many *m)
{
    if (!m)
        return;
    while (m->idle) {
        struct lanes *l = m->idle;
        m->idle = l->next;
        lanes_free(l);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* NULL where there is no memory for more, or no library. */
static struct lanes *take(struct sha256_many *m)
{
    pthread_mutex_lock(&m->lock);
    struct lanes *l = m->idle;
    if (l)
        m->idle = l->next;
    pthread_mutex_unlock(&m->lock);
    return l ? l : lanes_new();
}

static void give_back(struct sha256_many *m, struct lanes *l)
{
    pthread_mutex_lock(&m->lock);
    l->next = m->idle;
    m->idle = l;
    pthread_mutex_unlock(&m->lock);
}

void sha256_many_of(struct sha256_many *m, const struct sha256_text *texts, size_t n)
{
    struct lanes *l = n > 1 ? take(m) : NULL;

    if (!l || !in_lanes(l, texts, n))
        one_by_one(texts, n);
    if (l)
        give_back(m, l);
}
