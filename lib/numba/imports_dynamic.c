/* Tells which sources import, or run code, in a way that no list of imports shows. */

#include <string.h>

#include "numba/imports_private.h"

enum {
    MOST_PARTS = 64,          /* of a module's name */
    LONGEST_PARAMETER = 4096, /* bytes, with what may stand before it */
};

/* Modules that are there to load others, or to change where they come from. */
static const char *const loaders[] = {
    "apipkg",      "demandimport", "ihooks",  "imp",       "imputil",       "lazy_import",
    "lazy_loader", "lazy_imports", "lazyasd", "site",      "pkg_resources", "pkgutil",
    "pydoc",       "pyximport",    "runpy",   "stevedore", "zipimport"};

/* What sys has to say where modules come from. */
static const char *const of_sys[] = {"path", "modules", "meta_path", "path_hooks",
                                     "path_importer_cache"};

/* Functions that run text. */
static const char *const runners[] = {"exec", "eval", "exec_", "execfile"};

static const char *in_list(const char *const *list, size_t n, const void *word, size_t size)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == size && memcmp(list[i], word, size) == 0)
            return list[i];
    return NULL;
}
#define IN(list, word, size) in_list((list), sizeof(list) / sizeof *(list), (word), (size))

static unsigned char byte_at(const struct source_text *t, size_t at)
{
    return at < t->size ? t->data[at] : 0;
}

/* The byte before AT that is no blank; *END is the offset behind it. */
static unsigned char before(const struct source_text *t, size_t at, size_t *end)
{
    while (at > 0 && source_is_blank(t->data[at - 1]))
        at--;
    *end = at;
    return at > 0 ? t->data[at - 1] : 0;
}

/* Is "def" or "class" before the word at AT? */
static bool is_defined(const struct source_text *t, size_t at)
{
    size_t end, begin;

    before(t, at, &end);
    begin = source_name_begin(t, end);
    return end < at &&
           (import_is_word(t, begin, end, "def") || import_is_word(t, begin, end, "class"));
}

/* The name before the dot before the word at AT. False where no dot is. */
static bool owner(const struct source_text *t, size_t at, size_t *begin, size_t *end)
{
    if (before(t, at, end) != '.')
        return false;
    before(t, *end - 1, end);
    *begin = source_name_begin(t, *end);
    return true;
}

/* The name behind the dot behind END. False where no dot is. */
static bool member(const struct source_text *t, size_t *begin, size_t *end)
{
    size_t at = import_skip_blanks(t, *end, false);

    if (byte_at(t, at) != '.')
        return false;
    *begin = import_skip_blanks(t, at + 1, false);
    *end = source_name_end(t, *begin);
    return true;
}

/* Does the word that ends at END belong to the module of "from a.b import c"? Of more parts than
 * any module has, each might be asked so: that would take the square of their number. */
static bool names_module(const struct source_text *t, size_t end)
{
    size_t begin, next;

    for (unsigned parts = 0; member(t, &begin, &end); parts++)
        if (parts == MOST_PARTS)
            return false;
    next = import_skip_blanks(t, end, false);
    return next > end && import_is_word(t, next, source_name_end(t, next), "import");
}

/* exec and eval are functions of Python, unless they are another object's, or an argument's name.
 */
static void judge_runner(struct import_scan *s, size_t begin, size_t end, const char *what)
{
    const struct source_text *t = &s->text;
    size_t next = import_skip_blanks(t, end, false), from, to;

    if (is_defined(t, begin) || names_module(t, end))
        return;
    if (owner(t, begin, &from, &to) && !import_is_word(t, from, to, "builtins") &&
        !import_is_word(t, from, to, "six") && !import_is_word(t, from, to, "__builtins__"))
        return;
    if (byte_at(t, next) == '=' && byte_at(t, next + 1) != '=')
        return;
    import_dynamic(s, what, begin);
}

