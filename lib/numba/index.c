/* Reads a cache index: two pickles, the version and (stamp, overloads).
 * Source: numba/core/caching.py, IndexDataCacheFile and CacheImpl.get_filename_base. */

#include "numba/index.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* ---- File names -------------------------------------------------------------------------- */

static bool ends_with(const char *s, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

/* A digest can have a word behind it: PyTensor's "string.add-DIGEST_fastmath1.py311". */
enum { SHORTEST_DIGEST = 32 };

/* Is NAME's first N bytes "MODULE.QUALNAME-LINE.pyXYABI"? Then *TAG is where "XYABI" begins. The
 * part behind the dash is a line number, or hex digits where the source has no file. */
static bool is_stem(const char *name, size_t n, size_t *tag)
{
    const char *dot = memrchr(name, '.', n);
    if (!dot || memchr(name, '/', n))
        return false;
    size_t at = (size_t)(dot - name), digits = 0;
    if (n - at < 5 || memcmp(dot, ".py", 3) != 0)
        return false;
    *tag = at + 3;
    for (size_t i = *tag; i < n; i++) {
        if (digits == i - *tag && isdigit((unsigned char)name[i]))
            digits++;
        else if (!isalnum((unsigned char)name[i]) && name[i] != '_')
            return false;
    }
    const char *dash = memrchr(name, '-', at);
    if (digits < 2 || !dash || dash == name || dash + 1 == dot)
        return false;
    const char *p = dash + 1;
    while (p < dot && isxdigit((unsigned char)*p))
        p++;
    if (p < dot && (p - dash <= SHORTEST_DIGEST || *p != '_'))
        return false;
    for (; p < dot; p++)
        if (!isalnum((unsigned char)*p) && *p != '_')
            return false;
    return true;
}

int index_name_parse(const char *name, struct index_name *out)
{
    size_t n = strlen(name), tag;
    if (!ends_with(name, n, ".nbi"))
        return -EINVAL;
    n -= strlen(".nbi");
    if (!is_stem(name, n, &tag) || n - tag >= sizeof(out->python))
        return -EINVAL;
    out->stem = n;
    memcpy(out->python, name + tag, n - tag);
    out->python[n - tag] = '\0';
    return 0;
}

bool index_is_data_name(const char *name, size_t *stem)
{
    size_t n = strlen(name), tag;
    if (!ends_with(name, n, ".nbc"))
        return false;
    n -= strlen(".nbc");
    size_t at = n;
    while (at > 0 && isdigit((unsigned char)name[at - 1]))
        at--;
    if (at == n || at == 0 || name[at - 1] != '.' || !is_stem(name, at - 1, &tag))
        return false;
    *stem = at - 1;
    return true;
}

bool index_is_part_name(const char *name, size_t *stem)
{
    size_t n = strlen(name), tag;

    if (index_is_data_name(name, stem))
        return true;
    if (!ends_with(name, n, ".lcs") || !is_stem(name, n - strlen(".lcs"), &tag))
        return false;
    *stem = n - strlen(".lcs");
    return true;
}

char *index_marker_name(const char *name)
{
    size_t n = strlen(name);
    char *marker = strdup(name);

    if (marker && ends_with(name, n, ".nbi"))
        memcpy(marker + n - strlen(".nbi"), ".lcs", sizeof ".lcs");
    return marker;
}

bool index_is_temporary(const char *name)
{
    size_t n = strlen(name), at = n;
    while (at > 0 && isxdigit((unsigned char)name[at - 1]))
        at--;
    if (at == n || !ends_with(name, at, ".tmp."))
        return false;
    at -= strlen(".tmp.");
    /* A file of the user's own that happens to be named so is none of Numba's. */
    return ends_with(name, at, ".nbi") || ends_with(name, at, ".nbc");
}

/* ---- The stamp --------------------------------------------------------------------------- */

/* The offset of a double's bytes in the pickle TEXT; 0 where V is written in another way. */
static size_t float_bytes_at(const struct pickle_value *v, const unsigned char *text)
{
    return text[v->at] == 'G' ? v->at + 1 : 0;
}

/* Is it what stands for no source file? PyTensor's 0, or the digest of an IPython cell in hex. */
static bool is_no_source(const struct pickle_value *v)
{
    if (v->type == PICKLE_INT)
        return v->integer == 0;
    if (v->type != PICKLE_STR || v->size != 64)
        return false;
    for (size_t i = 0; i < v->size; i++)
        if (!strchr("0123456789abcdef", v->data[i]) || !v->data[i])
            return false;
    return true;
}

/* Fills the stamp from its value; anything not known is WP_STAMP_UNKNOWN. BODY is the text of the
 * pickle. */
static void read_stamp(struct index *out, const struct pickle_value *v, const unsigned char *body)
{
    struct wp_stamp *s = &out->stamp;
    s->kind = WP_STAMP_UNKNOWN;
    if (v->type == PICKLE_BYTES && v->size == sizeof(s->sha256)) {
        s->kind = WP_STAMP_CONTENT;
        memcpy(s->sha256, v->data, v->size);
        return;
    }
    if (is_no_source(v)) {
        s->kind = WP_STAMP_NONE;
        return;
    }
    if (v->type != PICKLE_TUPLE || v->count != 2 || v->items[1]->type != PICKLE_INT ||
        v->items[1]->integer < 0)
        return;
    const struct pickle_value *time = v->items[0];
    if (time->type == PICKLE_FLOAT && isfinite(time->real)) {
        s->kind = WP_STAMP_MTIME;
        s->mtime = time->real;
        size_t at = float_bytes_at(time, body);
        out->stamp_float_at = at ? out->body_at + at : 0;
    } else if (time->type == PICKLE_INT && llabs(time->integer / 2) < 1LL << 52) {
        /* Beyond 2^53 a double cannot hold every whole number; no file has such a time. */
        s->kind = WP_STAMP_SECONDS;
        s->mtime = (double)time->integer;
    } else {
        return;
    }
    s->size = (uint64_t)v->items[1]->integer;
}

/* ---- The overloads ----------------------------------------------------------------------- */

/* The bytes of a file name that Python holds as STR: what is not UTF-8 on disk is in it as
 * surrogates U+DC80 to U+DCFF. NULL where it cannot be the name of a file in the directory, or
 * with errno ENOMEM. */
static char *file_name(const struct pickle_value *v)
{
    if (v->type != PICKLE_STR || v->size == 0 || memchr(v->data, '\0', v->size) ||
        memchr(v->data, '/', v->size) || pickle_is_str(v, ".") || pickle_is_str(v, "..")) {
        errno = EINVAL;
        return NULL;
    }
    char *name = malloc(v->size + 1);
    if (!name)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < v->size; i++) {
        /* The reader has checked that the string is whole UTF-8 but for surrogates. */
        bool surrogate = v->data[i] == 0xed && v->data[i + 1] >= 0xa0;
        if (surrogate && v->data[i + 1] != 0xb2 && v->data[i + 1] != 0xb3) {
            free(name);
            errno = EINVAL;
            return NULL;
        }
        if (surrogate) {
            name[n++] = (char)(v->data[i + 1] << 6 | (v->data[i + 2] & 0x3f));
            i += 2;
        } else {
            name[n++] = (char)v->data[i];
        }
    }
    name[n] = '\0';
    return name;
}

