/* Adds notes beside the verdicts: what may surprise though an index is valid. */

#include "notes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "numba/features.h"
#include "numba/index.h"
#include "numba/locator.h"
#include "numba/settings.h"

extern char **environ;

const char *wp_note_name(enum wp_note_kind kind)
{
    static const char *const names[] = {
        [WP_NOTE_GROWS] = "grows",
        [WP_NOTE_CLOSURES] = "closures",
        [WP_NOTE_OLD_ROOT] = "old-root",
        [WP_NOTE_SVML] = "svml",
        [WP_NOTE_STICKY] = "sticky",
        [WP_NOTE_ORPHAN] = "orphan",
        [WP_NOTE_SETTINGS] = "settings",
        [WP_NOTE_ABSENT] = "absent",
        [WP_NOTE_UNKNOWN_CPU] = "unknown-cpu",
        [WP_NOTE_CLOCK] = "clock",
        [WP_NOTE_MARKER] = "marker",
        [WP_NOTE_TIMES] = "times",
        [WP_NOTE_DISTRIBUTION] = "distribution",
    };

    return (unsigned)kind < WP_NOTE_COUNT ? names[kind] : "unknown";
}

int note_add(struct wp_verify_report *r, enum wp_note_kind kind, const char *path, const char *fmt,
             ...)
{
    _cleanup_free_ char *copy = path ? strdup(path) : NULL;
    _cleanup_free_ char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = path_escape_format(fmt, ap);
    va_end(ap);
    if (!text || (path && !copy) || array_grow(r->notes, r->note_count) < 0)
        return -ENOMEM;
    r->notes[r->note_count++] =
        (struct wp_note){.kind = kind, .path = take_ptr(copy), .text = take_ptr(text)};
    return 0;
}

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Do A and B differ in nothing but what a closure holds, or in nothing at all? Then their keys do
 * not compare equal, as those of arrays that are default values. */
static bool is_grown_from(const struct wp_overload *a, const struct wp_overload *b, bool closures)
{
    return is_same(a->signature, b->signature) && is_same(a->code, b->code) &&
           is_same(a->cpu, b->cpu) && is_same(a->features, b->features) &&
           is_same(a->cells, b->cells) != closures;
}

/* Several overloads that differ in nothing but what CLOSURES hold, or in nothing: how many, and
 * their signature. Two may well be one function made with two values. */
static size_t grows(const struct wp_index_status *s, bool closures, const char **signature)
{
    enum { SEVERAL = 3 };

    for (size_t i = 0; i < s->overload_count; i++) {
        size_t alike = !closures || s->overloads[i].closure;

        for (size_t k = i + 1; k < s->overload_count && alike; k++)
            alike += is_grown_from(&s->overloads[i], &s->overloads[k], closures);
        *signature = s->overloads[i].signature;
        if (alike >= SEVERAL)
            return alike;
    }
    return 0;
}

/* May the index of S get another overload in every run? 0 or -ENOMEM. */
static int note_growth(struct wp_verify_report *r, const struct wp_index_status *s)
{
    const char *signature = NULL;
    size_t alike = grows(s, true, &signature);

    if (alike)
        return note_add(r, WP_NOTE_GROWS, s->index,
                        "%zu overloads for %.200s differ in their closure alone: it may get "
                        "another one in every run",
                        alike, signature);
    alike = grows(s, false, &signature);
    return alike ? note_add(r, WP_NOTE_GROWS, s->index,
                            "%zu overloads for %.200s differ in nothing, so their keys never "
                            "compare equal: it gets another one in every run",
                            alike, signature)
                 : 0;
}

/* "(int64,), (float64,) and 3 more": the signatures of those that are closures. 0 or -ENOMEM. */
static int name_closures(const struct wp_index_status *s, size_t closures, struct buf *out)
{
    enum { NAMED = 4 };
    size_t named = 0;
    int e = 0;

    for (size_t i = 0; i < s->overload_count && named < NAMED && !e; i++) {
        const char *signature = s->overloads[i].signature;

        if (s->overloads[i].closure)
            e = buf_printf(out, "%s%.200s", named++ ? ", " : "",
                           signature ? signature : "a key of another form");
    }
    if (!e && named < closures)
        e = buf_printf(out, " and %zu more", closures - named);
    return e < 0 ? e : buf_terminate(out);
}