/* "sys.path" and its like; sys.modules where something is put there. */
static void judge_sys(struct import_scan *s, size_t begin, size_t end)
{
    const struct source_text *t = &s->text;
    size_t from, to = end;
    const char *what;

    if (!member(t, &from, &to))
        return;
    what = IN(of_sys, t->data + from, to - from);
    if (!what)
        return;
    if (strcmp(what, "modules") == 0) {
        size_t next = import_skip_blanks(t, to, false);

        if (byte_at(t, next) == '.') {
            if (!member(t, &from, &to) || import_is_word(t, from, to, "keys"))
                return;
        } else if (byte_at(t, next) != '[' && byte_at(t, next) != '=') {
            return;
        }
        import_dynamic(s, "sys.modules", begin);
        return;
    }
    import_dynamic(s, "sys.path", begin);
}

/* importlib.metadata reads what is installed, and loads entry points alone. */
static void judge_importlib(struct import_scan *s, size_t begin, size_t end)
{
    size_t from, to = end;

    if (member(&s->text, &from, &to) && import_is_word(&s->text, from, to, "metadata"))
        s->metadata = true;
    else if (!names_module(&s->text, end))
        import_dynamic(s, "importlib", begin);
}

/* "def __getattr__(name)" is a module's, with a second parameter a class's. One whose first
 * parameter has no end near is taken for a module's: others may be nested in it. */
static void judge_getattr(struct import_scan *s, size_t begin, size_t end)
{
    const struct source_text *t = &s->text;
    size_t at = import_skip_blanks(t, end, false), from, to, depth = 0;

    if (owner(t, begin, &from, &to))
        return;
    if (is_defined(t, begin) && byte_at(t, at) == '(') {
        for (; at < t->size && at - end < LONGEST_PARAMETER; at++) {
            unsigned char c = t->data[at];

            if (c == '*' && depth == 1)
                break;
            depth += c == '(' || c == '[';
            depth -= c == ')' || c == ']';
            if (depth == 0)
                break;
            if (c == ',' && depth == 1) {
                at = import_skip_blanks(t, at + 1, true);
                if (byte_at(t, at) != ')')
                    return;
                break;
            }
        }
    }
    import_dynamic(s, "__getattr__ of a module", begin);
}

/* Is "import" in the name? Those of importance and of what is important have another sense. */
static bool tells_of_import(const void *name, size_t n)
{
    const char *at = name, *end = at + n;

    while ((size_t)(end - at) >= strlen("import") &&
           (at = memmem(at, (size_t)(end - at), "import", strlen("import")))) {
        at += strlen("import");
        if (end - at < 2 || memcmp(at, "an", 2) != 0)
            return true;
    }
    return false;
}

/* A function with "import" in its name that is called, such as import_module. */
static void judge_importer(struct import_scan *s, size_t begin, size_t end)
{
    const struct source_text *t = &s->text;

    if (import_is_word(t, begin, end, "__import__"))
        import_dynamic(s, "__import__", begin);
    else if (import_is_word(t, begin, end, "import_module") && !names_module(t, end))
        import_dynamic(s, "import_module", begin);
    else if (byte_at(t, import_skip_blanks(t, end, false)) == '(' && !is_defined(t, begin))
        import_dynamic(s, "a function that imports", begin);
}

/* Python takes letters of other alphabets that stand for ASCII ones (compatibility forms) as those:
 * a name of these and of ASCII alone may be any of the words above. */
static bool may_be_ascii(const unsigned char *name, size_t n)
{
    static const struct {
        uint32_t first, last;
    } forms[] = {{0xaa, 0xaa},     {0xba, 0xba},      {0x132, 0x133},   {0x140, 0x140},
                 {0x149, 0x149},   {0x17f, 0x17f},    {0x1c4, 0x1cc},   {0x1f1, 0x1f3},
                 {0x2b0, 0x2e4},   {0x1d2c, 0x1dbf},  {0x1e9a, 0x1e9b}, {0x2071, 0x209c},
                 {0x2100, 0x218b}, {0x2c7c, 0x2c7d},  {0xfb00, 0xfb06}, {0xfe33, 0xfe4f},
                 {0xff10, 0xff5a}, {0x1d400, 0x1d7ff}};

    for (size_t i = 0, size; i < n; i += size) {
        unsigned char c = name[i];
        uint32_t point = c;
        bool form = false;

        size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (size == 1)
            continue;
        if (c < 0xc0 || size > n - i)
            return true; /* not UTF-8 */
        point &= 0xffU >> (size + 1);
        for (size_t k = 1; k < size; k++)
            point = point << 6 | (name[i + k] & 0x3f);
        for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
            form |= point >= forms[k].first && point <= forms[k].last;
        if (!form)
            return false;
    }
    return true;
}

