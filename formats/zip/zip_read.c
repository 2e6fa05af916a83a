/* Reads zip, by its central directory: small contents come in batches (zip_ahead.c), large ones
 * as streams. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "codec/runahead.h"
#include "manifest/manifest.h"
#include "zip.h"
#include "zip_ahead.h"
#include "zip_expected.h"
#include "zip_spool.h"

enum {
    LONGEST_LINK = 65536, /* bytes of a symlink's text */
    SCRIPT_MAX = 1 << 20, /* bytes of a script that stands before the archive */
    WARM = 2,             /* so many contents in a row, and the next ones will be wanted, too */
};

struct zip_reader {
    struct format_reader base;
    struct zip_archive a;
    struct buf script;                /* see base.script */
    const struct wp_context *context; /* borrowed */
    struct pool *pool;                /* borrowed */

    size_t next; /* entry that next() gives */
    const struct zip_entry *e;
    struct entry entry;
    bool begun;        /* its content has been asked for */
    int failed;        /* negative errno: nothing more can be read */
    unsigned in_a_row; /* entries whose content was asked for */

    struct zip_expected expected; /* empty: everything may be read */
    struct zip_ahead ahead;       /* small contents */
    struct chunk *lent;           /* of a batch: it holds what small_content gave last */

    struct zip_stream *stream; /* of a large entry */
    struct runahead *run;
    uint64_t offset; /* of its next bytes */
};

static struct zip_reader *reader_of(struct format_reader *r)
{
    return (struct zip_reader *)r;
}

/* Content that cannot be read: STATUS, and WHAT where that is -EBADMSG. */
static int bad_content(struct zip_reader *r, const struct zip_entry *e, int status,
                       const char *what, struct wp_error *err)
{
    _cleanup_free_ char *name = wp_escape(zip_name(&r->a, e));

    r->failed = status;
    if (status == -ENOMEM)
        return error_nomem(err);
    return error_set(err, status == -EBADMSG ? 0 : -status, r->a.name, "cannot read %s%s%s",
                     name ? name : "an entry", status == -EBADMSG ? ": " : "",
                     status == -EBADMSG ? what : "");
}

/* ---- Small content ----------------------------------------------------------------------- */

/* All of small entry I: 0 and *DATA, valid until the next call. */
static int small_content(struct zip_reader *r, size_t i, const void **data, struct wp_error *err)
{
    const struct zip_batch *b = zip_ahead_get(&r->ahead, i, r->in_a_row >= WARM);
    const struct zip_content *c = &b->contents[i - b->first];

    if (c->status < 0)
        return bad_content(r, &r->a.entries[i], c->status, c->what, err);
    *data = b->plain->data + c->at;
    r->lent = b->plain;
    return 0;
}

/* Has nothing, and its header may not be there. */
static bool is_empty(const struct zip_reader *r, size_t i)
{
    return r->expected.is_left_out && r->expected.is_left_out[i] && r->a.entries[i].size == 0;
}

/* ---- Any content ------------------------------------------------------------------------- */

/* MAY_GROW, where it is not NULL, tells after each step whether the rest is wanted. */
static int read_whole(struct zip_reader *r, const struct zip_entry *e, struct buf *to,
                      bool (*may_grow)(const struct buf *text, size_t n), struct wp_error *err)
{
    enum { STEP = 1 << 20 };
    struct zip_stream *s = NULL;
    const char *what = NULL;
    int status = zip_stream_new(&s, &r->a, e, &what), failed = r->failed;

    for (int more = 1; status == 0 && more > 0;) {
        size_t n;

        status = context_stops(r->context) ? -EINTR : 0;
        if (status == 0)
            status = buf_reserve(to, e->size - to->size < STEP ? e->size - to->size + 1 : STEP);
        if (status < 0)
            break;
        more = zip_stream_fill(s, to->data + to->size, to->room - to->size, &n, &what);
        to->size += n;
        status = more < 0 ? more : 0;
        if (status == 0 && may_grow && n && !may_grow(to, n)) {
            what = "it is no manifest";
            status = -EBADMSG;
        }
    }
    zip_stream_free(s);
    if (status == 0)
        return 0;
    bad_content(r, e, status, what, err);
    r->failed = failed; /* the rest may well be read */
    return status;
}

