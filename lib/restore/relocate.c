/* Lets a virtual environment run where it is now: the interpreter's path in scripts, and the paths
 * in pyvenv.cfg, .pth files and what activates it, become those of the new place. RECORD, which has
 * digests of some of them, is mended first, so that the next run completes one that was killed. */

#include "relocate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"
#include "relocate_private.h"
#include "tree/beneath.h"

enum { LARGEST = 4 << 20 };

static void environment_clear(struct environment *env)
{
    for (size_t i = 0; i < env->count; i++) {
        free(env->files[i].path);
        buf_free(&env->files[i].text);
    }
    free(env->files);
    free(env->paths);
    path_list_clear(&env->kept);
}

/* ---- Old and new paths ------------------------------------------------------------------- */

/* Takes FROM and TO over. */
static int add_paths(struct environment *env, char *from, char *to)
{
    int r = path_list_add(&env->kept, from);

    if (path_list_add(&env->kept, to) < 0 || r < 0)
        return -ENOMEM;
    if (strcmp(from, to) == 0 || strcmp(from, "/") == 0)
        return 0;
    for (size_t i = 0; i < env->path_count; i++)
        if (strcmp(env->paths[i].from, from) == 0)
            return 0;
    if (array_grow(env->paths, env->path_count) < 0)
        return -ENOMEM;
    env->paths[env->path_count++] = (struct relocate_paths){.from = from, .to = to};
    return 0;
}

/* The first components of DIR, as many as are stripped, or one: all below them moves with them.
 * Allocated. */
static char *top_of(const struct environment *env)
{
    unsigned left = env->r->t->strip ? env->r->t->strip : 1;
    size_t n = 0;

    while (env->dir[n] && (env->dir[n] != '/' || --left))
        n++;
    return strndup(env->dir, n);
}

/* Finds where it was when packed, and where repairs and unpackings have had it since. */
static int find_paths(struct environment *env)
{
    const struct relocation *r = env->r;
    _cleanup_free_ char *top = top_of(env);
    bool gone = false;
    _cleanup_free_ char *here = top ? tree_dir_path(r->t, top, &gone) : NULL;
    const char *below;

    if (gone)
        return 0;
    if (!here)
        return -ENOMEM;
    for (size_t i = 0; i < r->t->m.root_count; i++)
        if (add_paths(env, path_append(r->t->m.roots[i], top), path_append(r->now, here)) < 0)
            return -ENOMEM;
    below = path_from(here, r->t->base);
    for (char **old = r->t->old_bases; old && *old && !r->packed_only; old++)
        if (add_paths(env, path_append(*old, below), path_append(r->now, here)) < 0)
            return -ENOMEM;
    return 0;
}

/* ---- Files ------------------------------------------------------------------------------- */

