#include <stdio.h>

#include "completion.h"

static const char *const actions[] = {
    [KIND_NOTHING] = " ",
    [KIND_FILES] = "_files",
    [KIND_DIRECTORIES] = "_files -/",
    [KIND_COMMANDS] = "_command_names -e",
    [KIND_USERS] = "_users",
    [KIND_GROUPS] = "_groups",
};

/* One specification of _arguments: '(-f --file)'{-f+,--file=}'[help]:ARCHIVE:_files' */
static void write_option(const struct offer *o)
{
    const char *equals = o->argument ? "=" : "";

    fputs("        ", stdout);
    if (o->letter && o->repeatable)
        printf("'*'{-%c%s,--%s%s}'", o->letter, o->argument ? "+" : "", o->name, equals);
    else if (o->letter)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'", o->letter, o->name, o->letter, o->argument ? "+" : "",
               o->name, equals);
    else
        printf("'%s--%s%s", o->repeatable ? "*" : "", o->name, equals);
    putchar('[');
    put_quoted(o->help, "[]\\", "\\");
    putchar(']');
    if (o->argument) {
        putchar(':');
        put_quoted(o->argument, ":\\", "\\");
        if (o->kind == KIND_WORDS)
            printf(":(%s)", o->words);
        else
            printf(":%s", actions[o->kind]);
    }
    puts("' \\");
}

static void write_verb(enum verb v)
{
    struct offer o;

    printf("    %s)\n      _arguments -s : \\\n", options_verb_name(v));
    /* Of tar's spelling; it stands where the verb would. */
    if (v == VERB_CREATE || v == VERB_EXTRACT || v == VERB_LIST)
        printf("        '!-%c' '!--%s'%s \\\n",
               v == VERB_CREATE    ? 'c'
               : v == VERB_EXTRACT ? 'x'
                                   : 't',
               options_verb_name(v), v == VERB_EXTRACT ? " '!--get'" : "");
    for (size_t i = 0; offer_next(&o, v, &i);)
        write_option(&o);
    printf("        '*:%s:%s' ;;\n", offer_operands(v) == KIND_NOTHING ? "pattern" : "name",
           actions[offer_operands(v)]);
}

void write_zsh(void)
{
    puts("#compdef warmpack\n"
         "# Completion of warmpack for zsh. Made from the program's table of options.\n\n"
         "_warmpack() {\n"
         "  local curcontext=$curcontext verb\n"
         "  local -a verbs=(");
    for (int v = 0; v < VERB_COUNT; v++) {
        printf("    '%s:", options_verb_name((enum verb)v));
        put_quoted(options_verb_what((enum verb)v), ":\\", "\\");
        puts("'");
    }
    puts("    '--help:Print the verbs.'\n"
         "    '--version:Print the version.'\n"
         "  )\n"
         "  if (( CURRENT == 2 )); then\n"
         "    _describe -t verbs verb verbs\n"
         "    return\n"
         "  fi\n"
         "  case $words[2] in");
    fputs("    ", stdout);
    for (int v = 0; v < VERB_COUNT; v++)
        printf("%s%s", v ? "|" : "", options_verb_name((enum verb)v));
    puts(")\n"
         "      verb=$words[2]\n"
         "      shift words\n"
         "      (( CURRENT-- )) ;;\n"
         "    --create) verb=create ;;\n"
         "    --extract|--get) verb=extract ;;\n"
         "    --list) verb=list ;;\n"
         "    --*) return 1 ;;\n"
         "    *)\n"
         "      # tar's letters, which may stand without a dash.\n"
         "      case ${words[2]//[^cxt]/} in\n"
         "        c*) verb=create ;;\n"
         "        x*) verb=extract ;;\n"
         "        t*) verb=list ;;\n"
         "        *) return 1 ;;\n"
         "      esac\n"
         "      [[ $words[2] == -* ]] || words[2]=-$words[2] ;;\n"
         "  esac\n"
         "  case $verb in");
    for (int v = 0; v < VERB_COUNT; v++)
        write_verb((enum verb)v);
    puts("  esac\n}\n\n_warmpack \"$@\"");
}
