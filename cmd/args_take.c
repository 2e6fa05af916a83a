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

static int parse_number(int code, const char *text, long min, long max, long *out)
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
    long seconds = 0;
    int rc;

    if (is_variable && !digits)
        return message_usage("--mtime: the environment has no %s", variable);
    if (!digits)
        return message_usage("--mtime: '%s' is neither @SECONDS nor %s", text, variable);
    rc = parse_number(OPT_MTIME, digits, LONG_MIN, LONG_MAX, &seconds);
    /* importlib takes a directory of that time for one that it has listed already. */
    if (seconds == -1)
        return message_usage("--mtime: in directories of the time @-1 Python finds no modules");
    a->mtime_set = true;
    a->mtime = seconds;
    return rc;
}

/* Options that name something. */
static const struct {
    int code;
    size_t member; /* of struct args: a const char *, or a struct string_list */
    bool is_list, may_be_empty;
} names[] = {
    {'o', offsetof(struct args, output), .may_be_empty = true},
    {'X', offsetof(struct args, exclude_files), .is_list = true, .may_be_empty = true},
    {OPT_SOURCE, offsetof(struct args, source), .may_be_empty = true},
    {OPT_EXCLUDE, offsetof(struct args, exclude), .is_list = true, .may_be_empty = true},
    {OPT_CACHE_DIR, offsetof(struct args, cache_dirs), .is_list = true},
    {OPT_SOURCE_ROOT, offsetof(struct args, source_roots), .is_list = true},
    {OPT_RUNTIME_ROOT, offsetof(struct args, runtime_roots), .is_list = true},
    {OPT_OWNER, offsetof(struct args, owner), .may_be_empty = true},
    {OPT_GROUP, offsetof(struct args, group), .may_be_empty = true},
    {OPT_USER, offsetof(struct args, user), .may_be_empty = true},
    {OPT_PYTHON, offsetof(struct args, python)},
    {OPT_FROM, offsetof(struct args, from)},
    {OPT_FOR, offsetof(struct args, retarget)},
    {OPT_RETARGET, offsetof(struct args, retarget)},
    {OPT_EGG_INFO, offsetof(struct args, egg_info), .may_be_empty = true},
    {OPT_BASE, offsetof(struct args, image_base)},
    {OPT_REF, offsetof(struct args, image_ref)},
    {OPT_PLATFORM, offsetof(struct args, image_platform)},
    {OPT_MANIFEST, offsetof(struct args, manifest)},
    {OPT_JSON_LINES, offsetof(struct args, json_lines)},
    {OPT_CPU, offsetof(struct args, cpus), .is_list = true},
    {OPT_RECORD_ENV, offsetof(struct args, record_env), .is_list = true},
    {OPT_SIGN, offsetof(struct args, sign)},
    {OPT_TRUST, offsetof(struct args, trust), .is_list = true},
};

static int set_name(struct args *a, int code, const char *text)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *member = (char *)a + names[i].member;

        if (names[i].code != code)
            continue;
        if (!*text && !names[i].may_be_empty)
            return message_usage("%s: the name is empty", options_name(code));
        if (names[i].is_list)
            return string_list_add(member, text) ? message_no_memory() : 0;
        *(const char **)member = text;
    }
    return 0;
}

/* Options that choose among words, whose order is that of the values in options.def. */
static int take_word(struct args *a, int code, const char *text)
{
    int word = options_value(code, text);

    if (word < 0)
        return message_usage("%s: '%s' is not known", options_name(code), text);
    switch (code) {
    case OPT_LAYOUT:
        a->layout = (enum wp_layout)word;
        break;
    case OPT_RESTAMP:
        a->restamp = (enum wp_restamp)word;
        break;
    case OPT_GZIP_MEMBERS:
        a->gzip_members_set = true;
        a->gzip_one_member = word == 0;
        break;
    case OPT_PROGRESS:
        a->progress = (enum progress_when)word;
        break;
    }
    return 0;
}