int note_index(struct wp_verify_report *r, const struct wp_index_status *s,
               const struct data_facts *facts, const char *old_root)
{
    size_t closures = 0;
    _cleanup_buf_ struct buf named = {0};
    int e = 0;

    for (size_t i = 0; i < s->overload_count; i++)
        closures += s->overloads[i].closure;
    if (closures && name_closures(s, closures, &named) < 0)
        return -ENOMEM;
    if (closures)
        e = note_add(r, WP_NOTE_CLOSURES, s->index,
                     "%zu of %zu overloads are closures, whose keys may be bound to the path: %s",
                     closures, s->overload_count, (char *)named.data);
    if (!e)
        e = note_growth(r, s);
    if (!e && *facts->svml && s->status != WP_UNSAFE_SVML)
        e = note_add(r, WP_NOTE_SVML, s->index,
                     "its code calls %s of Intel's SVML library and crashes without it",
                     facts->svml);
    if (!e && facts->has_text && old_root)
        e = note_add(r, WP_NOTE_OLD_ROOT, s->index,
                     "its code holds the path %s, where it was compiled", old_root);
    return e ? e : note_unknown(r, s);
}

/* What of O's CPU is not known, as a text. Allocated. 1, 0 or -ENOMEM. */
static int find_unknown(const struct wp_overload *o, char **out)
{
    const enum features_arch arch = o->cpu ? features_arch_of(o->triple) : FEATURES_UNKNOWN;
    struct features_code code;
    int r = 0, n = 0;

    if (!o->cpu || (arch != FEATURES_X86_64 && arch != FEATURES_AARCH64))
        return 0;
    if (features_of_code(&code, arch, o->cpu, o->features) < 0)
        r = -ENOMEM;
    else if (code.unknown.size)
        n = asprintf(out, "it is compiled with %.200s", (char *)code.unknown.data);
    else if (!code.knows_cpu && !features_is_full(o->features))
        n = asprintf(out, "it is compiled for CPU %.200s", o->cpu);
    features_code_clear(&code);
    return r < 0 || n < 0 ? -ENOMEM : n > 0;
}

int note_unknown(struct wp_verify_report *r, const struct wp_index_status *s)
{
    for (size_t i = 0; i < s->overload_count; i++) {
        char *text = NULL;
        int e = find_unknown(&s->overloads[i], &text);

        if (e > 0)
            e = note_add(r, WP_NOTE_UNKNOWN_CPU, s->index,
                         "%s, of which nothing is known here: where that runs cannot be told",
                         text);
        else if (e == 0)
            continue;
        free(text);
        return e;
    }
    return 0;
}

int note_ahead(struct wp_verify_report *r, const struct wp_index_status *s)
{
    return note_add(r, WP_NOTE_CLOCK, s->index,
                    "its source has a later time than what was compiled of it: the clock that gave "
                    "it was ahead, or another time zone was meant");
}

int note_marker(struct wp_verify_report *r, const struct wp_index_status *s,
                int (*size_of)(void *ctx, const char *name, uint64_t *size), void *ctx)
{
    _cleanup_free_ char *marker = NULL;
    const char *name = path_base(s->index);
    bool is_launched = false;
    uint64_t size;
    int there;

    for (size_t i = 0; i < s->overload_count && !is_launched; i++)
        is_launched = s->overloads[i].launch != NULL;
    if (!is_launched)
        return 0;
    marker = index_marker_name(name);
    if (!marker)
        return -ENOMEM;
    there = size_of(ctx, marker, &size);
    if (there < 0 && there != -ENOMEM)
        return note_add(r, WP_NOTE_MARKER, s->index, "%s cannot be looked at: %s", marker,
                        strerror(-there));
    return there != 0 ? (there < 0 ? there : 0)
                      : note_add(r, WP_NOTE_MARKER, s->index, "%s", NO_MARKER);
}

int note_sticky(struct wp_verify_report *r, const char *dir, const char *shown, uid_t owner,
                const struct places_user *u)
{
    struct stat st;

    if (u->uid == 0 || owner == u->uid || stat(dir, &st) < 0 || !(st.st_mode & S_ISVTX) ||
        st.st_uid == u->uid)
        return 0;
    return note_add(r, WP_NOTE_STICKY, shown,
                    "the directory is sticky and has indexes of others: Numba fails when it saves "
                    "a new overload") < 0
               ? -ENOMEM
               : 1;
}

