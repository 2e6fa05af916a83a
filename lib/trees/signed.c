/* Compares the files and caches of a tree with its signed manifests. */

#include "signed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "numba/caches.h"
#include "numba/compiled.h"
#include "numba/index_write.h"
#include "numba/key.h"
#include "tree/behind.h"
#include "tree/beneath.h"

/* A tree may have as many indexes as its manifests have lines about them. */
static int list_lines(struct trees_signed *s, struct wp_error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < s->trees->count; i++)
        count += s->trees->list[i].m.index_count;
    s->lines = calloc(count + 1, sizeof *s->lines);
    if (!s->lines)
        return error_nomem(err);
    for (size_t i = 0; i < s->trees->count; i++) {
        const struct manifest *m = &s->trees->list[i].m;

        for (size_t k = 0; k < m->index_count; k++)
            s->lines[s->line_count++] = (struct trees_signed_line){
                .name = path_base(m->indexes[k].index), .tree = i, .line = &m->indexes[k]};
    }
    qsort(s->lines, s->line_count, sizeof *s->lines, path_compare);
    return 0;
}

int trees_signed_begin(struct trees_signed *s, const struct trees *trees, struct wp_error *err)
{
    int r = 0;

    *s = (struct trees_signed){.trees = trees};
    if (trees->damaged_count)
        return error_set(err, EKEYREJECTED, NULL, "%s", trees->damaged[0].message);
    if (!trees->count)
        return error_set(err, EKEYREJECTED, trees->dir,
                         "has no manifest, and so nothing says who packed it");
    s->originals = calloc(trees->count, sizeof *s->originals);
    if (!s->originals)
        return error_nomem(err);
    for (size_t i = 0; i < trees->count && r == 0; i++) {
        const struct tree_manifest *t = &trees->list[i];

        if (t->has_state)
            r = originals_read(&s->originals[i], t->state_text.data, t->state_text.size, t->name,
                               err);
    }
    return r < 0 ? r : list_lines(s, err);
}

void trees_signed_clear(struct trees_signed *s)
{
    for (size_t i = 0; s->originals && i < s->trees->count; i++)
        originals_clear(&s->originals[i]);
    free(s->originals);
    free(s->lines);
    *s = (struct trees_signed){0};
}

int trees_has_signature(const struct wp_context *context, const char *dir, struct wp_error *err)
{
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct trees trees = {.dir = dir, .fd = fd, .context = context};
    _cleanup_(path_list_clear) struct path_list homes = {0};
    int r = fd < 0 ? -errno : trees_homes(fd, MANIFEST_DIR, &homes);

    if (r < 0)
        r = error_set(err, -r, dir, "cannot look for manifests in it");
    for (size_t i = 0; i < homes.count && r == 0; i++) {
        _cleanup_(tree_manifest_clear) struct tree_manifest t = {.foreign = -1};

        r = tree_manifest_and_state_read(&trees, &t, homes.v[i], err);
        r = r < 0 ? r : r > 0 && t.m.signature_count;
    }
    return r;
}

/* ---- Files ------------------------------------------------------------------------------- */

