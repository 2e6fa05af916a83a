/* Reads gzip data that says nothing of its size. ISA-L 2.30 wants a gzip header in one run, so that
 * the inflater is given raw deflate alone; headers and trailers are read here.
 *
 * Members follow one another; zeros behind the last one are padding. Anything else there is an
 * error, since a member whose first bytes are damaged would otherwise be left out in silence. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc.h"
#include "gzip.h"
#include "inflate.h"

#define TEXT_DAMAGED "the gzip data are damaged"
#define TEXT_CHECKSUM "the gzip data are damaged: their checksum differs"
#define TEXT_NOT_GZIP "these are no gzip data"
#define TEXT_TRAILING "something that is not gzip follows the gzip data"
#define TEXT_FLAGS "a gzip header has flags that nobody has defined"

enum stage { AT_HEADER, IN_DATA, AT_TRAILER };
enum { LOOK_BACK = INFLATE_BEYOND };

struct gzip_stream {
    struct input *in; /* not owned */
    uint64_t place;   /* see piece_ops.stream_place */
    enum stage stage;
    bool had_members;
    uint32_t crc;                  /* of the member's plain bytes so far */
    uint32_t size;                 /* their number, modulo 2^32 as in the trailer */
    uint32_t header_crc;           /* of the header so far */
    size_t back;                   /* of LAST, as many bytes come again */
    unsigned char last[LOOK_BACK]; /* the bytes that the inflater took last */
    struct inflater *inflater;
};

void *gzip_stream_new(struct input *in, bool had_pieces)
{
    struct gzip_stream *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->in = in;
    g->had_members = had_pieces;
    g->inflater = inflater_new();
    if (!g->inflater) {
        free(g);
        return NULL;
    }
    return g;
}

const uint64_t *gzip_stream_place(const void *stream)
{
    return &((const struct gzip_stream *)stream)->place;
}

void gzip_stream_free(void *stream)
{
    struct gzip_stream *g = stream;

    if (!g)
        return;
    inflater_free(g->inflater);
    free(g);
}

/* ---- Headers and trailers, byte by byte --------------------------------------------------- */

/* 1; 0 at the end; negative errno. */
static int next_byte(struct gzip_stream *g, unsigned char *c)
{
    const unsigned char *data;
    ssize_t n;

    if (g->back > 0) {
        *c = g->last[LOOK_BACK - g->back--];
        return 1;
    }
    n = input_look(g->in, &data);
    if (n <= 0)
        return (int)n;
    *c = *data;
    input_skip(g->in, 1);
    return 1;
}

/* A byte of the header, which must be there: 0 or negative errno. */
static int header_byte(struct gzip_stream *g, unsigned char *c, const char **what)
{
    int r = next_byte(g, c);

    if (r == 0)
        return pieces_damaged(what, TEXT_CUT);
    if (r < 0)
        return r;
    g->header_crc = crc_add(g->header_crc, c, 1);
    return 0;
}

static int skip_header_bytes(struct gzip_stream *g, size_t n, const char **what)
{
    unsigned char c;
    int r = 0;

    while (n-- > 0 && r == 0)
        r = header_byte(g, &c, what);
    return r;
}

static int skip_header_string(struct gzip_stream *g, const char **what)
{
    unsigned char c;
    int r;

    do
        r = header_byte(g, &c, what);
    while (r == 0 && c != 0);
    return r;
}

/* A number of two bytes. */
static int header_number(struct gzip_stream *g, unsigned *number, const char **what)
{
    unsigned char low, high;
    int r = header_byte(g, &low, what);

    if (r == 0)
        r = header_byte(g, &high, what);
    if (r == 0)
        *number = low | (unsigned)high << 8;
    return r;
}

/* What the flags say stands between the fixed part of the header and the data. */
static int skip_optional_fields(struct gzip_stream *g, unsigned flags, const char **what)
{
    unsigned number;
    int r = 0;

    if (flags & GZIP_FEXTRA) {
        r = header_number(g, &number, what);
        if (r == 0)
            r = skip_header_bytes(g, number, what);
    }
    if (r == 0 && flags & GZIP_FNAME)
        r = skip_header_string(g, what);
    if (r == 0 && flags & GZIP_FCOMMENT)
        r = skip_header_string(g, what);
    if (r == 0 && flags & GZIP_FHCRC) {
        const uint32_t crc = g->header_crc & 0xffff;

        r = header_number(g, &number, what);
        if (r == 0 && number != crc)
            return pieces_damaged(what, TEXT_DAMAGED);
    }
    return r;
}

