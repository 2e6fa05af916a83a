/* Reads what `warmpack warm` is asked for, and finds what is wrong before anything runs. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_dirs.h"
#include "format_choice.h"
#include "message.h"
#include "scratch.h"
#include "text.h"
#include "warm_job.h"

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
    if (!w->cwd)
        return message_error("the working directory cannot be found: %s", strerror(errno));
    /* As it was given, too: Numba names caches by the path that Python knows. */
    w->real = realpath(given ? given : ".", NULL);
    if (!w->real || stat(w->real, &st) < 0 || !S_ISDIR(st.st_mode))
        return message_error("%s: %s", given ? given : ".",
                             w->real ? strerror(ENOTDIR) : strerror(errno));
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
    return message_error("%s: cannot be made in %s: %s", archive, dir, strerror(errno));
}

int warm_prepare(struct warm *w)
{
    const struct args *a = w->a;
    int status = take_operands(w);

    for (size_t i = 0; i < w->member_count; i++)
        w->members[i].dir = w->dir;
    if (!status && a->archive)
        status = format_choose(a, a->archive, &w->format);
    if (!status && a->archive)
        status = format_check_options(a, w->format);
    if (!status && a->archive)
        status = check_output(a->archive);
    if (!status)
        status = args_exclude(a, &w->exclude);
    if (!status && !a->archive)
        status = cache_dirs_add(&w->cache_dirs, a);
    if (!status)
        status = warm_cpus_read(&w->cpus, w->context, &a->cpus);
    if (status)
        return status;
    w->builds = calloc(w->cpus.count, sizeof *w->builds);
    if (!w->builds)
        return message_no_memory();
    for (size_t i = 0; i < w->cpus.count; i++)
        w->builds[i].cpu = &w->cpus.v[i];
    return scratch_make(&w->scratch);
}
