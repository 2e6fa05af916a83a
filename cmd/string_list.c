#include "string_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "message.h"

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

static int add_line(struct string_list *n, struct buf *line, enum string_list_kind kind)
{
    if (kind == LIST_PATTERNS) {
        while (line->size && strchr(" \t\r\f\v", line->data[line->size - 1]))
            line->size--;
    }
    if (line->size == 0)
        return 0;
    if (buf_terminate(line) != 0)
        return -ENOMEM;
    return string_list_add(n, (const char *)line->data);
}

int string_list_read(struct string_list *n, const char *file, enum string_list_kind kind)
{
    bool is_stdin = strcmp(file, "-") == 0;
    _cleanup_fclose_ FILE *opened = is_stdin ? NULL : fopen(file, "re");
    _cleanup_buf_ struct buf line = {0};
    FILE *f = is_stdin ? stdin : opened;
    int end = kind == LIST_NUL ? '\0' : '\n', c, rc = 0;

    if (!f) {
        message_error("%s: %s", file, strerror(errno));
        return STATUS_FAILED;
    }
    errno = 0;
    while (!rc && (c = getc_unlocked(f)) != EOF) {
        if (c == '\0' && end != '\0') {
            /* As tar does: a list that find -print0 made is understood. */
            message_warning("%s: a NUL in the list: names end with NUL from here on", file);
            end = '\0';
        }
        if (c == end) {
            rc = add_line(n, &line, kind);
            buf_clear(&line);
        } else {
            unsigned char byte = (unsigned char)c;

            rc = buf_add(&line, &byte, 1);
        }
    }
    if (!rc && ferror(f)) {
        message_error("%s: %s", file, strerror(errno ? errno : EIO));
        return STATUS_FAILED;
    }
    if (!rc)
        rc = add_line(n, &line, kind);
    if (rc) {
        message_error("out of memory");
        return STATUS_FAILED;
    }
    return 0;
}
