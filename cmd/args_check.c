/* Refuses options and operands that do not go together. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "message.h"
#include "show.h"

static size_t count(const struct args *a, int kind)
{
    size_t n = 0;

    for (size_t i = 0; i < a->operand_count; i++)
        n += (int)a->operands[i].kind == kind;
    return n;
}

static int check_taken(const struct args *a)
{
    for (int code = 0; code < OPT_CODES; code++) {
        if (!a->seen[code] || options_taken(code, a->verb))
            continue;
        if (a->verb == VERB_CREATE && code == 'j')
            return message_usage("-j (--bzip2): bzip2 is read, not written");
        if (a->verb == VERB_CREATE && code == 'J')
            return message_usage("-J (--xz): xz is read, not written");
        return message_usage("%s does not take %s", options_verb_name(a->verb), options_name(code));
    }
    return 0;
}

/* Standard input can be read once. */
static int check_stdin(const struct args *a)
{
    size_t readers = a->verb != VERB_CREATE && a->archive && strcmp(a->archive, "-") == 0;

    for (size_t i = 0; i < a->operand_count; i++)
        readers += a->operands[i].kind == OPERAND_FILES && strcmp(a->operands[i].text, "-") == 0;
    for (size_t i = 0; i < a->exclude_files.count; i++)
        readers += strcmp(a->exclude_files.v[i], "-") == 0;
    if (readers > 1)
        return message_usage("standard input is named twice");
    return 0;
}

static int check_create(const struct args *a)
{
    size_t i;

    if (count(a, OPERAND_NAME) + count(a, OPERAND_FILES) == 0)
        return message_usage("nothing to pack: no PATH given");
    /* A -C behind the last PATH is an order mixed up, as in `-cf a.tgz app -C /srv`. */
    i = a->operand_count - 1;
    if (a->operands[i].kind == OPERAND_DIR)
        return message_usage("-C '%s' stands behind every PATH and has no effect",
                             a->operands[i].text);
    if (a->json && strcmp(a->archive, "-") == 0)
        return message_usage("--json and -f - would both write to standard output");
    if (a->caches_only && a->with_locator) /* who unpacks that takes caches alone out of it */
        return message_usage("--caches-only and --with-locator exclude one another");
    return 0;
}

static int check_extract(const struct args *a)
{
    const char *on_disk = a->replace     ? "--replace"
                          : a->from      ? "--from"
                          : a->if_needed ? "--if-needed"
                                         : NULL;
    bool names = false;

    for (size_t i = 0; i < a->operand_count; i++) {
        /* tar would unpack the patterns before it somewhere else. */
        if (a->operands[i].kind == OPERAND_DIR && names)
            return message_usage("-C '%s' must stand before every PATTERN", a->operands[i].text);
        names = names || a->operands[i].kind != OPERAND_DIR;
    }
    if (a->to_stdout && a->json)
        return message_usage("--json and -O would both write to standard output");
    if (a->to_stdout && on_disk)
        return message_usage("-O writes nothing to disk: it excludes %s", on_disk);
    if (a->needs && (a->to_stdout || strcmp(a->archive, "-") == 0))
        return message_usage("--needs is for files: not with -O, nor for -f -");
    if (a->replace && a->keep_old)
        return message_usage("--replace and -k exclude one another");
    if (a->replace && (count(a, OPERAND_NAME) || a->exclude.count || a->exclude_files.count))
        return message_usage("--replace takes whole archives: no PATTERN, no --exclude");
    if (a->to_stdout && a->seen[OPT_MTIME])
        return message_usage("-O writes nothing to disk: it excludes --mtime");
    if (a->to_stdout && a->retarget)
        return message_usage("--retarget changes caches on disk: not with -O");
    if (a->trust.count && a->to_stdout)
        return message_usage("-O writes before all is checked: it excludes %s",
                             a->seen[OPT_TRUST] ? "--trust" : "WARMPACK_TRUST");
    if (a->caches_only && (a->to_stdout || a->replace || a->if_needed || a->keep_old))
        return message_usage("--caches-only excludes -O, -k, --replace and --if-needed");
    return 0;
}

