/* Writes a tree as the layer of an image, a .tgz whose digests are taken as it is written, and then
 * the rest of the layout around it. */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "oci.h"
#include "put.h"
#include "tar/tar.h"

struct oci_writer {
    struct format_writer base;
    struct format_writer *tar;     /* owned */
    struct sha256 *packed, *plain; /* of the layer so far; owned */
    uint64_t start, size;          /* where the layer begins in the output; its bytes so far */
    char *first;                   /* the entry with the mark; owned */
    atomic_bool has_first;
    bool has_base;
    struct oci_base image;
    char *ref;
    struct oci_platform platform;
    bool has_platform; /* it was asked for */
    bool has_time;     /* of creation, from $SOURCE_DATE_EPOCH */
    int64_t time;
};

static struct oci_writer *writer_of(struct format_writer *w)
{
    return (struct oci_writer *)w;
}

/* ---- On pool threads --------------------------------------------------------------------- */

static int begin_block(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    struct format_writer *tar = writer_of(w)->tar;

    return tar->ops->begin_block(tar, b, err);
}

/* Times are whole seconds, as in all layers: the manifest has the exact ones. */
static int add_header(struct format_writer *w, struct format_block *b, const struct entry *e,
                      struct wp_error *err)
{
    struct oci_writer *o = writer_of(w);
    struct entry whole = *e;

    if (strncmp(path_base(e->path), ".wh.", 4) == 0)
        return error_set(err, 0, e->path,
                         "cannot be packed: in a layer of an image, names that begin with .wh. say "
                         "what is removed");
    if (strcmp(e->path, o->first) == 0)
        atomic_store(&o->has_first, true);
    whole.mtime.tv_nsec = 0;
    return o->tar->ops->add_header(o->tar, b, &whole, err);
}

static int add_end(struct format_writer *w, struct format_block *b, const struct entry *e,
                   struct wp_error *err)
{
    struct format_writer *tar = writer_of(w)->tar;

    return tar->ops->add_end(tar, b, e, err);
}

static int seal(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    struct format_writer *tar = writer_of(w)->tar;

    return tar->ops->seal(tar, b, err);
}

/* ---- On the job's thread ----------------------------------------------------------------- */

static void digest(struct oci_writer *o, const struct format_block *b)
{
    sha256_add(o->packed, b->packed.data, b->packed.size);
    sha256_add(o->plain, b->plain.data, b->plain.size);
    o->size += b->packed.size;
}

static int head(struct format_writer *w, struct format_block *b, struct wp_error *err)
{
    struct oci_writer *o = writer_of(w);
    _cleanup_buf_ struct buf layer = {0};
    int r = o->tar->ops->head(o->tar, b, err);

    if (r < 0)
        return r;
    digest(o, b);
    layer = b->packed;
    b->packed = (struct buf){0};
    return buf_add_zeros(&b->packed, o->start) < 0 ||
                   buf_add(&b->packed, layer.data, layer.size) < 0
               ? error_nomem(err)
               : 0;
}

static int written(struct format_writer *w, struct format_block *b, uint64_t offset,
                   struct wp_error *err)
{
    struct oci_writer *o = writer_of(w);

    digest(o, b);
    return o->tar->ops->written(o->tar, b, offset - o->start, err);
}

static int tail(struct format_writer *w, struct format_block *b, uint64_t manifest_offset,
                struct wp_error *err)
{
    struct oci_writer *o = writer_of(w);
    int r = o->tar->ops->tail(o->tar, b, manifest_offset - o->start, err);

    if (r == 0)
        digest(o, b);
    return r;
}

/* ---- The rest of the layout -------------------------------------------------------------- */

/* That of the code, which must be the base's, where no other was asked for. */
static int choose_platform(const struct oci_writer *o, struct oci_made *made, const char *name,
                           struct wp_error *err)
{
    size_t n;
    _cleanup_free_ struct oci_platform *all = oci_packed_platforms(made->packed, &n);
    char first[OCI_PLATFORM_TEXT], other[OCI_PLATFORM_TEXT];
    bool fits = n == 0;

    if (!all)
        return error_nomem(err);
    if (o->has_base || o->has_platform) {
        made->platform = o->has_base ? o->image.image.platform : o->platform;
        for (size_t i = 0; i < n; i++)
            fits |= oci_platform_same(&all[i], &made->platform);
        if (fits || o->has_platform)
            return 0;
        oci_platform_text(&all[0], first);
        oci_platform_text(&made->platform, other);
        return error_set(err, 0, name,
                         "not made: the caches are for %s, the base is for %s (--platform %s makes "
                         "it all the same)",
                         first, other, other);
    }
    if (n == 0)
        return oci_platform_here(&made->platform, err);
    made->platform = all[0];
    if (n == 1)
        return 0;
    oci_platform_text(&all[0], first);
    oci_platform_text(&all[1], other);
    return error_set(err, 0, name,
                     "not made: caches are for %s and for %s; --platform says which of them the "
                     "image is for",
                     first, other);
}

static void take_digest(struct sha256 *sha, char out[OCI_DIGEST])
{
    unsigned char bytes[SHA256_SIZE];

    sha256_end(sha, bytes);
    oci_digest_text(bytes, out);
}

