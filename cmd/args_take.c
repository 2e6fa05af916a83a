/* Takes one option after another into struct args. */

#include "args_take.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

enum { THREADS_MAX = 1024, STRIP_MAX = 1 << 20 };

int args_add_operand(struct args *a, int kind, const char *text)
{
    struct operand *more = reallocarray(a->operands, a->operand_count + 1, sizeof *more);

    if (!more)
        return message_no_memory();
    a->operands = more;
    more[a->operand_count].kind = kind;
    more[a->operand_count++].text = text;
    return 0;
}

static int take_number(int code, const char *text, long min, long max, long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text) || errno || *out < min || *out > max)
        return message_usage("%s: '%s' is not a number%s", options_name(code), text,
                             *end ? "" : " in its range");
    return 0;
}

static int set_mode(struct args *a, enum verb v)
{
    if (a->verb != VERB_NONE && a->verb != v) {
        message_set_verb(NULL);
        return message_usage("-c, -x and -t exclude one another");
    }
    a->verb = v;
    message_set_verb(options_verb_name(v));
    return 0;
}

static int set_compression(struct args *a, enum compression c)
{
    if (a->compression != COMPRESSION_NONE_GIVEN && a->compression != c)
        return message_usage("conflicting compression options");
    a->compression = c;
    return 0;
}

static int set_format(struct args *a, const char *name)
{
    static const char *const refused[] = {"gnu", "oldgnu", "ustar", "v7", NULL};

    if (strcmp(name, "pax") == 0 || strcmp(name, "posix") == 0) {
        a->posix = true;
        return 0;
    }
    for (size_t i = 0; refused[i]; i++) {
        if (strcmp(name, refused[i]) == 0)
            return message_usage("--format %s is refused: it keeps whole seconds only, and every "
                                 "cache index would be stale",
                                 name);
    }
    a->format = name;
    return 0;
}

/* As GNU tar's, of which a build has use for whole seconds alone. */
static int set_mtime(struct args *a, const char *text)
{
    static const char variable[] = "SOURCE_DATE_EPOCH";
    const bool is_variable = strcmp(text, variable) == 0;
    const char *digits = is_variable ? getenv(variable) : *text == '@' ? text + 1 : NULL;
    int rc;

    if (is_variable && !digits)
        return message_usage("--mtime: the environment has no %s", variable);
    if (!digits)
        return message_usage("--mtime: '%s' is neither @SECONDS nor %s", text, variable);
    rc = take_number(OPT_MTIME, digits, LONG_MIN, LONG_MAX, &a->mtime);
    /* importlib takes a directory of that time for one that it has listed already. */
    if (!rc && a->mtime == -1)
        return message_usage("--mtime: in directories of the time @-1 Python finds no modules");
    return rc;
}

/* Options that set a member. */
static const struct {
    int code;
    enum { FLAG, WORD, NAME, NAME_OR_EMPTY, LIST, LIST_OR_EMPTY } kind;
    size_t member; /* of struct args: a bool, an enum, a const char *, or a struct string_list */
} members[] = {
#define CODE(id, kind, member) {id, kind, offsetof(struct args, member)},
#define LETTER CODE
#include "options.def"
};

/* Which of the words that the option takes, in the order of options.def, is TEXT? */
static int take_word(int code, const char *text, int *out)
{
    *out = options_value(code, text);
    return *out < 0 ? message_usage("%s: '%s' is not known", options_name(code), text) : 0;
}

static int set_member(struct args *a, int code, const char *text)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        void *member = (char *)a + members[i].member;

        if (members[i].code != code)
            continue;
        if (members[i].kind == FLAG)
            *(bool *)member = true;
        else if (members[i].kind == WORD)
            return take_word(code, text, member);
        else if (!*text && (members[i].kind == NAME || members[i].kind == LIST))
            return message_usage("%s: the name is empty", options_name(code));
        else if (members[i].kind >= LIST)
            return string_list_add(member, text) ? message_no_memory() : 0;
        else
            *(const char **)member = text;
    }
    return 0;
}

int args_take(struct args *a, int code, const char *text)
{
    switch (code) {
    case OPT_CREATE:
        return set_mode(a, VERB_CREATE);
    case OPT_EXTRACT:
        return set_mode(a, VERB_EXTRACT);
    case OPT_LIST:
        return set_mode(a, VERB_LIST);
    case 'f':
        if (a->archive)
            return message_usage("-f given twice");
        a->archive = text;
        return 0;
    case 'C':
        return args_add_operand(a, OPERAND_DIR, text);
    case 'T':
        return args_add_operand(a, OPERAND_FILES, text);
    case 'z':
        return set_compression(a, COMPRESSION_GZIP);
    case OPT_ZSTD:
        return set_compression(a, COMPRESSION_ZSTD);
    case 'j':
        return set_compression(a, COMPRESSION_BZIP2);
    case 'J':
        return set_compression(a, COMPRESSION_XZ);
    case 'H':
        if (a->verb != VERB_ENV)
            return set_format(a, text);
        a->format = text;
        return 0;
    case OPT_POSIX:
        return set_format(a, "posix");
    case OPT_MTIME:
        return set_mtime(a, text);
    case OPT_SAME_OWNER:
    case OPT_NO_SAME_OWNER:
        a->same_owner = code == OPT_SAME_OWNER;
        a->no_same_owner = code == OPT_NO_SAME_OWNER;
        return 0;
    case OPT_RELOCATE:
    case OPT_NO_RELOCATE:
        a->relocate = code == OPT_RELOCATE ? WP_RELOCATE_ALWAYS : WP_RELOCATE_NEVER;
        return 0;
    case OPT_LEVEL:
        return take_number(code, text, INT_MIN, INT_MAX, &a->level);
    case OPT_STRIP:
        return take_number(code, text, 0, STRIP_MAX, &a->strip_components);
    case OPT_MAX_SIZE:
        return take_number(code, text, 1, LONG_MAX, &a->max_size);
    case OPT_THREADS:
        return take_number(code, text, 0, THREADS_MAX, &a->threads);
    }
    return set_member(a, code, text);
}
