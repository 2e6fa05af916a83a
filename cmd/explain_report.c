/* Gathers what the processes of an explained command have told. */

#include "explain_report.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "message.h"
#include "text.h"

const char *explain_text(const json_t *facts, const char *name)
{
    const char *text = json_string_value(json_object_get(facts, name));

    return text ? text : "";
}

static int grow(void **list, size_t count, size_t size)
{
    void *more = reallocarray(*list, count + 1, size);

    if (!more)
        return message_no_memory();
    *list = more;
    memset((char *)more + count * size, 0, size);
    return 0;
}

static bool is_alike(const json_t *a, const json_t *b)
{
    static const char *const names[] = {"function", "source", "line", "signature", "cause"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!json_equal(json_object_get(a, names[i]), json_object_get(b, names[i])))
            return false;
    return true;
}

static int add_compiled(struct explain_report *r, json_t *facts, double seconds)
{
    size_t i = 0;

    while (i < r->compiled_count && !is_alike(r->compiled[i].facts, facts))
        i++;
    if (i == r->compiled_count) {
        if (grow((void **)&r->compiled, i, sizeof *r->compiled))
            return STATUS_FAILED;
        r->compiled[r->compiled_count++].facts = json_incref(facts);
    }
    r->compiled[i].count++;
    r->compiled[i].seconds += seconds;
    return 0;
}

static int take_line(struct explain_report *r, struct explain_process *p, json_t *line)
{
    const char *event = explain_text(line, "event");

    if (strcmp(event, "process") == 0 && !p->facts) {
        p->facts = json_incref(line);
        r->disabled |= json_is_true(json_object_get(line, "disabled"));
    } else if (strcmp(event, "load") == 0) {
        p->loaded++;
        r->loaded++;
    } else if (strcmp(event, "compile") == 0) {
        double seconds = json_number_value(json_object_get(line, "seconds"));

        p->compiled++;
        p->seconds += seconds;
        r->seconds += seconds;
        return add_compiled(r, line, seconds);
    }
    return 0;
}

/* A process that was killed may have left its last line half written: it is passed over. */
static int read_file(struct explain_report *r, const char *path)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    struct explain_process *p;
    size_t room = 0;

    if (!f)
        return message_errno(path);
    if (grow((void **)&r->processes, r->process_count, sizeof *p))
        return STATUS_FAILED;
    p = &r->processes[r->process_count++];
    while (getline(&line, &room, f) > 0) {
        json_t *value = json_loads(line, JSON_ALLOW_NUL, NULL);
        int status = value ? take_line(r, p, value) : 0;

        json_decref(value);
        if (status)
            return status;
    }
    return 0;
}

static int by_seconds(const void *a, const void *b)
{
    const struct explain_compiled *x = a, *y = b;

    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? 1 : -1;
    return strcmp(explain_text(x->facts, "function"), explain_text(y->facts, "function"));
}

static int lost(void)
{
    return message_error(
        "a process of the command could not write what it saw: is there room in TMPDIR?");
}

int explain_report_read(struct explain_report *out, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    int status = 0;

    *out = (struct explain_report){0};
    if (!d)
        return message_errno(dir);
    while (!status && (errno = 0, item = readdir(d))) {
        _cleanup_free_ char *path = text_join(dir, item->d_name);

        if (!path)
            status = message_no_memory();
        else if (text_has_suffix(item->d_name, ".lost"))
            status = lost();
        else if (item->d_name[0] != '.')
            status = read_file(out, path);
    }
    if (!status && errno)
        status = message_errno(dir);
    closedir(d);
    if (out->compiled_count)
        qsort(out->compiled, out->compiled_count, sizeof *out->compiled, by_seconds);
    return status;
}

void explain_report_clear(struct explain_report *r)
{
    for (size_t i = 0; i < r->process_count; i++)
        json_decref(r->processes[i].facts);
    for (size_t i = 0; i < r->compiled_count; i++)
        json_decref(r->compiled[i].facts);
    free(r->processes);
    free(r->compiled);
    *r = (struct explain_report){0};
}
