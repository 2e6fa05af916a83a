/* warmpack warm: runs a command that warms a tree, packs it, and proves on a copy elsewhere that
 * nothing is compiled there that a second run in place would not compile. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache_dirs.h"
#include "format_choice.h"
#include "json_document.h"
#include "message.h"
#include "scratch.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"
#include "warm_cpus.h"
#include "warm_places.h"
#include "watched.h"

/* The tree, warmed for one CPU. */
struct build {
    const struct warm_cpu *cpu;
    char *caches;  /* the root of its caches; owned */
    char *archive; /* what was packed of it; owned */
    size_t functions, overloads;
    double seconds;                      /* of the first run */
    struct explain_report first, second; /* of the runs in place */
};

struct warm {
    const struct wp_context *context;
    const struct args *a;
    const char **command;      /* owned, the words are not */
    char *command_text;        /* as a shell would take it; owned */
    char *real;                /* DIR without symlinks; owned */
    char *dir;                 /* that the members are relative to, absolute; owned */
    char *cwd;                 /* owned */
    struct wp_member *members; /* owned */
    size_t member_count;
    struct string_list exclude, cache_dirs;
    const struct wp_format *format;
    struct warm_cpus cpus;
    struct build *builds; /* one a CPU; owned */
    char *scratch;        /* owned */
    char *copy;           /* of DIR, there; owned */
    char *merged;         /* the archive that is proved; owned, or NULL */
    double seconds;       /* of the run there */
    struct explain_report there;
    size_t failed; /* functions that are compiled there and not in a second run in place */
    struct wp_create_result made;
};

/* ---- Preparing ----------------------------------------------------------------------------- */

