/* Says what was warmed, and what no cache helps. */

#include "json_document.h"
#include "message.h"
#include "show.h"
#include "warm_job.h"

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

void warm_tell(const struct warm *w, bool written)
{
    if (w->a->json)
        print_json(w, written);
    show_flush();
    print_summary(w, written);
}
