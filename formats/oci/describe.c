/* Describes an image that is made: what its configuration, its manifest and its index say. */

#include "describe.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "manifest/manifest.h"

#define LABEL "org.warmpack."
#define CREATED "org.opencontainers.image.created"

void oci_time_text(int64_t seconds, char out[OCI_TIME])
{
    const int64_t last = INT64_C(253402300799); /* of the year 9999 */
    time_t t = (time_t)(seconds < 0 ? 0 : seconds > last ? last : seconds);
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(out, OCI_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm))
        strcpy(out, "1970-01-01T00:00:00Z");
}

/* ---- Words, each once -------------------------------------------------------------------- */

struct words {
    char **items; /* owned */
    size_t count;
    bool failed;
};

static void words_clear(struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->items[i]);
    free(w->items);
}

static void words_add(struct words *w, char *word) /* taken over */
{
    for (size_t i = 0; i < w->count && word; i++)
        if (strcmp(w->items[i], word) == 0) {
            free(word);
            return;
        }
    if (!word || array_add(w->items, w->count, word) < 0) {
        free(word);
        w->failed = true;
    }
}

/* Sorted, with commas between them: a JSON string. */
static json_t *words_text(struct words *w)
{
    _cleanup_buf_ struct buf text = {0};

    array_sort(w->items, w->count, path_compare);
    for (size_t i = 0; i < w->count; i++)
        if (buf_printf(&text, "%s%s", i ? "," : "", w->items[i]) < 0)
            w->failed = true;
    return w->failed ? NULL : json_stringn(text.data ? (char *)text.data : "", text.size);
}

/* Sets KEY to VALUE, taken over, unless that says nothing. 0 or -1: no memory. */
static int set_words(json_t *object, const char *key, json_t *value)
{
    if (value && json_string_length(value) == 0) {
        json_decref(value);
        return 0;
    }
    return json_object_set_new(object, key, value);
}

/* ---- Labels ------------------------------------------------------------------------------ */

static json_t *numbas(const struct manifest *m)
{
    _cleanup_(words_clear) struct words w = {0};

    for (size_t i = 0; i < m->index_count; i++)
        if (m->indexes[i].valid && m->indexes[i].numba)
            words_add(&w, strdup(m->indexes[i].numba));
    return words_text(&w);
}

/* "3.11" for "k.add-3.py311.nbi". Allocated; NULL: no memory. */
static char *python_of(const char *index)
{
    const char *tag = NULL;
    char *text;

    for (const char *at = strstr(path_base(index), ".py"); at; at = strstr(at + 1, ".py"))
        tag = at + strlen(".py");
    if (!tag || strlen(tag) <= strlen("3.nbi"))
        return strdup("");
    return asprintf(&text, "%c.%.*s", *tag, (int)(strlen(tag) - strlen("3.nbi")), tag + 1) < 0
               ? NULL
               : text;
}

static json_t *pythons(const struct manifest *m)
{
    _cleanup_(words_clear) struct words w = {0};

    for (size_t i = 0; i < m->index_count; i++)
        if (m->indexes[i].valid)
            words_add(&w, python_of(m->indexes[i].index));
    return words_text(&w);
}

/* Of each CPU, "TRIPLE NAME FEATURES", the name. */
static json_t *cpus(const struct manifest *m)
{
    _cleanup_(words_clear) struct words w = {0};

    for (size_t i = 0; i < m->cpu_count; i++) {
        const char *name = m->cpus[i] + strcspn(m->cpus[i], " ");

        name += *name == ' ';
        words_add(&w, strndup(name, strcspn(name, " ")));
    }
    return words_text(&w);
}

struct oci_platform *oci_packed_platforms(const struct format_packed *packed, size_t *count)
{
    const struct manifest *m = packed->manifest;
    struct oci_platform *all = calloc(m->cpu_count + 1, sizeof *all);

    *count = 0;
    for (size_t i = 0; all && i < m->cpu_count; i++) {
        bool is_new = oci_platform_of_triple(m->cpus[i], strcspn(m->cpus[i], " "), &all[*count]);

        for (size_t k = 0; k < *count; k++)
            is_new &= !oci_platform_same(&all[k], &all[*count]);
        *count += is_new;
    }
    return all;
}

static json_t *number(uint64_t n)
{
    return json_sprintf("%llu", (unsigned long long)n);
}

static uint64_t valid(const struct manifest *m)
{
    uint64_t n = 0;

    for (size_t i = 0; i < m->index_count; i++)
        n += m->indexes[i].valid;
    return n;
}

static uint64_t overloads(const struct manifest *m)
{
    uint64_t n = 0;

    for (size_t i = 0; i < m->entry_count; i++)
        n += path_has_suffix(m->entries[i].path, ".nbc");
    return n;
}

