/* generate_completion SHELL FILE: writes the completion for the shell. */

#include "completion.h"

#include <stdio.h>
#include <string.h>

#include "warmpack.h"

static enum kind kind_of(const struct option_row *r)
{
    static const struct {
        const char *argument;
        enum kind kind;
    } kinds[] = {
        {"ARCHIVE", KIND_FILES},   {"OUT", KIND_FILES},        {"FILE", KIND_FILES},
        {"DIR", KIND_DIRECTORIES}, {"PATH", KIND_DIRECTORIES}, {"PY", KIND_COMMANDS},
        {"NAME|UID", KIND_USERS},  {"NAME[:UID]", KIND_USERS}, {"NAME[:GID]", KIND_GROUPS},
    };

    for (size_t i = 0; r->argument && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].argument, r->argument) == 0)
            return kinds[i].kind;
    }
    return KIND_NOTHING;
}

static void add_word(struct offer *o, const char *word, size_t n)
{
    size_t used = strlen(o->words);

    if (used + n + 2 <= sizeof o->words)
        snprintf(o->words + used, sizeof o->words - used, "%s%.*s", used ? " " : "", (int)n, word);
}

static void set_words(struct offer *o, const char *values)
{
    while (*values) {
        size_t n = strcspn(values, "|");

        add_word(o, values, n);
        values += n + (values[n] == '|');
    }
    o->kind = KIND_WORDS;
}

static void set_formats(struct offer *o)
{
    const struct wp_format *f;

    for (size_t i = 0; (f = wp_format_at(i)); i++) {
        if (wp_format_writes(f))
            add_word(o, wp_format_name(f), strlen(wp_format_name(f)));
    }
    o->kind = KIND_WORDS;
}

bool offer_next(struct offer *out, enum verb v, size_t *i)
{
    const struct option_row *r;

    while ((r = options_row(*i))) {
        ++*i;
        if (!r->help || !(r->verbs & 1u << v))
            continue;
        *out = (struct offer){
            .name = r->name,
            .letter = options_row_has_letter(r) ? (char)r->code : '\0',
            .help = r->help,
            .argument = r->argument,
            .repeatable = strstr(r->help, "repeatable") != NULL,
            .kind = kind_of(r),
        };
        if (r->values)
            set_words(out, r->values);
        else if (strcmp(r->name, "format") == 0)
            set_formats(out);
        return true;
    }
    return false;
}

enum kind offer_operands(enum verb v)
{
    if (v == VERB_EXTRACT || v == VERB_LIST) /* patterns */
        return KIND_NOTHING;
    return v == VERB_RESTORE || v == VERB_VERIFY ? KIND_DIRECTORIES : KIND_FILES;
}

void put_escaped(const char *text, const char *special, const char *escape)
{
    for (; *text; text++)
        printf("%s%c", strchr(special, *text) ? escape : "", *text);
}

void put_quoted(const char *text, const char *special, const char *escape)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            printf("%s%c", strchr(special, *text) ? escape : "", *text);
    }
}

int main(int argc, char **argv)
{
    const char *shell = argc == 3 ? argv[1] : "";

    if (argc != 3 || !freopen(argv[2], "w", stdout))
        return 2;
    if (strcmp(shell, "bash") == 0)
        write_bash();
    else if (strcmp(shell, "zsh") == 0)
        write_zsh();
    else if (strcmp(shell, "fish") == 0)
        write_fish();
    else
        return 2;
    return fclose(stdout) == 0 ? 0 : 1;
}