static int check_one_dir(const struct args *a)
{
    return count(a, OPERAND_NAME) == 1 ? 0 : message_usage("give one DIR");
}

static int check_retarget(const struct args *a)
{
    if (check_one_dir(a))
        return STATUS_FAILED;
    if (a->prune && a->undo)
        return message_usage("--prune and --undo exclude one another");
    if (!a->retarget == !a->undo)
        return message_usage(a->undo ? "--for and --undo exclude one another"
                                     : "say who will run the code: give --for WHO");
    return 0;
}

static int check_diff(const struct args *a)
{
    if (count(a, OPERAND_NAME) != 2)
        return message_usage("give two of them: archives, directories or manifests");
    if (strcmp(a->operands[0].text, "-") == 0 && strcmp(a->operands[1].text, "-") == 0)
        return message_usage("standard input is named twice");
    return 0;
}

static int check_warm(const struct args *a)
{
    if (!count(a, OPERAND_COMMAND))
        return message_usage("give the COMMAND that warms the tree, behind --");
    if (!count(a, OPERAND_NAME))
        return message_usage("give the PATHs to pack, before --");
    for (size_t i = 0; i < a->operand_count; i++)
        if (a->operands[i].kind == OPERAND_NAME && a->operands[i].text[0] == '/')
            return message_usage("%s: PATHs are relative to a directory: give that with -C",
                                 a->operands[i].text);
    if (count(a, OPERAND_DIR) > 1)
        return message_usage("-C is given twice");
    if (a->archive && strcmp(a->archive, "-") == 0)
        return message_usage("standard output is the command's: name an archive");
    if (!a->archive && count(a, OPERAND_NAME) > 1)
        return message_usage("without -f one PATH is sealed");
    if (!a->archive && (a->format || a->seen[OPT_LEVEL] || a->keep_going))
        return message_usage("--format, --level and --keep-going go with -f");
    return 0;
}

static int check_env(const struct args *a)
{
    const size_t names = count(a, OPERAND_NAME);

    if (a->common + a->probe + a->check > 1)
        return message_usage("--common, --probe and --check exclude one another");
    if (a->python && !a->probe)
        return message_usage("--python goes with --probe");
    if (a->probe && (names || a->archive))
        return message_usage("--probe looks at this machine, at nothing else");
    if ((a->probe || a->check) && a->format)
        return message_usage("--format is for settings: not with %s",
                             a->probe ? "--probe" : "--check");
    if (!a->probe && !names && !a->archive)
        return message_usage("give DIR, FILE.nbi, -f ARCHIVE or PROBE.json");
    return 0;
}

static int check_amend(const struct args *a)
{
    if (!a->source || !*a->source)
        return message_usage("no tree named: give --source DIR");
    if (a->output && !*a->output)
        return message_usage("-o: the archive's name is empty");
    if (a->operand_count)
        return message_usage("'%s': only options are taken", a->operands[0].text);
    return 0;
}

static int check_merge(const struct args *a)
{
    size_t readers = 0;

    if (!a->output || !*a->output)
        return message_usage("no archive named: give -o OUT");
    if (count(a, OPERAND_NAME) < 2)
        return message_usage("give two archives or trees, or more");
    for (size_t i = 0; i < a->operand_count; i++)
        readers += strcmp(a->operands[i].text, "-") == 0;
    if (readers > 1)
        return message_usage("standard input is named twice");
    if (strcmp(a->output, "-") == 0 && a->json)
        return message_usage("--json and -o - would both write to standard output");
    if (strcmp(a->output, "-") == 0 && isatty(STDOUT_FILENO))
        return message_usage("an archive is not written to a terminal");
    return 0;
}

static int check_explain(const struct args *a)
{
    return count(a, OPERAND_COMMAND) ? 0 : message_usage("give a COMMAND to run");
}

static int check_path(const struct args *a)
{
    return count(a, OPERAND_NAME) ? 0 : message_usage("no FILE.py given");
}