static int put_descriptions(struct oci_put *p, const struct oci_made *made, struct wp_error *err)
{
    json_auto_t *config = oci_describe_config(made), *manifest = NULL;
    json_auto_t *index = NULL;
    json_auto_t *layout = json_pack("{s:s}", "imageLayoutVersion", "1.0.0");
    char digest_text[OCI_DIGEST];
    size_t size;
    int r = oci_put_json(p, config, digest_text, &size, err);

    if (r == 0) {
        manifest = oci_describe_manifest(made, digest_text, size);
        r = oci_put_json(p, manifest, digest_text, &size, err);
    }
    if (r == 0) {
        index = oci_describe_index(made, digest_text, size);
        r = oci_put_file(p, "index.json", index, err);
    }
    return r < 0 ? r : oci_put_file(p, "oci-layout", layout, err);
}

static int wrap(struct format_writer *w, struct output *out, const struct format_packed *packed,
                struct wp_error *err)
{
    struct oci_writer *o = writer_of(w);
    struct oci_made made = {
        .base = o->has_base ? &o->image : NULL, .ref = o->ref, .packed = packed, .size = o->size};
    int64_t time = o->has_time ? o->time : packed->newest < 0 ? 0 : packed->newest;
    _cleanup_(oci_put_clear) struct oci_put put = {0};
    int r;

    if (!atomic_load(&o->has_first)) {
        error_set(err, 0, o->first, "was removed while it was packed");
        return -EAGAIN;
    }
    oci_time_text(time, made.created);
    take_digest(o->packed, made.layer);
    take_digest(o->plain, made.plain);
    r = choose_platform(o, &made, out->name, err);
    if (r == 0)
        r = oci_put_begin(&put, out, &made, time, err);
    if (r == 0 && o->has_base)
        r = oci_put_base(&put, &o->image, err);
    if (r == 0)
        r = put_descriptions(&put, &made, err);
    return r < 0 ? r : oci_put_end(&put, &made, err);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static void writer_free(struct format_writer *w)
{
    struct oci_writer *o = writer_of(w);

    if (o->tar)
        o->tar->ops->free(o->tar);
    sha256_free(o->packed);
    sha256_free(o->plain);
    oci_base_close(&o->image);
    free(o->first);
    free(o->ref);
    free(o);
}

/* As image references are. */
static int check_ref(const char *ref, struct wp_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t n = strlen(ref);

    for (size_t i = 0; i < n; i++)
        if (!strchr(plain, ref[i]) && !(i && i < n - 1 && strchr("-._:@/+", ref[i])))
            n = 0;
    return n && n <= 255 ? 0
                         : error_set(err, 0, ref,
                                     "cannot be the name of an image: letters, digits, and between "
                                     "them any of - . _ : @ / +");
}

static int read_time(struct oci_writer *o, struct wp_error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    const size_t n = text ? strlen(text) : 0;

    if (!n)
        return 0;
    if (n > 11 || strspn(text, "0123456789") != n)
        return error_set(err, 0, text, "SOURCE_DATE_EPOCH is no number of seconds");
    o->has_time = true;
    o->time = strtoll(text, NULL, 10);
    return 0;
}

static int take_options(struct oci_writer *o, const struct format_write_options *from,
                        struct wp_error *err)
{
    const struct wp_image_options none = {0}, *image = from->image ? from->image : &none;
    int r = image->ref ? check_ref(image->ref, err) : 0;

    o->ref = strdup(image->ref ? image->ref : "latest");
    o->first = strdup(from->first ? from->first : "");
    o->packed = sha256_new();
    o->plain = sha256_new();
    if (!o->ref || !o->first || !o->packed || !o->plain)
        return error_nomem(err);
    if (r == 0)
        r = read_time(o, err);
    if (r == 0 && image->platform) {
        o->has_platform = true;
        r = oci_platform_parse(image->platform, &o->platform, err);
    }
    if (r == 0 && image->base) {
        o->has_base = true;
        r = oci_base_open(&o->image, image, err);
    }
    return r;
}

int oci_open_writer(struct format_writer **out, const struct wp_format *f,
                    const struct format_write_options *from, struct wp_error *err)
{
    static const struct format_writer_ops ops = {.begin_block = begin_block,
                                                 .add_header = add_header,
                                                 .add_end = add_end,
                                                 .seal = seal,
                                                 .head = head,
                                                 .written = written,
                                                 .tail = tail,
                                                 .wrap = wrap,
                                                 .free = writer_free};
    struct format_write_options layer = *from;
    struct oci_writer *o = calloc(1, sizeof *o);
    int r;

    (void)f;
    if (!o)
        return error_nomem(err);
    o->image.store.fd = -1;
    layer.mark_in_first = true;
    r = take_options(o, from, err);
    if (r == 0)
        r = tar_open_writer(&o->tar, from->one_member ? &codec_gzip_one : &codec_gzip, &layer, err);
    if (r != 0) {
        writer_free(&o->base);
        return r;
    }
    o->start = from->is_dir ? 0 : OCI_LAYER_AT;
    o->base = (struct format_writer){
        .ops = &ops, .block_size = o->tar->block_size, .whole_size = o->tar->whole_size};
    *out = &o->base;
    return 0;
}
