/* Verifies an archive without unpacking it: with a manifest, by the times and stamps
 * that it records; without one, by the times in the archive and the indexes themselves. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/indexes.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "judge/distributions.h"
#include "judge/judge.h"
#include "judge/keys.h"
#include "judge/notes.h"
#include "manifest/manifest.h"
#include "manifest/zipped_sources.h"

static const char NOT_VALID_THEN[] = "was not valid when it was packed";
static const char LEADS_OUT[] =
    "its source is a symbolic link, and what that leads to is not in the archive";

struct verify_archive {
    struct archive_indexes found;      /* .m: as recorded, or as read */
    const struct judge_expect *expect; /* what keys are held against */
    bool reads_keys;                   /* what the manifest says of keys is not enough */
    struct trust trust;                /* whose archives are taken */
    struct wp_verify_report *out;
};

struct context {
    const struct verify_archive *job;
    const struct entry *source;
    const char *dir;
    bool zipped; /* the source lies in a zip, whose digest is not its own */
};

static int facts_of(const struct entry *e, struct judge_file *f)
{
    if (!e)
        return 0;
    *f = (struct judge_file){
        .mtime = e->mtime, .size = e->size, .sha256 = e->has_sha256 ? e->sha256 : NULL};
    return 1;
}

static int source_fact(void *ctx, struct judge_file *f)
{
    const struct context *c = ctx;
    int r = facts_of(c->source, f);

    if (c->zipped)
        f->sha256 = NULL;
    return r;
}

static int data_fact(void *ctx, const char *name, struct judge_file *f, bool *whole)
{
    struct context *c = ctx;
    _cleanup_free_ char *path = path_join(c->dir, name);
    const struct entry *e = NULL;
    int r = path ? archive_indexes_find(&c->job->found, path, &e) : -ENOMEM;

    r = r == -ENOMEM ? r : facts_of(e, f);
    *whole = r <= 0 || f->size > 0;
    return r;
}

static int size_in_archive(void *ctx, const char *name, uint64_t *size)
{
    struct judge_file f;
    bool whole;
    int r = data_fact(ctx, name, &f, &whole);

    if (r == 1)
        *size = f.size;
    return r;
}

/* The status that was recorded; false where none was, or one that is not known here. */
static bool recorded_status(const struct manifest_index *line, enum wp_status *out)
{
    for (int s = 0; line->status && s < WP_STATUS_COUNT; s++)
        if (strcmp(line->status, wp_status_name((enum wp_status)s)) == 0 &&
            wp_status_loads((enum wp_status)s) == line->valid) {
            *out = (enum wp_status)s;
            return true;
        }
    return false;
}

/* Fills S with one overload that is for CPU number N of M; its texts lie in *TEXT, allocated. False
 * where it is none. */
static bool as_overload(const struct manifest *m, unsigned n, struct wp_overload *o, char **text)
{
    char *at = n < m->cpu_count ? strdup(m->cpus[n]) : NULL;

    *text = at;
    *o = (struct wp_overload){.triple = at ? strsep(&at, " ") : NULL};
    o->cpu = at ? strsep(&at, " ") : NULL;
    o->features = at;
    return at != NULL;
}

/* Can this machine run the code of S, which was valid when LINE was written? Fills status and
 * reason where it cannot, and notes where nobody knows. Of code for several CPUs of which it can
 * run some, only the keys say whether each function has such: then, and where the line does not
 * say, JOB->reads_keys is set. 0 or -ENOMEM. */
static int judge_recorded_cpus(struct verify_archive *job, const struct manifest_index *line,
                               struct wp_index_status *s)
{
    size_t can = 0, cannot = 0;

    job->reads_keys |= !line->has_cpus && job->expect->has_host;
    for (unsigned i = 0; line->has_cpus && i < MANIFEST_CPUS_MOST; i++) {
        _cleanup_free_ char *text = NULL;
        struct wp_overload o;
        struct wp_index_status one = {.index = s->index, .overloads = &o, .overload_count = 1};

        if (!(line->cpus >> i & 1))
            continue;
        if (!as_overload(&job->found.m, i, &o, &text)) {
            job->reads_keys = true;
            return 0;
        }
        if (judge_against(&one, job->expect) < 0 || note_unknown(job->out, &one) < 0) {
            free(one.reason);
            return -ENOMEM;
        }
        can += one.status == WP_VALID;
        cannot += one.status != WP_VALID;
        if (one.status != WP_VALID) {
            free(s->reason);
            s->reason = one.reason;
            s->status = one.status;
            s->other_arch = one.other_arch;
        }
    }
    job->reads_keys |= can && cannot;
    return 0;
}

/* TEXT of a manifest on one line. Our own escapes it already. Allocated. */
static char *on_one_line(const char *text)
{
    char *escaped = wp_escape(text);
    size_t expected = strlen(text);

    for (const char *t = text; *t; t++)
        expected += *t == '\\';
    if (!escaped || strlen(escaped) != expected)
        return escaped;
    free(escaped); /* only backslashes were */
    return strdup(text);
}

