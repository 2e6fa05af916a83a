/* Tells which formats there are, and which of them an archive is. A new format is one line in
 * `formats` and its place among what `formats_open_reader` recognises. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "formats.h"
#include "oci/oci.h"
#include "tar/tar.h"
#include "tar/tar_header.h"
#include "tar/tar_pointer.h"
#include "zip/zip.h"
#include "zip/zip_spool.h"

/* ---- The formats ------------------------------------------------------------------------- */

static int open_tar(struct format_writer **out, const struct wp_format *f,
                    const struct format_write_options *o, struct wp_error *err)
{
    const bool is_one = f->codec == &codec_gzip && o->one_member;

    return tar_open_writer(out, is_one ? &codec_gzip_one : f->codec, o, err);
}

static int open_read_only(struct format_writer **out, const struct wp_format *f,
                          const struct format_write_options *o, struct wp_error *err)
{
    (void)out;
    (void)o;
    return error_set(err, 0, NULL, "%s archives can be read, but not written", f->name);
}

#define SUFFIXES(...)                                                                              \
    .suffixes = (const char *const[])                                                              \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* The levels are those of the codecs, which a constant cannot refer to; a test compares them. */
#define GZIP_LEVELS .min_level = 1, .max_level = 12
#define ZSTD_LEVELS .min_level = 1, .max_level = 19
#define IS_TAR .writes = true, .open_writer = open_tar
#define IS_ZIP                                                                                     \
    .min_level = ZIP_LEVEL_MIN, .max_level = ZIP_LEVEL_MAX, .writes = true, .no_hardlinks = true,  \
    .is_rounded = true, .open_writer = zip_open_writer

const struct wp_format format_tgz = {
    .name = "tgz", SUFFIXES(".tgz", ".tar.gz"), IS_TAR, GZIP_LEVELS, .codec = &codec_gzip};
const struct wp_format format_tar = {.name = "tar", SUFFIXES(".tar"), IS_TAR, .codec = &codec_none};
const struct wp_format format_tar_zst = {.name = "tar.zst",
                                         SUFFIXES(".tar.zst", ".tzst", ".tar.zstd"),
                                         IS_TAR,
                                         ZSTD_LEVELS,
                                         .codec = &codec_zstd};
static const struct wp_format format_tar_bz2 = {.name = "tar.bz2",
                                                SUFFIXES(".tar.bz2", ".tbz2", ".tbz", ".tb2"),
                                                .open_writer = open_read_only};
static const struct wp_format format_tar_xz = {
    .name = "tar.xz", SUFFIXES(".tar.xz", ".txz"), .open_writer = open_read_only};
const struct wp_format format_zip = {.name = "zip", SUFFIXES(".zip"), IS_ZIP, .takes_script = true};
static const struct wp_format format_egg = {
    .name = "egg", SUFFIXES(".egg"), IS_ZIP, .takes_script = true, .home = FORMAT_HOME_EGG};
static const struct wp_format format_whl = {
    .name = "whl", SUFFIXES(".whl"), IS_ZIP, .no_symlinks = true, .home = FORMAT_HOME_WHEEL};
static const struct wp_format format_oci = {.name = "oci",
                                            SUFFIXES(".oci.tar", ".oci"),
                                            GZIP_LEVELS,
                                            .writes = true,
                                            .is_rounded = true,
                                            .is_wrapped = true,
                                            .may_be_directory = true,
                                            .open_writer = oci_open_writer};

static const struct wp_format *const formats[] = {&format_tgz,     &format_tar,    &format_tar_zst,
                                                  &format_tar_bz2, &format_tar_xz, &format_zip,
                                                  &format_egg,     &format_whl,    &format_oci};
enum { FORMAT_COUNT = sizeof(formats) / sizeof(formats[0]) };

const struct wp_format *wp_format_at(size_t i)
{
    return i < FORMAT_COUNT ? formats[i] : NULL;
}

/* A format is also called as its suffixes are, without the dot: "tar.gz", "tzst". */
const struct wp_format *wp_format_by_name(const char *name)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
        for (const char *const *s = formats[i]->suffixes; *s; s++) {
            if (strcmp(*s + 1, name) == 0)
                return formats[i];
        }
    }
    return NULL;
}

const struct wp_format *wp_format_by_suffix(const char *archive)
{
    const struct wp_format *best = NULL;
    size_t n = strlen(archive), longest = 0;

    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        for (const char *const *s = formats[i]->suffixes; *s; s++) {
            size_t length = strlen(*s);

            if (length > longest && length < n && strcmp(archive + n - length, *s) == 0) {
                best = formats[i];
                longest = length;
            }
        }
    }
    return best;
}