static int take_number(struct args *a, int code, const char *text)
{
    long number = 0;
    int rc = 0;

    switch (code) {
    case OPT_LEVEL:
        rc = parse_number(code, text, INT_MIN, INT_MAX, &number);
        a->level_set = true;
        a->level = (int)number;
        break;
    case OPT_STRIP:
        rc = parse_number(code, text, 0, STRIP_MAX, &number);
        a->strip_components = (unsigned)number;
        break;
    case OPT_MAX_SIZE:
        rc = parse_number(code, text, 1, LONG_MAX, &number);
        a->max_size = (uint64_t)number;
        break;
    case OPT_THREADS:
        rc = parse_number(code, text, 0, THREADS_MAX, &number);
        a->threads = (unsigned)number;
        break;
    }
    return rc;
}

int args_take_argument(struct args *a, int code, const char *text)
{
    switch (code) {
    case 'f':
        if (a->archive)
            return message_usage("-f given twice");
        a->archive = text;
        return 0;
    case 'C':
        return args_add_operand(a, OPERAND_DIR, text);
    case 'T':
        return args_add_operand(a, OPERAND_FILES, text);
    case 'H':
        if (a->verb != VERB_ENV)
            return set_format(a, text);
        a->format = text;
        return 0;
    case OPT_MTIME:
        return set_mtime(a, text);
    case OPT_LAYOUT:
    case OPT_RESTAMP:
    case OPT_GZIP_MEMBERS:
    case OPT_PROGRESS:
        return take_word(a, code, text);
    case OPT_LEVEL:
    case OPT_STRIP:
    case OPT_MAX_SIZE:
    case OPT_THREADS:
        return take_number(a, code, text);
    }
    return set_name(a, code, text);
}

/* Options that are just set. */
static const struct {
    int code;
    size_t member; /* of struct args, a bool */
} flags[] = {
    {'0', offsetof(struct args, null)},
    {'h', offsetof(struct args, dereference)},
    {'k', offsetof(struct args, keep_old)},
    {'O', offsetof(struct args, to_stdout)},
    {'p', offsetof(struct args, same_permissions)},
    {'q', offsetof(struct args, quiet)},
    {'v', offsetof(struct args, verbose)},
    {OPT_STRICT, offsetof(struct args, strict)},
    {OPT_SYNC, offsetof(struct args, sync)},
    {OPT_GROUP_WRITABLE, offsetof(struct args, group_writable)},
    {OPT_WITH_LOCATOR, offsetof(struct args, with_locator)},
    {OPT_CACHES_ONLY, offsetof(struct args, caches_only)},
    {OPT_DRY_RUN, offsetof(struct args, dry_run)},
    {OPT_UNDO, offsetof(struct args, undo)},
    {OPT_PRUNE, offsetof(struct args, prune)},
    {OPT_NO_CACHE_DIR, offsetof(struct args, no_cache_dir)},
    {OPT_NEEDS, offsetof(struct args, needs)},
    {OPT_IF_NEEDED, offsetof(struct args, if_needed)},
    {OPT_REPLACE, offsetof(struct args, replace)},
    {OPT_NUMERIC_OWNER, offsetof(struct args, numeric_owner)},
    {OPT_FIX, offsetof(struct args, fix)},
    {OPT_COMMON, offsetof(struct args, common)},
    {OPT_PROBE, offsetof(struct args, probe)},
    {OPT_CHECK, offsetof(struct args, check)},
    {OPT_JSON, offsetof(struct args, json)},
    {OPT_FAIL_ON_COMPILE, offsetof(struct args, fail_on_compile)},
    {OPT_KEEP_GOING, offsetof(struct args, keep_going)},
    {OPT_HELP, offsetof(struct args, help)},
    {OPT_VERSION, offsetof(struct args, version)},
};

static int set_flag(struct args *a, int code)
{
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].code == code)
            *(bool *)((char *)a + flags[i].member) = true;
    return 0;
}

int args_take_flag(struct args *a, int code)
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
    case OPT_SAME_OWNER:
    case OPT_NO_SAME_OWNER:
        a->same_owner = code == OPT_SAME_OWNER;
        a->no_same_owner = code == OPT_NO_SAME_OWNER;
        return 0;
    case OPT_RELOCATE:
        a->relocate = WP_RELOCATE_ALWAYS;
        return 0;
    case OPT_NO_RELOCATE:
        a->relocate = WP_RELOCATE_NEVER;
        return 0;
    }
    return set_flag(a, code);
}
