/* Runs the job of retargeting the indexes of one tree. */

#include "retarget/retarget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "job.h"
#include "layout/restamp.h"
#include "numba/index_write.h"
#include "tree/beneath.h"

/* Comparisons of keys in one index: more is none of Numba's. */
enum { MOST_PAIRS = 1 << 20 };

/* An index as it is, and as it was before it was retargeted. */
struct loaded {
    struct buf now_text, was_text;
    struct index now, was;
};

static void loaded_clear(struct loaded *l)
{
    index_clear(&l->now);
    index_clear(&l->was);
    buf_free(&l->now_text);
    buf_free(&l->was_text);
}

/* 1; 0: it is not to be touched, as nothing would load from it, or nothing is known of it. */
static int load(const struct retarget_job *job, const struct manifest_originals *originals,
                const struct retarget_index *item, struct loaded *l, struct wp_error *err)
{
    struct wp_error why = {0};
    int r = beneath_read(item->fd, item->path, INDEX_LARGEST, &l->now_text, NULL);

    /* The state would forget how an index was that it has no line for. */
    if (r < 0 && r != -ENOMEM && !error_is_absence(r) && !file_is_unfit(r))
        return error_set(err, -r, item->shown, "cannot be read");
    if (r == 0)
        r = index_read(&l->now, l->now_text.data, l->now_text.size, NULL);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0 || (item->has_source &&
                  stamp_matches(&l->now.stamp, item->mtime, item->size, item->sha256) == 0))
        return 0;
    r = original_find(job, item, originals_find(originals, item->archived), &l->now, &l->was_text,
                      &why);
    if (r == 0)
        r = index_read(&l->was, l->was_text.data, l->was_text.size, &why);
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r < 0)
        report(job->context, WP_WARNING, item->shown, "is left as it is: %s", why.message);
    return r == 0;
}

/* ---- What becomes of one ----------------------------------------------------------------- */

/* What is to be done with the overloads of an index. */
struct choice {
    bool *chosen; /* its key becomes WHO's; owned */
    bool *loads;  /* WHO's Numba loads it then; owned */
    bool any;
};

static void choice_clear(struct choice *c)
{
    free(c->chosen);
    free(c->loads);
}

/* Does one of the overloads for which LOADS is set say the same as number WHICH, but for the CPU?
 * 1, 0 or negative errno. */
static int has_alike(const struct index *index, const bool *loads, size_t which)
{
    for (size_t i = 0; i < index->count; i++) {
        int r = i != which && loads[i]
                    ? key_is_alike(index->overloads[i].key, index->overloads[which].key)
                    : 0;

        if (r != 0)
            return r;
    }
    return 0;
}

/* What is for WHO's CPU already stays, and so does what is alike. */
static int choose(const struct index *index, const struct builds *builds, struct choice *c)
{
    _cleanup_free_ const struct build **of = calloc(index->count + 1, sizeof *of);

    *c = (struct choice){.chosen = calloc(index->count + 1, sizeof *c->chosen),
                         .loads = calloc(index->count + 1, sizeof *c->loads)};
    if (!of || !c->chosen || !c->loads)
        return -ENOMEM;
    if (index->count > MOST_PAIRS / index->count)
        return -ENOTSUP;
    for (size_t i = 0; i < index->count; i++) {
        _cleanup_(key_clear) struct wp_overload key = {0};

        if (!key_is_for_cpu(index->overloads[i].key))
            continue;
        if (key_read_cpu(&key, index->overloads[i].key) < 0)
            return -ENOMEM;
        of[i] = builds_find(builds, &key);
        c->loads[i] = of[i] && of[i]->is_native;
    }
    for (size_t i = 0; i < index->count; i++) {
        int r;

        if (!of[i] || of[i] != builds->chosen || of[i]->is_native)
            continue;
        r = has_alike(index, c->loads, i);
        if (r < 0)
            return r;
        c->chosen[i] = r == 0;
        c->any |= r == 0;
    }
    for (size_t i = 0; i < index->count; i++)
        c->loads[i] |= c->chosen[i];
    return 0;
}

static int count(struct wp_retarget_result *result, const struct index *index,
                 const struct choice *c)
{
    for (size_t i = 0; i < index->count; i++) {
        int alike;

        if (!key_is_for_cpu(index->overloads[i].key))
            continue;
        alike = c->loads[i] ? 1 : has_alike(index, c->loads, i);
        if (alike < 0)
            return alike;
        result->overloads++;
        result->loads += c->loads[i];
        result->left += alike == 0;
    }
    return 0;
}