static bool has_high_byte(const unsigned char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] >= 0x80)
            return true;
    return false;
}

/* Names of a module that imports are made by. */
static const char *judge_own_name(const struct source_text *t, size_t begin, size_t end)
{
    size_t next = import_skip_blanks(t, end, false);

    if (import_is_word(t, begin, end, "__path__"))
        return "__path__";
    if (import_is_word(t, begin, end, "__builtins__"))
        return "__builtins__";
    if (import_is_word(t, begin, end, "__loader__"))
        return "__loader__";
    /* Relative imports begin there. */
    if (import_is_word(t, begin, end, "__package__") && byte_at(t, next) == '=' &&
        byte_at(t, next + 1) != '=')
        return "__package__";
    return NULL;
}

void import_judge_word(struct import_scan *s, size_t begin, size_t end)
{
    const unsigned char *word = s->text.data + begin;
    size_t n = end - begin;
    const char *what;

    if (s->out->dynamic || n < 3)
        return;
    what = IN(runners, word, n);
    if (what)
        judge_runner(s, begin, end, what);
    else if (memcmp(word + n - 3, "sys", 3) == 0)
        judge_sys(s, begin, end);
    else if (import_is_word(&s->text, begin, end, "importlib"))
        judge_importlib(s, begin, end);
    else if (word[0] == '_' && (what = judge_own_name(&s->text, begin, end)))
        import_dynamic(s, what, begin);
    else if (import_is_word(&s->text, begin, end, "__getattr__"))
        judge_getattr(s, begin, end);
    else if (tells_of_import(word, n))
        judge_importer(s, begin, end);
    else if (has_high_byte(word, n) && may_be_ascii(word, n))
        import_dynamic(s, "a name that is not ASCII", begin);
}

void import_judge_import(struct import_scan *s, const struct import *i, size_t at)
{
    const char *module = imports_module(s->out, i), *name = imports_names(s->out, i), *what;
    bool importlib = i->level == 0 && strcmp(module, "importlib") == 0;
    size_t first = strcspn(module, ".");

    if (s->out->dynamic || strcmp(module, "__future__") == 0)
        return;
    if (i->level == 0 && (what = IN(loaders, module, first))) {
        import_dynamic(s, what, at);
        return;
    }
    if (i->level == 0 && strcmp(module, "importlib.metadata") == 0)
        s->metadata = true;
    else if (i->level == 0 && first == strlen("importlib") &&
             memcmp(module, "importlib", first) == 0 && (!importlib || !i->from))
        import_dynamic(s, "importlib", at);
    for (size_t k = 0; k < i->name_count; k++, name = imports_next_name(name)) {
        if (importlib && strcmp(name, "metadata") == 0)
            s->metadata = true;
        else if (importlib || strcmp(name, "importlib") == 0)
            import_dynamic(s, "importlib", at);
        else if (i->level == 0 && strcmp(module, "sys") == 0 && IN(of_sys, name, strlen(name)))
            import_dynamic(s, "sys.path", at);
        else if (tells_of_import(name, strlen(name)) ||
                 (strcmp(module, "builtins") == 0 && IN(runners, name, strlen(name))))
            import_dynamic(s, "a function that imports", at);
    }
}

void import_judge_source(struct import_scan *s)
{
    const struct source_text *t = &s->text;

    if (s->metadata && !s->out->dynamic &&
        (memmem(t->data, t->size, "entry_point", strlen("entry_point")) ||
         memmem(t->data, t->size, "EntryPoint", strlen("EntryPoint"))))
        import_dynamic(s, "entry points", 0);
}
