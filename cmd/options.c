#include "options.h"

#include <stdio.h>
#include <string.h>

#include "warmpack.h"

enum {
    C = 1 << VERB_CREATE,
    X = 1 << VERB_EXTRACT,
    T = 1 << VERB_LIST,
    A = 1 << VERB_AMEND,
    R = 1 << VERB_RESTORE,
    V = 1 << VERB_VERIFY,
    I = 1 << VERB_INSPECT,
    E = 1 << VERB_ENV,
    P = 1 << VERB_PATH,
    ALL = C | X | T | A | R | V | I | E | P
};

static const struct option_row rows[] = {
    {OPT_CREATE, C, "create", NULL, NULL},
    {OPT_EXTRACT, X, "extract", NULL, NULL},
    {OPT_EXTRACT, X, "get", NULL, NULL},
    {OPT_LIST, T, "list", NULL, NULL},

    {'f', C, "file", "ARCHIVE", "the archive to write; - is standard output"},
    {'f', X | T, "file", "ARCHIVE", "the archive to read; - is standard input"},
    {'f', A, "file", "ARCHIVE", "the archive to amend; - is standard input"},
    {'f', V, "file", "ARCHIVE", "judge an archive, without unpacking it; - is standard input"},
    {'f', I | E, "file", "ARCHIVE",
     "look into an archive, without unpacking it; - is standard input"},
    {'o', A, "output", "OUT", "write OUT, and leave ARCHIVE as it is"},
    {OPT_SOURCE, A, "source", "DIR", "the tree that ARCHIVE was made from"},
    {'C', C, "directory", "DIR", "the PATHs that follow are relative to DIR"},
    {'C', X, "directory", "DIR", "unpack into DIR, made if missing; default: here"},
    {'T', C, "files-from", "FILE",
     "pack the paths that FILE names, one a line; - is standard input"},
    {'T', X | T, "files-from", "FILE", "take patterns from FILE, one a line; - is standard input"},
    {'0', C | X | T, "null", NULL, "names of -T end with NUL, not with a newline"},
    {OPT_VERBATIM, C | X | T, "verbatim-files-from", NULL,
     "names of -T are never options (always so)"},
    {OPT_EXCLUDE, C | X, "exclude", "PATTERN", "leave out what matches; repeatable"},
    {'X', C | X, "exclude-from", "FILE", "leave out what matches a pattern of FILE, one a line"},
    {'h', C, "dereference", NULL, "pack what symlinks point to, not the symlinks"},

    {'z', C, "gzip", NULL, "compress with gzip"},
    {'z', X | T, "gzip", NULL, "taken for granted: the format is recognised by content"},
    {'z', C | X | T, "gunzip", NULL, NULL},
    {'z', C | X | T, "ungzip", NULL, NULL},
    {OPT_ZSTD, C, "zstd", NULL, "compress with zstd"},
    {OPT_ZSTD, X | T, "zstd", NULL, "likewise"},
    {'j', X | T, "bzip2", NULL, "likewise"},
    {'J', X | T, "xz", NULL, "likewise"},
    {'a', C, "auto-compress", NULL, "choose the format by ARCHIVE's suffix (always so)"},
    {'a', X | T, "auto-compress", NULL, "likewise"},
    {'H', E, "format", "NAME", "how to print them: sh, docker, json, spark; default: sh",
     "sh|docker|json|spark"},
    {'H', C, "format", "NAME", "write this format, whatever the suffix (formats: see below)"},
    {OPT_POSIX, C, "posix", NULL, NULL},
    {OPT_LEVEL, C | A, "level", "N", "compression level"},
    {OPT_GZIP_MEMBERS, C, "gzip-members", "one|many",
     "one gzip member for readers that stop at the first; default: many", "one|many"},
    {OPT_EGG_INFO, C, "egg-info", "DIR",
     "egg: the NAME.egg-info that becomes EGG-INFO; default: found near the tree"},

    {OPT_STRIP, X, "strip-components", "N", "drop the first N components of names"},
    {'k', X, "keep-old-files", NULL, "keep files that exist, and fail for them"},
    {OPT_REPLACE, X, "replace", NULL, "swap each top-level directory for the new one in one step"},
    {OPT_IF_NEEDED, X, "if-needed", NULL, "do nothing where DIR already holds this archive"},
    {'O', X, "to-stdout", NULL, "write files' content to standard output, and nothing to disk"},
    {'p', X, "preserve-permissions", NULL, "set modes as packed, setuid bits too; no umask"},
    {'p', C | T, "preserve-permissions", NULL, "taken for granted"},
    {'p', C | X | T, "same-permissions", NULL, NULL},
    {OPT_SAME_OWNER, X, "same-owner", NULL, "owners as packed; root's default"},
    {OPT_NO_SAME_OWNER, X, "no-same-owner", NULL,
     "files belong to who unpacks; always so for users"},
    {OPT_NUMERIC_OWNER, C, "numeric-owner", NULL, "store numbers of users and groups, not names"},
    {OPT_NUMERIC_OWNER, X, "numeric-owner", NULL, "take owners by number, not by name"},
    {OPT_NUMERIC_OWNER, T, "numeric-owner", NULL, "show numbers of users and groups, not names"},
    {OPT_OWNER, C, "owner", "NAME[:UID]", "store this owner for everything"},
    {OPT_GROUP, C, "group", "NAME[:GID]", "store this group for everything"},

    {OPT_CACHE_DIR, C | A, "cache-dir", "DIR",
     "look for hashed caches in DIR, not in the default places; repeatable"},
    {OPT_NO_CACHE_DIR, C | A, "no-cache-dir", NULL, "pack no caches from outside the tree"},
    {OPT_CACHE_DIR, X | R, "cache-dir", "DIR", "where hashed caches go; default: $NUMBA_CACHE_DIR"},
    {OPT_CACHE_DIR, V, "cache-dir", "DIR", "where hashed caches lie; default: $NUMBA_CACHE_DIR"},
    {OPT_CACHE_DIR, P, "cache-dir", "DIR", "as if NUMBA_CACHE_DIR were DIR"},
    {OPT_LAYOUT, X | R, "layout", "WHERE",
     "where caches go: auto, keep, in-tree, cache-dir, user-wide; default: auto",
     "auto|keep|in-tree|cache-dir|user-wide"},
    {OPT_USER, X | R | V | P, "user", "NAME|UID", "who will run Python; default: who calls"},
    {OPT_SOURCE_ROOT, C | A, "source-root", "PATH",
     "the path by which Python imported what is in DIR; repeatable"},
    {OPT_RUNTIME_ROOT, X | R | V, "runtime-root", "PATH",
     "the absolute path that DIR will have when Python runs; repeatable"},
    {OPT_RUNTIME_ROOT, P, "runtime-root", "PATH",
     "as if the working directory were PATH when Python runs; repeatable"},
    {OPT_RESTAMP, X | R, "restamp", "WHEN",
     "change indexes to fit their sources' times: auto, never, always; default: auto",
     "auto|never|always"},
    {OPT_CACHES_ONLY, C, "caches-only", NULL, "pack caches and manifest, without the sources"},
    {OPT_CACHES_ONLY, X, "caches-only", NULL,
     "put the caches onto a tree that came another way and has the same sources"},
    {OPT_MANIFEST, R, "manifest", "FILE",
     "a manifest that lies elsewhere, with its caches beside it"},
    {OPT_MANIFEST, V, "manifest", "FILE", "a manifest of the tree that lies elsewhere"},
    {OPT_DRY_RUN, R, "dry-run", NULL, "say what would be done, and do nothing"},
    {OPT_STRICT, C | A, "strict", NULL, "fail if any cache index is already stale"},

    {OPT_FIX, V, "fix", NULL, "mend what can be mended, remove what is broken (see the man page)"},
    {OPT_DRY_RUN, V, "dry-run", NULL, "with --fix: say what would be done, and do nothing"},
    {OPT_PYTHON, V, "python", "PY", "ask this interpreter if its Numba would load them"},
    {OPT_PYTHON, E, "python", "PY", "the interpreter whose Numba is probed"},
    {OPT_COMMON, E, "common", NULL, "settings that all of these machines can use"},
    {OPT_PROBE, E, "probe", NULL, "write what this machine can do, as JSON"},
    {OPT_CHECK, E, "check", NULL, "would the caches load and run on the machines probed?"},

    {OPT_THREADS, ALL, "threads", "N", "threads to use; default: one a CPU"},
    {OPT_JSON, ALL, "json", NULL, "print a JSON document on standard output"},
    {OPT_PROGRESS, ALL, "progress", "WHEN", "auto, always or never; auto: on a terminal",
     "auto|always|never"},
    {'v', R, "verbose", NULL, "name each file that is changed"},
    {'v', C | X | A, "verbose", NULL, "name each file on standard error"},
    {'v', T, "verbose", NULL, "show mode, owner, size and time, too"},
    {'v', V, "verbose", NULL, "print valid indexes, too"},
    {'v', I, "verbose", NULL, "whole lists of features, whole digests"},
    {'v', E | P, "verbose", NULL, "accepted"},
    {'q', ALL, "quiet", NULL, "no warnings, no summary"},
    {OPT_HELP, ALL, "help", NULL, "print this text"},
    {OPT_VERSION, ALL, "version", NULL, "print the version"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct {
    const char *name;
    const char *usage; /* behind "warmpack " */
    const char *tar;   /* the same in tar's spelling; NULL: none */
    const char *what;
    const char *more; /* behind the options; NULL: nothing */
} verbs[VERB_COUNT] = {
    [VERB_CREATE] = {"create", "create -f ARCHIVE [-C DIR] PATH...",
                     "-czf ARCHIVE [-C DIR] PATH...", "Pack a Python tree with its Numba caches.",
                     "The suffix of ARCHIVE chooses the format.\n"},
    [VERB_EXTRACT] = {"extract", "extract -f ARCHIVE [-C DIR] [PATTERN...]",
                      "-xf ARCHIVE [-C DIR] [PATTERN...]",
                      "Unpack a tree so that every cache index stays valid.", NULL},
    [VERB_LIST] = {"list", "list -f ARCHIVE [PATTERN...]", "-tf ARCHIVE [PATTERN...]",
                   "List what an archive holds.", NULL},
    [VERB_AMEND] = {"amend", "amend -f ARCHIVE --source DIR [-o OUT]", NULL,
                    "Add exact times and caches to an archive that another tool made.",
                    "The archive is replaced in one step. Its suffix, or OUT's, is its format.\n"},
    [VERB_RESTORE] = {"restore", "restore DIR", NULL,
                      "Repair a tree that another tool unpacked, or that was moved.", NULL},
    [VERB_VERIFY] = {"verify", "verify DIR | -f ARCHIVE", NULL,
                     "Say whether every cache index is valid, and if not, why.", NULL},
    [VERB_INSPECT] = {"inspect", "inspect FILE.nbi | DIR | -f ARCHIVE", NULL,
                      "Show what is in cache indexes.", NULL},
    [VERB_ENV] = {"env", "env [DIR | FILE.nbi | -f ARCHIVE | PROBE.json]...", NULL,
                  "Print the NUMBA_CPU_* settings with which Numba loads these caches.", NULL},
    [VERB_PATH] = {"path", "path FILE.py...", NULL, "Say where Numba looks for a file's cache.",
                   NULL},
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

const char *options_verb_what(enum verb v)
{
    return v < VERB_COUNT ? verbs[v].what : NULL;
}

const struct option_row *options_row(size_t i)
{
    return i < ROWS ? rows + i : NULL;
}

bool options_row_has_letter(const struct option_row *r)
{
    return r->code < OPT_ZSTD;
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
        if (!options_row_has_letter(rows + i) || strchr(text, rows[i].code))
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

    if (r && options_row_has_letter(r))
        snprintf(text, sizeof text, "-%c (--%s)", code, r->name);
    else if (r)
        snprintf(text, sizeof text, "--%s", r->name);
    else
        snprintf(text, sizeof text, "-%c", code);
    return text;
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

    snprintf(left, sizeof left, "%s%c%s--%s%s%s", options_row_has_letter(r) ? "-" : " ",
             options_row_has_letter(r) ? r->code : ' ', options_row_has_letter(r) ? ", " : "  ",
             r->name, r->argument ? " " : "", r->argument ? r->argument : "");
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
    if (v == VERB_CREATE)
        help_formats();
    printf("\nExit status: 0 done; 1 %s; 2 error.\n",
           v == VERB_CREATE ? "a file changed while it was read"
           : v == VERB_EXTRACT || v == VERB_RESTORE
               ? "a cache index that was valid is not valid now"
           : v == VERB_AMEND   ? "a source of ARCHIVE is not in DIR, or there was nothing to add"
           : v == VERB_VERIFY  ? "a cache index is not valid"
           : v == VERB_INSPECT ? "a cache index cannot be read"
           : v == VERB_ENV     ? "with --check, caches do not load or run somewhere"
                               : "not used");
}
