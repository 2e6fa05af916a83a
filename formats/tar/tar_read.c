/* Reads tar. The parser is our own because libarchive 3.6 takes the pax times "-0.500000000" and
 * "0.500000000" for the same, converts names to the locale, and does not miss a truncated archive's
 * end. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manifest/manifest.h"
#include "tar_look_back.h"
#include "tar_pointer.h"
#include "tar_read.h"

/* Extended headers are read whole: records of a hostile archive must not fill the memory. */
enum { MAX_EXTENSION = 16 << 20 };

static struct tar_reader *reader_of(struct format_reader *r)
{
    return (struct tar_reader *)r;
}

/* Only where the source has been read further: asking the kernel costs as much as an entry. */
static void note_position(struct tar_reader *r)
{
    off_t at;

    if (r->noted == r->in.pulls)
        return;
    r->noted = r->in.pulls;
    at = r->is_file ? lseek(r->fd, 0, SEEK_CUR) : -1;
    r->base.consumed = at >= 0 ? (uint64_t)at : r->in.offset;
}

int tar_damaged(const struct tar_reader *r, uint64_t at, const char *what, struct wp_error *err)
{
    return error_set(err, 0, r->name, "the archive is damaged: %s at byte %llu of the tar", what,
                     (unsigned long long)at);
}

int tar_explain(const struct tar_reader *r, int rc, const char *what, struct wp_error *err)
{
    if (rc == -ENOMEM)
        return error_nomem(err);
    return tar_damaged(r, r->in.offset, what, err);
}

/* ---- Headers ----------------------------------------------------------------------------- */

/* No header stands where the last entry may have content after all: steps over that, of which a
 * block has been read. */
static int skip_doubtful(struct tar_reader *r, struct wp_error *err)
{
    uint64_t n = r->doubtful;

    r->doubtful = 0;
    return tar_stream_skip(&r->in, n + tar_padding(n) - TAR_BLOCK, err);
}

/* The next header into r->member: 1; 0 at the end of the archive. */
static int read_header(struct tar_reader *r, struct wp_error *err)
{
    uint64_t at = r->in.offset;
    int rc = tar_stream_read(&r->in, &r->member.header, TAR_BLOCK, err);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return at == 0 ? error_set(err, 0, r->name, "not a tar archive: it is empty")
                       : tar_read_missing_end(r, err);
    if (tar_is_zero_block(&r->member.header))
        return tar_read_end(r, err);
    if (tar_checksum_fits(&r->member.header)) {
        r->doubtful = 0;
        return 1;
    }
    if (r->doubtful && !r->base.mark) {
        rc = skip_doubtful(r, err);
        return rc < 0 ? rc : read_header(r, err);
    }
    if (at == 0)
        return error_set(err, 0, r->name, "not a tar archive");
    return tar_damaged(r, at, "no valid header", err);
}

/* The content of an extended header. */
static int read_extension(struct tar_reader *r, struct buf *out, struct wp_error *err)
{
    int64_t size;

    /* Its own header alone says its size; records speak of the entry behind it. */
    if (tar_get_number(r->member.header.size, sizeof(r->member.header.size), &size) < 0 || size < 0)
        return tar_damaged(r, r->in.offset, "a malformed size", err);
    if (size > MAX_EXTENSION)
        return tar_damaged(r, r->in.offset, "an extended header of more than 16 MiB", err);
    for (uint64_t left = (uint64_t)size; left > 0;) {
        const void *data;
        ssize_t n = tar_stream_some(&r->in, left, &data, err);

        if (n <= 0)
            return n < 0 ? (int)n : tar_stream_cut(&r->in, err);
        if (buf_add(out, data, (size_t)n) < 0)
            return error_nomem(err);
        left -= (uint64_t)n;
    }
    return tar_stream_skip(&r->in, tar_padding((uint64_t)size), err);
}

/* The comment of the very first header, AT byte 0, says whether a manifest follows. */
static int take_mark(struct tar_reader *r, uint64_t at, const char *comment)
{
    static const char mark[] = MANIFEST_MARK;

    if (at != 0 || r->begin != 0 || !comment || strncmp(comment, mark, sizeof(mark) - 1) != 0)
        return 0;
    free(r->base.mark);
    r->base.mark = strdup(comment + sizeof(mark) - 1);
    return r->base.mark ? 0 : -ENOMEM;
}

static int take_long(char **to, const struct buf *content)
{
    const char *text = content->data ? (const char *)content->data : "";

    free(*to);
    *to = strndup(text, content->size); /* GNU tar ends it with a NUL, others do not */
    return *to ? 0 : -ENOMEM;
}

