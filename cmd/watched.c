/* Runs a command whose Pythons tell what Numba does in them. */

#include "watched.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "embedded.h"
#include "message.h"
#include "scratch.h"
#include "text.h"

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
    "_self = sys.modules.pop('sitecustomize')\n"
    "try:\n"
    "    import sitecustomize\n"
    "except ImportError as error:\n"
    "    if error.name != 'sitecustomize':\n"
    "        raise\n"
    "finally: # whoever imports this module expects one of its name\n"
    "    sys.modules.setdefault('sitecustomize', _self)\n";

/* The directory that the command's processes read from and tell in. */
struct place {
    char *dir;         /* owned; NULL: it was not made */
    char *told;        /* its subdirectory for their files; owned */
    char *python_path; /* "PYTHONPATH=..."; owned */
    char *explain;     /* "WARMPACK_EXPLAIN=..."; owned */
};

static int write_file(const char *dir, const char *name, const char *text)
{
    _cleanup_free_ char *path = text_join(dir, name);
    FILE *f = path ? fopen(path, "wxe") : NULL;
    bool done;

    if (!path)
        return message_no_memory();
    if (!f)
        return message_errno(path);
    done = fputs(text, f) >= 0;
    return fclose(f) == 0 && done ? 0 : message_errno(path);
}

static int make_place(struct place *p, const char *path)
{
    int status = scratch_make(&p->dir);

    if (status)
        return status;
    if (strchr(p->dir, ':'))
        return message_error("%s: TMPDIR has a colon in it, and PYTHONPATH takes none", p->dir);
    p->told = text_join(p->dir, "told");
    if (!p->told)
        return message_no_memory();
    p->python_path =
        text_printf("PYTHONPATH=%s%s%s", p->dir, path && *path ? ":" : "", path ? path : "");
    p->explain = text_printf("WARMPACK_EXPLAIN=%s", p->told);
    if (!p->python_path || !p->explain)
        return message_no_memory();
    if (mkdir(p->told, 0700) < 0)
        return message_errno(p->told);
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

/* The value of PYTHONPATH that the command is to have, or that this process has. */
static const char *python_path(const struct child_options *command)
{
    static const char name[] = "PYTHONPATH=";

    for (const char *const *s = command->set; s && *s; s++)
        if (strncmp(*s, name, sizeof name - 1) == 0)
            return *s + sizeof name - 1;
    return getenv("PYTHONPATH");
}

static int run(const struct child_options *command, const struct place *p, int *status)
{
    struct child_options o = *command;
    _cleanup_free_ const char **set = NULL;
    size_t n = 0;
    int r;

    while (o.set && o.set[n])
        n++;
    set = calloc(n + 3, sizeof *set);
    if (!set)
        return message_no_memory();
    if (n)
        memcpy(set, o.set, n * sizeof *set);
    set[n] = p->python_path;
    set[n + 1] = p->explain;
    o.set = set;
    r = child_run(&o, status);
    if (r == 0)
        return 0;
    return message_error("%s: cannot be run: %s", o.command[0], strerror(-r));
}

int watched_run(const struct child_options *command, int *status, struct explain_report *out)
{
    _cleanup_(place_clear) struct place place = {0};
    int r;

    *out = (struct explain_report){0};
    r = make_place(&place, python_path(command));
    if (!r)
        r = run(command, &place, status);
    if (!r)
        r = explain_report_read(out, place.told);
    return r;
}