static bool is_directly_in(const char *path, const char *dir)
{
    const size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

/* "lib/python3.11/site-packages/NAME", or Debian's "lib/python3/dist-packages/NAME" */
static bool is_in_site(const char *path)
{
    _cleanup_free_ char *site = path_dir(path), *python = site ? path_dir(site) : NULL;

    return python &&
           (strcmp(path_base(site), "site-packages") == 0 ||
            strcmp(path_base(site), "dist-packages") == 0) &&
           strncmp(path, "lib", 3) == 0 && strncmp(path_base(python), "python", 6) == 0;
}

enum kind relocate_kind_of(const struct environment *env, const struct entry *e)
{
    const char *path, *name = path_base(e->path);

    if ((e->type != ENTRY_FILE && e->type != ENTRY_HARDLINK) || e->absent ||
        !path_is_under(e->path, env->dir))
        return KIND_NONE;
    path = path_from(e->path, env->dir);
    if (strcmp(path, "pyvenv.cfg") == 0)
        return KIND_TEXT;
    if (is_directly_in(path, "bin"))
        return strncmp(name, "activate", 8) == 0   ? KIND_SHELL
               : strncmp(name, "Activate", 8) == 0 ? KIND_TEXT
                                                   : KIND_SCRIPT;
    return (path_has_suffix(path, ".pth") || path_has_suffix(path, ".egg-link")) && is_in_site(path)
               ? KIND_TEXT
               : KIND_NONE;
}

/* TEXT as it is for PATHS, all of them one after the other. The number replaced. */
static int rewrite(const struct relocate_paths *paths, size_t count, enum kind kind, bool back,
                   const struct buf *text, struct buf *out)
{
    int (*const change)(const struct relocate_paths *, const char *, size_t, struct buf *) =
        kind == KIND_TEXT    ? relocate_all
        : kind == KIND_SHELL ? relocate_shell
                             : relocate_script;
    int sum = 0;

    buf_clear(out);
    if (buf_add(out, text->data, text->size) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct relocate_paths p = {.from = back ? paths[i].to : paths[i].from,
                                         .to = back ? paths[i].from : paths[i].to};
        struct buf next = {0};
        int r = change(&p, (char *)out->data, out->size, &next);

        if (r < 0) {
            buf_free(&next);
            return r;
        }
        buf_free(out);
        *out = next;
        sum += r;
    }
    return sum;
}

/* Does TEXT, of any content, hold one of the old paths? */
static bool holds_old(const struct environment *env, const struct buf *text)
{
    for (size_t i = 0; text->data && i < env->path_count; i++)
        if (memmem(text->data, text->size, env->paths[i].from, strlen(env->paths[i].from)) &&
            !memmem(text->data, text->size, env->paths[i].to, strlen(env->paths[i].to)))
            return true;
    return false;
}

/* Names what keeps its old path. */
static void tell(const struct environment *env, const char *path, const char *why)
{
    report(env->r->context, WP_WARNING, path,
           "holds a path of where the environment was, and %s: it stays as it is", why);
}

int relocate_read(const struct relocation *r, const char *path, size_t most, struct buf *text,
                  struct stat *st)
{
    int e = beneath_read(r->fd, path, most, text, st);

    return e == 0 ? 1 : beneath_is_no_file(e) ? 0 : e;
}

static int check_link(const struct environment *env, const struct entry *e)
{
    for (size_t i = 0; i < env->path_count; i++)
        if (path_is_under(e->target, env->paths[i].from)) {
            tell(env, e->path, "is a symbolic link");
            return 0;
        }
    return 0;
}

/* A module of site-packages may find the code of an editable installation by the old path. With
 * another path in it, Python could take what was compiled of it before for its own. */
static int check_module(const struct environment *env, const struct entry *e)
{
    const char *path = path_from(e->path, env->dir);
    _cleanup_buf_ struct buf text = {0}, other = {0};
    _cleanup_free_ char *here = NULL;
    bool gone = false;
    int r;

    if (e->absent || !path_has_suffix(path, ".py") || !is_in_site(path))
        return 0;
    here = tree_path(env->r->t, e->path, &gone);
    if (!here)
        return gone ? 0 : -ENOMEM;
    r = relocate_read(env->r, here, LARGEST, &text, NULL);
    if (r > 0)
        r = rewrite(env->paths, env->path_count, KIND_TEXT, false, &text, &other);
    if (r > 0)
        tell(env, here, "is a module");
    return r == -EACCES || r > 0 ? 0 : r;
}

bool relocate_may_replace(const struct environment *env, const char *path)
{
    const char *name;
    _cleanup_close_ int dir = beneath_parent(env->r->fd, path, &name);

    return dir < 0 || faccessat(dir, ".", W_OK, AT_EACCESS) == 0 ||
           (errno != EROFS && errno != EACCES && errno != EPERM);
}

/* NOW is a script whose interpreter has its new path. Elsewhere the old one could mean anything. */
static int check_rest(const struct environment *env, const char *path, const struct buf *now)
{
    _cleanup_buf_ struct buf other = {0};
    int r = rewrite(env->paths, env->path_count, KIND_TEXT, false, now, &other);

    if (r > 0)
        report(env->r->context, WP_WARNING, path,
               "holds a path of where the environment was, and not to name its interpreter: that "
               "stays as it is");
    return r < 0 ? r : 0;
}

/* Takes E into the environment's files, if its text is to be another. */
static int look_at(struct environment *env, const struct entry *e)
{
    const enum kind kind = relocate_kind_of(env, e);
    struct rewritten f = {.e = e};
    _cleanup_buf_ struct buf text = {0};
    bool gone = false;
    int r;

    if (kind == KIND_NONE)
        return !path_is_under(e->path, env->dir) ? 0
               : e->type == ENTRY_SYMLINK        ? check_link(env, e)
                                                 : check_module(env, e);
    f.path = tree_path(env->r->t, e->path, &gone);
    if (!f.path)
        return gone ? 0 : -ENOMEM;
    r = relocate_read(env->r, f.path, LARGEST, &text, &f.like);
    if (r == -EACCES) {
        report(
            env->r->context, WP_WARNING, f.path,
            "cannot be read, and may hold a path of where the environment was: it stays as it is");
        r = 0;
    }
    if (r > 0 && memchr(text.data ? (char *)text.data : "", '\0', text.size)) {
        if (holds_old(env, &text))
            tell(env, f.path, "is no text");
        r = 0;
    }
    if (r > 0)
        r = rewrite(env->paths, env->path_count, kind, false, &text, &f.text);
    if (r >= 0 && kind == KIND_SCRIPT && f.text.size && check_rest(env, f.path, &f.text) < 0)
        r = -ENOMEM;
    if (r == -EINVAL) {
        tell(env, f.path, "no script can name the new one");
        r = 0;
    }
    if (r > 0 && !relocate_may_replace(env, f.path)) {
        tell(env, f.path, "its directory cannot be written to");
        r = 0;
    }
    if (r > 0 && array_grow(env->files, env->count) < 0)
        r = -ENOMEM;
    if (r > 0) {
        sha256_of(f.text.data, f.text.size, f.sha256);
        env->files[env->count++] = f;
        return 0;
    }
    free(f.path);
    buf_free(&f.text);
    return r;
}

/* ---- The environment --------------------------------------------------------------------- */

static int write_all(struct environment *env, struct wp_error *err)
{
    const struct manifest *m = &env->r->t->m;

    for (size_t i = 0; i < m->entry_count; i++) {
        int r =
            relocate_is_record(env, &m->entries[i]) ? relocate_mend_record(env, &m->entries[i]) : 0;

        if (r < 0)
            return error_set(err, -r, m->entries[i].path, "cannot be mended");
    }
    for (size_t i = 0; i < env->count; i++) {
        const struct rewritten *f = &env->files[i];
        int r = restamp_replace(env->r->fd, f->path, f->text.data, f->text.size, &f->like,
                                &f->like.st_mtim);

        if (r < 0)
            return error_set(err, -r, f->path, "cannot be rewritten for its new place");
        report(env->r->context, WP_DETAIL, f->path, "is rewritten for its new place");
    }
    return 0;
}

static bool is_digest(const struct buf *text, const struct entry *e)
{
    return e->has_sha256 && sha256_is(text->data, text->size, e->sha256);
}

/* Is NOW, which holds the new paths alone, what E was with its old one, which may be the same? */
static int was_packed(const struct environment *env, const struct entry *e, enum kind kind,
                      const struct buf *now)
{
    _cleanup_buf_ struct buf out = {0};

    if (is_digest(now, e))
        return 1;
    for (size_t i = 0; i < env->path_count; i++) {
        int r = rewrite(&env->paths[i], 1, kind, true, now, &out);

        if (r == -ENOMEM)
            return r;
        if (r >= 0 && is_digest(&out, e))
            return 1;
    }
    return 0;
}

/* Is the file that E became as it was packed, but for its paths? 1, 0 or -ENOMEM. */
static int is_same(const struct environment *env, const struct entry *e, const char *path)
{
    const bool record = relocate_is_record(env, e);
    const enum kind kind = relocate_kind_of(env, e);
    _cleanup_buf_ struct buf text = {0}, now = {0}, plain = {0};
    int r = record || kind != KIND_NONE
                ? relocate_read(env->r, path, record ? LARGEST_RECORD : LARGEST, &text, NULL)
                : 0;

    if (r == -EACCES) /* it is not known to be, and stays as it is */
        return 0;
    if (r <= 0 || memchr(text.data ? (char *)text.data : "", '\0', text.size))
        return r < 0 ? r : 0;
    if (record) {
        r = relocate_record_as_packed(env, e->path, &text, &now);
        return r < 0 ? r : is_digest(&now, e);
    }
    r = rewrite(env->paths, env->path_count, kind, false, &text, &now);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    r = was_packed(env, e, kind, &now);
    if (r == 0 && kind == KIND_SCRIPT)
        r = relocate_shorten((char *)now.data, now.size, &plain);
    return r > 0 && plain.size ? was_packed(env, e, KIND_TEXT, &plain) : r;
}

static int relocate(struct environment *env, struct relocation *r, struct wp_error *err)
{
    int e;

    for (size_t i = 0; i < r->t->m.entry_count; i++)
        if ((e = look_at(env, &r->t->m.entries[i])) < 0)
            return error_set(err, -e, r->t->m.entries[i].path, "cannot be looked at");
    r->count += env->count;
    for (size_t i = 0; i < env->count && r->dry_run; i++)
        report(r->context, WP_NOTE, env->files[i].path, "would be rewritten for its new place");
    if (!env->count || r->dry_run)
        return 0;
    if (r->restore && restore_may_change(r->restore) < 0)
        return -EAGAIN;
    return write_all(env, err);
}

/* Calls WHAT with each environment that has moved. */
static int each(struct relocation *r, struct wp_error *err,
                int (*what)(struct environment *env, struct relocation *r, struct wp_error *err))
{
    const struct manifest *m = &r->t->m;
    int e = 0;

    for (size_t i = 0; i <= m->entry_count && e == 0; i++) {
        const bool last = i == m->entry_count;
        const char *path = last ? "" : m->entries[i].path;
        _cleanup_free_ char *dir = last ? strdup(r->t->prefix) : path_dir(path);
        _cleanup_(environment_clear) struct environment env = {.r = r, .dir = dir};

        if (!dir)
            return error_nomem(err);
        if (last ? !r->always : strcmp(path_base(path), "pyvenv.cfg") != 0)
            continue;
        if (find_paths(&env) < 0)
            return error_nomem(err);
        if (env.path_count)
            e = what(&env, r, err);
    }
    return e;
}

int relocation_run(struct relocation *r, struct wp_error *err)
{
    return each(r, err, relocate);
}

/* ---- Asking about one file --------------------------------------------------------------- */

/* 1 ends the search. */
static int ask(struct environment *env, struct relocation *r, struct wp_error *err)
{
    (void)err;
    return is_same(env, r->asked, r->asked_path);
}

int relocation_knows(struct relocation *r, const struct entry *e, const char *path)
{
    r->asked = e;
    r->asked_path = path;
    return each(r, NULL, ask);
}

/* ---- Repairing --------------------------------------------------------------------------- */

static int mark(struct environment *env, struct relocation *r, struct wp_error *err)
{
    for (size_t i = 0; i < r->t->m.entry_count; i++) {
        struct restored *f = &r->repair->files[i];
        int same = f->status == RESTORED_CHANGED && f->path
                       ? is_same(env, &r->t->m.entries[i], f->path)
                       : 0;

        if (same < 0)
            return error_set(err, -same, f->path, "cannot be looked at");
        if (same)
            f->status = RESTORED_SAME;
    }
    return 0;
}

static struct relocation of(struct restore *restore, struct repair *repair)
{
    return (struct relocation){.context = restore->context,
                               .fd = restore->fd,
                               .t = repair->t,
                               .now = restore->roots[0],
                               .always = restore->o->relocate == WP_RELOCATE_ALWAYS,
                               .dry_run = restore->o->dry_run,
                               .restore = restore,
                               .repair = repair};
}

static bool wants(const struct restore *restore, const struct repair *repair)
{
    return restore->o->relocate != WP_RELOCATE_NEVER && !restore->grafting && repair->t->home &&
           !repair->t->info;
}

int restore_relocated(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct relocation r = of(restore, repair);

    return wants(restore, repair) ? each(&r, err, mark) : 0;
}

int restore_relocate(struct restore *restore, struct repair *repair, struct wp_error *err)
{
    struct relocation r = of(restore, repair);
    int e = wants(restore, repair) ? relocation_run(&r, err) : 0;

    restore->result->relocated += r.count;
    return e;
}