static void close_content(struct zip_reader *r)
{
    runahead_free(r->run);
    zip_stream_free(r->stream);
    r->run = NULL;
    r->stream = NULL;
    r->offset = 0;
}

static int open_stream(struct zip_reader *r, struct wp_error *err)
{
    const char *what = NULL;
    int status = zip_stream_new(&r->stream, &r->a, r->e, &what);

    if (status < 0)
        return bad_content(r, r->e, status, what, err);
    r->run = runahead_new(r->pool, zip_stream_fill, r->stream, NULL);
    return r->run ? 0 : error_nomem(err);
}

static int stream_data(struct zip_reader *r, const void **data, size_t *n, uint64_t *offset,
                       struct wp_error *err)
{
    const char *what = NULL;
    ssize_t got = context_stops(r->context) ? -EINTR : runahead_next(r->run, data, &what);

    if (got < 0)
        return bad_content(r, r->e, what ? -EBADMSG : (int)got, what, err);
    *n = (size_t)got;
    *offset = r->offset;
    r->offset += (uint64_t)got;
    return got > 0;
}

static int reader_data(struct format_reader *base, const void **data, size_t *n, uint64_t *offset,
                       struct wp_error *err)
{
    struct zip_reader *r = reader_of(base);
    bool first = !r->begun;
    int rc;

    if (r->failed < 0)
        return error_set(err, 0, r->a.name, "the archive could not be read further");
    if (!r->e || r->entry.type != ENTRY_FILE || is_empty(r, r->next - 1))
        return 0;
    r->begun = true;
    if (first)
        r->in_a_row++;
    if (first && !zip_is_small(r->e)) {
        rc = open_stream(r, err);
        if (rc < 0)
            return rc;
    }
    if (r->run)
        return stream_data(r, data, n, offset, err);
    if (!first)
        return 0;
    rc = small_content(r, r->next - 1, data, err);
    *n = (size_t)r->e->size;
    *offset = 0;
    return rc < 0 ? rc : *n > 0;
}

static struct chunk *reader_share(struct format_reader *base)
{
    struct zip_reader *r = reader_of(base);

    return r->run ? runahead_share(r->run) : r->lent ? chunk_keep(r->lent) : NULL;
}

/* ---- Entries ----------------------------------------------------------------------------- */

/* Type and mode: as unix has them, or as they are usual where the archive does not say. */
static void take_attributes(struct entry *e, const struct zip_entry *z, bool slash)
{
    const bool is_unix = z->host == ZIP_HOST_UNIX || z->host == ZIP_HOST_DARWIN;
    const mode_t mode = is_unix ? z->attributes >> 16 : 0;

    e->type = ENTRY_FILE;
    if (slash || S_ISDIR(mode) || (!is_unix && z->attributes & ZIP_DOS_DIRECTORY))
        e->type = ENTRY_DIR;
    else if (S_ISLNK(mode))
        e->type = ENTRY_SYMLINK;
    else if (mode & S_IFMT && !S_ISREG(mode) && z->size == 0)
        e->type = ENTRY_OTHER;  /* "zip out.zip -" calls a FIFO what it read from one */
    if (e->type == ENTRY_OTHER) /* of which device is not said */
        e->special = S_ISFIFO(mode)   ? 'p'
                     : S_ISCHR(mode)  ? 'c'
                     : S_ISBLK(mode)  ? 'b'
                     : S_ISSOCK(mode) ? 's'
                                      : 0;
    e->mode = mode & 07777;
    if (!e->mode)
        e->mode = e->type == ENTRY_DIR ? 0755 : e->type == ENTRY_SYMLINK ? 0777 : 0644;
}

/* The text of a symbolic link, packed in whatever way. */
static int take_target(struct zip_reader *r, struct wp_error *err)
{
    _cleanup_buf_ struct buf whole = {0};
    const size_t n = (size_t)r->e->size;
    const void *data = "";
    int rc = 0;

    if (r->e->size > LONGEST_LINK)
        return bad_content(r, r->e, -EBADMSG, "it is no symbolic link", err);
    if (zip_is_small(r->e)) {
        rc = small_content(r, r->next - 1, &data, err);
    } else {
        rc = read_whole(r, r->e, &whole, NULL, err);
        if (whole.data)
            data = whole.data;
    }
    if (rc < 0)
        return r->failed = rc;
    if (n && memchr(data, 0, n))
        return bad_content(r, r->e, -EBADMSG, "a symbolic link has a zero byte in it", err);
    r->entry.target = strndup(data, n);
    return r->entry.target ? 0 : error_nomem(err);
}

