/* Makes records of a manifest's lines. */

#include "manifest/manifest_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/number_text.h"
#include "manifest/builds.h"
#include "manifest/needs.h"

/* "path" and the like: where something lies in the archive. */
static int read_path(const struct json_line *l, const char *name, enum json_need need,
                     bool may_be_root, char **out)
{
    _cleanup_free_ char *path = NULL, *shown = NULL;
    int r = json_line_text(l, name, need, &path);

    if (r <= 0)
        return r;
    if (!manifest_path_is_canonical(path) && !(may_be_root && !*path)) {
        shown = wp_escape(path);
        return json_line_wrong(l, "\"%s\" is no clean path beneath the archive's root: %.200s",
                               name, shown ? shown : "?");
    }
    *out = take_ptr(path);
    return 1;
}

static int check_order(const struct json_line *l, const char *before, const char *path)
{
    _cleanup_free_ char *shown = NULL;

    if (strcmp(before, path) < 0)
        return 0;
    shown = wp_escape(path);
    return json_line_wrong(l, "%s: %.400s",
                           strcmp(before, path) == 0 ? "stands there twice" : "out of order",
                           shown ? shown : "?");
}

/* A string that is one of the names; its number in *OUT. */
static int read_name(const struct json_line *l, const char *member, const struct manifest_names *n,
                     int *out)
{
    const char *text = NULL;
    int r = json_line_plain(l, member, JSON_REQUIRED, &text);

    if (r < 0)
        return r;
    *out = manifest_name_index(n, text);
    return *out < 0 ? json_line_wrong(l, "\"%s\" has a value that is not known", member) : 0;
}

static int read_digest(const struct json_line *l, unsigned char out[SHA256_SIZE])
{
    const char *hex = NULL;
    int r = json_line_plain(l, "sha256", JSON_OPTIONAL, &hex);

    if (r <= 0)
        return r;
    if (hex_decode(hex, out, SHA256_SIZE) < 0)
        return json_line_wrong(l, "\"sha256\" is not 64 hexadecimal digits");
    return 1;
}

static int read_mode(const struct json_line *l, mode_t *out)
{
    const char *text = NULL;
    int r = json_line_plain(l, "mode", JSON_REQUIRED, &text);

    if (r < 0)
        return r;
    if (strspn(text, "01234567") != 4 || text[4])
        return json_line_wrong(l, "\"mode\" is not four octal digits");
    *out = (mode_t)strtoul(text, NULL, 8);
    return 0;
}

static int read_owner(const struct json_line *l, struct entry *e)
{
    uint64_t uid = 0, gid = 0;
    int r = json_line_uint(l, "uid", UINT32_MAX, JSON_REQUIRED, &uid);

    r = r < 0 ? r : json_line_uint(l, "gid", UINT32_MAX, JSON_REQUIRED, &gid);
    r = r < 0 ? r : json_line_text(l, "user", JSON_OPTIONAL, &e->uname);
    r = r < 0 ? r : json_line_text(l, "group", JSON_OPTIONAL, &e->gname);
    e->uid = (uid_t)uid;
    e->gid = (gid_t)gid;
    return r < 0 ? r : 0;
}

static int read_mtime(const struct json_line *l, struct timespec *out)
{
    const char *text = NULL;
    int r = json_line_plain(l, "mtime", JSON_REQUIRED, &text);

    if (r < 0)
        return r;
    if (time_parse(text, out) < 0)
        return json_line_wrong(l, "\"mtime\" is not a time with nine digits after the point");
    return 0;
}

/* What only files have, and only links. */
static int read_content(const struct json_line *l, struct entry *e)
{
    int r;

    switch (e->type) {
    case ENTRY_FILE:
        r = json_line_uint(l, "size", INT64_MAX, JSON_REQUIRED, &e->size);
        r = r < 0 ? r : read_digest(l, e->sha256);
        e->has_sha256 = r > 0;
        return r < 0 ? r : 0;
    case ENTRY_SYMLINK:
        r = json_line_text(l, "target", JSON_REQUIRED, &e->target);
        if (r > 0 && !*e->target)
            return json_line_wrong(l, "\"target\" is empty");
        return r < 0 ? r : 0;
    case ENTRY_HARDLINK:
        r = read_path(l, "target", JSON_REQUIRED, false, &e->target);
        return r < 0 ? r : 0;
    default:
        return 0;
    }
}

