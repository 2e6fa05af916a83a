#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

enum { THREADS_MAX = 1024, STRIP_MAX = 1 << 20 };

static int out_of_memory(void)
{
    message_error("out of memory");
    return STATUS_FAILED;
}

static int usage(const struct args *a, const char *text, const char *what)
{
    return message_usage(options_verb_name(a->verb), "%s%s", text, what);
}

/* tar's first spelling: letters without a dash, and the arguments that some of them take follow as
 * words, in the letters' order. Written out here as options of their own. */
static int expand_bundle(struct args *a, int *argc, char ***argv)
{
    const char *bundle = (*argv)[1];
    size_t letters = strlen(bundle), n = 0, word = 2;
    const char *known = options_short();

    for (size_t i = 0; i < letters; i++) {
        if (!isalnum((unsigned char)bundle[i]) || !strchr(known, bundle[i]))
            return message_usage(NULL, "'%s' is not a verb", bundle);
    }
    if (!strpbrk(bundle, "cxt"))
        return message_usage(NULL, "'%s' is not a verb", bundle);

    a->expanded = calloc(letters + (size_t)*argc + 1, sizeof *a->expanded);
    a->letters = calloc(letters + 1, 3);
    if (!a->expanded || !a->letters)
        return out_of_memory();
    a->expanded[n++] = (*argv)[0];
    for (size_t i = 0; i < letters; i++) {
        char *option = a->letters + 3 * i;

        option[0] = '-';
        option[1] = bundle[i];
        a->expanded[n++] = option;
        if (!options_has_argument(bundle[i]))
            continue;
        if (word >= (size_t)*argc)
            return message_usage(NULL, "%s needs an argument", options_name(bundle[i]));
        a->expanded[n++] = (*argv)[word++];
    }
    while (word < (size_t)*argc)
        a->expanded[n++] = (*argv)[word++];
    *argc = (int)n;
    *argv = a->expanded;
    return 0;
}

static int add_operand(struct args *a, int kind, const char *text)
{
    struct operand *more = reallocarray(a->operands, a->operand_count + 1, sizeof *more);

    if (!more)
        return out_of_memory();
    a->operands = more;
    more[a->operand_count].kind = kind;
    more[a->operand_count++].text = text;
    return 0;
}

static int parse_number(const struct args *a, int code, const char *text, long min, long max,
                        long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text) || errno || *out < min || *out > max)
        return message_usage(options_verb_name(a->verb), "%s: '%s' is not a number%s",
                             options_name(code), text, *end ? "" : " in its range");
    return 0;
}

/* The index of TEXT in the NULL-ended WORDS; -1 after saying that it is none of them. */
static int parse_word(const struct args *a, int code, const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
    }
    message_usage(options_verb_name(a->verb), "%s: '%s' is not known", options_name(code), text);
    return -1;
}

static int set_mode(struct args *a, enum verb v)
{
    if (a->verb != VERB_NONE && a->verb != v)
        return message_usage(NULL, "-c, -x and -t exclude one another");
    a->verb = v;
    return 0;
}

static int set_compression(struct args *a, enum compression c)
{
    if (a->compression != COMPRESSION_NONE_GIVEN && a->compression != c)
        return usage(a, "conflicting compression options", "");
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
            return message_usage(options_verb_name(a->verb),
                                 "--format %s is refused: it keeps whole seconds only, and every "
                                 "cache index would be stale",
                                 name);
    }
    a->format = name;
    return 0;
}

static int add_name(struct string_list *n, const char *name)
{
    return string_list_add(n, name) ? out_of_memory() : 0;
}

/* Options that name something or choose among words. */
static int take_argument(struct args *a, int code, const char *text)
{
    static const char *const layouts[] = {"auto",      "keep",      "in-tree",
                                          "cache-dir", "user-wide", NULL};
    static const char *const restamps[] = {"auto", "never", "always", NULL};
    static const char *const members[] = {"many", "one", NULL};
    static const char *const whens[] = {"auto", "always", "never", NULL};
    long number = 0;
    int rc = 0;

    switch (code) {
    case 'f':
        if (a->archive)
            return usage(a, "-f given twice", "");
        a->archive = text;
        return 0;
    case 'o':
        a->output = text;
        return 0;
    case OPT_SOURCE:
        a->source = text;
        return 0;
    case 'C':
        return add_operand(a, OPERAND_DIR, text);
    case 'T':
        return add_operand(a, OPERAND_FILES, text);
    case 'X':
        return add_name(&a->exclude_files, text);
    case 'H':
        if (a->verb == VERB_ENV) {
            a->format = text;
            return 0;
        }
        return set_format(a, text);
    case OPT_EXCLUDE:
        return add_name(&a->exclude, text);
    case OPT_CACHE_DIR:
        return *text ? add_name(&a->cache_dirs, text)
                     : usage(a, "--cache-dir: the name is empty", "");
    case OPT_SOURCE_ROOT:
        return *text ? add_name(&a->source_roots, text)
                     : usage(a, "--source-root: the name is empty", "");
    case OPT_RUNTIME_ROOT:
        return *text ? add_name(&a->runtime_roots, text)
                     : usage(a, "--runtime-root: the name is empty", "");
    case OPT_OWNER:
        a->owner = text;
        return 0;
    case OPT_GROUP:
        a->group = text;
        return 0;
    case OPT_USER:
        a->user = text;
        return 0;
    case OPT_PYTHON:
        a->python = text;
        return *text ? 0 : usage(a, "--python: the name is empty", "");
    case OPT_LAYOUT:
        rc = parse_word(a, code, text, layouts);
        a->layout = (enum wp_layout)rc;
        break;
    case OPT_EGG_INFO:
        a->egg_info = text;
        return 0;
    case OPT_MANIFEST:
        a->manifest = text;
        return *text ? 0 : usage(a, "--manifest: the name is empty", "");
    case OPT_RESTAMP:
        rc = parse_word(a, code, text, restamps);
        a->restamp = (enum wp_restamp)rc;
        break;
    case OPT_GZIP_MEMBERS:
        rc = parse_word(a, code, text, members);
        a->gzip_members_set = true;
        a->gzip_one_member = rc == 1;
        break;
    case OPT_PROGRESS:
        rc = parse_word(a, code, text, whens);
        a->progress = (enum progress_when)rc;
        break;
    case OPT_LEVEL:
        rc = parse_number(a, code, text, INT_MIN, INT_MAX, &number);
        a->level_set = true;
        a->level = (int)number;
        return rc;
    case OPT_STRIP:
        rc = parse_number(a, code, text, 0, STRIP_MAX, &number);
        a->strip_components = (unsigned)number;
        return rc;
    case OPT_THREADS:
        rc = parse_number(a, code, text, 0, THREADS_MAX, &number);
        a->threads = (unsigned)number;
        return rc;
    }
    return rc < 0 ? STATUS_FAILED : 0;
}