/* ---- Without what does not load ---------------------------------------------------------- */

static bool is_kept(const struct index *index, const struct choice *c, size_t which)
{
    return c->loads[which] || !key_is_for_cpu(index->overloads[which].key);
}

/* Appends to OUT the index without the overloads that do not load there. */
static int prune(const struct index *index, const struct choice *c, const struct index_cpu *cpu,
                 struct buf *out, struct wp_error *err)
{
    struct index_writer *w;
    int r = index_writer_new(&w, index, err);

    for (size_t i = 0; i < index->count && r == 0; i++)
        if (is_kept(index, c, i))
            r = index_writer_add(w, index, i, c->chosen[i] ? cpu : NULL, NULL, err);
    if (r == 0)
        r = index_writer_finish(w, out, err);
    index_writer_free(w);
    return r;
}

/* Does an overload that stays have data file NAME? */
static bool is_needed(const struct index *index, const struct choice *c, const char *name)
{
    for (size_t i = 0; i < index->count; i++)
        if (is_kept(index, c, i) && strcmp(index->overloads[i].data, name) == 0)
            return true;
    return false;
}

/* Notes the data files that nothing names then; only such as are called after the index. */
static int note_gone(struct retarget_index *item, const struct index *index, const struct choice *c)
{
    const char *base = path_base(item->path);
    struct index_name name;

    if (index_name_parse(base, &name) < 0)
        return 0;
    for (size_t i = 0; i < index->count; i++) {
        const char *data = index->overloads[i].data;
        size_t stem;

        if (is_needed(index, c, data) || !index_is_data_name(data, &stem) || stem != name.stem ||
            strncmp(data, base, stem) != 0)
            continue;
        if (array_grow(item->gone, item->gone_count) < 0 ||
            asprintf(&item->gone[item->gone_count], "%.*s%s", (int)(base - item->path), item->path,
                     data) < 0)
            return -ENOMEM;
        item->gone_count++;
    }
    return 0;
}

static int remove_gone(const struct retarget_index *item, struct wp_error *err)
{
    for (size_t i = 0; i < item->gone_count; i++) {
        int r = beneath_remove(item->fd, item->gone[i]);

        if (r < 0)
            return error_set(err, -r, item->gone[i], "cannot be removed");
    }
    return 0;
}

static void item_clear(struct retarget_index *item)
{
    buf_free(&item->text);
    for (size_t i = 0; i < item->gone_count; i++)
        free(item->gone[i]);
    free(item->gone);
}

/* Does anything go? */
static bool drops(const struct retarget_job *job, const struct builds *builds,
                  const struct index *index, const struct choice *c)
{
    bool all = true;

    for (size_t i = 0; i < index->count && c->loads; i++)
        all &= is_kept(index, c, i);
    return job->prune && builds->chosen && !all;
}

/* Appends to OUT what ITEM is to become. */
static int make(const struct retarget_job *job, const struct builds *builds,
                struct retarget_index *item, const struct loaded *l, struct buf *out,
                struct wp_error *err)
{
    const struct wp_python *python = job->who ? &job->who->probe.python : NULL;
    _cleanup_(choice_clear) struct choice c = {0};
    struct wp_error why = {0};
    int r = job->who && l->was.count ? choose(&l->was, builds, &c) : 0;

    if (r == 0 && c.loads)
        r = count(job->result, &l->was, &c);
    if (r == 0 && drops(job, builds, &l->was, &c)) {
        const struct index_cpu cpu = {.name = python->cpu, .features = python->features};

        r = prune(&l->was, &c, &cpu, out, &why);
        if (r == 0)
            r = note_gone(item, &l->was, &c);
    } else if (r == 0 && c.any) {
        const struct index_cpu cpu = {.name = python->cpu, .features = python->features};

        r = index_retarget(&l->was, c.chosen, &cpu, out, &why);
    } else if (r == 0) {
        r = buf_add(out, l->was_text.data, l->was_text.size);
    }
    if (r == -ENOMEM)
        return error_nomem(err);
    if (r == 0)
        return 0;
    report(job->context, WP_WARNING, item->shown, "is left as it is: %s",
           why.code ? why.message : "its keys are too many or too deep to be compared");
    return buf_add(out, l->now_text.data, l->now_text.size) < 0 ? error_nomem(err) : 0;
}

