/* Rewrites the paths of a command from a tree to its copy elsewhere. */

#include "warm_places.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "text.h"

char *warm_place(const char *path, const char *const *dirs, const char *copy)
{
    errno = 0;
    for (; *dirs; dirs++) {
        const size_t n = strcmp(*dirs, "/") == 0 ? 0 : strlen(*dirs);

        if (strncmp(path, *dirs, n) != 0 || (path[n] && path[n] != '/'))
            continue;
        char *out = text_printf("%s%s", copy, path + n);

        errno = out ? 0 : ENOMEM;
        return out;
    }
    return NULL;
}

static bool exists(const char *dir, const char *path)
{
    _cleanup_free_ char *joined = text_join(dir, path);
    struct stat st;

    return joined && stat(joined, &st) == 0;
}

/* Allocated; NULL: no memory. */
static char *place_word(const char *word, const char *const *dirs, const char *copy,
                        const char *cwd, const char *new_cwd)
{
    char *placed;

    if (word[0] != '/')
        return *word && word[0] != '-' && exists(cwd, word) && !exists(new_cwd, word)
                   ? text_join(cwd, word)
                   : strdup(word);
    placed = warm_place(word, dirs, copy);
    if (placed && exists(copy, placed))
        return placed;
    if (!placed && errno)
        return NULL;
    free(placed);
    return strdup(word);
}

void warm_command_free(char **command)
{
    for (char **word = command; word && *word; word++)
        free(*word);
    free(command);
}

char **warm_command(const char *const *command, const char *const *dirs, const char *copy,
                    const char *cwd, const char *new_cwd)
{
    size_t n = 0;
    char **out;

    while (command[n])
        n++;
    out = calloc(n + 1, sizeof *out);
    for (size_t i = 0; out && i < n; i++) {
        /* The program itself is looked up in $PATH where it has no slash. */
        out[i] = i == 0 && !strchr(command[i], '/')
                     ? strdup(command[i])
                     : place_word(command[i], dirs, copy, cwd, new_cwd);
        if (!out[i]) {
            warm_command_free(out);
            return NULL;
        }
    }
    return out;
}

char *warm_python_path(const char *const *dirs, const char *copy, const char *cwd)
{
    const char *given = getenv("PYTHONPATH");
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    const char *before = "";

    if (!f)
        return NULL;
    fputs("PYTHONPATH=", f);
    for (const char *at = given; at && *at;) {
        const size_t n = strcspn(at, ":");
        _cleanup_free_ char *entry = strndup(at, n), *full = NULL, *placed = NULL;

        full = entry ? text_join(cwd, entry) : NULL;
        placed = full && *entry ? warm_place(full, dirs, copy) : NULL;
        fprintf(f, "%s%s", before, placed ? placed : entry && *entry && full ? full : "");
        before = ":";
        at += n + (at[n] == ':');
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