static int take_flag(struct args *a, int code)
{
    switch (code) {
    case OPT_CREATE:
        return set_mode(a, VERB_CREATE);
    case OPT_EXTRACT:
        return set_mode(a, VERB_EXTRACT);
    case OPT_LIST:
        return set_mode(a, VERB_LIST);
    case 'z':
        return set_compression(a, COMPRESSION_GZIP);
    case OPT_ZSTD:
        return set_compression(a, COMPRESSION_ZSTD);
    case 'j':
        return set_compression(a, COMPRESSION_BZIP2);
    case 'J':
        return set_compression(a, COMPRESSION_XZ);
    case OPT_POSIX:
        return set_format(a, "posix");
    }
    switch (code) { /* those that are just set */
    case '0':
        a->null = true;
        break;
    case 'h':
        a->dereference = true;
        break;
    case 'k':
        a->keep_old = true;
        break;
    case 'O':
        a->to_stdout = true;
        break;
    case 'p':
        a->same_permissions = true;
        break;
    case 'q':
        a->quiet = true;
        break;
    case 'v':
        a->verbose = true;
        break;
    case OPT_STRICT:
        a->strict = true;
        break;
    case OPT_CACHES_ONLY:
        a->caches_only = true;
        break;
    case OPT_DRY_RUN:
        a->dry_run = true;
        break;
    case OPT_NO_CACHE_DIR:
        a->no_cache_dir = true;
        break;
    case OPT_IF_NEEDED:
        a->if_needed = true;
        break;
    case OPT_REPLACE:
        a->replace = true;
        break;
    case OPT_NUMERIC_OWNER:
        a->numeric_owner = true;
        break;
    case OPT_SAME_OWNER:
        a->same_owner = true;
        a->no_same_owner = false;
        break;
    case OPT_NO_SAME_OWNER:
        a->same_owner = false;
        a->no_same_owner = true;
        break;
    case OPT_FIX:
        a->fix = true;
        break;
    case OPT_COMMON:
        a->common = true;
        break;
    case OPT_PROBE:
        a->probe = true;
        break;
    case OPT_CHECK:
        a->check = true;
        break;
    case OPT_JSON:
        a->json = true;
        break;
    case OPT_HELP:
        a->help = true;
        break;
    case OPT_VERSION:
        a->version = true;
        break;
    }
    return 0;
}

/* What getopt_long could not take. LAST is the word before the next one. */
static int refuse(const struct args *a, int result, const char *last)
{
    char letter[2] = {(char)optopt, '\0'};

    if (result == ':')
        return usage(a, options_name(optopt), " needs an argument");
    if (optopt && options_known(optopt))
        return usage(a, options_name(optopt), " takes no argument");
    if (optopt)
        return usage(a, "unknown option -", letter);
    if (options_ambiguous(last + 2, strcspn(last + 2, "=")))
        return usage(a, "ambiguous option ", last);
    return usage(a, "unknown option ", last);
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
        if (code == 1) {
            rc = add_operand(a, OPERAND_NAME, optarg);
            continue;
        }
        if (code == '?' || code == ':')
            return refuse(a, code, argv[optind - 1]);
        /* Letters of tar that choose a verb are none where the verb is named. */
        if (verb_given && (code == OPT_CREATE || code == OPT_EXTRACT || code == OPT_LIST))
            return message_usage(options_verb_name(a->verb), "%s: the verb is already given",
                                 options_name(code));
        a->seen[code] = true;
        rc = options_has_argument(code) ? take_argument(a, code, optarg) : take_flag(a, code);
    }
    for (; !rc && optind < argc && !a->help && !a->version; optind++) /* behind "--" */
        rc = add_operand(a, OPERAND_NAME, argv[optind]);
    return rc;
}

int args_parse(struct args *a, int argc, char **argv)
{
    int rc;

    *a = (struct args){.verb = VERB_NONE};
    if (argc < 2)
        return message_usage(NULL, "nothing to do");
    a->verb = options_verb(argv[1]);
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
        return message_usage(NULL, "no verb: one of create (-c), extract (-x), list (-t), amend, "
                                   "restore, verify, inspect, env, path");
    return 0;
}

void args_clear(struct args *a)
{
    free(a->operands);
    free(a->expanded);
    free(a->letters);
    string_list_clear(&a->exclude);
    string_list_clear(&a->exclude_files);
    string_list_clear(&a->cache_dirs);
    string_list_clear(&a->source_roots);
    string_list_clear(&a->runtime_roots);
}