static int reader_next(struct format_reader *base, const struct entry **out, struct wp_error *err)
{
    struct zip_reader *r = reader_of(base);
    const char *name;
    int rc = 0;

    if (r->failed < 0)
        return error_set(err, 0, r->a.name, "the archive could not be read further");
    if (r->e && r->entry.type == ENTRY_FILE && r->e->size > 0 && !r->begun)
        r->in_a_row = 0;
    close_content(r);
    entry_clear(&r->entry);
    r->begun = false;
    r->e = NULL;
    if (r->next == r->a.count)
        return 0;
    r->e = &r->a.entries[r->next++];
    name = zip_name(&r->a, r->e);
    r->base.consumed = r->e->limit;
    r->entry.path = path_clean(name);
    if (!r->entry.path)
        return error_nomem(err);
    take_attributes(&r->entry, r->e, r->e->name_size > 0 && name[strlen(name) - 1] == '/');
    r->entry.mtime = r->e->mtime;
    r->entry.uid = r->e->uid;
    r->entry.gid = r->e->gid;
    if (r->entry.type == ENTRY_FILE)
        r->entry.size = r->e->size;
    else if (r->entry.type == ENTRY_SYMLINK)
        rc = take_target(r, err);
    *out = &r->entry;
    return rc < 0 ? rc : 1;
}

static void reader_expect_all(struct format_reader *base)
{
    zip_ahead_begin(&reader_of(base)->ahead);
}

/* ---- The manifest ------------------------------------------------------------------------ */

/* Does one of the first N entries have the name of the manifest, too? */
static bool has_second(const struct zip_archive *a, size_t n)
{
    while (n > 0 && strcmp(zip_name(a, &a->entries[n - 1]), a->mark) != 0)
        n--;
    return n > 0;
}

static int reader_manifest(struct format_reader *base, struct buf *path, struct buf *text,
                           struct wp_error *err)
{
    struct zip_reader *r = reader_of(base);

