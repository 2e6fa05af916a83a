#include "options.h"

#include <stdio.h>
#include <string.h>

#include "warmpack.h"

enum {
    C = 1 << VERB_CREATE,
    X = 1 << VERB_EXTRACT,
    T = 1 << VERB_LIST,
    V = 1 << VERB_VERIFY,
    P = 1 << VERB_PATH,
    ALL = C | X | T | V | P
};

struct row {
    int code;
    const char *name;     /* long; NULL: none */
    const char *argument; /* NULL: takes none */
    unsigned verbs;       /* that take it */
    const char *help;     /* NULL: another name of the row above it, or not shown */
};

static const struct row rows[] = {
    {OPT_CREATE, "create", NULL, C, NULL},
    {OPT_EXTRACT, "extract", NULL, X, NULL},
    {OPT_EXTRACT, "get", NULL, X, NULL},
    {OPT_LIST, "list", NULL, T, NULL},

    {'f', "file", "ARCHIVE", C, "the archive to write; - is standard output"},
    {'f', "file", "ARCHIVE", X | T, "the archive to read; - is standard input"},
    {'f', "file", "ARCHIVE", V, "judge an archive, without unpacking it; - is standard input"},
    {'C', "directory", "DIR", C, "the PATHs that follow are relative to DIR"},
    {'C', "directory", "DIR", X, "unpack into DIR, made if missing; default: here"},
    {'T', "files-from", "FILE", C,
     "pack the paths that FILE names, one a line; - is standard input"},
    {'T', "files-from", "FILE", X | T, "take patterns from FILE, one a line; - is standard input"},
    {'0', "null", NULL, C | X | T, "names of -T end with NUL, not with a newline"},
    {OPT_VERBATIM, "verbatim-files-from", NULL, C | X | T,
     "names of -T are never options (always so)"},
    {OPT_EXCLUDE, "exclude", "PATTERN", C | X, "leave out what matches; repeatable"},
    {'X', "exclude-from", "FILE", C | X, "leave out what matches a pattern of FILE, one a line"},
    {'h', "dereference", NULL, C, "pack what symlinks point to, not the symlinks"},

    {'z', "gzip", NULL, C, "compress with gzip"},
    {'z', "gzip", NULL, X | T, "taken for granted: the format is recognised by content"},
    {'z', "gunzip", NULL, C | X | T, NULL},
    {'z', "ungzip", NULL, C | X | T, NULL},
    {OPT_ZSTD, "zstd", NULL, C, "compress with zstd"},
    {OPT_ZSTD, "zstd", NULL, X | T, "likewise"},
    {'j', "bzip2", NULL, X | T, "likewise"},
    {'J', "xz", NULL, X | T, "likewise"},
    {'a', "auto-compress", NULL, C, "choose the format by ARCHIVE's suffix (always so)"},
    {'a', "auto-compress", NULL, X | T, "likewise"},
    {'H', "format", "NAME", C, "write this format, whatever the suffix (formats: see below)"},
    {OPT_POSIX, "posix", NULL, C, NULL},
    {OPT_LEVEL, "level", "N", C, "compression level"},
    {OPT_GZIP_MEMBERS, "gzip-members", "one|many", C,
     "one gzip member for readers that stop at the first; default: many"},

    {OPT_STRIP, "strip-components", "N", X, "drop the first N components of names"},
    {'k', "keep-old-files", NULL, X, "keep files that exist, and fail for them"},
    {OPT_REPLACE, "replace", NULL, X, "swap each top-level directory for the new one in one step"},
    {OPT_IF_NEEDED, "if-needed", NULL, X, "do nothing where DIR already holds this archive"},
    {'O', "to-stdout", NULL, X, "write files' content to standard output, and nothing to disk"},
    {'p', "preserve-permissions", NULL, X, "modes exactly as packed, setuid too; default for root"},
    {'p', "preserve-permissions", NULL, C | T, "taken for granted"},
    {'p', "same-permissions", NULL, C | X | T, NULL},
    {OPT_SAME_OWNER, "same-owner", NULL, X, "owners as packed; always so for root"},
    {OPT_NO_SAME_OWNER, "no-same-owner", NULL, X,
     "files belong to who unpacks; always so for users"},
    {OPT_NUMERIC_OWNER, "numeric-owner", NULL, C, "store numbers of users and groups, not names"},
    {OPT_NUMERIC_OWNER, "numeric-owner", NULL, X, "take owners by number, not by name"},
    {OPT_NUMERIC_OWNER, "numeric-owner", NULL, T, "show numbers of users and groups, not names"},
    {OPT_OWNER, "owner", "NAME[:UID]", C, "store this owner for everything"},
    {OPT_GROUP, "group", "NAME[:GID]", C, "store this group for everything"},

    {OPT_CACHE_DIR, "cache-dir", "DIR", C,
     "look for hashed caches in DIR, not in the default places; repeatable"},
    {OPT_NO_CACHE_DIR, "no-cache-dir", NULL, C, "pack no caches from outside the tree"},
    {OPT_CACHE_DIR, "cache-dir", "DIR", X, "where hashed caches go; default: $NUMBA_CACHE_DIR"},
    {OPT_CACHE_DIR, "cache-dir", "DIR", V, "where hashed caches lie; default: $NUMBA_CACHE_DIR"},
    {OPT_CACHE_DIR, "cache-dir", "DIR", P, "as if NUMBA_CACHE_DIR were DIR"},
    {OPT_LAYOUT, "layout", "WHERE", X,
     "where caches go: auto, keep, in-tree, cache-dir, user-wide; default: auto"},
    {OPT_USER, "user", "NAME|UID", X | V | P, "who will run Python; default: who calls"},
    {OPT_SOURCE_ROOT, "source-root", "PATH", C,
     "the path by which Python imported what is in DIR; repeatable"},
    {OPT_RUNTIME_ROOT, "runtime-root", "PATH", X | V,
     "the absolute path that DIR will have when Python runs; repeatable"},
    {OPT_RUNTIME_ROOT, "runtime-root", "PATH", P,
     "as if the working directory were PATH when Python runs; repeatable"},
    {OPT_STRICT, "strict", NULL, C, "fail if any cache index is already stale"},

    {OPT_THREADS, "threads", "N", ALL, "threads to use; default: one a CPU"},
    {OPT_JSON, "json", NULL, ALL, "print a JSON document on standard output"},
    {OPT_PROGRESS, "progress", "WHEN", ALL, "auto, always or never; auto: on a terminal"},
    {'v', "verbose", NULL, C | X, "name each file on standard error"},
    {'v', "verbose", NULL, T, "show mode, owner, size and time, too"},
    {'v', "verbose", NULL, V, "print valid indexes, too"},
    {'v', "verbose", NULL, P, "accepted"},
    {'q', "quiet", NULL, ALL, "no warnings, no summary"},
    {OPT_HELP, "help", NULL, ALL, "print this text"},
    {OPT_VERSION, "version", NULL, ALL, "print the version"},
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
    [VERB_VERIFY] = {"verify", "verify DIR | -f ARCHIVE", NULL,
                     "Say whether every cache index is valid, and if not, why.", NULL},
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

static bool has_letter(const struct row *r)
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

static const struct row *find(int code)
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
    const struct row *r = find(code);

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
    const struct row *r = find(code);

    if (r && has_letter(r))
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

static void help_row(const struct row *r)
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
    if (v == VERB_CREATE)
        help_formats();
    printf("\nExit status: 0 done; 1 %s; 2 error.\n",
           v == VERB_CREATE    ? "a file changed while it was read"
           : v == VERB_EXTRACT ? "a cache index that was valid is not valid now"
           : v == VERB_VERIFY  ? "a cache index is not valid"
                               : "not used");
}