static const char CALLS_SVML[] = "its code calls Intel's SVML library and crashes without it";

/* Does the code of S, whose data files lie in DIR of an archive that was read, call it? */
static int judge_svml(struct verify_archive *job, struct wp_index_status *s, const char *dir)
{
    for (size_t i = 0; i < s->overload_count; i++) {
        _cleanup_free_ char *path = path_join(dir, s->overloads[i].data);

        if (!path)
            return -ENOMEM;
        if (!path_list_has(&job->found.svml, path))
            continue;
        if (!job->expect->asked.no_svml || !wp_status_loads(s->status))
            return note_add(job->out, WP_NOTE_SVML, s->index, "%s", CALLS_SVML);
        return judge_set(s, WP_UNSAFE_SVML,
                         "its code calls Intel's SVML library, which %s does not find",
                         job->expect->who);
    }
    return 0;
}

/* One index line of the manifest: does the recorded stamp satisfy the recorded source, and what
 * was found when it was packed? */
static int judge_line(struct verify_archive *job, const struct manifest_index *line,
                      struct wp_error *err)
{
    const struct entry *source = NULL;
    int r = line->source ? archive_indexes_find(&job->found, line->source, &source) : 0;
    bool outside = r == -EXDEV, in_zip;
    _cleanup_(judge_clear) struct wp_index_status s = {
        .status = WP_VALID, .stamp = line->stamp, .has_stamp = line->has_stamp};
    const char *reason = NULL;
    enum wp_status status = WP_VALID;
    bool is_recorded = recorded_status(line, &status);

    /* The digest of a source in a zip is not recorded. */
    in_zip = line->source && line->has_stamp && line->stamp.kind == WP_STAMP_CONTENT &&
             zipped_sources_lies_in(&job->found.m, line->source);
    s.index = strdup(line->index);
    s.source = line->source ? strdup(line->source) : NULL;
    s.numba = line->numba ? strdup(line->numba) : NULL;
    if (r == -ENOMEM || !s.index || (line->source && !s.source) || (line->numba && !s.numba) ||
        judge_name(&s, line->index) < 0)
        return error_nomem(err);
    if (is_recorded && status != WP_VALID) {
        s.status = status;
        if (!line->valid)
            reason = line->reason ? line->reason : NOT_VALID_THEN;
    } else if (!line->has_stamp) {
        s.status = WP_CORRUPT;
        reason = "could not be read when it was packed";
    } else if (in_zip) {
        s.status = line->valid ? WP_VALID : WP_STALE;
        reason = line->valid ? NULL : NOT_VALID_THEN;
    } else if (outside) {
        s.status = WP_SOURCE_MISSING;
        reason = line->valid ? LEADS_OUT : NOT_VALID_THEN;
    } else if (!source) {
        s.status = WP_SOURCE_MISSING;
        reason = "its source is not in the archive";
    } else if (stamp_matches(&line->stamp, source->mtime, source->size,
                             source->has_sha256 ? source->sha256 : NULL) != 1) {
        s.status = WP_STALE;
        reason = "was stale when it was packed";
    } else if (!line->valid) {
        s.status = WP_SUSPECT;
        reason = "was not valid when it was packed, though its stamp fits";
    }
    s.reason = reason ? on_one_line(reason) : NULL;
    if ((reason && !s.reason) ||
        (wp_status_loads(s.status) && judge_recorded_cpus(job, line, &s) < 0) ||
        (line->svml && note_add(job->out, WP_NOTE_SVML, s.index, "%s", CALLS_SVML) < 0) ||
        judge_add(job->out, &s) < 0)
        return error_nomem(err);
    return 0;
}

/* Only who packed an index could see into its zip. */
static int take_recorded(struct wp_index_status *s, const struct manifest_index *line)
{
    enum wp_status status;

    if (!recorded_status(line, &status))
        status = line->valid ? WP_VALID : WP_STALE;
    free(take_ptr(s->reason));
    s->status = status;
    if (!wp_status_loads(status))
        s->reason = on_one_line(line->reason ? line->reason : NOT_VALID_THEN);
    return !wp_status_loads(status) && !s->reason ? -ENOMEM : 0;
}

static int judge_found(struct verify_archive *job, const struct archive_index *item,
                       struct wp_error *err)
{
    _cleanup_free_ char *dir = path_dir(item->path);
    const char *misplaced = NULL;
    struct context c = {.job = job, .dir = dir};
    const struct entry *file = archive_indexes_file(&job->found, item->path, NULL);
    struct judge_facts facts = {.source = source_fact,
                                .data = data_fact,
                                .ctx = &c,
                                .index_mtime = file ? &file->mtime : NULL};
    _cleanup_(judge_clear) struct wp_index_status s = {0};
    struct wp_error why = {0};
    _cleanup_(index_clear) struct index index = {0};
    const struct manifest_index *line =
        job->found.has_manifest ? manifest_find_index(&job->found.m, item->path) : NULL;
    bool found, outside = false;
    bool in_zip_by_content; /* the digest of a source in a zip is not taken here */
    int parsed, r = 0;