    for (size_t i = r->a.count; r->a.mark && i-- > 0;) {
        const struct zip_entry *e = &r->a.entries[i];

        if (strcmp(zip_name(&r->a, e), r->a.mark) != 0 || !own_is_manifest(r->a.mark))
            continue;
        if (e->size > MANIFEST_LARGEST)
            return error_set(err, EFBIG, r->a.mark, "the manifest is too large");
        if (has_second(&r->a, i))
            return error_set(err, EBADMSG, r->a.mark, "the archive has a second manifest");
        if (buf_add_str(path, r->a.mark) < 0)
            return error_nomem(err);
        int rc = read_whole(r, e, text, manifest_may_grow, err);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

/* ---- What is expected -------------------------------------------------------------------- */

static int reader_expect(struct format_reader *base, const struct format_expected *x,
                         struct wp_error *err)
{
    struct zip_reader *r = reader_of(base);
    int rc = zip_expected_make(&r->expected, &r->a, x);

    if (rc != 1)
        zip_expected_clear(&r->expected);
    return rc < 0 ? error_nomem(err) : rc;
}

static const struct source_gap *reader_left_out(const struct format_reader *base, size_t *count)
{
    const struct zip_reader *r = (const struct zip_reader *)base;

    *count = r->expected.gap_count;
    return r->expected.gaps;
}

/* ---- The reader -------------------------------------------------------------------------- */

static void reader_free(struct format_reader *base)
{
    struct zip_reader *r = reader_of(base);

    close_content(r);
    zip_expected_clear(&r->expected);
    zip_ahead_clear(&r->ahead);
    zip_archive_clear(&r->a);
    buf_free(&r->script);
    entry_clear(&r->entry);
    free(r);
}

static int tell_repeated(const struct zip_reader *r, const struct format_open_options *o,
                         struct wp_error *err)
{
    const struct zip_entry *first = NULL;
    ssize_t n = zip_repeated_names(&r->a, &first);
    _cleanup_free_ char *clean = n > 0 ? path_clean(zip_name(&r->a, first)) : NULL;
    _cleanup_free_ char *name = clean ? wp_escape(clean) : NULL;

    if (n == 0)
        return 0;
    if (!name)
        return error_nomem(err);
    if (n == 1)
        report(o->context, WP_WARNING, o->name,
               "%s occurs more than once in it: the last entry counts", name);
    else
        report(o->context, WP_WARNING, o->name,
               "%zd names occur more than once in it, among them %s: the last entry of each counts",
               n, name);
    return 0;
}

/* Tells what is read, but is not as it should be. */
static int tell_oddities(const struct zip_reader *r, const struct format_open_options *o,
                         struct wp_error *err)
{
    unsigned char magic[4];

    /* A program that unpacks it is no archive itself. */
    if (r->a.shift > 0 && file_read_at(r->a.fd, magic, sizeof(magic), 0) == sizeof(magic) &&
        get_le32(magic) == ZIP_LOCAL)
        report(o->context, WP_WARNING, o->name,
               "another archive stands in front of the last one: it is ignored (are these archives "
               "joined together?)");
    if (r->a.trailing)
        report(o->context, WP_WARNING, o->name,
               "%llu bytes that follow the end of the archive are ignored",
               (unsigned long long)r->a.trailing);
    return r->a.mark ? 0 : tell_repeated(r, o, err); /* a manifest allows none */
}

/* What stands before the archive, where that is a script which a kernel starts. */
static int read_script(struct zip_reader *r, const struct format_open_options *o,
                       struct wp_error *err)
{
    const size_t n = (size_t)r->a.before;
    ssize_t got;

    r->base.has_program = r->a.before > sizeof(uint32_t); /* more than a signature */
    if (!r->base.has_program || r->a.before > SCRIPT_MAX)
        return 0;
    if (buf_add_zeros(&r->script, n) < 0)
        return error_nomem(err);
    got = file_read_at(r->a.fd, r->script.data, n, 0);
    if (got < 0 || (size_t)got < n)
        return error_set(err, got < 0 ? (int)-got : 0, o->name, "cannot read");
    if (memcmp(r->script.data, "#!", 2) == 0)
        r->base.script = &r->script;
    return 0;
}

static int start(struct zip_reader *r, const struct format_open_options *o, struct wp_error *err)
{
    struct stat st;
    int rc;

    r->a.name = strdup(o->name);
    if (!r->a.name)
        return error_nomem(err);
    if (fstat(r->a.fd, &st) < 0)
        return error_set(err, errno, o->name, "cannot stat");
    r->a.size = (uint64_t)st.st_size;
    rc = zip_archive_read(&r->a, err);
    if (rc == 0)
        rc = tell_oddities(r, o, err);
    if (rc == 0)
        rc = read_script(r, o, err);
    if (rc < 0)
        return rc;
    r->base.mark = r->a.mark;
    r->base.has_comment = r->a.has_comment;
    return zip_ahead_init(&r->ahead, &r->a, o->pool) < 0 ? error_nomem(err) : 0;
}

int zip_open_reader(struct format_reader **out, int fd, bool is_file, const void *start_bytes,
                    size_t n, const struct format_open_options *o, struct wp_error *err)
{
    static const struct format_reader_ops ops = {.next = reader_next,
                                                 .data = reader_data,
                                                 .share = reader_share,
                                                 .expect_all = reader_expect_all,
                                                 .manifest = reader_manifest,
                                                 .expect = reader_expect,
                                                 .left_out = reader_left_out,
                                                 .free = reader_free};
    _cleanup_close_ int owned = fd;
    struct zip_reader *r;
    int rc;

    if (!is_file) {
        int file = zip_spool(fd, start_bytes, n, false, o, err);

        if (file < 0)
            return file;
        close(owned);
        owned = file;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return error_nomem(err);
    r->base = (struct format_reader){.ops = &ops, .is_rounded = true};
    r->pool = o->pool;
    r->context = o->context;
    r->a.fd = take_fd(&owned);
    rc = start(r, o, err);
    if (rc < 0) {
        reader_free(&r->base);
        return rc;
    }
    *out = &r->base;
    return 0;
}