/* Where the header is one about the next entry, takes it in: 1; 0 where it is an entry's own. */
static int take_extension(struct tar_reader *r, struct wp_error *err)
{
    _cleanup_buf_ struct buf content = {0};
    uint64_t at = r->in.offset - TAR_BLOCK;
    struct tar_member *m = &r->member;
    enum tar_type type = (enum tar_type)m->header.type;
    int rc;

    if (type != TAR_PAX && type != TAR_PAX_SUN && type != TAR_PAX_GLOBAL && type != TAR_LONG_NAME &&
        type != TAR_LONG_LINK && type != TAR_VOLUME && type != TAR_OLD_NAMES && type != TAR_ACL_SUN)
        return 0;
    rc = read_extension(r, &content, err);
    if (rc < 0)
        return rc;
    switch (type) {
    case TAR_PAX_GLOBAL:
        rc = pax_parse(&r->global, content.data, content.size);
        if (take_mark(r, at, r->global.comment) < 0)
            return error_nomem(err);
        if (rc == 0 && !m->has_extension)
            rc = tar_member_begin(m, &r->global);
        break;
    case TAR_PAX:
    case TAR_PAX_SUN:
        rc = pax_parse(&m->pax, content.data, content.size);
        if (take_mark(r, at, m->pax.comment) < 0)
            return error_nomem(err);
        r->base.is_rounded |= at == 0 && r->base.mark; /* as layers of images are */
        m->has_extension = true;
        break;
    case TAR_LONG_NAME:
    case TAR_LONG_LINK:
        rc = take_long(type == TAR_LONG_NAME ? &m->long_name : &m->long_link, &content);
        m->has_extension = true;
        break;
    default: /* a label, an access list: nothing that we keep */
        break;
    }
    return rc < 0 ? tar_explain(r, rc, "a malformed extended header", err) : 1;
}

/* ---- Entries ----------------------------------------------------------------------------- */

/* The entry is the manifest that the mark names. */
static void take_manifest(struct tar_reader *r)
{
    static const char says[] = TAR_OFFSET_COMMENT;
    const char *comment = r->member.pax.comment;
    const size_t n = sizeof(says) - 1;

    r->has_manifest = true;
    r->manifest_place = r->place;
    r->says_place = comment && strncmp(comment, says, n) == 0;
    if (r->says_place)
        r->said_place = strtoull(comment + n, NULL, 10);
}

bool tar_manifest_says_its_place(const struct tar_reader *r)
{
    return r->has_manifest && r->says_place && r->said_place == r->manifest_place.plain;
}

static int make_entry(struct tar_reader *r, struct wp_error *err)
{
    struct tar_member *m = &r->member;
    int rc;

    if (m->header.type == TAR_MULTIVOLUME)
        return error_set(err, 0, r->name, "the archive continues a file of another volume");
    rc = tar_member_stored(m, &r->stored);
    if (rc == 0)
        rc = tar_member_entry(m, &r->entry);
    if (rc < 0)
        return tar_explain(r, rc, "a malformed header", err);
    r->doubtful = tar_member_doubtful(m, &r->entry);
    if (r->doubtful)
        r->stored = 0;
    r->padding = tar_padding(r->stored);
    rc = tar_read_map(r, err);
    if (rc < 0)
        return rc;
    if (m->header.type != TAR_SPARSE && m->header.type != TAR_DUMPDIR &&
        m->header.type != TAR_FILE_V7 && (m->header.type < TAR_FILE || m->header.type > '7'))
        report(r->context, WP_WARNING, r->entry.path,
               "an entry of unknown type (byte %u), taken for a file",
               (unsigned char)m->header.type);
    if (r->base.mark && strcmp(r->entry.path, r->base.mark) == 0)
        take_manifest(r);
    return 1;
}

static int read_entry(struct tar_reader *r, struct wp_error *err)
{
    int rc = tar_member_begin(&r->member, &r->global);

    if (rc < 0)
        return error_nomem(err);
    r->place.plain = r->begin + r->in.offset;
    rc = tar_stream_place(&r->in, &r->place.packed, err);
    if (rc < 0)
        return rc;
    do {
        rc = read_header(r, err);
        if (rc == 1)
            rc = take_extension(r, err);
        else
            return rc;
    } while (rc == 1);
    return rc < 0 ? rc : make_entry(r, err);
}

/* To the next entry, over what is left of this one. */
static int step(struct tar_reader *r, struct wp_error *err)
{
    const bool is_planned = r->planned < r->plan.count;
    int rc = is_planned ? tar_read_planned(r, err) : tar_stream_skip(&r->in, r->stored, err);

    if (rc == 0 && !is_planned)
        rc = tar_stream_skip(&r->in, r->padding, err);
    r->stored = r->offset = r->run_done = 0;
    r->padding = 0;
    r->run = 0;
    if (rc != 0)
        return rc;
    rc = read_entry(r, err);
    return is_planned && rc >= 0 ? tar_read_check_planned(r, err) : rc;
}