const char *wp_format_name(const struct wp_format *f)
{
    return f->name;
}

bool wp_format_writes(const struct wp_format *f)
{
    return f->writes;
}

void wp_format_levels(const struct wp_format *f, int *min, int *max)
{
    *min = f->min_level;
    *max = f->max_level;
}

/* ---- Recognising an archive -------------------------------------------------------------- */

/* The start of an archive: enough for a tar header, and to tell a tar's first two entries. */
struct start {
    unsigned char data[8 * TAR_BLOCK];
    size_t size;
};

/* Up to WANTED bytes of it. */
static int read_start(int fd, struct start *s, size_t wanted, const struct format_open_options *o,
                      struct wp_error *err)
{
    while (s->size < wanted) {
        if (file_wait(fd, POLLIN, context_interrupted(o->context)) < 0)
            return error_set(err, EINTR, o->name, "cannot read");
        ssize_t n = read(fd, s->data + s->size, wanted - s->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, errno, o->name, "cannot read");
        if (n == 0)
            break;
        s->size += (size_t)n;
    }
    return s->size > 0 ? 0 : error_set(err, 0, o->name, "not an archive: it is empty");
}

static bool begins_with(const struct start *s, const char *magic, size_t n)
{
    return s->size >= n && memcmp(s->data, magic, n) == 0;
}

static bool is_tar(const struct start *s)
{
    return s->size >= TAR_BLOCK &&
           (tar_checksum_fits((const struct tar_header *)s->data) || tar_is_zero_block(s->data));
}

static int refuse(const char *name, struct wp_error *err)
{
    return error_set(err, 0, name,
                     "not an archive that can be read (zip, or tar, plain or with gzip, zstd, "
                     "bzip2 or xz)");
}

static bool is_filtered(const struct start *s)
{
    static const char xz[] = {'\xfd', '7', 'z', 'X', 'Z', '\0'};

    return begins_with(s, "BZh", 3) || begins_with(s, xz, sizeof(xz));
}

/* The decompressed stream of FD (taken over), whatever packed it. */
static int open_plain(struct tar_input *in, int fd, const struct start *s,
                      const struct format_open_options *o, struct wp_error *err)
{
    struct source *stream;
    int rc;

    in->codec = codec_recognise(s->data, s->size < 16 ? s->size : 16);
    if (!in->codec && !is_filtered(s)) {
        if (!is_tar(s)) {
            close(fd);
            return refuse(o->name, err);
        }
        in->codec = &codec_none;
        in->is_raw = true;
    }
    rc = codec_open(&stream, in->codec ? in->codec : &codec_none, fd, s->data, s->size, o->name,
                    o->pool, err);
    if (rc < 0)
        return rc;
    stream->interrupted = context_interrupted(o->context);
    if (!in->codec)
        return tar_filter_source(&in->plain, stream, o->name, err);
    in->plain = stream;
    return 0;
}

/* Does it begin with none of what this program reads? A zip may do so, behind a program. */
static bool is_unknown(const struct start *s)
{
    return !zip_recognises(s->data, s->size) &&
           !codec_recognise(s->data, s->size < 16 ? s->size : 16) && !is_filtered(s) && !is_tar(s);
}

/* A zip behind a program, through a pipe. */
static int open_prefixed_zip(struct format_reader **out, int fd, const struct start *s,
                             const struct format_open_options *o, struct wp_error *err)
{
    _cleanup_close_ int owned = fd;
    _cleanup_close_ int file = zip_spool(owned, s->data, s->size, true, o, err);

    if (file < 0 && file != -ENOMSG)
        return file;
    if (file < 0 || !zip_ends_here(file))
        return refuse(o->name, err);
    return zip_open_reader(out, take_fd(&file), true, NULL, 0, o, err);
}

/* ---- Images ------------------------------------------------------------------------------ */

static int open_archive(struct format_reader **out, int fd, const struct format_open_options *o,
                        struct wp_error *err);

/* The layer of warmpack's in the layout FD: 1; 0: there is none. */
static int open_layer(struct format_reader **out, int fd, const struct format_open_options *o,
                      struct wp_error *err)
{
    int layer, rc = oci_find_layer(fd, &layer, o, err);

    if (rc <= 0)
        return rc;
    rc = open_archive(out, layer, o, err);
    if (rc < 0)
        return rc;
    (*out)->is_layer = true;
    return 1;
}

static int open_directory(struct format_reader **out, int fd, const struct format_open_options *o,
                          struct wp_error *err)
{
    int rc;