/* Sets what is packed in OBJECT, for labels and annotations alike. */
static int set_labels(const struct oci_made *made, json_t *object)
{
    const struct manifest *m = made->packed->manifest;
    json_t *home = json_sprintf("%s/" MANIFEST_NAME, m->home);
    int r = 0;

    if (home) /* else it is not UTF-8 */
        r |= json_object_set_new(object, LABEL "manifest", home);
    r |= json_object_set_new(object, LABEL "creator", json_string(m->creator));
    r |= json_object_set_new(object, LABEL "files", number(made->packed->entries));
    r |= json_object_set_new(object, LABEL "indexes", number(m->index_count));
    r |= json_object_set_new(object, LABEL "valid", number(valid(m)));
    r |= json_object_set_new(object, LABEL "overloads", number(overloads(m)));
    r |= set_words(object, LABEL "numba", numbas(m));
    r |= set_words(object, LABEL "python", pythons(m));
    r |= set_words(object, LABEL "cpus", cpus(m));
    return r;
}

/* ---- The configuration ------------------------------------------------------------------- */

/* The member KEY of OBJECT, which is made where it is missing or null. Borrowed; NULL: no memory.
 */
static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
    json_t *there = json_object_get(object, key);

    if (!there || json_is_null(there)) {
        if (json_object_set_new(object, key, make()) < 0)
            return NULL;
        there = json_object_get(object, key);
    }
    return there;
}

static json_t *new_config(const struct oci_made *m)
{
    json_t *c = json_pack("{s:s, s:s, s:s}", "created", m->created, "architecture",
                          m->platform.architecture, "os", m->platform.os);

    if (c && *m->platform.variant &&
        json_object_set_new(c, "variant", json_string(m->platform.variant)) < 0) {
        json_decref(c);
        c = NULL;
    }
    return c;
}

static int fill_config(const struct oci_made *m, json_t *config)
{
    json_t *labels = member(member(config, "config", json_object), "Labels", json_object);
    json_t *rootfs = member(config, "rootfs", json_object);
    json_t *diffs = member(rootfs, "diff_ids", json_array);
    json_t *history = member(config, "history", json_array);

    if (json_object_set_new(config, "created", json_string(m->created)) < 0 ||
        json_object_set_new(rootfs, "type", json_string("layers")) < 0)
        return -ENOMEM;
    if (!json_is_object(labels) || set_labels(m, labels) < 0)
        return -ENOMEM;
    if (json_array_append_new(diffs, json_string(m->plain)) < 0)
        return -ENOMEM;
    return json_array_append_new(history, json_pack("{s:s, s:s}", "created", m->created,
                                                    "created_by", m->packed->manifest->creator));
}

json_t *oci_describe_config(const struct oci_made *m)
{
    json_t *config = m->base ? json_deep_copy(m->base->image.config) : new_config(m);

    if (config && fill_config(m, config) < 0) {
        json_decref(config);
        return NULL;
    }
    return config;
}

/* ---- The manifest ------------------------------------------------------------------------ */

static json_t *descriptor(const char *type, const char *digest, uint64_t size)
{
    return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
                     (json_int_t)size);
}

/* Those of the base, with OCI's names for their types. */
static json_t *base_layers(const struct oci_base *base)
{
    json_t *layers = json_deep_copy(oci_image_layers(&base->image)), *d;
    size_t i;

    json_array_foreach(layers, i, d)
    {
        if (json_object_set_new(d, "mediaType", json_string(oci_layer_type(d))) < 0) {
            json_decref(layers);
            return NULL;
        }
    }
    return layers;
}

static json_t *annotations(const struct oci_made *m)
{
    json_t *a = json_pack("{s:s}", CREATED, m->created);
    int r = a ? set_labels(m, a) : -ENOMEM;

    if (r == 0 && m->base)
        r = json_object_set_new(a, "org.opencontainers.image.base.digest",
                                json_string(m->base->image.digest));
    if (r < 0) {
        json_decref(a);
        return NULL;
    }
    return a;
}

json_t *oci_describe_manifest(const struct oci_made *m, const char *config, size_t size)
{
    json_t *layers = m->base ? base_layers(m->base) : json_array();

    if (json_array_append_new(layers, descriptor(OCI_LAYER_GZIP_TYPE, m->layer, m->size)) < 0) {
        json_decref(layers);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:o, s:o, s:o}", "schemaVersion", 2, "mediaType",
                     OCI_MANIFEST_TYPE, "config", descriptor(OCI_CONFIG_TYPE, config, size),
                     "layers", layers, "annotations", annotations(m));
}

json_t *oci_describe_index(const struct oci_made *m, const char *manifest, size_t size)
{
    json_t *d = descriptor(OCI_MANIFEST_TYPE, manifest, size);
    json_t *platform =
        json_pack("{s:s, s:s}", "architecture", m->platform.architecture, "os", m->platform.os);

    if (platform && *m->platform.variant &&
        json_object_set_new(platform, "variant", json_string(m->platform.variant)) < 0) {
        json_decref(platform);
        platform = NULL;
    }
    if (json_object_set_new(d, "platform", platform) < 0 ||
        json_object_set_new(d, "annotations", json_pack("{s:s}", OCI_REF_NAME, m->ref)) < 0) {
        json_decref(d);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", OCI_INDEX_TYPE,
                     "manifests", d);
}
