#include <stdio.h>

#include "completion.h"

static const char *const actions[] = {
    [KIND_NOTHING] = "-x",
    [KIND_FILES] = "-r -F",
    [KIND_DIRECTORIES] = "-x -a '(__fish_complete_directories)'",
    [KIND_COMMANDS] = "-x -a '(__fish_complete_command)'",
    [KIND_USERS] = "-x -a '(__fish_complete_users)'",
    [KIND_GROUPS] = "-x -a '(__fish_complete_groups)'",
};

static void write_begin(enum verb v)
{
    printf("complete -c warmpack -n '__warmpack_is %s'", options_verb_name(v));
}

static void write_option(enum verb v, const struct offer *o)
{
    write_begin(v);
    if (o->letter)
        printf(" -s %c", o->letter);
    printf(" -l %s", o->name);
    if (o->argument && o->kind == KIND_WORDS)
        printf(" -x -a '%s'", o->words);
    else if (o->argument)
        printf(" %s", actions[o->kind]);
    fputs(" -d '", stdout);
    put_escaped(o->help, "'\\", "\\");
    puts("'");
}

static void write_operands(enum verb v)
{
    const enum kind kind = offer_operands(v);

    if (kind == KIND_NOTHING)
        return;
    write_begin(v);
    puts(kind == KIND_FILES ? " -F" : " -a '(__fish_complete_directories)'");
}

void write_fish(void)
{
    puts("# Completion of warmpack for fish. Made from the program's table of options.\n\n"
         "# The verb that the first word says, in tar's spelling, too.\n"
         "function __warmpack_verb\n"
         "    set -l words (commandline -opc)\n"
         "    test (count $words) -gt 1; or return 1\n"
         "    switch $words[2]");
    fputs("        case", stdout);
    for (int v = 0; v < VERB_COUNT; v++)
        printf(" %s", options_verb_name((enum verb)v));
    puts("\n            echo $words[2]\n"
         "        case --create\n            echo create\n"
         "        case --extract --get\n            echo extract\n"
         "        case --list\n            echo list\n"
         "        case '--*'\n            return 1\n"
         "        case '*c*'\n            echo create\n"
         "        case '*x*'\n            echo extract\n"
         "        case '*t*'\n            echo list\n"
         "        case '*'\n            return 1\n"
         "    end\n"
         "end\n\n"
         "function __warmpack_is\n"
         "    test \"$(__warmpack_verb)\" = $argv[1]\n"
         "end\n\n"
         "# Behind tar's letters without a dash, of which fish knows nothing.\n"
         "function __warmpack_letters_want_archive\n"
         "    set -l words (commandline -opc)\n"
         "    test (count $words) -eq 2; and string match -qr '^[a-zA-Z0]*f$' -- $words[2]\n"
         "end\n\n"
         "function __warmpack_begins\n"
         "    test (count (commandline -opc)) -eq 1\n"
         "end\n\n"
         "complete -c warmpack -f\n"
         "complete -c warmpack -n __warmpack_letters_want_archive -F\n"
         "complete -c warmpack -n __warmpack_begins -l help -d 'Print the verbs.'\n"
         "complete -c warmpack -n __warmpack_begins -l version -d 'Print the version.'");
    for (int v = 0; v < VERB_COUNT; v++) {
        printf("complete -c warmpack -n __warmpack_begins -a %s -d '",
               options_verb_name((enum verb)v));
        put_escaped(options_verb_what((enum verb)v), "'\\", "\\");
        puts("'");
    }
    for (int v = 0; v < VERB_COUNT; v++) {
        struct offer o;

        putchar('\n');
        for (size_t i = 0; offer_next(&o, (enum verb)v, &i);)
            write_option((enum verb)v, &o);
        write_operands((enum verb)v);
    }
}
