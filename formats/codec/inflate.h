#pragma once
/* Raw deflate data in pieces: ISA-L where it is, zlib where it is not. */

#include <stdbool.h>
#include <stddef.h>

struct inflater;

/* What one call did. */
struct inflated {
    size_t used;   /* bytes taken from the input */
    size_t made;   /* bytes written to the output */
    size_t beyond; /* where ended: as many of the bytes taken last, by this call or earlier ones,
                    * lie behind the data and belong to what follows; at most INFLATE_BEYOND */
    bool ended;    /* the data are over */
};
enum { INFLATE_BEYOND = 8 };

/* NULL: no memory. */
struct inflater *inflater_new(void);
/* Makes it ready for other data. */
void inflater_reset(struct inflater *i);
void inflater_free(struct inflater *i);
/* Inflates N bytes of IN (of any number, also none) into OUT until either is used up or the data
 * are over. 0, or -EBADMSG where the data are damaged; DONE is right in both cases. */
int inflater_run(struct inflater *i, const unsigned char *in, size_t n, unsigned char *out,
                 size_t room, struct inflated *done);