static int read_overloads(struct index *out, const struct pickle_value *dict, struct wp_error *err)
{
    out->overloads = calloc(dict->count / 2 + 1, sizeof(*out->overloads));
    if (!out->overloads)
        return error_nomem(err);
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        struct index_overload *o = &out->overloads[out->count];
        o->key = dict->items[i];
        o->data = file_name(dict->items[i + 1]);
        if (!o->data && errno == ENOMEM)
            return error_nomem(err);
        if (!o->data)
            return error_set(err, 0, NULL, "index, byte %zu: not the name of a data file",
                             out->body_at + dict->items[i + 1]->at);
        out->count++;
    }
    return 0;
}

/* ---- The index --------------------------------------------------------------------------- */

/* What is told of a pickle that no Numba wrote. */
static int foreign(struct wp_error *err, const char *what, const char *cause)
{
    bool is_first = err && !err->code;
    error_fill(err, 0, NULL, "is not one of Numba's: %s: %.200s", what, cause);
    if (is_first)
        err->code = ENOTSUP;
    return -ENOTSUP;
}

/* Reads one pickle as CPython's C unpickler would. WHAT is for messages. */
static int read_pickle(struct pickle **out, const unsigned char *text, size_t size, size_t *used,
                       const char *what, struct wp_error *err)
{
    struct wp_error cause = {0};
    int r = pickle_read(out, text, size, used, NULL, &cause);
    if (r == -ENOTSUP)
        return foreign(err, what, cause.message);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        return error_set(err, -r == EINVAL ? 0 : -r, NULL, "%s: %.200s", what, cause.message);
    if (pickle_frame_end(*out) > size)
        return error_set(err, 0, NULL, "%s: a frame goes beyond the end of the file", what);
    return 0;
}

