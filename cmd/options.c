/* Keeps the tables of verbs and options, and prints the help texts. */

#include "options.h"

#include <stdio.h>
#include <string.h>

#include "warmpack.h"

enum {
#define VERB(letter, id, ...) letter = 1 << VERB_##id,
#include "options.def"
    ALL = (1 << VERB_COUNT) - 1
};

static const struct option_row {
    int code;
    unsigned verbs;       /* that take it: bits, 1 << enum verb */
    const char *name;     /* long */
    const char *argument; /* NULL: takes none */
    const char *help;     /* NULL: another name of the row above it, or not shown */
    const char *values;   /* of the argument, as "one|many"; NULL: there is no list of them */
} rows[] = {
#define OPTION(...) {__VA_ARGS__},
#include "options.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct {
    const char *name;
    const char *usage; /* behind "warmpack " */
    const char *tar;   /* the same in tar's spelling; NULL: none */
    const char *what;
    const char *more; /* behind the options; NULL: nothing */
} verbs[VERB_COUNT] = {
#define VERB(letter, id, ...) [VERB_##id] = {__VA_ARGS__},
#include "options.def"
};

const char *options_verb_name(enum verb v)
{
    return v < VERB_COUNT ? verbs[v].name : NULL;
}

enum verb options_verb(const char *name)
{
    for (int v = 0; v < VERB_COUNT; v++) {
        if (strcmp(name, verbs[v].name) == 0)
            return (enum verb)v;
    }
    return VERB_NONE;
}

static bool has_letter(const struct option_row *r)
{
    return r->code <= OPT_LETTERS;
}

const char *options_short(void)
{
    static char text[2 + 2 * ROWS + 1];
    char *p = text;

    if (text[0])
        return text;
    *p++ = '-';
    *p++ = ':';
    for (size_t i = 0; i < ROWS; i++) {
        if (!has_letter(rows + i) || strchr(text, rows[i].code))
            continue;
        *p++ = (char)rows[i].code;
        if (rows[i].argument)
            *p++ = ':';
    }
    return text;
}

const struct option *options_long(void)
{
    static struct option table[ROWS + 1]; /* ends with zeros */

    for (size_t i = 0; i < ROWS; i++) {
        table[i] = (struct option){rows[i].name, rows[i].argument ? required_argument : no_argument,
                                   NULL, rows[i].code};
    }
    return table;
}

static const struct option_row *find(int code)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].code == code)
            return rows + i;
    }
    return NULL;
}

bool options_known(int code)
{
    return find(code) != NULL;
}

bool options_has_argument(int code)
{
    const struct option_row *r = find(code);

    return r && r->argument;
}

bool options_taken(int code, enum verb v)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].code == code && rows[i].verbs & 1u << v)
            return true;
    }
    return false;
}

const char *options_name(int code)
{
    static char text[40];
    const struct option_row *r = find(code);

    if (r && has_letter(r))
        snprintf(text, sizeof text, "-%c (--%s)", code, r->name);
    else if (r)
        snprintf(text, sizeof text, "--%s", r->name);
    else
        snprintf(text, sizeof text, "-%c", code);
    return text;
}

int options_value(int code, const char *word)
{
    const char *values = NULL;
    size_t n;

    for (size_t i = 0; i < ROWS && !values; i++)
        values = rows[i].code == code ? rows[i].values : NULL;
    for (int i = 0; values && *values; i++) {
        n = strcspn(values, "|");
        if (strlen(word) == n && memcmp(values, word, n) == 0)
            return i;
        values += n + (values[n] == '|');
    }
    return -1;
}

bool options_ambiguous(const char *name, size_t n)
{
    int code = 0;

    for (size_t i = 0; i < ROWS; i++) {
        if (strncmp(rows[i].name, name, n) != 0)
            continue;
        if (code && rows[i].code != code)
            return true;
        code = rows[i].code;
    }
    return false;
}

static void help_row(const struct option_row *r)
{
    char left[64];

    snprintf(left, sizeof left, "%s%c%s--%s%s%s", has_letter(r) ? "-" : " ",
             has_letter(r) ? r->code : ' ', has_letter(r) ? ", " : "  ", r->name,
             r->argument ? " " : "", r->argument ? r->argument : "");
    printf("  %-28s  %s\n", left, r->help);
}

static void help_formats(void)
{
    const struct wp_format *f;

    fputs("Formats:", stdout);
    for (size_t i = 0; (f = wp_format_at(i)); i++) {
        if (wp_format_writes(f))
            printf(" %s", wp_format_name(f));
    }
    fputs(". pax and posix are accepted: every tar is one.\n", stdout);
}

static void help_program(void)
{
    fputs("Usage: warmpack VERB [OPTION]... [OPERAND]...\n"
          "Pack Python trees so that their Numba caches arrive warm.\n\n",
          stdout);
    for (int v = 0; v < VERB_COUNT; v++) {
        printf("  warmpack %s\n", verbs[v].usage);
        if (verbs[v].tar)
            printf("     or    warmpack %s\n", verbs[v].tar);
        printf("      %s\n", verbs[v].what);
    }
    fputs("\n'warmpack VERB --help' shows the options of a verb. tar's letters may be bundled and\n"
          "stand without a dash: warmpack xzf app.tgz -C /opt\n",
          stdout);
}

void options_help(enum verb v)
{
    if (v >= VERB_COUNT) {
        help_program();
        return;
    }
    printf("Usage: warmpack %s\n", verbs[v].usage);
    if (verbs[v].tar)
        printf("   or: warmpack %s\n", verbs[v].tar);
    printf("%s\n\n", verbs[v].what);
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].help && rows[i].verbs & 1u << v)
            help_row(rows + i);
    }
    if (verbs[v].more)
        printf("\n%s", verbs[v].more);
    if (v == VERB_CREATE || v == VERB_MERGE)
        help_formats();
    printf("\nExit status: 0 done; 1 %s; 2 error.\n",
           v == VERB_CREATE || v == VERB_SEAL ? "a file changed while it was read"
           : v == VERB_EXTRACT || v == VERB_RESTORE
               ? "a cache index that was valid is not valid now"
           : v == VERB_RETARGET ? "code stays that does not load there"
           : v == VERB_AMEND    ? "a source of ARCHIVE is not in DIR, or there was nothing to add"
           : v == VERB_VERIFY   ? "a cache index is not valid"
           : v == VERB_INSPECT  ? "a cache index cannot be read"
           : v == VERB_DIFF     ? "there are differences"
           : v == VERB_WARM     ? "something is compiled elsewhere that is not in place"
           : v == VERB_EXPLAIN  ? "with --fail-on-compile, something was compiled; else the "
                                  "command's own"
           : v == VERB_ENV      ? "with --check, caches do not load or run somewhere"
                                : "not used");
}
