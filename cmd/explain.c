/* warmpack explain: runs a command, and says what Numba compiled in it although its cache exists or
 * could, and why. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "explain_report.h"
#include "json_document.h"
#include "message.h"
#include "show.h"
#include "signals.h"
#include "text.h"
#include "verbs.h"
#include "watched.h"

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
        message_summary("no Python process of the command that obeys PYTHONPATH imported Numba, so "
                        "nothing is known");
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

/* One line for each process, each in one write, so that those of a fleet do not mix. */
static int append_lines(const struct explain_report *r, const char *file)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    int status = fd < 0 ? message_errno(file) : 0;

    for (size_t i = 0; i < r->process_count && !status; i++) {
        json_t *o = process_object(&r->processes[i]);
        _cleanup_free_ char *text = NULL, *line = NULL;

        json_object_set_new(o, "time", document_count((uint64_t)time(NULL)));
        text = json_dumps(o, 0);
        json_decref(o);
        line = text ? text_printf("%s\n", text) : NULL;
        if (!line)
            status = message_no_memory();
        else if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
            status = message_errno(file);
    }
    if (fd >= 0 && close(fd) < 0 && !status)
        status = message_errno(file);
    return status;
}

static int tell(const struct args *a, const struct explain_report *report, int child_status)
{
    int status = a->json_lines ? append_lines(report, a->json_lines) : 0;

    if (status)
        return status;
    if (a->json)
        print_json(report, child_status);
    else
        print_text(report);
    show_flush();
    print_summary(report);
    return a->fail_on_compile &&
                   (report->compiled_count || report->disabled || !report->process_count)
               ? STATUS_LOST
               : 0;
}

int explain_run(const struct wp_context *context, const struct args *a)
{
    _cleanup_free_ const char **command = calloc(a->operand_count + 1, sizeof *command);
    struct explain_report report;
    int status, child_status = 0;

    (void)context;
    if (!command)
        return message_no_memory();
    for (size_t i = 0; i < a->operand_count; i++)
        command[i] = a->operands[i].text;
    const struct child_options o = {.command = command, .stdout_to_stderr = a->json};

    signals_install();
    status = watched_run(&o, &child_status, &report);
    if (!status)
        status = tell(a, &report, child_status);
    explain_report_clear(&report);
    return child_status ? child_status : status;
}