static int read_entry(const struct json_line *l, struct entry *e)
{
    int type = 0, r = read_path(l, "path", JSON_REQUIRED, false, &e->path);

    r = r < 0 ? r : read_name(l, "type", &manifest_type_names, &type);
    e->type = (enum entry_type)type;
    r = r < 0 ? r : read_mode(l, &e->mode);
    r = r < 0 ? r : read_owner(l, e);
    r = r < 0 ? r : read_mtime(l, &e->mtime);
    r = r < 0 ? r : json_line_bool(l, "absent", JSON_OPTIONAL, &e->absent);
    return r < 0 ? r : read_content(l, e);
}

/* *TEXT, which is malloc's, becomes one of T's. */
static int share_text(struct texts *t, char **text, char *like)
{
    _cleanup_free_ char *own = *text;

    *text = own ? texts_share(t, own, strlen(own), like) : NULL;
    return own && !*text ? -ENOMEM : 0;
}

static int parse_entry(const struct json_line *l, struct entry *e, const struct entry *before,
                       struct texts *t)
{
    int r;

    *e = (struct entry){0};
    r = read_entry(l, e);
    if (r < 0) {
        entry_clear(e);
        return r;
    }
    r = share_text(t, &e->path, NULL) | share_text(t, &e->target, NULL) |
        share_text(t, &e->uname, before ? before->uname : NULL) |
        share_text(t, &e->gname, before ? before->gname : NULL);
    return r < 0 ? error_nomem(l->err) : 0;
}

/* A line that is not as manifest_write writes it is parsed as what it is: L->object, then. */
static int add_entry(struct records *r, const struct json_line *l, size_t size)
{
    struct manifest *m = &r->m;
    const struct entry *before = m->entry_count ? &m->entries[m->entry_count - 1] : NULL;
    struct entry e;
    int result = 0;

    if (l->object)
        result = parse_entry(l, &e, before, &m->texts);
    else if (!entry_line_read(&e, l->text, size, before, &m->texts))
        return 0;
    if (result == 0 && before)
        result = check_order(l, before->path, e.path);
    if (result == 0 && m->entry_count == r->entry_room)
        result = json_line_wrong(l, "too short for an entry");
    if (result < 0)
        return result;
    m->entries[m->entry_count++] = e;
    return 1;
}

static int read_cache(const struct json_line *l, struct manifest_cache *c)
{
    int kind = MANIFEST_CACHE_DIR, r = read_path(l, "cache", JSON_REQUIRED, false, &c->cache);

    r = r < 0 ? r : read_path(l, "source", JSON_REQUIRED, true, &c->source);
    if (r > 0 && json_line_has(l, "place"))
        r = read_name(l, "place", &manifest_place_names, &kind);
    c->kind = (enum manifest_cache_kind)kind;
    return r < 0 ? r : 0;
}

static int add_cache(struct records *r, const struct json_line *l)
{
    struct manifest *m = &r->m;
    struct manifest_cache *c;
    int result;

    if (array_grow(m->caches, m->cache_count) < 0)
        return error_nomem(l->err);
    c = &m->caches[m->cache_count++];
    *c = (struct manifest_cache){0};
    result = read_cache(l, c);
    return result == 0 && m->cache_count > 1 ? check_order(l, c[-1].cache, c->cache) : result;
}

/* The number that a stamp of kind MTIME (any number) or SECONDS (a whole one) holds. */
static int read_stamp_time(const struct json_line *l, struct wp_stamp *s)
{
    const json_t *v = json_object_get(l->object, "mtime");

    if (!json_is_number(v) || (s->kind == WP_STAMP_SECONDS && !json_is_integer(v)))
        return json_line_wrong(l, "\"mtime\" of the stamp is not a number of its kind");
    s->mtime = json_number_value(v);
    return 0;
}

