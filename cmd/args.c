/* Reads the command line, in the spelling of tar, too. */

#include "args.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "args_take.h"
#include "message.h"

/* tar's first spelling: letters without a dash, and the arguments that some of them take follow as
 * words, in the letters' order. Written out here as options of their own. */
static int expand_bundle(struct args *a, int *argc, char ***argv)
{
    const char *bundle = (*argv)[1];
    size_t letters = strlen(bundle), n = 0, word = 2;
    const char *known = options_short();

    for (size_t i = 0; i < letters; i++) {
        if (!isalnum((unsigned char)bundle[i]) || !strchr(known, bundle[i]))
            return message_usage("'%s' is not a verb", bundle);
    }
    if (!strpbrk(bundle, "cxt"))
        return message_usage("'%s' is not a verb", bundle);

    a->expanded = calloc(letters + (size_t)*argc + 1, sizeof *a->expanded);
    a->letters = calloc(letters + 1, 3);
    if (!a->expanded || !a->letters)
        return message_no_memory();
    a->expanded[n++] = (*argv)[0];
    for (size_t i = 0; i < letters; i++) {
        char *option = a->letters + 3 * i;

        option[0] = '-';
        option[1] = bundle[i];
        a->expanded[n++] = option;
        if (!options_has_argument(bundle[i]))
            continue;
        if (word >= (size_t)*argc)
            return message_usage("%s needs an argument", options_name(bundle[i]));
        a->expanded[n++] = (*argv)[word++];
    }
    while (word < (size_t)*argc)
        a->expanded[n++] = (*argv)[word++];
    *argc = (int)n;
    *argv = a->expanded;
    return 0;
}

/* What getopt_long could not take. LAST is the word before the next one. */
static int refuse(int result, const char *last)
{
    if (result == ':')
        return message_usage("%s needs an argument", options_name(optopt));
    if (optopt && options_known(optopt))
        return message_usage("%s takes no argument", options_name(optopt));
    if (optopt)
        return message_usage("unknown option -%c", optopt);
    if (options_ambiguous(last + 2, strcspn(last + 2, "=")))
        return message_usage("ambiguous option %s", last);
    return message_usage("unknown option %s", last);
}

static int parse_all(struct args *a, int argc, char **argv)
{
    bool verb_given = a->verb != VERB_NONE;
    int code, rc = 0;

    optind = 1;
    while (!rc && !a->help && !a->version) {
        optopt = 0;
        code = getopt_long(argc, argv, options_short(), options_long(), NULL);
        if (code == -1)
            break;
        if (code == 1 && a->verb == VERB_EXPLAIN) { /* the command has options of its own */
            optind--;
            break;
        }
        if (code == 1) {
            rc = args_add_operand(a, OPERAND_NAME, optarg);
            continue;
        }
        if (code == '?' || code == ':')
            return refuse(code, argv[optind - 1]);
        /* Letters of tar that choose a verb are none where the verb is named. */
        if (verb_given && (code == OPT_CREATE || code == OPT_EXTRACT || code == OPT_LIST))
            return message_usage("%s: the verb is already given", options_name(code));
        a->seen[code] = true;
        rc = args_take(a, code, optarg);
    }
    for (; !rc && optind < argc && !a->help && !a->version; optind++) /* behind "--" */
        rc = args_add_operand(
            a, a->verb == VERB_EXPLAIN || a->verb == VERB_WARM ? OPERAND_COMMAND : OPERAND_NAME,
            argv[optind]);
    return rc;
}

/* Keys that $WARMPACK_TRUST names, separated by colons, where --trust names none. */
static int take_trust(struct args *a)
{
    const char *set = getenv("WARMPACK_TRUST");

    if (!set || !*set || a->trust.count || !options_taken(OPT_TRUST, a->verb))
        return 0;
    for (size_t n; *set; set += n + (set[n] == ':')) {
        char *name;
        int r;

        n = strcspn(set, ":");
        if (!n)
            continue;
        name = strndup(set, n);
        r = name ? string_list_add(&a->trust, name) : -1;
        free(name);
        if (r)
            return message_no_memory();
    }
    return a->trust.count ? 0 : message_usage("WARMPACK_TRUST names no key");
}

int args_parse(struct args *a, int argc, char **argv)
{
    int rc;

    *a = (struct args){.verb = VERB_NONE};
    if (argc < 2)
        return message_usage("nothing to do");
    a->verb = options_verb(argv[1]);
    message_set_verb(options_verb_name(a->verb));
    if (a->verb != VERB_NONE) {
        argc--;
        argv++;
    } else if (argv[1][0] != '-') {
        rc = expand_bundle(a, &argc, &argv);
        if (rc)
            return rc;
    }
    rc = parse_all(a, argc, argv);
    if (rc || a->help || a->version)
        return rc;
    if (a->verb == VERB_NONE)
        return message_usage("no verb, such as create (-c), extract (-x) or list (-t)");
    return take_trust(a);
}

void args_clear(struct args *a)
{
    free(a->operands);
    free(a->expanded);
    free(a->letters);
    string_list_clear(&a->exclude);
    string_list_clear(&a->exclude_files);
    string_list_clear(&a->cpus);
    string_list_clear(&a->record_env);
    string_list_clear(&a->cache_dirs);
    string_list_clear(&a->source_roots);
    string_list_clear(&a->runtime_roots);
    string_list_clear(&a->trust);
}
