/* warmpack explain: runs a command, and says what Numba compiled in it although its cache exists or
 * could, and why. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "embedded.h"
#include "explain_report.h"
#include "json_document.h"
#include "message.h"
#include "scratch.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"

/* Python imports it before all else, and it gives way to the one that the user has. */
static const char sitecustomize[] =
    "import importlib.util, os, sys\n"
    "_here = os.path.dirname(os.path.abspath(__file__))\n"
    "_spec = importlib.util.spec_from_file_location(\n"
    "    '_warmpack_explaining', os.path.join(_here, 'explaining.py'))\n"
    "_module = importlib.util.module_from_spec(_spec)\n"
    "sys.modules['_warmpack_explaining'] = _module\n"
    "_spec.loader.exec_module(_module)\n"
    "_module.install()\n"
    "sys.path[:] = [p for p in sys.path if os.path.abspath(p) != _here]\n"
    "sys.modules.pop('sitecustomize', None)\n"
    "try:\n"
    "    import sitecustomize\n"
    "except ImportError as error:\n"
    "    if error.name != 'sitecustomize':\n"
    "        raise\n";

/* The directory that the command's processes read from and tell in. */
struct place {
    char *dir;         /* owned; NULL: it was not made */
    char *told;        /* its subdirectory for their files; owned */
    char *python_path; /* "PYTHONPATH=..."; owned */
    char *explain;     /* "WARMPACK_EXPLAIN=..."; owned */
};

static int failed(const char *path)
{
    message_error("%s: %s", path, strerror(errno));
    return STATUS_FAILED;
}

static int write_file(const char *dir, const char *name, const char *text)
{
    _cleanup_free_ char *path = text_join(dir, name);
    FILE *f = path ? fopen(path, "wxe") : NULL;
    bool done;

    if (!path)
        return message_no_memory();
    if (!f)
        return failed(path);
    done = fputs(text, f) >= 0;
    return fclose(f) == 0 && done ? 0 : failed(path);
}

static int make_place(struct place *p)
{
    const char *path = getenv("PYTHONPATH");
    int status = scratch_make(&p->dir);

    if (status)
        return status;
    p->told = text_join(p->dir, "told");
    if (!p->told)
        return message_no_memory();
    if (asprintf(&p->python_path, "PYTHONPATH=%s%s%s", p->dir, path && *path ? ":" : "",
                 path ? path : "") < 0) {
        p->python_path = NULL;
        return message_no_memory();
    }
    if (asprintf(&p->explain, "WARMPACK_EXPLAIN=%s", p->told) < 0) {
        p->explain = NULL;
        return message_no_memory();
    }
    if (mkdir(p->told, 0700) < 0)
        return failed(p->told);
    status = write_file(p->dir, "explaining.py", (const char *)embedded_explaining);
    return status ? status : write_file(p->dir, "sitecustomize.py", sitecustomize);
}

static void place_clear(struct place *p)
{
    scratch_remove(p->dir);
    free(p->told);
    free(p->python_path);
    free(p->explain);
}

/* ---- Telling ------------------------------------------------------------------------------- */

static const char *title(const json_t *facts)
{
    const char *signature = explain_text(facts, "signature");

    return *signature ? signature : "(no signature)";
}

static void print_text(const struct explain_report *r)
{
    for (size_t i = 0; i < r->compiled_count; i++) {
        const struct explain_compiled *c = &r->compiled[i];

        message_summary("%s %s: %s: %s", explain_text(c->facts, "function"), title(c->facts),
                        explain_text(c->facts, "cause"), explain_text(c->facts, "detail"));
        message_summary("    %.2f s%s; %s", c->seconds, c->count > 1 ? " in several processes" : "",
                        explain_text(c->facts, "cure"));
    }
    if (r->disabled)
        message_summary("NUMBA_DISABLE_JIT is set: nothing is compiled or loaded; unset it");
}