/* ---- All of them ------------------------------------------------------------------------- */

/* The lines of originals to come: while indexes are being written, and afterwards. */
struct lines {
    struct buf during, after;
    bool *seen; /* for each original that there was: its index was looked at; owned */
};

static void lines_clear(struct lines *l)
{
    buf_free(&l->during);
    buf_free(&l->after);
    free(l->seen);
}

static int check_kept(const struct lines *lines, int r, const char *name, struct wp_error *err)
{
    if (r == 0 && lines->during.size > STATE_LARGEST / 2)
        r = -EFBIG;
    return r == -EFBIG ? error_set(err, EFBIG, name, "cannot be kept as it was")
           : r < 0     ? error_nomem(err)
                       : 0;
}

static bool is_first(const struct retarget_job *job, size_t which)
{
    for (size_t i = 0; i < which; i++)
        if (job->indexes[i].is_loaded &&
            strcmp(job->indexes[i].archived, job->indexes[which].archived) == 0)
            return false;
    return true;
}

/* Keeps ITEM as it was, where it is another now or is to be. */
static int keep(const struct retarget_job *job, size_t which, const struct loaded *l,
                const struct buf *next, struct lines *lines, struct wp_error *err)
{
    const struct retarget_index *item = &job->indexes[which];
    int r = 0;

    if (!is_first(job, which)) /* it lies in several places */
        return 0;
    if (!buf_equals(&l->was_text, next))
        r = originals_write(&lines->after, item->archived, &l->was_text);
    if (r == 0 && !(buf_equals(&l->was_text, next) && buf_equals(&l->was_text, &l->now_text)))
        r = originals_write(&lines->during, item->archived, &l->was_text);
    return check_kept(lines, r, item->shown, err);
}

/* Keeps the originals of indexes that could not be looked at, or that do not fit now: a cache root
 * may be away for the moment, and a source may become again what it was. */
static int keep_others(const struct manifest_originals *originals, struct lines *lines,
                       struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < originals->count && r == 0; i++) {
        const struct manifest_original *o = &originals->list[i];

        if (lines->seen[i])
            continue;
        r = originals_write(&lines->during, o->index, &o->text);
        if (r == 0)
            r = originals_write(&lines->after, o->index, &o->text);
        r = check_kept(lines, r, o->index, err);
    }
    return r;
}

static int plan(struct retarget_job *job, const struct manifest_originals *originals,
                const struct builds *builds, struct lines *lines, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < job->count && r == 0; i++) {
        _cleanup_(loaded_clear) struct loaded l = {0};
        struct retarget_index *item = &job->indexes[i];
        const struct manifest_original *original;
        _cleanup_buf_ struct buf next = {0};

        r = context_check(job->context, err);
        if (r == 0)
            r = load(job, originals, item, &l, err);
        if (r <= 0)
            continue; /* an error ends the loop */
        original = originals_find(originals, item->archived);
        if (original)
            lines->seen[original - originals->list] = true;
        item->is_loaded = true;
        r = make(job, builds, item, &l, &next, err);
        if (r == 0)
            r = keep(job, i, &l, &next, lines, err);
        job->result->indexes++;
        if (r < 0 || buf_equals(&next, &l.now_text))
            continue;
        job->result->changed++;
        item->text = next;
        next = (struct buf){0};
        report(job->context, job->dry_run ? WP_NOTE : WP_DETAIL, item->shown,
               job->dry_run ? "its keys would be changed" : "its keys are changed");
    }
    return r;
}

static int gather(const struct retarget_job *job, const struct manifest_originals *originals,
                  struct builds *builds, struct wp_error *err)
{
    int r = 0;

    for (size_t i = 0; i < job->count && r >= 0 && job->who; i++) {
        _cleanup_(loaded_clear) struct loaded l = {0};

        r = context_check(job->context, err);
        if (r == 0)
            r = load(job, originals, &job->indexes[i], &l, err);
        if (r > 0)
            r = builds_add(builds, job, &l.was, err);
    }
    builds_choose(builds, job->m);
    return r < 0 ? r : 0;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* state.jsonl with these lines in the place of those that it has. */
static int put_state(const struct retarget_job *job, const struct buf *lines, struct buf *before,
                     struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};

