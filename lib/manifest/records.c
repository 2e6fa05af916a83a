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
static int read_path(struct json_line *l, const char *name, enum json_need need, bool may_be_root,
                     char **out)
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

static int check_order(struct json_line *l, const char *before, const char *path)
{
    _cleanup_free_ char *shown = NULL;

    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what is required has been read */
    if (strcmp(before, path) < 0)
        return 0;
    shown = wp_escape(path);
    return json_line_wrong(l, "%s: %.400s",
                           strcmp(before, path) == 0 ? "stands there twice" : "out of order",
                           shown ? shown : "?");
}

/* A string that is one of the names: its number, or -1. */
static int read_name(struct json_line *l, const char *member, const struct manifest_names *n)
{
    const char *text = NULL;
    int number = -1;

    if (json_line_plain(l, member, JSON_REQUIRED, &text) > 0) {
        number = manifest_name_index(n, text);
        if (number < 0)
            json_line_wrong(l, "\"%s\" has a value that is not known", member);
    }
    return number;
}

/* 1, 0 where there is none, or negative errno. */
static int read_digest(struct json_line *l, unsigned char out[SHA256_SIZE])
{
    const char *hex = NULL;
    int r = json_line_plain(l, "sha256", JSON_OPTIONAL, &hex);

    if (r > 0 && hex_decode(hex, out, SHA256_SIZE) < 0)
        return json_line_wrong(l, "\"sha256\" is not 64 hexadecimal digits");
    return r;
}

static mode_t read_mode(struct json_line *l)
{
    const char *text = "";

    if (json_line_plain(l, "mode", JSON_REQUIRED, &text) > 0 &&
        (strspn(text, "01234567") != 4 || text[4]))
        json_line_wrong(l, "\"mode\" is not four octal digits");
    return (mode_t)strtoul(text, NULL, 8);
}

static void read_owner(struct json_line *l, struct entry *e)
{
    uint64_t uid = 0, gid = 0;

    json_line_uint(l, "uid", UINT32_MAX, JSON_REQUIRED, &uid);
    json_line_uint(l, "gid", UINT32_MAX, JSON_REQUIRED, &gid);
    json_line_text(l, "user", JSON_OPTIONAL, &e->uname);
    json_line_text(l, "group", JSON_OPTIONAL, &e->gname);
    e->uid = (uid_t)uid;
    e->gid = (gid_t)gid;
}

static void read_mtime(struct json_line *l, struct timespec *out)
{
    const char *text = NULL;

    if (json_line_plain(l, "mtime", JSON_REQUIRED, &text) > 0 && time_parse(text, out) < 0)
        json_line_wrong(l, "\"mtime\" is not a time with nine digits after the point");
}

/* What only files have, and only links. */
static void read_content(struct json_line *l, struct entry *e)
{
    switch (e->type) {
    case ENTRY_FILE:
        json_line_uint(l, "size", INT64_MAX, JSON_REQUIRED, &e->size);
        e->has_sha256 = read_digest(l, e->sha256) > 0;
        break;
    case ENTRY_SYMLINK:
        if (json_line_text(l, "target", JSON_REQUIRED, &e->target) > 0 && !*e->target)
            json_line_wrong(l, "\"target\" is empty");
        break;
    case ENTRY_HARDLINK:
        read_path(l, "target", JSON_REQUIRED, false, &e->target);
        break;
    default:
        break;
    }
}

static int read_entry(struct json_line *l, struct entry *e)
{
    read_path(l, "path", JSON_REQUIRED, false, &e->path);
    e->type = (enum entry_type)read_name(l, "type", &manifest_type_names);
    e->mode = read_mode(l);
    read_owner(l, e);
    read_mtime(l, &e->mtime);
    json_line_bool(l, "absent", JSON_OPTIONAL, &e->absent);
    if (l->status == 0)
        read_content(l, e);
    return l->status;
}

/* *TEXT, which is malloc's, becomes one of T's. */
static int share_text(struct texts *t, char **text, char *like)
{
    _cleanup_free_ char *own = *text;

    *text = own ? texts_share(t, own, strlen(own), like) : NULL;
    return own && !*text ? -ENOMEM : 0;
}

static int parse_entry(struct json_line *l, struct entry *e, const struct entry *before,
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
    return r < 0 ? json_line_nomem(l) : 0;
}

/* A line that is not as manifest_write writes it is parsed as what it is: L->object, then. */
static int add_entry(struct records *r, struct json_line *l, size_t size)
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

static int read_cache(struct json_line *l, struct manifest_cache *c)
{
    read_path(l, "cache", JSON_REQUIRED, false, &c->cache);
    read_path(l, "source", JSON_REQUIRED, true, &c->source);
    if (json_line_has(l, "place"))
        c->kind = (enum manifest_cache_kind)read_name(l, "place", &manifest_place_names);
    return l->status;
}

static int add_cache(struct records *r, struct json_line *l)
{
    struct manifest *m = &r->m;
    struct manifest_cache *c;
    int result;

    if (array_grow(m->caches, m->cache_count) < 0)
        return json_line_nomem(l);
    c = &m->caches[m->cache_count++];
    *c = (struct manifest_cache){.kind = MANIFEST_CACHE_DIR};
    result = read_cache(l, c);
    return result == 0 && m->cache_count > 1 ? check_order(l, c[-1].cache, c->cache) : result;
}