static void print_summary(const struct explain_report *r)
{
    if (!r->process_count)
        message_summary("no Python process of the command imported Numba, so nothing is known");
    else
        message_summary("%zu %s: %zu loaded, %zu compiled in %.2f s", r->process_count,
                        show_plural(r->process_count, "process", "processes"), r->loaded,
                        r->compiled_count, r->seconds);
}

static json_t *process_object(const struct explain_process *p)
{
    json_t *o = p->facts ? json_copy(p->facts) : json_object();

    json_object_del(o, "event");
    json_object_set_new(o, "loaded", document_count(p->loaded));
    json_object_set_new(o, "compiled", document_count(p->compiled));
    json_object_set_new(o, "seconds", json_real(p->seconds));
    return o;
}

static json_t *compiled_object(const struct explain_compiled *c)
{
    json_t *o = json_copy(c->facts);

    json_object_del(o, "event");
    json_object_set_new(o, "count", document_count(c->count));
    json_object_set_new(o, "seconds", json_real(c->seconds));
    return o;
}

static void print_json(const struct explain_report *r, int status)
{
    document_begin();
    document_member("status", document_count((uint64_t)status));
    document_array("processes");
    for (size_t i = 0; i < r->process_count; i++)
        document_item(process_object(&r->processes[i]));
    document_array_end();
    document_array("compiled");
    for (size_t i = 0; i < r->compiled_count; i++)
        document_item(compiled_object(&r->compiled[i]));
    document_array_end();
    document_member("loaded", document_count(r->loaded));
    document_member("seconds", json_real(r->seconds));
    document_end();
}

/* One line a process, each in one write, so that those of a fleet do not mix. */
static int append_lines(const struct explain_report *r, const char *file)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    int status = fd < 0 ? failed(file) : 0;

    for (size_t i = 0; i < r->process_count && !status; i++) {
        json_t *o = process_object(&r->processes[i]);
        _cleanup_free_ char *text = NULL, *line = NULL;
        int n;

        json_object_set_new(o, "time", document_count((uint64_t)time(NULL)));
        text = json_dumps(o, 0);
        json_decref(o);
        n = text ? asprintf(&line, "%s\n", text) : -1;
        if (n < 0) {
            line = NULL;
            status = message_no_memory();
        } else if (write(fd, line, (size_t)n) != n) {
            status = failed(file);
        }
    }
    if (fd >= 0 && close(fd) < 0 && !status)
        status = failed(file);
    return status;
}

static int tell(const struct args *a, const struct place *p, int child_status)
{
    struct explain_report report;
    int status = explain_report_read(&report, p->told);

    if (!status && a->json_lines)
        status = append_lines(&report, a->json_lines);
    if (!status && a->json)
        print_json(&report, child_status);
    if (!status && !a->json)
        print_text(&report);
    show_flush();
    if (!status)
        print_summary(&report);
    if (!status && a->fail_on_compile &&
        (report.compiled_count || report.disabled || !report.process_count))
        status = STATUS_LOST;
    explain_report_clear(&report);
    return status;
}

static int explain(const struct args *a, const char *const *command, const struct place *p)
{
    const char *const set[] = {p->python_path, p->explain, NULL};
    const struct child_options o = {.command = command, .set = set, .stdout_to_stderr = a->json};
    int child_status = 0;
    int r = child_run(&o, &child_status);
    int status;

    if (r < 0) {
        message_error("%s: cannot be run: %s", command[0], strerror(-r));
        return STATUS_FAILED;
    }
    status = tell(a, p, child_status);
    return child_status ? child_status : status;
}

int explain_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_free_ const char **command = calloc(a->operand_count + 1, sizeof *command);
    struct place place = {0};
    int status;

    (void)context;
    if (!command)
        return message_no_memory();
    for (size_t i = 0; i < a->operand_count; i++)
        command[i] = a->operands[i].text;
    signals_install();
    status = make_place(&place);
    if (!status)
        status = explain(a, command, &place);
    place_clear(&place);
    return status;
}
