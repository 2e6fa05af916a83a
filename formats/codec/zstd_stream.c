/* Reads Zstandard data as a stream: frames that do not say how much is in them, and large ones. The
 * window is bounded as the zstd program bounds it: 128 MiB. */

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/cleanup.h"
#include "zstd_frame.h"

#define TEXT_DAMAGED "the zstd data are damaged"
#define TEXT_CHECKSUM "the zstd data are damaged: their checksum differs"
#define TEXT_NOT_ZSTD "these are no zstd data"
#define TEXT_TRAILING "something that is not zstd follows the zstd data"
#define TEXT_WINDOW "the zstd data need a window of more than 128 MiB"
#define TEXT_DICTIONARY "the zstd data need a dictionary"

enum { WINDOW_LOG_MAX = 27 };

struct zstd_stream {
    struct input *in; /* not owned */
    uint64_t place;   /* see piece_ops.stream_place */
    ZSTD_DStream *decoder;
    bool had_frames, in_frame;
};

void *zstd_stream_new(struct input *in, bool had_pieces)
{
    struct zstd_stream *z = calloc(1, sizeof(*z));

    if (!z)
        return NULL;
    z->in = in;
    z->had_frames = had_pieces;
    z->decoder = ZSTD_createDStream();
    if (!z->decoder ||
        ZSTD_isError(ZSTD_DCtx_setParameter(z->decoder, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        zstd_stream_free(z);
        return NULL;
    }
    return z;
}

const uint64_t *zstd_stream_place(const void *stream)
{
    return &((const struct zstd_stream *)stream)->place;
}

void zstd_stream_free(void *stream)
{
    struct zstd_stream *z = stream;

    ZSTD_freeDStream(z->decoder);
    free(z);
}

static bool may_begin_frame(const unsigned char *start, size_t n)
{
    static const unsigned char frame[4] = {0x28, 0xb5, 0x2f, 0xfd};
    static const unsigned char skippable[4] = {0x50, 0x2a, 0x4d, 0x18};
    bool is_frame = true, is_skipped = true;

    for (size_t i = 0; i < n && i < 4; i++) {
        is_frame = is_frame && start[i] == frame[i];
        is_skipped = is_skipped && (i == 0 ? start[i] & 0xf0 : start[i]) == skippable[i];
    }
    return is_frame || is_skipped;
}

/* Looks at what follows a frame: 1: another one; 0: the end, or zeros up to it; negative errno. */
static int begin_frame(struct zstd_stream *z, const char **what)
{
    _cleanup_buf_ struct buf magic = {0};
    int r = input_take(z->in, &magic, 4);

    if (r < 0)
        return r;
    if (magic.size == 0)
        return 0;
    if (z->had_frames && magic.data[0] == 0) {
        r = input_give_back(z->in, &magic);
        if (r == 0)
            r = input_only_zeros(z->in);
        if (r != 0)
            return r < 0 ? r : 0;
        return pieces_damaged(what, TEXT_TRAILING);
    }
    if (!may_begin_frame(magic.data, magic.size))
        return pieces_damaged(what, z->had_frames ? TEXT_TRAILING : TEXT_NOT_ZSTD);
    if (r == 0)
        return pieces_damaged(what, TEXT_CUT);
    r = input_give_back(z->in, &magic);
    if (r < 0)
        return r;
    ZSTD_DCtx_reset(z->decoder, ZSTD_reset_session_only);
    z->had_frames = true;
    z->in_frame = true;
    return 1;
}

static int explain(size_t code, const char **what)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return -ENOMEM;
    case ZSTD_error_checksum_wrong:
        *what = TEXT_CHECKSUM;
        break;
    case ZSTD_error_frameParameter_windowTooLarge:
        *what = TEXT_WINDOW;
        break;
    case ZSTD_error_dictionary_wrong:
    case ZSTD_error_dictionary_corrupted:
        *what = TEXT_DICTIONARY;
        break;
    default:
        *what = TEXT_DAMAGED;
    }
    return -EBADMSG;
}

static int decode_some(struct zstd_stream *z, ZSTD_outBuffer *out, const char **what)
{
    const unsigned char *data = NULL;
    ssize_t n = input_look(z->in, &data);

    if (n < 0)
        return (int)n;
    ZSTD_inBuffer in = {.src = data, .size = (size_t)n};
    size_t before = out->pos;
    size_t r = ZSTD_decompressStream(z->decoder, out, &in);
    input_skip(z->in, in.pos);
    if (ZSTD_isError(r))
        return explain(r, what);
    if (r == 0)
        z->in_frame = false;
    else if (in.pos == 0 && out->pos == before)
        return pieces_damaged(what, n == 0 ? TEXT_CUT : TEXT_DAMAGED);
    return 0;
}

int zstd_stream_fill(void *stream, unsigned char *out, size_t room, size_t *n, const char **what)
{
    struct zstd_stream *z = stream;
    ZSTD_outBuffer to = {.dst = out, .size = room};
    int r = 1;

    z->place = SOURCE_NO_PLACE;
    while (r >= 0 && to.pos < room) {
        if (z->in_frame) {
            r = decode_some(z, &to, what);
        } else if (to.pos > 0) {
            break; /* so that what is filled next begins with the frame */
        } else {
            z->place = input_position(z->in);
            r = begin_frame(z, what);
            if (r == 0)
                break;
        }
    }
    *n = to.pos;
    return r < 0 ? r : r > 0 || to.pos > 0;
}