static int read_stamp(const struct json_line *l, struct wp_stamp *s)
{
    const char *kind = NULL;
    int number, r = json_line_plain(l, "kind", JSON_REQUIRED, &kind);

    if (r < 0)
        return r;
    /* Later versions of Numba stamp in other ways: not known is an answer. */
    number = manifest_name_index(&manifest_stamp_names, kind);
    s->kind = number < 0 ? WP_STAMP_UNKNOWN : (enum wp_stamp_kind)number;
    switch (s->kind) {
    case WP_STAMP_MTIME:
    case WP_STAMP_SECONDS:
        r = read_stamp_time(l, s);
        return r < 0 ? r : json_line_uint(l, "size", INT64_MAX, JSON_REQUIRED, &s->size);
    case WP_STAMP_CONTENT:
        r = read_digest(l, s->sha256);
        return r == 0 ? json_line_wrong(l, "\"sha256\" is missing") : r;
    default:
        return 0;
    }
}

static int read_uses(const struct json_line *l, struct manifest_set *s, uint64_t number)
{
    const json_t *list = json_object_get(l->object, "uses"), *item;
    size_t n;

    if (!list)
        return 0;
    if (!json_is_array(list))
        return json_line_wrong(l, "\"uses\" is not an array");
    s->uses = calloc(json_array_size(list) + 1, sizeof *s->uses);
    if (!s->uses)
        return error_nomem(l->err);
    json_array_foreach(list, n, item)
    {
        json_int_t used = json_is_integer(item) ? json_integer_value(item) : -1;

        if (used < 0 || (uint64_t)used >= number)
            return json_line_wrong(l, "\"uses\" holds what is no number of an earlier set");
        s->uses[s->use_count++] = (uint32_t)used;
    }
    return 0;
}

static int read_set(const struct json_line *l, struct manifest_set *s, uint64_t number)
{
    int r = json_line_list(l, "depends", JSON_OPTIONAL, &s->files, &s->file_count);

    for (size_t i = 0; r >= 0 && i < s->file_count; i++)
        if (!manifest_path_is_canonical(s->files[i]))
            r = json_line_wrong(l, "\"depends\" holds what is no clean path");
    r = r < 0 ? r : read_uses(l, s, number);
    if (r >= 0 && !s->file_count && !s->use_count)
        return json_line_wrong(l, "a set without files");
    return r < 0 ? r : json_line_list(l, "outside", JSON_OPTIONAL, &s->outside, &s->outside_count);
}

static int add_set(struct records *r, const struct json_line *l)
{
    struct manifest *m = &r->m;
    uint64_t number = 0;
    int result = json_line_uint(l, "set", UINT32_MAX, JSON_REQUIRED, &number);

    if (result < 0)
        return result;
    if (!m->set_count)
        r->first_set = (uint32_t)number;
    if (number != (uint64_t)r->first_set + m->set_count)
        return json_line_wrong(l, "sets are not numbered in their order");
    if (array_grow(m->sets, m->set_count) < 0)
        return error_nomem(l->err);
    m->sets[m->set_count++] = (struct manifest_set){0};
    return read_set(l, &m->sets[m->set_count - 1], number);
}

static int read_index(const struct json_line *l, struct manifest_index *i)
{
    struct json_line stamp = *l;
    uint64_t depends = 0;
    int r = read_path(l, "index", JSON_REQUIRED, false, &i->index);

    r = r < 0 ? r : read_path(l, "source", JSON_OPTIONAL, false, &i->source);
    r = r < 0 ? r : json_line_bool(l, "valid", JSON_REQUIRED, &i->valid);
    r = r < 0 ? r : json_line_text(l, "status", JSON_OPTIONAL, &i->status);
    r = r < 0 ? r : json_line_text(l, "reason", JSON_OPTIONAL, &i->reason);
    r = r < 0 ? r : json_line_text(l, "numba", JSON_OPTIONAL, &i->numba);
    r = r < 0 ? r : builds_read_cpus(l, &i->cpus);
    i->has_cpus = r > 0;
    r = r < 0 ? r : builds_read_index(l, i);
    r = r < 0 ? r : json_line_uint(l, "depends", UINT32_MAX, JSON_OPTIONAL, &depends);
    i->depends = (uint32_t)depends;
    i->has_depends = r > 0;
    r = r < 0 ? r : json_line_bool(l, "svml", JSON_OPTIONAL, &i->svml);
    stamp.object = json_object_get(l->object, "stamp"); /* borrowed: not cleared */
    if (r < 0 || !stamp.object)
        return r < 0 ? r : 0;
    if (!json_is_object(stamp.object))
        return json_line_wrong(l, "\"stamp\" is not an object");
    i->has_stamp = true;
    r = read_stamp(&stamp, &i->stamp);
    return r < 0 ? r : 0;
}

