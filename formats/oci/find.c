/* Finds in the layout of an image the layer that holds a tree with its manifest, for all that reads
 * archives. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "image.h"
#include "oci.h"
#include "tar/tar_pointer.h"

enum { PIECE = 1 << 20, ENOUGH = 64 << 10 /* bytes of a layer that tell whose it is */ };

/* SIZE bytes of FROM in a file of their own, whose position is its beginning. */
static int copy_out(const struct oci_file *from, uint64_t size, const struct format_open_options *o,
                    struct wp_error *err)
{
    _cleanup_close_ int to = file_temporary(err);
    _cleanup_free_ unsigned char *data = malloc(PIECE);
    int r = data ? 0 : error_nomem(err);

    if (to < 0)
        return to;
    for (uint64_t done = 0; done < size && r == 0;) {
        uint64_t left = size - done;
        ssize_t n = file_read_at(from->fd, data, left < PIECE ? left : PIECE, from->offset + done);

        if (n <= 0)
            return error_set(err, n < 0 ? (int)-n : EBADMSG, o->name, "cannot read");
        if (context_stops(o->context))
            return error_set(err, EINTR, o->name, "cannot read");
        r = file_temporary_write(to, done, data, (size_t)n, err);
        done += (uint64_t)n;
    }
    if (r == 0 && lseek(to, 0, SEEK_SET) < 0)
        r = error_set(err, errno, o->name, "cannot read");
    return r < 0 ? r : take_fd(&to);
}

/* The layer D as a file. */
static int open_layer(const struct oci_store *s, const json_t *d, uint64_t most,
                      const struct format_open_options *o, struct wp_error *err)
{
    _cleanup_(oci_file_close) struct oci_file f = {.fd = -1};
    int r = oci_store_blob(s, oci_digest(d), oci_size(d), &f, err);

    if (r < 0 || !s->is_tar)
        return r < 0 ? r : take_fd(&f.fd);
    return copy_out(&f, f.size < most ? f.size : most, o, err);
}

/* Is it a layer of warmpack's: does its first header say that a manifest follows? A layer that is
 * missing is none of those that can be read. */
static int is_ours(const struct oci_store *s, const json_t *d, const struct format_open_options *o,
                   struct wp_error *err)
{
    struct wp_error ignored = {0};
    _cleanup_close_ int fd = open_layer(s, d, ENOUGH, o, &ignored);
    unsigned char start[16];
    bool is_rounded;
    _cleanup_free_ char *mark = NULL;
    const struct codec *codec;
    ssize_t n = fd < 0 ? fd : file_read_at(fd, start, sizeof start, 0);
    int r;

    if (n == -ENOMEM || n == -EINTR)
        return n == -ENOMEM ? error_nomem(err) : error_set(err, EINTR, o->name, "cannot read");
    codec = n > 0 ? codec_recognise(start, (size_t)n) : NULL;
    if (!codec)
        return 0;
    r = tar_read_mark(codec, fd, o, &mark, &is_rounded, &ignored);
    return r == -ENOMEM ? error_nomem(err) : r > 0;
}

/* What was chosen so far. */
struct found {
    json_t *layer;           /* a descriptor; owned */
    bool is_here;            /* it is for a system like this one */
    size_t others;           /* for which that is as true */
    struct wp_error missing; /* the first image that the index names and the layout has not */
};

static void take(struct found *f, json_t *layer, bool is_here)
{
    if (f->layer && strcmp(oci_digest(f->layer), oci_digest(layer)) == 0) {
        f->is_here |= is_here;
        return;
    }
    if (f->layer && f->is_here == is_here)
        f->others++;
    if (f->layer && f->is_here >= is_here)
        return;
    json_decref(f->layer);
    f->layer = json_incref(layer);
    f->is_here = is_here;
    f->others = 0;
}

/* The last of the image's layers that is one. Whoever takes images for some systems alone keeps the
 * index that names those for the others. */
static int look_into(struct found *f, const struct oci_store *s, const struct oci_named *named,
                     const struct format_open_options *o, struct wp_error *err)
{
    struct oci_platform here;
    struct oci_image image;
    struct wp_error why = {0};
    json_t *layers;
    int r = oci_image_read(&image, s, named, false, &why);

    if (r == -ENOENT && !f->missing.code)
        f->missing = why;
    if (r == -ENOENT || r == -EMEDIUMTYPE)
        return 0;
    if (r < 0 && err && !err->code)
        *err = why;
    if (r < 0)
        return r;
    layers = oci_image_layers(&image);
    for (size_t i = json_array_size(layers); i-- > 0 && r == 0;) {
        r = is_ours(s, json_array_get(layers, i), o, err);
        if (r > 0)
            take(f, json_array_get(layers, i),
                 !named->has_platform || (oci_platform_here(&here, NULL) == 0 &&
                                          oci_platform_same(&here, &named->platform)));
    }
    oci_image_clear(&image);
    return r < 0 ? r : 0;
}

static int look(struct found *f, const struct oci_store *s, const struct format_open_options *o,
                struct wp_error *err)
{
    struct oci_names names = {0};
    int r = oci_names_read(&names, s, NULL, err);

    for (size_t i = 0; i < names.count && r == 0; i++)
        r = look_into(f, s, &names.items[i], o, err);
    oci_names_clear(&names);
    if (r == 0 && !f->layer && f->missing.code) {
        *err = f->missing;
        r = -ENOENT;
    }
    if (r == 0 && f->others)
        r = error_set(err, 0, o->name,
                      "holds %zu images with trees of warmpack's: \"skopeo copy\" "
                      "takes one of them out",
                      f->others + 1);
    return r;
}

int oci_find_layer(int fd, int *layer, const struct format_open_options *o, struct wp_error *err)
{
    _cleanup_(oci_store_close) struct oci_store store = {.fd = -1};
    struct found f = {0};
    struct wp_error why = {0};
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int r = own < 0 ? error_set(err, errno, o->name, "cannot be opened")
                    : oci_store_open(&store, own, o->name, err);

    *layer = -1;
    if (r == 1) {
        r = look(&f, &store, o, &why);
        /* What is wrong with a layout is no matter for who reads a tar that happens to be one. */
        if (r == -ENOMEM || r == -EINTR || (r < 0 && (!store.is_tar || f.layer))) {
            if (err && !err->code)
                *err = why;
        } else {
            r = f.layer != NULL;
        }
    }
    if (r == 1) {
        *layer = open_layer(&store, f.layer, UINT64_MAX, o, err);
        r = *layer < 0 ? *layer : 1;
    }
    json_decref(f.layer);
    return r;
}