static int reader_next(struct format_reader *base, const struct entry **e, struct wp_error *err)
{
    struct tar_reader *r = reader_of(base);
    int rc = r->failed;

    if (rc < 0)
        return error_set(err, 0, r->name, "the archive could not be read further");
    if (r->ended)
        return 0;
    entry_clear(&r->entry);
    sparse_clear(&r->map);
    r->sparse = false;
    rc = step(r, err);
    r->failed = rc < 0 ? rc : 0;
    r->base.misled |= rc < 0 && r->plan.count > 0;
    note_position(r);
    *e = &r->entry;
    return rc;
}

/* How much of the content stands in one piece from here, at r->offset of the file. */
static uint64_t piece(struct tar_reader *r)
{
    if (!r->sparse)
        return r->stored;
    while (r->run < r->map.count && r->run_done == r->map.runs[r->run].size) {
        r->run++;
        r->run_done = 0;
    }
    if (r->run == r->map.count)
        return 0;
    r->offset = r->map.runs[r->run].offset + r->run_done;
    return r->map.runs[r->run].size - r->run_done;
}

static int reader_data(struct format_reader *base, const void **data, size_t *n, uint64_t *offset,
                       struct wp_error *err)
{
    struct tar_reader *r = reader_of(base);
    uint64_t max;
    ssize_t got;

    if (r->failed < 0)
        return error_set(err, 0, r->name, "the archive could not be read further");
    if (r->entry.type != ENTRY_FILE || (max = piece(r)) == 0)
        return 0;
    got = tar_stream_some(&r->in, max, data, err);
    if (got <= 0) {
        r->base.misled |= r->plan.count > 0;
        return r->failed = got < 0 ? (int)got : tar_stream_cut(&r->in, err);
    }
    *n = (size_t)got;
    *offset = r->offset;
    r->offset += (uint64_t)got;
    r->run_done += (uint64_t)got;
    r->stored -= (uint64_t)got;
    note_position(r);
    return 1;
}

static struct chunk *reader_share(struct format_reader *base)
{
    return source_share(reader_of(base)->in.source);
}

static int reader_manifest(struct format_reader *base, struct buf *path, struct buf *text,
                           struct wp_error *err)
{
    struct tar_reader *r = reader_of(base);
    int rc;

    if (!r->codec || !r->is_file)
        return 0;
    rc = tar_pointed_manifest(r->codec, r->fd, r->name, r->pool, path, text, err);
    return rc == 0 && r->base.is_rounded
               ? tar_sought_manifest(r->codec, r->fd, r->name, r->pool, path, text, err)
               : rc;
}

void tar_read_clear(struct tar_reader *r)
{
    source_free(r->in.source);
    pax_clear(&r->global);
    tar_member_clear(&r->member);
    entry_clear(&r->entry);
    sparse_clear(&r->map);
    tar_plan_clear(&r->plan);
    if (r->fd >= 0)
        close(r->fd);
    free(r->base.mark);
}

static void reader_free(struct format_reader *base)
{
    struct tar_reader *r = reader_of(base);

    tar_read_clear(r);
    free(r->name);
    free(r);
}

int tar_open_reader(struct format_reader **out, const struct tar_input *in,
                    const struct format_open_options *o, struct wp_error *err)
{
    static const struct format_reader_ops ops = {.next = reader_next,
                                                 .data = reader_data,
                                                 .share = reader_share,
                                                 .manifest = reader_manifest,
                                                 .expect = tar_read_expect,
                                                 .left_out = tar_read_left_out,
                                                 .rewind = tar_read_rewind,
                                                 .free = reader_free};
    struct tar_reader *r = calloc(1, sizeof(*r));

    if (!r) {
        source_free(in->plain);
        if (in->fd >= 0)
            close(in->fd);
        return error_nomem(err);
    }
    r->base = (struct format_reader){.ops = &ops};
    r->in.source = in->plain;
    r->fd = in->fd;
    r->is_file = in->is_file;
    r->is_raw = in->is_raw;
    r->in.seek_fd = in->is_file && in->is_raw ? in->fd : -1;
    r->codec = in->codec;
    r->context = o->context;
    r->pool = o->pool;
    r->begin = in->offset;
    r->base.mark = in->mark ? strdup(in->mark) : NULL;
    r->in.name = r->name = strdup(o->name);
    if (!r->name || (in->mark && !r->base.mark)) {
        reader_free(&r->base);
        return error_nomem(err);
    }
    *out = &r->base;
    return 0;
}