/* The number that a stamp of kind MTIME (any number) or SECONDS (a whole one) holds. */
static void read_stamp_time(struct json_line *l, struct wp_stamp *s)
{
    const json_t *v = json_object_get(l->object, "mtime");

    if (!json_is_number(v) || (s->kind == WP_STAMP_SECONDS && !json_is_integer(v)))
        json_line_wrong(l, "\"mtime\" of the stamp is not a number of its kind");
    s->mtime = json_number_value(v);
}

static void read_stamp(struct json_line *l, struct wp_stamp *s)
{
    const char *kind = NULL;
    int number;

    if (json_line_plain(l, "kind", JSON_REQUIRED, &kind) <= 0)
        return;
    /* Later versions of Numba stamp in other ways: not known is an answer. */
    number = manifest_name_index(&manifest_stamp_names, kind);
    s->kind = number < 0 ? WP_STAMP_UNKNOWN : (enum wp_stamp_kind)number;
    if (s->kind == WP_STAMP_MTIME || s->kind == WP_STAMP_SECONDS) {
        read_stamp_time(l, s);
        json_line_uint(l, "size", INT64_MAX, JSON_REQUIRED, &s->size);
    } else if (s->kind == WP_STAMP_CONTENT && read_digest(l, s->sha256) == 0)
        json_line_wrong(l, "\"sha256\" is missing");
}

static void read_uses(struct json_line *l, struct manifest_set *s, uint64_t number)
{
    const json_t *list = json_object_get(l->object, "uses");

    if (list && !json_is_array(list))
        json_line_wrong(l, "\"uses\" is not an array");
    else if (list)
        json_line_numbers(l, list, number, "\"uses\" holds what is no number of an earlier set",
                          &s->uses, &s->use_count);
}

static int read_set(struct json_line *l, struct manifest_set *s, uint64_t number)
{
    json_line_list(l, "depends", JSON_OPTIONAL, &s->files, &s->file_count);
    for (size_t i = 0; i < s->file_count; i++)
        if (!manifest_path_is_canonical(s->files[i]))
            json_line_wrong(l, "\"depends\" holds what is no clean path");
    read_uses(l, s, number);
    if (!s->file_count && !s->use_count)
        json_line_wrong(l, "a set without files");
    json_line_list(l, "outside", JSON_OPTIONAL, &s->outside, &s->outside_count);
    return l->status;
}

static int add_set(struct records *r, struct json_line *l)
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
    if (array_add(m->sets, m->set_count, (struct manifest_set){0}) < 0)
        return json_line_nomem(l);
    return read_set(l, &m->sets[m->set_count - 1], number);
}

static int read_index(struct json_line *l, struct manifest_index *i)
{
    struct json_line stamp;
    uint64_t depends = 0;

    read_path(l, "index", JSON_REQUIRED, false, &i->index);
    read_path(l, "source", JSON_OPTIONAL, false, &i->source);
    json_line_bool(l, "valid", JSON_REQUIRED, &i->valid);
    json_line_text(l, "status", JSON_OPTIONAL, &i->status);
    json_line_text(l, "reason", JSON_OPTIONAL, &i->reason);
    json_line_text(l, "numba", JSON_OPTIONAL, &i->numba);
    i->has_cpus = builds_read_cpus(l, &i->cpus) > 0;
    builds_read_index(l, i);
    i->has_depends = json_line_uint(l, "depends", UINT32_MAX, JSON_OPTIONAL, &depends) > 0;
    i->depends = (uint32_t)depends;
    json_line_bool(l, "svml", JSON_OPTIONAL, &i->svml);
    stamp = *l;
    stamp.object = json_object_get(l->object, "stamp"); /* borrowed: not cleared */
    i->has_stamp = stamp.object != NULL;
    if (!i->has_stamp)
        return l->status;
    if (!json_is_object(stamp.object))
        return json_line_wrong(l, "\"stamp\" is not an object");
    read_stamp(&stamp, &i->stamp);
    return stamp.status;
}

static int add_index(struct records *r, struct json_line *l)
{
    struct manifest *m = &r->m;
    struct manifest_index *i;
    int result;

    if (array_grow(m->indexes, m->index_count) < 0)
        return json_line_nomem(l);
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

int records_read_header(struct manifest *m, struct json_line *l)
{
    const char *format = NULL;
    int r = json_line_plain(l, "format", JSON_OPTIONAL, &format);

    if (r == 0 || (r > 0 && strcmp(format, MANIFEST_FORMAT) != 0))
        json_line_wrong(l, "not the first line of a " MANIFEST_FORMAT);
    json_line_version(l, MANIFEST_VERSION);
    json_line_text(l, "creator", JSON_REQUIRED, &m->creator);
    json_line_texts(l, "root", "roots", &m->roots, &m->root_count);
    for (size_t i = 0; i < m->root_count; i++)
        if (m->roots[i][0] != '/')
            json_line_wrong(l, "a root is not absolute");
    read_path(l, "home", JSON_OPTIONAL, false, &m->home);
    json_line_pairs(l, "env", &m->env, &m->env_count);
    json_line_pairs(l, "distributions", &m->distributions, &m->distribution_count);
    json_line_list(l, "numba_users", JSON_OPTIONAL, &m->numba_users, &m->numba_user_count);
    builds_read(l, m);
    json_line_text(l, "command", JSON_OPTIONAL, &m->command);
    if (json_line_has(l, "cpu") || json_line_has(l, "cpus")) {
        json_line_texts(l, "cpu", "cpus", &m->cpus, &m->cpu_count);
        if (m->cpu_count > MANIFEST_CPUS_MOST)
            json_line_wrong(l, "more than %d CPUs", MANIFEST_CPUS_MOST);
        needs_read(l, m);
    }
    return l->status;
}
