/* Reads the index of a layout, and the manifests and configurations that it leads to. */

#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/json_parse.h"

enum { DEEPEST = 8, MOST_IMAGES = 4096, MOST_LAYERS = 1024 };

#define DOCKER "application/vnd.docker."
#define ATTESTATION "vnd.docker.reference.type"

static int parse(json_t **out, const struct oci_store *s, const char *what, const struct buf *text,
                 struct wp_error *err)
{
    json_error_t wrong;

    if (json_parse(out, (const char *)text->data, text->size, 0, &wrong) < 0)
        return error_nomem(err);
    return json_is_object(*out) ? 0
                                : error_set(err, 0, s->name, "%s in it is no JSON object", what);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

const char *oci_digest(const json_t *descriptor)
{
    return text_of(descriptor, "digest");
}

uint64_t oci_size(const json_t *descriptor)
{
    json_int_t size = json_integer_value(json_object_get(descriptor, "size"));

    return size > 0 ? (uint64_t)size : 0;
}

static int check_descriptor(const struct oci_store *s, const json_t *d, struct wp_error *err)
{
    char path[OCI_BLOB_PATH];
    const json_t *size = json_object_get(d, "size");

    if (!json_is_object(d) || !json_is_integer(size) || json_integer_value(size) < 0)
        return error_set(err, 0, s->name, "a descriptor in it has no size");
    return oci_blob_path(s, oci_digest(d), path, err);
}

static bool is_one_of(const char *type, const char *a, const char *b)
{
    return strcmp(type, a) == 0 || strcmp(type, b) == 0;
}

static bool is_index(const json_t *d)
{
    return is_one_of(text_of(d, "mediaType"), OCI_INDEX_TYPE,
                     DOCKER "distribution.manifest.list.v2+json");
}

static bool is_manifest(const json_t *d)
{
    return is_one_of(text_of(d, "mediaType"), OCI_MANIFEST_TYPE,
                     DOCKER "distribution.manifest.v2+json");
}

const char *oci_layer_type(const json_t *descriptor)
{
    static const struct {
        const char *docker, *oci;
    } types[] = {{"image.rootfs.diff.tar.gzip", OCI_LAYER_GZIP_TYPE},
                 {"image.rootfs.diff.tar.zstd", OCI_LAYER_TYPE "+zstd"},
                 {"image.rootfs.diff.tar", OCI_LAYER_TYPE}};
    const char *type = text_of(descriptor, "mediaType");

    if (strncmp(type, "application/vnd.oci.image.layer.", 32) == 0)
        return type;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(type, DOCKER, strlen(DOCKER)) == 0 &&
            strcmp(type + strlen(DOCKER), types[i].docker) == 0)
            return types[i].oci;
    return NULL;
}

/* ---- The index --------------------------------------------------------------------------- */

static void take_word(char out[OCI_PLATFORM_WORD], const json_t *platform, const char *key)
{
    strncpy(out, text_of(platform, key), OCI_PLATFORM_WORD - 1);
}

static void take_platform(struct oci_platform *out, const json_t *from)
{
    *out = (struct oci_platform){0};
    take_word(out->os, from, "os");
    take_word(out->architecture, from, "architecture");
    take_word(out->variant, from, "variant");
}

static bool is_known(const struct oci_names *n, const char *digest)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->items[i].digest, digest) == 0)
            return true;
    return false;
}

static int add_manifest(struct oci_names *out, const struct oci_store *s, const json_t *d,
                        struct wp_error *err)
{
    const json_t *platform = json_object_get(d, "platform");
    struct oci_named *named;

    if (is_known(out, oci_digest(d)) ||
        json_object_get(json_object_get(d, "annotations"), ATTESTATION))
        return 0;
    if (out->count == MOST_IMAGES)
        return error_set(err, 0, s->name, "more images are in it than can be told apart");
    if (array_grow(out->items, out->count) < 0)
        return error_nomem(err);
    named = &out->items[out->count];
    *named = (struct oci_named){.digest = strdup(oci_digest(d)),
                                .size = oci_size(d),
                                .has_platform = json_is_object(platform)};
    take_platform(&named->platform, platform);
    if (!named->digest)
        return error_nomem(err);
    out->count++;
    return 0;
}

static int add_all(struct oci_names *out, const struct oci_store *s, const json_t *index,
                   const char *ref, unsigned *left, unsigned depth, struct wp_error *err);

static int add_nested(struct oci_names *out, const struct oci_store *s, const json_t *d,
                      unsigned *left, unsigned depth, struct wp_error *err)
{
    json_auto_t *index = NULL;
    _cleanup_buf_ struct buf text = {0};
    int r;

    if (depth == DEEPEST || !(*left)--)
        return error_set(err, 0, s->name, "indexes in it lie in one another without an end");
    r = oci_store_blob_text(s, oci_digest(d), oci_size(d), &text, err);
    if (r == 0)
        r = parse(&index, s, oci_digest(d), &text, err);
    return r < 0 ? r : add_all(out, s, index, NULL, left, depth + 1, err);
}