    if (faccessat(fd, "oci-layout", F_OK, 0) < 0)
        return error_set(err, EISDIR, o->name, "cannot read");
    rc = open_layer(out, fd, o, err);
    if (rc == 0)
        return error_set(err, 0, o->name,
                         "not an archive: no image in it has a layer of warmpack's");
    return rc < 0 ? rc : 0;
}

/* What comes through a pipe is kept in a file, *FD from now on. */
static int keep_in_file(int *fd, bool *is_file, const struct start *s,
                        const struct format_open_options *o, struct wp_error *err)
{
    int file;

    if (*is_file)
        return 0;
    file = zip_spool(*fd, s->data, s->size, false, o, err);
    if (file < 0)
        return file;
    close(*fd);
    *fd = file;
    *is_file = true;
    return lseek(file, (off_t)s->size, SEEK_SET) < 0 ? error_set(err, errno, o->name, "cannot read")
                                                     : 0;
}

/* A tar that begins as one of a layout may: 1 where it is one with a layer of warmpack's; 0: it is
 * to be read as the tar that it is. */
static int open_image_tar(struct format_reader **out, int *fd, bool *is_file, const struct start *s,
                          const struct format_open_options *o, struct wp_error *err)
{
    int rc = keep_in_file(fd, is_file, s, o, err);

    return rc < 0 ? rc : open_layer(out, *fd, o, err);
}

/* Do these bytes begin a layer of ours? The manifest, its last entry, has the times of all. 1, 0 or
 * negative errno. */
static int begins_layer(const struct start *s, const struct format_open_options *o)
{
    const struct codec *codec = codec_recognise(s->data, s->size < 16 ? s->size : 16);
    _cleanup_close_ int fd = memfd_create("start", MFD_CLOEXEC);

    if (!codec)
        codec = is_tar(s) ? &codec_none : NULL;
    int rc = fd < 0 ? -errno : 0;

    if (rc == 0 && codec)
        rc = file_write(fd, s->data, s->size);
    return rc < 0 || !codec ? rc : tar_is_rounded(codec, fd, o);
}

/* ---- Any archive ------------------------------------------------------------------------- */

static int open_archive(struct format_reader **out, int fd, const struct format_open_options *o,
                        struct wp_error *err)
{
    _cleanup_close_ int owned = fd;
    _cleanup_close_ int archive = -1;
    struct tar_input in = {.fd = -1};
    struct start s = {.size = 0};
    int is_rounded;
    struct stat st;
    int rc;

    in.is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
    rc = read_start(fd, &s, TAR_BLOCK, o, err);
    if (rc == 0 && (is_tar(&s) || !in.is_file))
        rc = read_start(fd, &s, sizeof s.data, o, err);
    if (rc == 0 && !in.is_file) {
        rc = begins_layer(&s, o);
        rc = rc < 0   ? error_set(err, -rc, o->name, "cannot be opened")
             : rc > 0 ? keep_in_file(&owned, &in.is_file, &s, o, err)
                      : 0;
    }
    if (rc < 0)
        return rc;
    fd = owned;
    if (is_tar(&s) && oci_may_begin(s.data, s.size)) {
        rc = open_image_tar(out, &owned, &in.is_file, &s, o, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        fd = owned;
    }
    if (is_unknown(&s) && !in.is_file)
        return open_prefixed_zip(out, take_fd(&owned), &s, o, err);
    if (zip_recognises(s.data, s.size) || (is_unknown(&s) && zip_ends_here(fd)))
        return zip_open_reader(out, take_fd(&owned), in.is_file, s.data, s.size, o, err);
    archive = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (archive < 0)
        return error_set(err, errno, o->name, "cannot be opened");
    rc = open_plain(&in, take_fd(&owned), &s, o, err);
    if (rc < 0)
        return rc;
    in.fd = take_fd(&archive);
    is_rounded = in.is_file && in.codec ? tar_is_rounded(in.codec, in.fd, o) : 0;
    rc = tar_open_reader(out, &in, o, err);
    if (rc < 0)
        return rc;
    (*out)->is_rounded = is_rounded > 0;
    if (is_rounded < 0) {
        (*out)->ops->free(take_ptr(*out));
        return error_nomem(err);
    }
    return 0;
}

int formats_open_reader(struct format_reader **out, int fd, const struct format_open_options *o,
                        struct wp_error *err)
{
    _cleanup_close_ int owned = fd;
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return open_directory(out, fd, o, err);
    return open_archive(out, take_fd(&owned), o, err);
}
