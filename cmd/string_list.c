/* Lists of strings, also read from a file that names one per line. */

#include "string_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "text.h"

int string_list_add(struct string_list *n, const char *name)
{
    char *copy;

    if (n->count + 2 > n->room) {
        size_t room = n->room ? 2 * n->room : 16;
        char **v = reallocarray(n->v, room, sizeof *v);

        if (!v)
            return -ENOMEM;
        n->v = v;
        n->room = room;
    }
    copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    n->v[n->count++] = copy;
    n->v[n->count] = NULL;
    return 0;
}

void string_list_clear(struct string_list *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->v[i]);
    free(n->v);
    *n = (struct string_list){0};
}

const char *const *string_list_values(const struct string_list *n)
{
    return n->count ? (const char *const *)n->v : NULL;
}

static int add_name(struct string_list *n, char *name, enum string_list_kind kind)
{
    size_t size = strlen(name);

    while (kind == LIST_PATTERNS && size && strchr(" \t\r\f\v", name[size - 1]))
        name[--size] = '\0';
    return size ? string_list_add(n, name) : 0;
}

static int add_lines(struct string_list *n, char *lines, enum string_list_kind kind)
{
    int rc = 0;

    for (char *line = lines, *next; line && !rc; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        rc = add_name(n, line, kind);
    }
    return rc;
}

int string_list_read(struct string_list *n, const char *file, enum string_list_kind kind)
{
    bool is_stdin = strcmp(file, "-") == 0;
    _cleanup_fclose_ FILE *opened = is_stdin ? NULL : fopen(file, "re");
    _cleanup_free_ char *text = NULL;
    FILE *f = is_stdin ? stdin : opened;
    bool lines = kind != LIST_NUL;
    size_t room = 0;
    ssize_t size;
    int rc = 0;

    if (!f)
        return message_errno(file);
    errno = 0;
    while (!rc && (size = getdelim(&text, &room, '\0', f)) > 0) {
        bool nul = text[size - 1] == '\0';

        /* As tar does: a list that find -print0 made is understood. */
        if (nul && lines)
            message_warning("%s: a NUL in the list: names end with NUL from here on", file);
        rc = lines ? add_lines(n, text, kind) : add_name(n, text, kind);
        lines = lines && !nul;
    }
    if (!rc && ferror(f))
        return message_error("%s: %s", file, strerror(errno ? errno : EIO));
    if (!rc && !feof(f))
        rc = -ENOMEM;
    if (rc)
        return message_no_memory();
    return 0;
}