/* ---- Leftovers --------------------------------------------------------------------------- */

int leftovers_add(struct path_list *l, const char *file)
{
    size_t stem;

    if (!index_is_data_name(path_base(file), &stem) && !index_is_temporary(path_base(file)))
        return 0;
    return path_list_add(l, strdup(file));
}

/* The data files that the indexes of R name. Of an index that cannot be read, nothing is known. */
static int named_files(const struct wp_verify_report *r, struct path_list *out)
{
    for (size_t i = 0; i < r->count; i++) {
        _cleanup_free_ char *dir = path_dir(r->indexes[i].index);

        for (size_t k = 0; k < r->indexes[i].overload_count; k++) {
            _cleanup_free_ char *file =
                dir ? path_join(dir, r->indexes[i].overloads[k].data) : NULL;

            if (!file || leftovers_add(out, file) < 0)
                return -ENOMEM;
        }
    }
    path_list_sort(out);
    return 0;
}

/* Does the data file FILE belong to an index that could not be read? */
static bool is_of_corrupt(const struct wp_verify_report *r, const char *file)
{
    size_t stem, above = (size_t)(path_base(file) - file);

    if (!index_is_data_name(file + above, &stem))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        const char *index = r->indexes[i].index;

        if (!r->indexes[i].overloads && strncmp(index, file, above + stem) == 0 &&
            strcmp(index + above + stem, ".nbi") == 0)
            return true;
    }
    return false;
}

int note_leftovers(struct wp_verify_report *r, const struct path_list *l)
{
    _cleanup_(path_list_clear) struct path_list named = {0};
    int e = named_files(r, &named);

    for (size_t i = 0; i < l->count && !e; i++) {
        if (index_is_temporary(path_base(l->v[i])))
            e = note_add(r, WP_NOTE_ORPHAN, l->v[i], "Numba did not finish writing it");
        else if (!path_list_has(&named, l->v[i]) && !is_of_corrupt(r, l->v[i]))
            e = note_add(r, WP_NOTE_ORPHAN, l->v[i], "no index names this data file");
    }
    return e;
}

/* ---- Settings ---------------------------------------------------------------------------- */

static size_t name_length(const char *variable)
{
    return strcspn(variable, "=");
}

/* Is the variable in LIST, and told of with that? */
static bool has_variable(char *const *list, size_t count, const char *variable)
{
    size_t n = name_length(variable);

    for (size_t i = 0; i < count; i++)
        if (strncmp(list[i], variable, n + 1) == 0 && settings_change_code(list[i]))
            return true;
    return false;
}

int note_locators(struct wp_verify_report *r, const char *locators)
{
    if (!locators || !*locators || locator_is_alone(locators))
        return 0;
    return note_add(
        r, WP_NOTE_SETTINGS, NULL,
        "NUMBA_CACHE_LOCATOR_CLASSES=%.200s: Numba looks where these say, and not in the "
        "places that are judged here",
        locators);
}

int note_settings(struct wp_verify_report *r, const struct manifest *m)
{
    int e = 0;

    for (size_t i = 0; i < m->env_count && !e; i++) {
        size_t n = name_length(m->env[i]);
        _cleanup_free_ char *name = strndup(m->env[i], n);
        const char *now = name ? getenv(name) : NULL;

        if (!name)
            return -ENOMEM;
        if (strncmp(name, "NUMBA_", strlen("NUMBA_")) == 0 && !settings_change_code(m->env[i]))
            continue;
        if (!now || strcmp(now, m->env[i] + n + (m->env[i][n] == '=')) != 0)
            e = note_add(r, WP_NOTE_SETTINGS, NULL, "it was packed with %.200s, and now %s%s%.200s",
                         m->env[i], name, now ? " is " : " is not set", now ? now : "");
    }
    for (char **v = environ; v && *v && !e; v++)
        if (settings_change_code(*v) && !has_variable(m->env, m->env_count, *v))
            e = note_add(r, WP_NOTE_SETTINGS, NULL, "it was packed without %.*s, and now %.200s",
                         (int)name_length(*v), *v, *v);
    return e;
}