/* Has file PATH beneath FD the digest of E? 1; 0: it has not; -ENOENT: it is not there. */
static int has_content(int fd, const char *path, const struct entry *e)
{
    _cleanup_close_ int file = beneath_open_read(fd, path);
    struct stat st;

    if (file < 0)
        return error_is_absence(file) ? -ENOENT : file;
    if (fstat(file, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && e->has_sha256 ? sha256_file_is(file, e->sha256) : 0;
}

/* The file that E is, or has the content of as a hard link; NULL: there is none. */
static const struct entry *file_of(const struct tree_manifest *t, const struct entry *e)
{
    const struct entry *file = e && e->type == ENTRY_HARDLINK ? manifest_find(&t->m, e->target) : e;

    return file && file->type == ENTRY_FILE ? file : NULL;
}

/* A wheel's RECORD, which has no digest, is no code, and installers write it anew. */
static bool is_checked(const struct tree_manifest *t, const struct entry *e)
{
    const struct entry *file = file_of(t, e);

    return file && !e->absent && !file->absent && file->has_sha256 && !caches_is_part(e->path) &&
           own_home_at(e->path) < 0;
}

/* Python writes a compiled file anew where its source has got another time, and a restamp of ours
 * does that, too. Is the one at PATH, but for that time, the one that was packed as E? 1; 0: it is
 * not; negative errno. */
static int is_recompiled(const struct trees_signed *s, const struct tree_manifest *t,
                         const char *path, const struct entry *e)
{
    _cleanup_free_ char *name = compiled_source(e->path);
    const struct entry *source = name ? manifest_find(&t->m, name) : NULL;
    _cleanup_buf_ struct buf text = {0};
    int r;

    if (!source)
        return name || !errno ? 0 : -ENOMEM;
    r = beneath_read(s->trees->fd, path, COMPILED_LARGEST, &text, NULL);
    if (r < 0)
        return r;
    if (text.size < sizeof(struct compiled_header))
        return 0;
    compiled_set_mtime(&text, source->mtime);
    return sha256_is(text.data, text.size, e->sha256);
}

static int check_file(const struct trees_signed *s, const struct tree_manifest *t,
                      const struct entry *e, trees_signed_changed *changed, void *ctx,
                      struct wp_error *err)
{
    bool gone = false;
    _cleanup_free_ char *path = tree_path(t, e->path, &gone);
    const bool is_compiled = path_has_suffix(e->path, ".pyc");
    const struct entry *of = file_of(t, e);
    struct entry file = of ? *of : *e;
    int r;

    file.path = e->path;
    r = path ? has_content(s->trees->fd, path, &file) : gone ? 1 : -ENOMEM;
    if (r == 0 && is_compiled)
        r = is_recompiled(s, t, path, &file);
    if (r == 0)
        r = changed(ctx, t, &file, path);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (error_is_absence(r) || r > 0)
        return 0;
    return r < 0 ? error_set(err, -r, path, "cannot be read")
                 : error_set(err, EKEYREJECTED, path, "is not what was packed and signed%s",
                             is_compiled ? "; where it is removed, Python compiles it again" : "");
}

/* The name in the tree of E, if that is checked. 1, allocated; 0: it has none; -ENOMEM. */
static int name_checked(const struct tree_manifest *t, const struct entry *e, char **name)
{
    bool gone = !is_checked(t, e);

    *name = gone ? NULL : tree_path(t, e->path, &gone);
    return *name ? 1 : gone ? 0 : -ENOMEM;
}

/* The names in the tree of all that is checked. 0 or -ENOMEM. */
static int list_names(const struct tree_manifest *t, struct path_list *names)
{
    for (size_t k = 0; k < t->m.entry_count; k++) {
        char *name;
        int r = name_checked(t, &t->m.entries[k], &name);

        if (r > 0)
            r = path_list_add(names, name);
        if (r < 0)
            return r;
    }
    path_list_sort(names);
    return 0;
}

/* The state, which nobody has signed, says of how many components names were stripped. A forged one
 * would have nothing looked at, or not where it lies: what lies there by its whole name, which no
 * other file has, was not stripped; nor was what Python finds there through a symbolic link. */
static int check_strip(const struct trees_signed *s, const struct tree_manifest *t,
                       struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list names = {0};
    struct tree_manifest whole = *t;

    whole.strip = path_depth(t->prefix);
    if (!t->has_state || t->strip <= whole.strip)
        return 0;
    if (list_names(t, &names) < 0)
        return error_nomem(err);
    for (size_t k = 0; k < t->m.entry_count; k++) {
        _cleanup_free_ char *path = NULL;
        struct stat st;
        int r = name_checked(&whole, &t->m.entries[k], &path);

        if (r < 0)
            return error_nomem(err);
        if (r > 0)
            r = beneath_look(s->trees->fd, path, &st);
        if (r == 0 && path)
            r = behind_look(s->trees->fd, path, &st);
        if (r < 0)
            return error_set(err, -r, path, "cannot be looked at");
        if (r > 0 && !path_list_has(&names, path))
            return error_set(err, EKEYREJECTED, path,
                             "has its whole name, though the state beside the manifest says that "
                             "%u components were stripped of it",
                             t->strip);
    }
    return 0;
}

int trees_signed_files(const struct trees_signed *s, trees_signed_changed *changed, void *ctx,
                       struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < s->trees->count; i++) {
        const struct tree_manifest *t = &s->trees->list[i];

        r = r == 0 ? check_strip(s, t, err) : r;
        for (size_t k = 0; k < t->m.entry_count && r == 0; k++) {
            r = context_check(s->trees->context, err);
            if (r == 0 && is_checked(t, &t->m.entries[k]))
                r = check_file(s, t, &t->m.entries[k], changed, ctx, err);
        }
    }
    return r;
}

/* ---- Indexes ----------------------------------------------------------------------------- */

/* Is index I the one that was packed as E, with STAMP, but for its stamp? 1, 0 or -ENOMEM. */
static int is_restamped(const struct index *i, const struct entry *e, const struct wp_stamp *stamp)
{
    _cleanup_buf_ struct buf text = {0};
    int r;

    if (sha256_is(i->text, i->size, e->sha256))
        return 1;
    if (i->stamp.kind != stamp->kind)
        return 0;
    r = index_restamp(i, i->text, i->size, stamp, &text, NULL);
    return r == -ENOMEM ? r : r == 0 && sha256_is(text.data, text.size, e->sha256);
}

/* The number in WAS of the overload with data file DATA; WAS->count: none. */
static size_t find_data(const struct index *was, const char *data)
{
    size_t i = 0;

    while (i < was->count && strcmp(was->overloads[i].data, data) != 0)
        i++;
    return i;
}

/* Adds to W overload O as it was in WAS, with the CPU that its key says now. */
static int add_as_now(struct index_writer *w, const struct index *was,
                      const struct index_overload *o)
{
    const size_t which = find_data(was, o->data);
    _cleanup_(key_clear) struct wp_overload key = {0};
    struct index_cpu cpu;
    int r;

    if (which == was->count)
        return -ENOTSUP;
    if (pickle_equal(was->overloads[which].key, o->key) == 1)
        return index_writer_add(w, was, which, NULL, NULL, NULL);
    r = key_read_cpu(&key, o->key);
    if (r < 0 || !key.cpu || !key.features)
        return r < 0 ? r : -ENOTSUP;
    cpu = (struct index_cpu){.name = key.cpu, .features = key.features};
    return index_writer_add(w, was, which, &cpu, NULL, NULL);
}

/* Is NOW what retargeting makes of TEXT, an index as it was, maybe without some overloads? 1, 0 or
 * -ENOMEM. */
static int is_made_of(const struct index *now, const struct buf *text)
{
    _cleanup_(index_clear) struct index was = {0};
    _cleanup_buf_ struct buf made = {0};
    struct index_writer *w = NULL;
    int r = index_read(&was, text->data, text->size, NULL);

    if (r == 0)
        r = index_writer_new(&w, &was, NULL);
    for (size_t i = 0; i < now->count && r == 0; i++)
        r = add_as_now(w, &was, &now->overloads[i]);
    if (r == 0)
        r = index_writer_finish(w, &made, NULL);
    index_writer_free(w);
    if (r != 0)
        return r == -ENOMEM ? r : 0;
    return made.size == now->size && memcmp(made.data, now->text, now->size) == 0;
}

/* Is NOW the index of LINE, packed as E, with keys of another CPU? It is made again from what the
 * state keeps, which must be what was packed, and compared to the byte. 1, 0 or -ENOMEM. */
static int is_retargeted(const struct index *now, const struct manifest_original *original,
                         const struct manifest_index *line, const struct entry *e)
{
    _cleanup_(index_clear) struct index was = {0};
    _cleanup_buf_ struct buf stamped = {0};
    int r = original ? index_read(&was, original->text.data, original->text.size, NULL) : -EINVAL;

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    r = is_restamped(&was, e, &line->stamp);
    if (r <= 0)
        return r;
    if (was.stamp.kind != now->stamp.kind)
        return 0;
    r = is_made_of(now, &original->text);
    if (r != 0) /* to the byte, with its stamp */
        return r;
    r = index_restamp(&was, original->text.data, original->text.size, &now->stamp, &stamped, NULL);
    return r == -ENOMEM ? r : r < 0 ? 0 : is_made_of(now, &stamped);
}

/* Have the data files of NOW, in directory FD, the content that was packed beside LINE's index? */
static int has_data(const struct tree_manifest *t, const struct manifest_index *line,
                    const struct index *now, int fd)
{
    _cleanup_free_ char *dir = path_dir(line->index);

    for (size_t i = 0; dir && i < now->count; i++) {
        _cleanup_free_ char *path = path_join(dir, now->overloads[i].data);
        const struct entry *e = path ? file_of(t, manifest_find(&t->m, path)) : NULL;
        int r = !path ? -ENOMEM : e ? has_content(fd, now->overloads[i].data, e) : 0;

        if (r <= 0 && !error_is_absence(r)) /* what is not there is not loaded */
            return r;
    }
    return dir ? 1 : -ENOMEM;
}

/* Is NOW the index of LINE? 1, 0 or negative errno. */
static int is_of_line(const struct trees_signed *s, size_t tree, const struct manifest_index *line,
                      const struct index *now, int fd)
{
    const struct tree_manifest *t = &s->trees->list[tree];
    const struct entry *e = manifest_find(&t->m, line->index);
    int r;

    if (!e || e->type != ENTRY_FILE || !e->has_sha256 || !line->has_stamp)
        return 0;
    r = is_restamped(now, e, &line->stamp);
    if (r == 0)
        r = is_retargeted(now, originals_find(&s->originals[tree], line->index), line, e);
    return r > 0 ? has_data(t, line, now, fd) : r;
}

/* Is SOURCE the place in the tree of what ARCHIVED is called, or of a hard link to that? The caches
 * of such a link are hard links, too, and have no lines. 1, 0 or -ENOMEM. */
static int is_place_of(const struct tree_manifest *t, const char *archived, const char *source)
{
    bool gone = false, found = false;
    _cleanup_free_ char *own = tree_path(t, archived, &gone);

    if (own ? strcmp(own, source) == 0 : !gone)
        return own ? 1 : -ENOMEM;
    for (size_t k = 0; k < t->m.entry_count && !found; k++) {
        const struct entry *e = &t->m.entries[k];
        _cleanup_free_ char *path = NULL;

        if (e->type != ENTRY_HARDLINK || strcmp(e->target, archived) != 0)
            continue;
        path = tree_path(t, e->path, &gone);
        if (!path && !gone)
            return -ENOMEM;
        found = path && strcmp(path, source) == 0;
    }
    return found;
}

/* Is NOW, called NAME, of SOURCE, one that a manifest has? 1, 0 or negative errno. */
static int is_known(const struct trees_signed *s, const char *source, const char *name,
                    const struct index *now, int fd)
{
    size_t i = array_first(k, s->line_count, strcmp(s->lines[k].name, name) < 0);

    for (; i < s->line_count && strcmp(s->lines[i].name, name) == 0; i++) {
        const struct trees_signed_line *l = &s->lines[i];
        int r =
            l->line->source ? is_place_of(&s->trees->list[l->tree], l->line->source, source) : 0;

        if (r > 0)
            r = is_of_line(s, l->tree, l->line, now, fd);
        if (r != 0)
            return r;
    }
    return 0;
}

int trees_signed_index(const struct trees_signed *s, const char *source, int fd, const char *name,
                       const char *shown, struct wp_error *err)
{
    _cleanup_(index_clear) struct index now = {0};
    _cleanup_buf_ struct buf text = {0};
    int r = beneath_read(fd, name, INDEX_LARGEST, &text, NULL);

    if (r == 0)
        r = index_read(&now, text.data, text.size, NULL);
    if (r == 0)
        r = source ? is_known(s, source, name, &now, fd) : 0;
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 && r != -EINVAL && r != -ENOTSUP)
        return error_set(err, -r, shown, "cannot be compared with what was signed");
    return r > 0 ? 0
                 : error_set(err, EKEYREJECTED, shown,
                             "is not a cache that was packed and signed, with its code");
}
