/* Opens the base of an image, and chooses among those that its layout holds. */

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* LAYOUT[:REF]: the colon may be one of the path. */
static int open_layout(struct oci_base *b, const char *text, const char **ref, struct wp_error *err)
{
    const char *colon = strrchr(text, ':');
    int fd = open(text, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    *ref = NULL;
    if (fd < 0 && error_is_absence(-errno) && colon) {
        *ref = colon + 1;
        b->name = strndup(text, (size_t)(colon - text));
    } else {
        b->name = strdup(text);
    }
    if (!b->name) {
        cleanup_close(&fd);
        return error_nomem(err);
    }
    if (*ref)
        fd = open(b->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd < 0 ? error_set(err, errno, b->name, "cannot open the base image") : fd;
}

static void drop(struct oci_names *n, size_t which)
{
    struct oci_named *item = &n->items[which];

    free(item->digest);
    memmove(item, item + 1, (--n->count - which) * sizeof *item);
}

/* Those that are not for WANTED go. */
static void keep_platform(struct oci_names *n, const struct oci_platform *wanted)
{
    for (size_t i = n->count; i-- > 0;)
        if (n->items[i].has_platform && !oci_platform_same(&n->items[i].platform, wanted))
            drop(n, i);
}

/* What is no image, such as a signature of one, goes. What cannot be read stays, and is told of. */
static int keep_images(struct oci_names *n, const struct oci_store *s, struct wp_error *err)
{
    for (size_t i = n->count; i-- > 0;) {
        struct oci_image image;
        int r = oci_image_read(&image, s, &n->items[i], false, NULL);

        if (r == 0)
            oci_image_clear(&image);
        if (r == -ENOMEM)
            return error_nomem(err);
        if (r == -EMEDIUMTYPE)
            drop(n, i);
    }
    return 0;
}

static int choose(struct oci_names *n, const struct oci_store *s, const char *ref,
                  const struct oci_platform *wanted, struct wp_error *err)
{
    const char *name = s->name;
    struct oci_platform here;
    char text[OCI_PLATFORM_TEXT] = "";

    if (!n->count)
        return ref ? error_set(err, 0, name, "no image in it is called '%s'", ref)
                   : error_set(err, 0, name, "there is no image in it");
    if (wanted) {
        keep_platform(n, wanted);
        oci_platform_text(wanted, text);
    } else if (n->count > 1 && oci_platform_here(&here, NULL) == 0) {
        keep_platform(n, &here);
        oci_platform_text(&here, text);
    }
    if (!n->count)
        return error_set(err, 0, name, "no image in it is for %s", text);
    if (n->count > 1 && keep_images(n, s, err) < 0)
        return -ENOMEM;
    if (!n->count)
        return error_set(err, 0, name, "there is no image in it");
    if (n->count > 1)
        return error_set(err, 0, name, "holds %zu images: name one by LAYOUT:REF, or --platform",
                         n->count);
    return 0;
}

int oci_base_open(struct oci_base *out, const struct wp_image_options *o, struct wp_error *err)
{
    struct oci_platform wanted;
    struct oci_names names = {0};
    const char *ref;
    int fd, r = o->platform ? oci_platform_parse(o->platform, &wanted, err) : 0;

    *out = (struct oci_base){.store = {.fd = -1}};
    if (r < 0)
        return r;
    fd = open_layout(out, o->base, &ref, err);
    if (fd < 0)
        return fd;
    r = oci_store_open(&out->store, fd, out->name, err);
    if (r == 0)
        return error_set(err, 0, out->name,
                         "is no OCI image layout (a directory, or a tar of one)");
    if (r == 1)
        r = oci_names_read(&names, &out->store, ref, err);
    if (r == 0)
        r = choose(&names, &out->store, ref, o->platform ? &wanted : NULL, err);
    if (r == 0)
        r = oci_image_read(&out->image, &out->store, &names.items[0], true, err);
    oci_names_clear(&names);
    if (r == 0 && o->platform && !oci_platform_same(&wanted, &out->image.platform)) {
        char is[OCI_PLATFORM_TEXT];

        oci_platform_text(&out->image.platform, is);
        r = error_set(err, 0, out->name, "the image is for %s, not for %s", is, o->platform);
    }
    return r;
}

void oci_base_close(struct oci_base *b)
{
    oci_image_clear(&b->image);
    oci_store_close(&b->store);
    free(b->name);
    *b = (struct oci_base){.store = {.fd = -1}};
}