static int not_a_header(const struct gzip_stream *g, const char **what)
{
    return pieces_damaged(what, g->had_members ? TEXT_TRAILING : TEXT_NOT_GZIP);
}

/* 1: a header has been read; 0: there are no more members; negative errno. */
static int read_header(struct gzip_stream *g, const char **what)
{
    unsigned char c = 0, flags;
    int r = next_byte(g, &c);

    if (r <= 0)
        return r;
    if (c == 0 && g->had_members) {
        r = input_only_zeros(g->in);
        return r < 0 ? r : r == 1 ? 0 : not_a_header(g, what);
    }
    if (c != GZIP_MAGIC_0)
        return not_a_header(g, what);
    g->header_crc = crc_add(0, &c, 1);
    for (int i = 0; i < 2; i++) {
        r = header_byte(g, &c, what);
        if (r < 0)
            return r;
        if (c != (i == 0 ? GZIP_MAGIC_1 : GZIP_DEFLATE))
            return not_a_header(g, what);
    }
    r = header_byte(g, &flags, what);
    if (r < 0)
        return r;
    if (flags & GZIP_RESERVED)
        return pieces_damaged(what, TEXT_FLAGS);
    r = skip_header_bytes(g, 6, what); /* time, hints, system */
    if (r == 0)
        r = skip_optional_fields(g, flags, what);
    return r < 0 ? r : 1;
}

static int read_trailer(struct gzip_stream *g, const char **what)
{
    unsigned char t[GZIP_TRAILER_SIZE];

    for (int i = 0; i < GZIP_TRAILER_SIZE; i++) {
        int r = header_byte(g, &t[i], what);
        if (r < 0)
            return r;
    }
    if (get_le32(t) != g->crc || get_le32(t + 4) != g->size)
        return pieces_damaged(what, TEXT_CHECKSUM);
    return 0;
}

/* ---- The data ---------------------------------------------------------------------------- */

/* USED bytes of DATA are done with; keeps the last ones. */
static void note_used(struct gzip_stream *g, const unsigned char *data, size_t used)
{
    if (used == 0)
        return;
    if (used >= LOOK_BACK) {
        memcpy(g->last, data + used - LOOK_BACK, LOOK_BACK);
    } else {
        memmove(g->last, g->last + used, LOOK_BACK - used);
        memcpy(g->last + LOOK_BACK - used, data, used);
    }
}

/* Inflates into OUT until it is full or the member's data are over. */
static int inflate_some(struct gzip_stream *g, unsigned char *out, size_t room, size_t *n,
                        const char **what)
{
    const unsigned char *data = NULL;
    ssize_t at_hand = input_look(g->in, &data);

    if (at_hand < 0)
        return (int)at_hand;
    struct inflated done;
    int r = inflater_run(g->inflater, data, (size_t)at_hand, out, room, &done);

    note_used(g, data, done.used);
    input_skip(g->in, done.used);
    g->crc = crc_add(g->crc, out, done.made);
    g->size += (uint32_t)done.made;
    *n += done.made;
    if (r < 0)
        return pieces_damaged(what, TEXT_DAMAGED);
    if (done.ended) {
        g->back = done.beyond;
        g->stage = AT_TRAILER;
        return 0;
    }
    if (done.used == 0 && done.made == 0)
        return pieces_damaged(what, at_hand == 0 ? TEXT_CUT : TEXT_DAMAGED);
    return 0;
}

static void begin_member(struct gzip_stream *g)
{
    inflater_reset(g->inflater);
    g->crc = 0;
    g->size = 0;
    g->had_members = true;
    g->stage = IN_DATA;
}

int gzip_stream_fill(void *stream, unsigned char *out, size_t room, size_t *n, const char **what)
{
    struct gzip_stream *g = stream;
    int r;

    *n = 0;
    g->place = SOURCE_NO_PLACE;
    while (*n < room) {
        switch (g->stage) {
        case AT_HEADER:
            if (*n > 0)
                return 1; /* so that what is filled next begins with the member */
            g->place = input_position(g->in) - g->back;
            r = read_header(g, what);
            if (r <= 0)
                return r;
            begin_member(g);
            break;
        case IN_DATA:
            r = inflate_some(g, out + *n, room - *n, n, what);
            if (r < 0)
                return r;
            break;
        case AT_TRAILER:
            r = read_trailer(g, what);
            if (r < 0)
                return r;
            g->stage = AT_HEADER;
            break;
        }
    }
    return 1;
}
