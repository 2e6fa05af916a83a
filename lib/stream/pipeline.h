#pragma once
/* An ordered block pipeline: a ring of slots that the owner fills one after the other, the pool
 * works on in any order, and the owner takes back in the order in which they were filled.
 * Memory is bounded by the number of slots. Owner's thread only, but for the work itself.
 *
 *     while ((slot = pipeline_free_slot(p)) ... fill ... pipeline_submit(p);
 *     slot = pipeline_wait_oldest(p); ... use ...; pipeline_release(p);
 */

#include <stddef.h>

#include "pool.h"

struct pipeline;

/* WORK is called on pool threads with a submitted slot; results and errors are kept in the
 * slot by the worker itself. SLOT_SIZE bytes for each slot, zeroed once; a slot is reused without
 * being cleared, so that its buffers are reused. DROP (may be NULL) frees a slot's members
 * when the pipeline is freed. NULL and errno on failure. */
struct pipeline *pipeline_new(struct pool *pool, unsigned slots, size_t slot_size,
                              void (*work)(void *slot, void *arg), void (*drop)(void *slot),
                              void *arg);

void *pipeline_free_slot(struct pipeline *p);   /* the slot to fill next; NULL: all in flight */
void pipeline_submit(struct pipeline *p);       /* the slot last returned by free_slot */
void *pipeline_wait_oldest(struct pipeline *p); /* waits, helping; NULL: nothing in flight */
void pipeline_release(struct pipeline *p);      /* the slot last returned by wait_oldest */

/* Waits for the slots in flight, drops all. NULL is fine. */
void pipeline_free(struct pipeline *p);
