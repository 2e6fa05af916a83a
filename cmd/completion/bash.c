#include <stdio.h>

#include "completion.h"

static const char *const actions[] = {
    [KIND_NOTHING] = ":",
    [KIND_FILES] = "_warmpack_names -f",
    [KIND_DIRECTORIES] = "_warmpack_names -d",
    [KIND_COMMANDS] = "_warmpack_names -c",
    [KIND_USERS] = "_warmpack_words -u",
    [KIND_GROUPS] = "_warmpack_words -g",
};

static void write_options(enum verb v)
{
    struct offer o;

    printf("    %s) echo '", options_verb_name(v));
    for (size_t i = 0; offer_next(&o, v, &i);)
        printf("--%s ", o.name);
    printf("' ;;\n");
}

static void write_arguments(enum verb v)
{
    const char *verb = options_verb_name(v);
    struct offer o;

    for (size_t i = 0; offer_next(&o, v, &i);) {
        if (!o.argument)
            continue;
        printf("    '%s --%s'", verb, o.name);
        if (o.letter)
            printf(" | '%s -%c'", verb, o.letter);
        if (o.kind == KIND_WORDS)
            printf(") _warmpack_words -W '%s' ;;\n", o.words);
        else
            printf(") %s ;;\n", actions[o.kind]);
    }
    printf("    '%s '*)\n        _warmpack_operand || %s ;;\n", verb, actions[offer_operands(v)]);
}

static void write_verbs(const char *separator)
{
    for (int v = 0; v < VERB_COUNT; v++)
        printf("%s%s", v ? separator : "", options_verb_name((enum verb)v));
}

void write_bash(void)
{
    puts("# Completion of warmpack for bash. Made from the program's table of options.\n\n"
         "_warmpack_options()\n{\n    case $1 in");
    for (int v = 0; v < VERB_COUNT; v++)
        write_options((enum verb)v);
    puts("    esac\n}\n\n"
         "# The verb that the first word says, in tar's spelling, too.\n"
         "_warmpack_verb()\n{\n    case $1 in");
    fputs("    ", stdout);
    write_verbs(" | ");
    puts(") echo \"$1\" ;;\n"
         "    --create) echo create ;;\n"
         "    --extract | --get) echo extract ;;\n"
         "    --list) echo list ;;\n"
         "    --*) ;;\n"
         "    *c*) echo create ;;\n"
         "    *x*) echo extract ;;\n"
         "    *t*) echo list ;;\n"
         "    esac\n}\n\n"
         "_warmpack_words()\n{\n"
         "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$current\")\n}\n\n"
         "_warmpack_names()\n{\n"
         "    compopt -o filenames 2>/dev/null\n"
         "    _warmpack_words \"$1\"\n}\n\n"
         "# An option of the verb; fails where it is none that is written.\n"
         "_warmpack_operand()\n{\n"
         "    [[ $current == -* ]] && _warmpack_words -W \"$(_warmpack_options \"$verb\")\"\n}\n\n"
         "_warmpack()\n{\n"
         "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb\n"
         "    COMPREPLY=()\n"
         "    if ((COMP_CWORD == 1)); then");
    fputs("        _warmpack_words -W '", stdout);
    write_verbs(" ");
    puts(" --help --version'\n"
         "        return\n"
         "    fi\n"
         "    verb=$(_warmpack_verb \"${COMP_WORDS[1]}\")\n"
         "    # --layout=keep comes in three words; of bundled letters the last may take an "
         "argument.\n"
         "    if [[ $current == = ]]; then\n"
         "        current=\n"
         "    elif [[ $previous == = ]]; then\n"
         "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    elif [[ $previous == -[!-]?* ]] ||\n"
         "        [[ $COMP_CWORD -eq 2 && $previous != -* && $previous != \"$verb\" ]]; then\n"
         "        previous=-${previous: -1}\n"
         "    fi\n"
         "    case \"$verb $previous\" in");
    for (int v = 0; v < VERB_COUNT; v++)
        write_arguments((enum verb)v);
    puts("    esac\n}\n\ncomplete -F _warmpack warmpack");
}