/* COMMAND as a shell would take it. Allocated; NULL: no memory. */
static char *quoted(const char *const *command)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./:,@%";
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    for (const char *const *word = command; f && *word; word++) {
        if (word != command)
            fputc(' ', f);
        if (**word && strspn(*word, plain) == strlen(*word)) {
            fputs(*word, f);
            continue;
        }
        fputc('\'', f);
        for (const char *c = *word; *c; c++)
            fputs(*c == '\'' ? "'\\''" : (char[]){*c, '\0'}, f);
        fputc('\'', f);
    }
    if (!f || fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int find_dir(struct warm *w, const char *given)
{
    struct stat st;

    w->cwd = getcwd(NULL, 0);
    if (!w->cwd) {
        message_error("the working directory cannot be found: %s", strerror(errno));
        return STATUS_FAILED;
    }
    /* As it was given, too: Numba names caches by the path that Python knows. */
    w->real = realpath(given ? given : ".", NULL);
    if (!w->real || stat(w->real, &st) < 0 || !S_ISDIR(st.st_mode)) {
        message_error("%s: %s", given ? given : ".", w->real ? strerror(ENOTDIR) : strerror(errno));
        return STATUS_FAILED;
    }
    w->dir = given ? text_join(w->cwd, given) : strdup(w->cwd);
    if (!w->dir)
        return message_no_memory();
    for (size_t n = strlen(w->dir); n > 1 && w->dir[n - 1] == '/'; n--)
        w->dir[n - 1] = '\0';
    return 0;
}

static int take_operands(struct warm *w)
{
    const struct args *a = w->a;
    const char *dir = NULL;
    size_t words = 0;

    w->command = calloc(a->operand_count + 1, sizeof *w->command);
    w->members = calloc(a->operand_count + 1, sizeof *w->members);
    if (!w->command || !w->members)
        return message_no_memory();
    for (size_t i = 0; i < a->operand_count; i++) {
        const struct operand *o = &a->operands[i];

        if (o->kind == OPERAND_COMMAND)
            w->command[words++] = o->text;
        else if (o->kind == OPERAND_NAME)
            w->members[w->member_count++].path = o->text;
        else if (o->kind == OPERAND_DIR)
            dir = o->text;
    }
    w->command_text = quoted(w->command);
    return w->command_text ? find_dir(w, dir) : message_no_memory();
}

/* Found after minutes, this would be found too late. */
static int check_output(const char *archive)
{
    const char *slash = strrchr(archive, '/');
    _cleanup_free_ char *dir =
        slash ? strndup(archive, slash == archive ? 1 : (size_t)(slash - archive)) : strdup(".");

    if (!dir)
        return message_no_memory();
    if (access(dir, W_OK | X_OK) == 0)
        return 0;
    message_error("%s: cannot be made in %s: %s", archive, dir, strerror(errno));
    return STATUS_FAILED;
}

static int prepare(struct warm *w)
{
    const struct args *a = w->a;
    int status = take_operands(w);

    for (size_t i = 0; i < w->member_count; i++)
        w->members[i].dir = w->dir;
    if (!status && a->archive)
        status = format_choose(a, a->archive, &w->format);
    if (!status && a->archive)
        status = format_check_level(a, w->format);
    if (!status && a->archive)
        status = check_output(a->archive);
    if (!status)
        status = args_exclude(a, &w->exclude);
    if (!status && !a->archive)
        status = cache_dirs_add(&w->cache_dirs, a);
    if (!status)
        status = warm_cpus_read(&w->cpus, w->context, &a->cpus);
    if (!status && !(w->builds = calloc(w->cpus.count, sizeof *w->builds)))
        status = message_no_memory();
    for (size_t i = 0; i < w->cpus.count && !status; i++)
        w->builds[i].cpu = &w->cpus.v[i];
    return status ? status : scratch_make(&w->scratch);
}

/* ---- Running ------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* WHERE is for messages. */
static int run(const struct warm *w, const struct watched *watched, const char *where,
               double *seconds, struct explain_report *out)
{
    const double start = now();
    int child_status = 0;
    int status = watched_run(watched, &child_status, out);

    if (seconds)
        *seconds = now() - start;
    if (status)
        return status;
    if (signals_caught()) {
        struct wp_error err = {0};

        return message_failure(-EINTR, &err);
    }
    if (child_status) {
        message_error("%s: it ended with status %d, %s", w->command_text, child_status, where);
        return STATUS_FAILED;
    }
    if (!out->process_count) {
        message_error("%s: no Python process of it that obeys PYTHONPATH imported Numba, %s: "
                      "nothing is warmed",
                      w->command_text, where);
        return STATUS_FAILED;
    }
    if (out->disabled) {
        message_error("%s: NUMBA_DISABLE_JIT is set: nothing is warmed", w->command_text);
        return STATUS_FAILED;
    }
    return 0;
}

/* "NAME=VALUE", allocated. */
static char *variable(const char *name, const char *value)
{
    char *text;

    return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

static int run_in_place(const struct warm *w, struct build *b, double *seconds,
                        struct explain_report *out)
{
    const struct wp_cpu *cpu = &b->cpu->cpu;
    _cleanup_free_ char *caches = b->caches ? variable("NUMBA_CACHE_DIR", b->caches) : NULL;
    _cleanup_free_ char *name = cpu->name ? variable("NUMBA_CPU_NAME", cpu->name) : NULL;
    _cleanup_free_ char *features =
        cpu->name ? variable("NUMBA_CPU_FEATURES", cpu->features) : NULL;
    const char *set[4] = {NULL};
    size_t n = 0;

    if ((b->caches && !caches) || (cpu->name && (!name || !features)))
        return message_no_memory();
    if (caches)
        set[n++] = caches;
    if (cpu->name) {
        set[n++] = name;
        set[n++] = features;
    }
    const struct watched watched = {
        .child = {.command = w->command, .set = set, .stdout_to_stderr = w->a->json}};
    return run(w, &watched, "in place", seconds, out);
}

static void count_warmed(struct build *b)
{
    for (size_t i = 0; i < b->first.compiled_count; i++) {
        const json_t *facts = b->first.compiled[i].facts;
        bool known = false;

        if (!json_is_true(json_object_get(facts, "saved")))
            continue;
        b->overloads++;
        for (size_t k = 0; k < i && !known; k++)
            known = json_is_true(json_object_get(b->first.compiled[k].facts, "saved")) &&
                    json_equal(json_object_get(b->first.compiled[k].facts, "function"),
                               json_object_get(facts, "function"));
        b->functions += !known;
    }
}

/* In a process that finds nothing warm, and in one that finds all that the first one saved: what
 * that compiles is never loaded anywhere. */
static int warm_build(const struct warm *w, struct build *b)
{
    int status = 0;

    if (w->a->archive &&
        asprintf(&b->caches, "%s/caches-%zu", w->scratch, (size_t)(b - w->builds)) < 0) {
        b->caches = NULL;
        return message_no_memory();
    }
    if (b->caches && mkdir(b->caches, 0700) < 0) {
        message_error("%s: %s", b->caches, strerror(errno));
        return STATUS_FAILED;
    }
    status = run_in_place(w, b, &b->seconds, &b->first);
    if (!status)
        status = run_in_place(w, b, NULL, &b->second);
    if (!status)
        count_warmed(b);
    return status;
}

/* ---- Packing ------------------------------------------------------------------------------- */

static int pack(const struct warm *w, const struct build *b, const char *archive,
                const struct wp_format *format, struct wp_create_result *made)
{
    const char *const caches[] = {b->caches, NULL};
    const struct wp_create_options o = {.archive = archive,
                                        .format = format,
                                        .members = w->members,
                                        .member_count = w->member_count,
                                        .cache_dirs = caches,
                                        .source_roots = string_list_values(&w->a->source_roots),
                                        .exclude = string_list_values(&w->exclude),
                                        .record_env = string_list_values(&w->a->record_env),
                                        .command = w->command_text,
                                        .fresh_caches = true,
                                        .strict = w->a->strict,
                                        .level = w->a->level,
                                        .level_set = w->a->level_set && format == w->format,
                                        /* What is merged is signed then. */
                                        .sign = w->cpus.count > 1 ? NULL : w->a->sign};
    struct wp_error err = {0};
    int r = wp_create(w->context, &o, made, &err);

    return r < 0 ? message_failure(r, &err) : 0;
}

static int merge(const struct warm *w, const char *archive, const struct wp_format *format,
                 struct wp_create_result *made)
{
    struct wp_merge_input *inputs = calloc(w->cpus.count, sizeof *inputs);
    struct wp_merge_options o = {.output = archive,
                                 .format = format,
                                 .inputs = inputs,
                                 .input_count = w->cpus.count,
                                 .strict = w->a->strict,
                                 .level = w->a->level,
                                 .level_set = w->a->level_set && format == w->format,
                                 .sign = w->a->sign};
    struct wp_merge_result result = {0};
    struct wp_error err = {0};
    int r = inputs ? 0 : -ENOMEM;

    for (size_t i = 0; i < w->cpus.count && r == 0; i++)
        r = wp_archive_open(w->context, w->builds[i].archive, &inputs[i].archive, &err);
    if (r == 0)
        r = wp_merge(w->context, &o, &result, &err);
    for (size_t i = 0; inputs && i < w->cpus.count; i++)
        wp_archive_close(inputs[i].archive);
    free(inputs);
    if (r < 0)
        return message_failure(r, &err);
    *made = result.made;
    result.made = (struct wp_create_result){0};
    wp_merge_result_clear(&result);
    return 0;
}

static int write_archive(const struct warm *w, const char *archive, const struct wp_format *format,
                         struct wp_create_result *made)
{
    return w->cpus.count > 1 ? merge(w, archive, format, made)
                             : pack(w, w->builds, archive, format, made);
}

/* What is proved is a plain tar, which is made and read faster than what is shipped. */
static int pack_builds(struct warm *w)
{
    const struct wp_format *tar = wp_format_by_name("tar");
    struct wp_create_result made = {0};
    int status = 0;

    for (size_t i = 0; i < w->cpus.count && !status; i++) {
        struct build *b = &w->builds[i];

        if (asprintf(&b->archive, "%s/build-%zu.tar", w->scratch, i) < 0) {
            b->archive = NULL;
            return message_no_memory();
        }
        status = pack(w, b, b->archive, tar, &made);
        wp_create_result_clear(&made);
    }
    if (status || w->cpus.count == 1)
        return status;
    w->merged = text_join(w->scratch, "merged.tar");
    status = w->merged ? merge(w, w->merged, tar, &made) : message_no_memory();
    wp_create_result_clear(&made);
    return status;
}

/* ---- Proving ------------------------------------------------------------------------------- */

/* The Python that ran the command: for it, code for other CPUs is to load there. */
static const char *python_of(const struct warm *w)
{
    const char *python = explain_text(w->builds[0].first.processes[0].facts, "executable");

    if (w->cpus.count == 1 && !w->builds[0].cpu->cpu.name && !getenv("NUMBA_CPU_NAME") &&
        !getenv("NUMBA_CPU_FEATURES"))
        return NULL; /* nothing but this machine's own */
    return *python ? python : "here";
}

/* The Python is asked without them, as it will run. */
static int extract_without_settings(struct wp_archive *archive, const struct wp_extract_options *o,
                                    struct wp_error *err)
{
    static const char *const names[] = {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"};
    struct wp_extract_result result = {0};
    char *values[2] = {NULL};
    int r = 0;

    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(names[i]);

        if (value && !(values[i] = strdup(value)))
            r = -ENOMEM;
        unsetenv(names[i]);
    }
    if (r == 0)
        r = wp_extract(archive, o, &result, err);
    for (size_t i = 0; i < 2; i++) {
        if (values[i] && setenv(names[i], values[i], 1) < 0)
            r = r < 0 ? r : -ENOMEM;
        free(values[i]);
    }
    wp_extract_result_clear(&result);
    return r;
}

static int unpack(struct warm *w)
{
    const char *path = w->merged ? w->merged : w->builds[0].archive;
    struct wp_extract_options o = {.retarget = python_of(w)};
    struct wp_archive *archive = NULL;
    struct wp_error err = {0};
    int r;

    w->copy = text_join(w->scratch, "elsewhere");
    if (!w->copy)
        return message_no_memory();
    o.dir = w->copy;
    r = wp_archive_open(w->context, path, &archive, &err);
    if (r == 0)
        r = extract_without_settings(archive, &o, &err);
    wp_archive_close(archive);
    return r < 0 ? message_failure(r, &err) : 0;
}

/* Where the command is run: here, or at this place in the copy. */
static char *new_cwd(const struct warm *w)
{
    const char *const dirs[] = {w->dir, w->real, NULL};
    char *placed = warm_place(w->cwd, dirs, w->copy);
    struct stat st;

    if (placed && stat(placed, &st) == 0)
        return placed;
    free(placed);
    return strdup(w->cwd);
}

static int run_elsewhere(struct warm *w)
{
    static const char *const unset[] = {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_CACHE_DIR",
                                        NULL};
    const char *const dirs[] = {w->dir, w->real, NULL};
    _cleanup_free_ char *cwd = new_cwd(w);
    _cleanup_free_ char *python_path = warm_python_path(dirs, w->copy, w->cwd);
    char **command = cwd ? warm_command(w->command, dirs, w->copy, w->cwd, cwd) : NULL;
    const char *const set[] = {python_path, NULL};
    const struct watched watched = {.child = {.command = (const char *const *)command,
                                              .set = set,
                                              .unset = unset,
                                              .dir = cwd,
                                              .stdout_to_stderr = w->a->json}};
    int status;

    if (!command || !python_path) {
        warm_command_free(command);
        return message_no_memory();
    }
    status = run(w, &watched, "in a copy elsewhere", &w->seconds, &w->there);
    warm_command_free(command);
    return status;
}

static bool is_in(const struct explain_report *r, const json_t *facts)
{
    for (size_t i = 0; i < r->compiled_count; i++)
        if (json_equal(json_object_get(r->compiled[i].facts, "function"),
                       json_object_get(facts, "function")) &&
            json_equal(json_object_get(r->compiled[i].facts, "signature"),
                       json_object_get(facts, "signature")))
            return true;
    return false;
}

/* Names what is compiled elsewhere, though not in a second run in place. */
static void judge(struct warm *w)
{
    for (size_t i = 0; i < w->there.compiled_count; i++) {
        const json_t *facts = w->there.compiled[i].facts;
        bool always = false;

        for (size_t k = 0; k < w->cpus.count; k++)
            always |= is_in(&w->builds[k].second, facts);
        if (always)
            continue;
        w->failed++;
        message_lost("%s %s is compiled elsewhere: %s: %s", explain_text(facts, "function"),
                     explain_text(facts, "signature"), explain_text(facts, "cause"),
                     explain_text(facts, "detail"));
    }
}

static int prove(struct warm *w)
{
    int status = unpack(w);

    if (!status)
        status = run_elsewhere(w);
    if (!status)
        judge(w);
    return status;
}

/* ---- Telling ------------------------------------------------------------------------------- */

static json_t *compiled_list(const struct explain_report *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->compiled_count; i++) {
        json_t *o = json_copy(r->compiled[i].facts);

        json_object_del(o, "event");
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *build_object(const struct build *b)
{
    json_t *o = json_object();

    document_set_name(o, "cpu", b->cpu->given);
    json_object_set_new(o, "functions", document_count(b->functions));
    json_object_set_new(o, "overloads", document_count(b->overloads));
    json_object_set_new(o, "seconds", json_real(b->seconds));
    json_object_set_new(o, "never", compiled_list(&b->second));
    return o;
}

static void print_json(const struct warm *w, bool written)
{
    document_begin();
    if (w->a->archive)
        document_name("archive", w->a->archive);
    document_name("command", w->command_text);
    document_member("written", json_boolean(written));
    document_array("builds");
    for (size_t i = 0; i < w->cpus.count; i++)
        document_item(build_object(&w->builds[i]));
    document_array_end();
    if (w->a->archive) {
        document_member("seconds", json_real(w->seconds));
        document_member("loaded", document_count(w->there.loaded));
        document_member("compiled", compiled_list(&w->there));
        document_member("failed", document_count(w->failed));
    }
    if (written)
        document_verify(&w->made.verify);
    document_end();
}

/* What no cache helps: named once, however many CPUs there are. */
static void print_never(const struct warm *w)
{
    const struct explain_report *r = &w->builds[0].second;

    for (size_t i = 0; i < r->compiled_count; i++) {
        const json_t *facts = r->compiled[i].facts;

        message_summary("%s %s is compiled in every process: %s: %s",
                        explain_text(facts, "function"), explain_text(facts, "signature"),
                        explain_text(facts, "cause"), explain_text(facts, "detail"));
    }
}

static void print_summary(const struct warm *w, bool written)
{
    struct show_line line;

    print_never(w);
    show_begin(&line);
    show_add(&line, "%s: ", w->a->archive ? w->a->archive : w->dir);
    if (!written)
        show_add(&line, "not written; ");
    for (size_t i = 0; i < w->cpus.count; i++) {
        const struct build *b = &w->builds[i];

        show_add(&line, "%s%zu %s, %zu %s for %s in %.1f s", i ? "; " : "", b->functions,
                 show_plural(b->functions, "function", "functions"), b->overloads,
                 show_plural(b->overloads, "overload", "overloads"), b->cpu->given, b->seconds);
    }
    if (w->a->archive)
        show_add(&line, "; elsewhere %zu loaded, %zu compiled in %.1f s", w->there.loaded,
                 w->there.compiled_count, w->seconds);
    show_end(&line);
}

static void tell(const struct warm *w, bool written)
{
    if (w->a->json)
        print_json(w, written);
    show_flush();
    print_summary(w, written);
}

/* ---- The ways ------------------------------------------------------------------------------ */

static int warm_archive(struct warm *w)
{
    int status = pack_builds(w);
    bool written;

    if (!status)
        status = prove(w);
    if (status)
        return status;
    written = !w->failed || w->a->keep_going;
    if (written)
        status = write_archive(w, w->a->archive, w->format, &w->made);
    if (status)
        return status;
    if (w->failed)
        message_raise(STATUS_LOST);
    tell(w, written);
    return message_status();
}

static int warm_tree(struct warm *w)
{
    _cleanup_free_ char *tree = text_join(w->dir, w->members[0].path);
    const struct wp_seal_options o = {.dir = tree,
                                      .cache_dirs = string_list_values(&w->cache_dirs),
                                      .source_roots = string_list_values(&w->a->source_roots),
                                      .exclude = string_list_values(&w->exclude),
                                      .record_env = string_list_values(&w->a->record_env),
                                      .command = w->command_text,
                                      .strict = w->a->strict,
                                      .sign = w->a->sign};
    struct wp_seal_result sealed = {0};
    struct wp_error err = {0};
    int r = tree ? wp_seal(w->context, &o, &sealed, &err) : -ENOMEM;

    if (r < 0)
        return message_failure(r, &err);
    w->made = sealed.made;
    sealed.made = (struct wp_create_result){0};
    wp_seal_result_clear(&sealed);
    tell(w, true);
    return message_status();
}

static void warm_clear(struct warm *w)
{
    for (size_t i = 0; w->builds && i < w->cpus.count; i++) {
        free(w->builds[i].caches);
        free(w->builds[i].archive);
        explain_report_clear(&w->builds[i].first);
        explain_report_clear(&w->builds[i].second);
    }
    free(w->builds);
    explain_report_clear(&w->there);
    wp_create_result_clear(&w->made);
    warm_cpus_clear(&w->cpus);
    string_list_clear(&w->exclude);
    string_list_clear(&w->cache_dirs);
    scratch_remove(w->scratch);
    free(w->command);
    free(w->command_text);
    free(w->dir);
    free(w->real);
    free(w->cwd);
    free(w->members);
    free(w->copy);
    free(w->merged);
}

int warm_run(const struct wp_context *context, const struct args *a)
{
    struct warm w = {.context = context, .a = a};
    int status;

    signals_install();
    status = prepare(&w);
    for (size_t i = 0; i < w.cpus.count && !status; i++)
        status = warm_build(&w, &w.builds[i]);
    if (!status)
        status = a->archive ? warm_archive(&w) : warm_tree(&w);
    progress_end();
    warm_clear(&w);
    return status;
}