    s.index = strdup(item->path);
    s.source = archive_indexes_source(&job->found, item, &misplaced, &found);
    if (!dir || !s.index || !s.source || judge_name(&s, s.index) < 0)
        return error_nomem(err);
    r = found ? archive_indexes_find(&job->found, s.source, &c.source) : 0;
    outside = r == -EXDEV;
    r = r == -ENOMEM ? error_nomem(err) : 0;
    c.zipped = found && zipped_sources_lies_in(&job->found.m, s.source);
    parsed = item->unread ? error_set(&why, 0, NULL, "%s", item->unread)
                          : index_read(&index, item->text.data, item->text.size, &why);
    in_zip_by_content = c.zipped && parsed == 0 && index.stamp.kind == WP_STAMP_CONTENT;
    if (r == 0 && (parsed == -ENOMEM ||
                   judge_index(&s, parsed < 0 ? NULL : &index, &why, misplaced, NULL, &facts) < 0))
        r = error_nomem(err);
    /* What was found wrong in the tree, such as a file that is newer than the code, is no more to
     * be seen here. */
    if (r == 0 && line && (s.status == WP_VALID ? !line->valid : in_zip_by_content) &&
        take_recorded(&s, line) < 0)
        r = error_nomem(err);
    if (r == 0 && outside && s.status == WP_SOURCE_MISSING &&
        judge_set(&s, WP_SOURCE_MISSING, "%s", LEADS_OUT) < 0)
        r = error_nomem(err);
    if (r == 0)
        r = judge_keys(&s, parsed < 0 ? NULL : &index, job->expect, size_in_archive, &c, err);
    if (r == 0 &&
        (judge_svml(job, &s, dir) < 0 || note_unknown(job->out, &s) < 0 ||
         note_marker(job->out, &s, size_in_archive, &c) < 0 || judge_add(job->out, &s) < 0))
        r = error_nomem(err);
    return r;
}

/* Reads the whole archive and judges the indexes themselves. */
static int verify_stream(struct verify_archive *job, struct wp_archive *a, struct wp_error *err)
{
    const bool trusts = job->trust.count > 0;
    int r =
        archive_indexes_read(&job->found, a, trusts ? ARCHIVE_ALL_DIGESTS : ARCHIVE_SOURCE_DIGESTS,
                             trusts ? &job->trust : NULL, err);

    job->out->keys = true;
    for (size_t i = 0; i < job->found.count && r == 0; i++)
        r = judge_found(job, &job->found.items[i], err);
    return r;
}

/* Judges by what the manifest says of the indexes, where that can be found at once: 1; 0: the
 * archive has to be read; negative errno. */
static int judge_recorded(struct verify_archive *job, struct wp_archive *a, struct wp_error *err)
{
    _cleanup_buf_ struct buf path = {0}, text = {0};
    struct manifest *m = &job->found.m;
    int r = a->reader->ops->manifest(a->reader, &path, &text, err);

    if (r <= 0)
        return r;
    if (buf_terminate(&path) < 0)
        return error_nomem(err);
    r = manifest_read_once(m, &text, (char *)path.data, a->pool, err);
    job->found.has_manifest = r == 0;
    for (size_t i = 0; i < m->index_count && r == 0; i++)
        r = judge_line(job, &m->indexes[i], err);
    if (r < 0 || !job->reads_keys)
        return r < 0 ? r : 1;
    wp_verify_report_clear(job->out);
    archive_indexes_clear(&job->found);
    return 0;
}

int wp_verify_archive(struct wp_archive *a, const struct wp_verify_options *o,
                      struct wp_verify_report *result, struct wp_error *err)
{
    struct judge_expect expect;
    struct verify_archive job = {.expect = &expect, .out = result};
    int r = options_check(a->context, o, err);

    *result = (struct wp_verify_report){0};
    if (r < 0)
        return r;
    r = judge_expect_begin(&expect, a->context, o, err);
    if (r == 0)
        r = trust_read(&job.trust, o->trust, err);
    /* The manifest has no more of keys than the CPUs in them; who trusts a key wants all checked.
     */
    if (r == 0 && !o->keys && !judge_expect_knows(&expect) && !job.trust.count)
        r = judge_recorded(&job, a, err);
    if (r == 0)
        r = verify_stream(&job, a, err);
    if (r >= 0 && job.found.has_manifest && note_settings(result, &job.found.m) < 0)
        r = error_nomem(err);
    if (r >= 0 && job.found.has_manifest)
        r = note_distributions(result, &job.found.m, a->context, o->python, err);
    if (r >= 0)
        r = verify_compiled(result, &expect, NULL, err);
    if (r >= 0 && judge_gufuncs(result) < 0)
        r = error_nomem(err);
    judge_sort(result);
    archive_indexes_clear(&job.found);
    trust_clear(&job.trust);
    judge_expect_end(&expect);
    if (r < 0)
        wp_verify_report_clear(result);
    return r < 0 ? r : 0;
}
