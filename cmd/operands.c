/* Reads the operands of verbs that unpack or look: patterns, and a directory. */

#include "operands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

int operands_check_terminal(const struct args *a)
{
    if (a->archive && strcmp(a->archive, "-") == 0 && isatty(STDIN_FILENO))
        return message_usage("an archive is not read from a terminal");
    return 0;
}

static int enter(struct operands *out, const char *dir)
{
    char *joined = out->dir ? text_join(out->dir, dir) : strdup(dir);

    if (!joined)
        return -1;
    free(out->dir);
    out->dir = joined;
    return 0;
}

int operands_read(const struct args *a, struct operands *out)
{
    int rc = operands_check_terminal(a), failed = 0;

    for (size_t i = 0; i < a->operand_count && !rc && !failed; i++) {
        const struct operand *o = a->operands + i;

        switch (o->kind) {
        case OPERAND_NAME:
            failed = string_list_add(&out->patterns, o->text);
            break;
        case OPERAND_FILES:
            rc = string_list_read(&out->patterns, o->text, a->null ? LIST_NUL : LIST_LINES);
            break;
        case OPERAND_DIR:
            failed = enter(out, o->text);
            break;
        case OPERAND_COMMAND: /* of other verbs */
            break;
        }
    }
    if (failed)
        return message_no_memory();
    return rc;
}

void operands_clear(struct operands *o)
{
    free(o->dir);
    string_list_clear(&o->patterns);
}