    if (buf_add(&text, lines->data, lines->size) < 0 ||
        originals_leave_out(&text, job->state->data, job->state->size) < 0)
        return error_nomem(err);
    if (buf_equals(&text, before))
        return 0;
    buf_clear(before);
    if (buf_add(before, text.data, text.size) < 0)
        return error_nomem(err);
    return job->put_state(job->ctx, &text, err);
}

static int put_index(const struct retarget_index *item, struct wp_error *err)
{
    struct stat st;
    int r = beneath_stat(item->fd, item->path, &st);

    if (r == 0)
        r = restamp_replace(item->fd, item->path, item->text.data, item->text.size, &st, NULL);
    return r < 0 ? error_set(err, -r, item->shown, "cannot be written") : 0;
}

static int put_all(const struct retarget_job *job, const struct lines *lines, struct wp_error *err)
{
    _cleanup_buf_ struct buf before = {0};
    int r = buf_add(&before, job->state->data, job->state->size) < 0
                ? error_nomem(err)
                : put_state(job, &lines->during, &before, err);
    bool begun = r == 0;

    for (size_t i = 0; i < job->count && r == 0; i++) {
        r = context_check(job->context, err);
        if (r == 0 && job->indexes[i].text.size)
            r = put_index(&job->indexes[i], err);
    }
    if (r == 0)
        r = put_state(job, &lines->after, &before, err);
    for (size_t i = 0; i < job->count && r == 0; i++)
        r = remove_gone(&job->indexes[i], err);
    if (r < 0 && begun)
        error_note(err, "keys may have been changed before that, and the same again goes on");
    return r;
}

/* ---- The result -------------------------------------------------------------------------- */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int fill_result(const struct retarget_job *job, const struct builds *builds,
                       struct wp_error *err)
{
    struct wp_retarget_result *result = job->result;

    for (size_t i = 0; i < builds->count; i++) {
        const struct build *b = &builds->list[i];
        struct wp_retarget_build *out;

        if (array_grow(result->builds, result->build_count) < 0)
            return error_nomem(err);
        out = &result->builds[result->build_count++];
        *out = (struct wp_retarget_build){.triple = copy(b->triple),
                                          .cpu = copy(b->cpu),
                                          .features = copy(b->features),
                                          .reason = copy(b->why_not),
                                          .overloads = b->overloads,
                                          .is_native = b->is_native,
                                          .is_chosen = b == builds->chosen};
        if (!out->triple || !out->cpu || !out->features || (b->why_not && !out->reason))
            return error_nomem(err);
        if (b->why_not)
            report(job->context, WP_WARNING, NULL, "%zu overload%s for CPU %s stay%s as %s: %s",
                   b->overloads, b->overloads == 1 ? "" : "s", b->cpu, b->overloads == 1 ? "s" : "",
                   b->overloads == 1 ? "it is" : "they are", b->why_not);
    }
    return 0;
}

int retarget_run(struct retarget_job *job, struct wp_error *err)
{
    _cleanup_(originals_clear) struct manifest_originals originals = {0};
    _cleanup_(builds_clear) struct builds builds = {0};
    _cleanup_(lines_clear) struct lines lines = {0};
    int r = originals_read(&originals, job->state->data, job->state->size, job->name, err);

    if (r == 0 && !(lines.seen = calloc(originals.count + 1, sizeof *lines.seen)))
        r = error_nomem(err);
    if (r == 0)
        r = gather(job, &originals, &builds, err);
    if (r == 0)
        r = plan(job, &originals, &builds, &lines, err);
    if (r == 0)
        r = keep_others(&originals, &lines, err);
    if (r == 0)
        r = fill_result(job, &builds, err);
    if (r == 0 && !job->dry_run)
        r = put_all(job, &lines, err);
    for (size_t i = 0; i < job->count; i++)
        item_clear(&job->indexes[i]);
    return r;
}

void wp_retarget_result_clear(struct wp_retarget_result *r)
{
    for (size_t i = 0; i < r->build_count; i++) {
        free(r->builds[i].triple);
        free(r->builds[i].cpu);
        free(r->builds[i].features);
        free(r->builds[i].reason);
    }
    free(r->builds);
    free(r->triple);
    free(r->cpu);
    free(r->features);
    *r = (struct wp_retarget_result){0};
}