static int read_version(struct index *out, const unsigned char *text, size_t size,
                        struct wp_error *err)
{
    int r = read_pickle(&out->version_pickle, text, size, &out->body_at, "version", err);
    if (r < 0)
        return r;
    const struct pickle_value *v = pickle_root(out->version_pickle);
    if (v->type != PICKLE_STR || memchr(v->data, '\0', v->size))
        return error_set(err, 0, NULL, "index: does not begin with a version");
    out->numba = strndup((const char *)v->data, v->size);
    return out->numba ? 0 : error_nomem(err);
}

static int read_body(struct index *out, const unsigned char *text, size_t size,
                     struct wp_error *err)
{
    const unsigned char *body = text + out->body_at;
    size_t used;
    int r = read_pickle(&out->body_pickle, body, size - out->body_at, &used, "overloads", err);
    if (r < 0)
        return r;
    out->body_end = out->body_at + used;
    const struct pickle_value *root = pickle_root(out->body_pickle);
    if (root->type != PICKLE_TUPLE || root->count != 2 || root->items[1]->type != PICKLE_DICT)
        return error_set(err, 0, NULL, "index: not a pair of stamp and overloads");
    read_stamp(out, root->items[0], body);
    return read_overloads(out, root->items[1], err);
}

int index_read(struct index *out, const unsigned char *text, size_t size, struct wp_error *err)
{
    *out = (struct index){.stamp.kind = WP_STAMP_UNKNOWN, .text = text, .size = size};
    int r = size > 0 ? 0 : error_set(err, 0, NULL, "index: the file is empty");
    if (r == 0)
        r = read_version(out, text, size, err);
    if (r == 0)
        r = read_body(out, text, size, err);
    if (r < 0)
        index_clear(out);
    return r;
}

void index_clear(struct index *i)
{
    for (size_t k = 0; k < i->count; k++)
        free(i->overloads[k].data);
    free(i->overloads);
    free(i->numba);
    pickle_free(i->version_pickle);
    pickle_free(i->body_pickle);
    *i = (struct index){.stamp.kind = WP_STAMP_UNKNOWN};
}

int index_read_data(struct pickle **out, const unsigned char *text, size_t size,
                    struct wp_error *err)
{
    size_t used;
    int r;

    *out = NULL;
    if (size == 0)
        return error_set(err, 0, NULL, "data: the file is empty");
    r = read_pickle(out, text, size, &used, "data", err);
    if (r < 0)
        pickle_free(take_ptr(*out));
    return r;
}

int index_check_data(const unsigned char *text, size_t size, struct wp_error *err)
{
    struct pickle *p;
    int r = index_read_data(&p, text, size, err);

    pickle_free(p);
    return r == -ENOTSUP ? 0 : r;
}
