/* Rewrites the stamp of a cache index.
 *
 * The stamp is the first thing in the index's second pickle: PROTO, FRAME, the time, the size,
 * TUPLE2. A float or a digest is replaced in its place. A whole number may need an opcode of
 * another length, so the length of the frame that it stands in goes along: a FRAME that says too
 * much fails in CPython's C unpickler, one that says too little in the pure one. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/little_endian.h"
#include "numba/index.h"
#include "numba/pickle_trace.h"

enum { PROTO_SIZE = 2, FRAME_SIZE = 9 /* the opcode and its length */, LITERAL_MAX = 10 };

/* A whole number as CPython's pickler writes it (Lib/pickle.py, save_long); its length. */
static size_t encode_int(int64_t v, unsigned char out[LITERAL_MAX])
{
    if (v >= 0 && v <= 0xff) {
        out[0] = OP_BININT1;
        put_le(out + 1, 1, (uint64_t)v);
        return 2;
    }
    if (v >= 0 && v <= 0xffff) {
        out[0] = OP_BININT2;
        put_le(out + 1, 2, (uint64_t)v);
        return 3;
    }
    if (v >= INT32_MIN && v <= INT32_MAX) {
        out[0] = OP_BININT;
        put_le(out + 1, 4, (uint64_t)v);
        return 5;
    }
    const uint64_t bits = v < 0 ? ~(uint64_t)v : (uint64_t)v; /* those unlike the sign */
    size_t n = 8;
    /* The shortest two's complement whose sign bit says the right thing. */
    while (bits >> (8 * (n - 1) - 1) == 0)
        n--;
    out[0] = OP_LONG1;
    out[1] = (unsigned char)n;
    put_le(out + 2, n, (uint64_t)v);
    return 2 + n;
}

static size_t encode_float(double v, unsigned char out[LITERAL_MAX])
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    out[0] = OP_BINFLOAT;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (unsigned char)(bits >> (56 - 8 * i));
    return 9;
}

static int not_supported(struct wp_error *err)
{
    return error_set(err, ENOTSUP, NULL, "index: its stamp is written in a way that is not known");
}

/* Replaces the bytes from AT to END of the body by the literal, and lets the frame that they stand
 * in grow or shrink with them. */
static int splice(const struct index *i, const unsigned char *text, size_t size, size_t at,
                  size_t end, const unsigned char *literal, size_t n, struct buf *out,
                  struct wp_error *err)
{
    const unsigned char *body = text + i->body_at;
    size_t old = end - at;
    if (buf_add(out, text, i->body_at + at) < 0 || buf_add(out, literal, n) < 0 ||
        buf_add(out, body + end, size - i->body_at - end) < 0)
        return error_nomem(err);
    if (n == old || pickle_frame_end(i->body_pickle) == 0)
        return 0;
    /* The literal is behind a frame, and in the first one. The reader has seen that no frame goes
     * beyond the file, so its length does not overflow. */
    const size_t start = PROTO_SIZE + FRAME_SIZE;
    if (body[0] != OP_PROTO || body[PROTO_SIZE] != OP_FRAME || at < start)
        return not_supported(err);
    uint64_t length = get_le64(body + PROTO_SIZE + 1);
    if (end > start + length)
        return not_supported(err);
    put_le(out->data + i->body_at + PROTO_SIZE + 1, 8, length + n - old);
    return 0;
}

/* Does OUT say what it should, and nothing else changed? */
static int check(const struct index *i, const struct wp_stamp *to, const struct buf *out,
                 struct wp_error *err)
{
    _cleanup_(index_clear) struct index now = {0};
    int r = index_read(&now, out->data, out->size, NULL);
    bool same = r == 0 && stamp_equal(&now.stamp, to) && now.count == i->count;
    for (size_t k = 0; same && k < now.count; k++)
        same = strcmp(now.overloads[k].data, i->overloads[k].data) == 0;
    return r == -ENOMEM ? error_nomem(err) : same ? 0 : not_supported(err);
}

static int rewrite(const struct index *i, const unsigned char *text, size_t size,
                   const struct wp_stamp *to, struct buf *out, struct wp_error *err)
{
    const struct pickle_value *stamp = pickle_root(i->body_pickle)->items[0];
    unsigned char literal[LITERAL_MAX];
    if (to->kind == WP_STAMP_CONTENT) {
        /* The digest is the end of its literal. */
        if (stamp->data + stamp->size != text + i->body_at + stamp->end)
            return not_supported(err);
        return splice(i, text, size, stamp->end - stamp->size, stamp->end, to->sha256,
                      sizeof(to->sha256), out, err);
    }
    if (to->size != i->stamp.size)
        return error_set(err, 0, NULL, "index: the source has another size than its stamp says");
    const struct pickle_value *time = stamp->items[0];
    size_t n = to->kind == WP_STAMP_MTIME ? encode_float(to->mtime, literal)
                                          : encode_int((int64_t)to->mtime, literal);
    return splice(i, text, size, time->at, time->end, literal, n, out, err);
}

int index_restamp(const struct index *i, const unsigned char *text, size_t size,
                  const struct wp_stamp *to, struct buf *out, struct wp_error *err)
{
    buf_clear(out);
    if (to->kind != i->stamp.kind || to->kind == WP_STAMP_UNKNOWN || to->kind == WP_STAMP_NONE)
        return not_supported(err);
    int r = rewrite(i, text, size, to, out, err);
    if (r == 0)
        r = check(i, to, out, err);
    if (r < 0)
        buf_clear(out);
    return r;
}