static int add_index(struct records *r, const struct json_line *l)
{
    struct manifest *m = &r->m;
    struct manifest_index *i;
    int result;

    if (array_grow(m->indexes, m->index_count) < 0)
        return error_nomem(l->err);
    i = &m->indexes[m->index_count++];
    *i = (struct manifest_index){0};
    result = read_index(l, i);
    return result == 0 && m->index_count > 1 ? check_order(l, i[-1].index, i->index) : result;
}

int records_add_line(struct records *r, struct json_line *l, size_t size)
{
    bool entry, cache, index, set;
    int added = add_entry(r, l, size);

    if (added != 0)
        return added < 0 ? added : 0;
    added = json_line_parse(l, size);
    if (added < 0)
        return added;
    entry = json_line_has(l, "path");
    cache = json_line_has(l, "cache");
    index = json_line_has(l, "index");
    if (json_object_get(l->object, "end") || json_object_get(l->object, "format"))
        return json_line_wrong(l, "a first or last line in the middle");
    set = json_line_has(l, "set");
    if (entry + cache + index + set > 1)
        return json_line_wrong(l, "an entry, a cache, a set and an index are lines of their own");
    if (entry) {
        added = add_entry(r, l, size);
        return added < 0 ? added : 0;
    }
    if (cache)
        return add_cache(r, l);
    if (set)
        return add_set(r, l);
    return index ? add_index(r, l) : 0;
}

int records_read_header(struct manifest *m, const struct json_line *l)
{
    const char *format = NULL;
    uint64_t version = 0;
    int r = json_line_plain(l, "format", JSON_OPTIONAL, &format);

    if (r < 0)
        return r;
    if (r == 0 || strcmp(format, MANIFEST_FORMAT) != 0)
        return json_line_wrong(l, "not the first line of a " MANIFEST_FORMAT);
    r = json_line_uint(l, "version", INT64_MAX, JSON_REQUIRED, &version);
    if (r < 0)
        return r;
    if (version != MANIFEST_VERSION)
        return json_line_wrong(l, "version %llu is not known here: it takes a newer warmpack",
                               (unsigned long long)version);
    r = json_line_text(l, "creator", JSON_REQUIRED, &m->creator);
    r = r < 0 ? r : json_line_texts(l, "root", "roots", &m->roots, &m->root_count);
    for (size_t i = 0; r >= 0 && i < m->root_count; i++)
        if (m->roots[i][0] != '/')
            r = json_line_wrong(l, "a root is not absolute");
    r = r < 0 ? r : read_path(l, "home", JSON_OPTIONAL, false, &m->home);
    r = r < 0 ? r : json_line_pairs(l, "env", &m->env, &m->env_count);
    r = r < 0 ? r : json_line_pairs(l, "distributions", &m->distributions, &m->distribution_count);
    r = r < 0 ? r
              : json_line_list(l, "numba_users", JSON_OPTIONAL, &m->numba_users,
                               &m->numba_user_count);
    r = r < 0 ? r : builds_read(l, m);
    r = r < 0 ? r : json_line_text(l, "command", JSON_OPTIONAL, &m->command);
    if (r < 0 || !(json_line_has(l, "cpu") || json_line_has(l, "cpus")))
        return r;
    r = json_line_texts(l, "cpu", "cpus", &m->cpus, &m->cpu_count);
    if (r >= 0 && m->cpu_count > MANIFEST_CPUS_MOST)
        r = json_line_wrong(l, "more than %d CPUs", MANIFEST_CPUS_MOST);
    return r < 0 ? r : needs_read(l, m);
}