static int check_look(const struct args *a)
{
    if (count(a, OPERAND_NAME) + (a->archive != NULL) != 1)
        return message_usage(a->verb == VERB_VERIFY ? "give one DIR, or -f ARCHIVE"
                                                    : "give one FILE.nbi or DIR, or -f ARCHIVE");
    if (a->fix && a->archive)
        return message_usage("--fix changes a DIR, not an archive");
    if (a->manifest && a->archive)
        return message_usage("--manifest is for a DIR: an archive has its own");
    if (a->dry_run && !a->fix)
        return message_usage("--dry-run goes with --fix");
    return 0;
}

static int (*const checks[VERB_COUNT])(const struct args *) = {
    [VERB_CREATE] = check_create,     [VERB_EXTRACT] = check_extract,
    [VERB_AMEND] = check_amend,       [VERB_RESTORE] = check_one_dir,
    [VERB_RETARGET] = check_retarget, [VERB_MERGE] = check_merge,
    [VERB_SEAL] = check_one_dir,      [VERB_VERIFY] = check_look,
    [VERB_INSPECT] = check_look,      [VERB_DIFF] = check_diff,
    [VERB_WARM] = check_warm,         [VERB_EXPLAIN] = check_explain,
    [VERB_ENV] = check_env,           [VERB_PATH] = check_path,
};

/* What goes for every verb that takes these options. */
static int check_common(const struct args *a)
{
    if (a->no_cache_dir && a->cache_dirs.count)
        return message_usage("--cache-dir and --no-cache-dir exclude one another");
    if (a->seen[OPT_MTIME] && a->restamp != WP_RESTAMP_AUTO)
        return message_usage("--mtime goes with --restamp auto alone");
    if (a->prune && !a->retarget)
        return message_usage("--prune goes with --retarget");
    if (a->layout == WP_LAYOUT_CACHE_DIR && !args_cache_dir(a))
        return message_usage("--layout cache-dir needs --cache-dir or NUMBA_CACHE_DIR");
    return 0;
}

int args_check(const struct args *a)
{
    bool takes_archive = a->verb == VERB_CREATE || a->verb == VERB_EXTRACT ||
                         a->verb == VERB_LIST || a->verb == VERB_AMEND;
    int rc = check_taken(a);

    if (rc)
        return rc;
    if (a->archive && !*a->archive)
        return message_usage("-f: the archive's name is empty");
    if (takes_archive && !a->archive)
        return message_usage("no archive named: give -f ARCHIVE");
    for (size_t i = 0; i < a->operand_count; i++) {
        if (!*a->operands[i].text && a->operands[i].kind != OPERAND_COMMAND)
            return message_usage("an empty name is given");
    }
    rc = check_stdin(a);
    if (!rc && checks[a->verb])
        rc = checks[a->verb](a);
    return rc ? rc : check_common(a);
}

bool args_one_member(const struct args *a)
{
    return a->seen[OPT_GZIP_MEMBERS] && a->gzip_members == GZIP_ONE;
}

int args_exclude(const struct args *a, struct string_list *out)
{
    for (size_t i = 0; i < a->exclude.count; i++) {
        if (string_list_add(out, a->exclude.v[i]))
            return message_no_memory();
    }
    for (size_t i = 0; i < a->exclude_files.count; i++) {
        int rc = string_list_read(out, a->exclude_files.v[i], LIST_PATTERNS);

        if (rc)
            return rc;
    }
    return 0;
}

const char *args_cache_dir(const struct args *a)
{
    const char *set = getenv("NUMBA_CACHE_DIR");

    if (a->cache_dirs.count)
        return a->cache_dirs.v[a->cache_dirs.count - 1];
    return set && *set ? set : NULL;
}

void args_warn_layout(const struct args *a)
{
    const char *set = getenv("NUMBA_CACHE_DIR");

    if (set && *set && (a->layout == WP_LAYOUT_IN_TREE || a->layout == WP_LAYOUT_USER_WIDE))
        message_warning("NUMBA_CACHE_DIR is set: whoever runs Python with it will not find caches "
                        "that --layout %s puts elsewhere",
                        wp_layout_name(a->layout));
}