static int add_all(struct oci_names *out, const struct oci_store *s, const json_t *index,
                   const char *ref, unsigned *left, unsigned depth, struct wp_error *err)
{
    const json_t *manifests = json_object_get(index, "manifests"), *d;
    size_t i;
    int r = json_is_array(manifests)
                ? 0
                : error_set(err, 0, s->name, "an index in it names no manifests");

    json_array_foreach(manifests, i, d)
    {
        if (ref && strcmp(text_of(json_object_get(d, "annotations"), OCI_REF_NAME), ref) != 0)
            continue;
        if (!is_index(d) && !is_manifest(d))
            continue;
        r = check_descriptor(s, d, err);
        if (r == 0)
            r = is_index(d) ? add_nested(out, s, d, left, depth, err)
                            : add_manifest(out, s, d, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int check_layout(const struct oci_store *s, struct wp_error *err)
{
    json_auto_t *layout = NULL;
    _cleanup_buf_ struct buf text = {0};
    int r = oci_store_text(s, "oci-layout", &text, err);

    if (r == 0)
        r = parse(&layout, s, "oci-layout", &text, err);
    if (r == 0 && strncmp(text_of(layout, "imageLayoutVersion"), "1.", 2) != 0)
        r = error_set(err, 0, s->name, "is a layout of version '%.20s', not of 1.0.0",
                      text_of(layout, "imageLayoutVersion"));
    return r;
}

int oci_names_read(struct oci_names *out, const struct oci_store *s, const char *ref,
                   struct wp_error *err)
{
    json_auto_t *index = NULL;
    _cleanup_buf_ struct buf text = {0};
    unsigned left = MOST_IMAGES;
    int r = check_layout(s, err);

    *out = (struct oci_names){0};
    if (r == 0)
        r = oci_store_text(s, "index.json", &text, err);
    if (r == 0)
        r = parse(&index, s, "index.json", &text, err);
    if (r == 0)
        r = add_all(out, s, index, ref, &left, 0, err);
    if (r < 0)
        oci_names_clear(out);
    return r;
}

void oci_names_clear(struct oci_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i].digest);
    free(n->items);
    *n = (struct oci_names){0};
}

/* ---- Images ------------------------------------------------------------------------------ */

json_t *oci_image_layers(const struct oci_image *i)
{
    return json_object_get(i->manifest, "layers");
}

/* Layouts hold signatures and lists of parts, too, each with a manifest like that of an image. */
static int is_no_image(const struct oci_image *image, const struct oci_store *s, const char *what,
                       const json_t *of, struct wp_error *err)
{
    error_set(err, 0, s->name, "%s in it is no image: %s is of type '%.80s'", image->digest, what,
              text_of(of, "mediaType"));
    return -EMEDIUMTYPE;
}

static int check_manifest(const struct oci_image *image, const struct oci_store *s,
                          struct wp_error *err)
{
    const json_t *layers = oci_image_layers(image), *d;
    const json_t *config = json_object_get(image->manifest, "config");
    size_t i;
    int r;

    if (!json_is_array(layers) || json_array_size(layers) > MOST_LAYERS)
        return error_set(err, 0, s->name, "the manifest %s in it has no list of layers",
                         image->digest);
    if (!is_one_of(text_of(config, "mediaType"), OCI_CONFIG_TYPE, DOCKER "container.image.v1+json"))
        return is_no_image(image, s, "its configuration", config, err);
    json_array_foreach(layers, i, d)
    {
        r = check_descriptor(s, d, err);
        if (r < 0)
            return r;
        if (!oci_layer_type(d))
            return is_no_image(image, s, "a layer of it", d, err);
    }
    return check_descriptor(s, config, err);
}

static int check_config(const struct oci_image *image, const struct oci_store *s,
                        struct wp_error *err)
{
    const json_t *diffs = json_object_get(json_object_get(image->config, "rootfs"), "diff_ids");
    const json_t *history = json_object_get(image->config, "history");
    const json_t *settings = json_object_get(image->config, "config");

    if (!json_is_array(diffs) || json_array_size(diffs) != json_array_size(oci_image_layers(image)))
        return error_set(err, 0, s->name,
                         "the configuration of %s in it does not list as many layers as the "
                         "manifest",
                         image->digest);
    if ((history && !json_is_null(history) && !json_is_array(history)) ||
        (settings && !json_is_null(settings) && !json_is_object(settings)))
        return error_set(err, 0, s->name, "the configuration of %s in it is malformed",
                         image->digest);
    return *image->platform.os && *image->platform.architecture
               ? 0
               : error_set(err, 0, s->name, "the configuration of %s in it names no platform",
                           image->digest);
}

static int read_config(struct oci_image *image, const struct oci_store *s, struct wp_error *err)
{
    const json_t *d = json_object_get(image->manifest, "config");
    _cleanup_buf_ struct buf text = {0};
    int r = oci_store_blob_text(s, oci_digest(d), oci_size(d), &text, err);

    if (r == 0)
        r = parse(&image->config, s, oci_digest(d), &text, err);
    if (r < 0)
        return r;
    take_platform(&image->platform, image->config);
    return check_config(image, s, err);
}

int oci_image_read(struct oci_image *out, const struct oci_store *s, const struct oci_named *named,
                   bool with_config, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r;

    *out = (struct oci_image){.digest = strdup(named->digest)};
    if (!out->digest)
        return error_nomem(err);
    r = oci_store_blob_text(s, named->digest, named->size, &text, err);
    if (r == 0)
        r = parse(&out->manifest, s, named->digest, &text, err);
    if (r == 0)
        r = check_manifest(out, s, err);
    if (r == 0 && with_config)
        r = read_config(out, s, err);
    if (r < 0)
        oci_image_clear(out);
    return r;
}

void oci_image_clear(struct oci_image *i)
{
    free(i->digest);
    json_decref(i->manifest);
    json_decref(i->config);
    *i = (struct oci_image){0};
}
