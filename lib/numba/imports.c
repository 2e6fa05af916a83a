/* Reads the import statements of a Python source. */

#include "numba/imports.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "numba/imports_private.h"

#define BOM "\xef\xbb\xbf"

void import_dynamic(struct import_scan *s, const char *what, size_t at)
{
    if (s->out->dynamic)
        return;
    s->out->dynamic = what;
    s->out->dynamic_at = (uint32_t)(at + s->skipped);
}

size_t import_skip_blanks(const struct source_text *s, size_t at, bool lines)
{
    while (at < s->size) {
        unsigned char c = s->data[at];

        if (source_is_blank(c) || (lines && source_is_line_end(c)))
            at++;
        else if (c == '\\' && at + 1 < s->size && source_is_line_end(s->data[at + 1]))
            at = source_text_skip_line_end(s, at + 1);
        else if (c == '#' && lines)
            while (at < s->size && !source_is_line_end(s->data[at]))
                at++;
        else
            break;
    }
    return at;
}

static void add_text(struct import_scan *s, const void *text, size_t n)
{
    if (s->r == 0)
        s->r = buf_add(&s->out->text, text, n);
}

/* Adds the name at *AT to the text and goes behind it. False where there is none. */
static bool take_name(struct import_scan *s, size_t *at)
{
    const struct source_text *t = &s->text;
    size_t end = source_name_end(t, *at);

    if (end == *at || (t->data[*at] >= '0' && t->data[*at] <= '9'))
        return false;
    for (size_t i = *at; i < end; i++)
        if (t->data[i] >= 0x80) { /* Python looks for its normal form */
            import_dynamic(s, "a name that is not ASCII", i);
            break;
        }
    add_text(s, t->data + *at, end - *at);
    *at = end;
    return true;
}

/* Adds the dotted name at *AT, and a NUL, to the text, and goes behind it and blanks. */
static bool take_module(struct import_scan *s, size_t *at)
{
    bool any = false;

    while (take_name(s, at)) {
        any = true;
        *at = import_skip_blanks(&s->text, *at, false);
        if (*at >= s->text.size || s->text.data[*at] != '.')
            break;
        add_text(s, ".", 1);
        *at = import_skip_blanks(&s->text, *at + 1, false);
    }
    add_text(s, "", 1);
    return any;
}

/* Goes behind "as NAME" and blanks, where it is there. Is it another name than LIKE, or one that
 * ends so? */
static bool skip_as(struct import_scan *s, size_t *at, bool lines, const char *like)
{
    const struct source_text *t = &s->text;
    size_t end = source_name_end(t, *at), n = strlen(like);

    if (!import_is_word(t, *at, end, "as"))
        return false;
    end = source_name_end(t, import_skip_blanks(t, end, lines));
    *at = import_skip_blanks(t, end, lines);
    return memcmp(t->data + end - n, like, n) != 0; /* END is behind "as" at least */
}

/* Goes behind a comma and blanks. */
static bool skip_comma(const struct source_text *t, size_t *at, bool lines)
{
    if (*at >= t->size || t->data[*at] != ',')
        return false;
    *at = import_skip_blanks(t, *at + 1, lines);
    return true;
}

static void add_item(struct import_scan *s, struct import item, size_t at)
{
    struct imports *out = s->out;

    item.at = (uint32_t)(at + s->skipped);
    if (s->r == 0)
        s->r = array_add(out->items, out->count, item);
    if (s->r == 0)
        import_judge_import(s, &item, at);
}

/* "import a.b as c, d": AT is behind the word that stands at BEGIN. */
static size_t read_plain(struct import_scan *s, size_t begin, size_t at)
{
    at = import_skip_blanks(&s->text, at, false);
    do {
        struct import item = {.module = (uint32_t)s->out->text.size};

        if (!take_module(s, &at))
            break;
        if (skip_as(s, &at, false, "sys") && s->r == 0 &&
            strcmp((const char *)s->out->text.data + item.module, "sys") == 0)
            import_dynamic(s, "another name for sys", begin);
        add_item(s, item, begin);
    } while (skip_comma(&s->text, &at, false));
    return at;
}

/* What stands behind the "import" of a "from". */
static size_t read_names(struct import_scan *s, struct import *item, size_t at)
{
    const struct source_text *t = &s->text;
    bool lines = false;

    at = import_skip_blanks(t, at, false);
    if (at < t->size && t->data[at] == '*') {
        item->star = true;
        return at + 1;
    }
    if (at < t->size && t->data[at] == '(') {
        lines = true;
        at = import_skip_blanks(t, at + 1, true);
    }
    item->names = (uint32_t)s->out->text.size;
    do {
        if (!take_name(s, &at))
            break;
        add_text(s, "", 1);
        item->name_count++;
        at = import_skip_blanks(t, at, lines);
        skip_as(s, &at, lines, "");
    } while (skip_comma(t, &at, lines));
    return at;
}

/* "from ..a.b import c": BEGIN is where "from" stands, AT behind "import". */
static size_t read_from(struct import_scan *s, size_t begin, size_t at)
{
    const struct source_text *t = &s->text;
    struct import item = {.from = true, .module = (uint32_t)s->out->text.size};
    size_t module = import_skip_blanks(t, begin + strlen("from"), false);

    while (module < t->size && t->data[module] == '.') {
        item.level++;
        module = import_skip_blanks(t, module + 1, false);
    }
    /* In "from . import b" the word "import" stands where the module would. */
    if (import_is_word(t, module, source_name_end(t, module), "import"))
        add_text(s, "", 1);
    else
        take_module(s, &module);
    at = read_names(s, &item, at);
    add_item(s, item, begin);
    return at;
}

/* Before blanks and joined lines that end at AT. */
static size_t skip_blanks_back(const struct import_scan *s, size_t at)
{
    const unsigned char *data = s->text.data;

    while (at > s->floor) {
        size_t line_end = at - 1;

        if (source_is_blank(data[at - 1])) {
            at--;
            continue;
        }
        if (!source_is_line_end(data[line_end]))
            break;
        if (data[line_end] == '\n' && line_end > s->floor && data[line_end - 1] == '\r')
            line_end--;
        /* A comment is not joined with the next line. */
        if (line_end <= s->floor || data[line_end - 1] != '\\' || line_end == s->text.comment_end)
            break;
        at = line_end - 1;
    }
    return at;
}

/* Does "from" belong to the "import" at AT? Then *BEGIN is where it stands. */
static bool find_from(const struct import_scan *s, size_t at, size_t *begin)
{
    const unsigned char *data = s->text.data;

    for (;;) {
        size_t end = at = skip_blanks_back(s, at);

        if (at > s->floor && data[at - 1] == '.') {
            at--;
            continue;
        }
        while (at > s->floor && source_is_name(data[at - 1]))
            at--;
        if (at == end)
            return false;
        if (import_is_word(&s->text, at, end, "from")) {
            *begin = at;
            return true;
        }
    }
}

/* Reads the statement whose "import" stands from BEGIN to END; returns the offset behind it. */
static size_t read_statement(struct import_scan *s, size_t begin, size_t end)
{
    size_t from;

    if (find_from(s, begin, &from))
        s->floor = read_from(s, from, end);
    else
        s->floor = read_plain(s, begin, end);
    return s->floor;
}

static void on_field_name(void *arg, size_t begin, size_t end)
{
    import_judge_word(arg, begin, end);
}

static void scan_code(struct import_scan *s)
{
    struct source_text *t = &s->text;
    size_t at = 0;

    while ((at = source_text_next(t, at)) < t->size) {
        size_t begin = source_name_begin(t, at), end = source_name_end(t, at);

        if (import_is_word(t, begin, end, "import"))
            at = read_statement(s, begin, end);
        else {
            import_judge_word(s, begin, end);
            at = end;
        }
    }
}

/* Where strings cannot be told from code, each "import" is taken for one. */
static void scan_text(struct import_scan *s)
{
    const unsigned char *data = s->text.data, *found;
    size_t at = 0, size = s->text.size;

    while ((found = memmem(data + at, size - at, "import", strlen("import")))) {
        size_t begin = (size_t)(found - data), end = begin + strlen("import");

        at = end;
        if (source_name_begin(&s->text, begin) == begin && source_name_end(&s->text, end) == end)
            at = read_statement(s, begin, end);
    }
}

/* Starts again, with what the source was found to be. */
static void restart(struct import_scan *s, const char *dynamic)
{
    s->out->count = 0;
    buf_clear(&s->out->text);
    s->out->dynamic = dynamic;
    s->out->dynamic_at = 0;
    s->floor = 0;
    s->text.comment_end = SIZE_MAX;
}

int imports_scan(struct imports *out, const void *source, size_t size, struct wp_error *err)
{
    struct import_scan s = {.out = out};

    *out = (struct imports){0};
    if (size > INT32_MAX)
        return error_set(err, EFBIG, NULL, "a Python source of 2 GiB or more");
    if (size >= strlen(BOM) && memcmp(source, BOM, strlen(BOM)) == 0) {
        s.skipped = strlen(BOM);
        source = (const char *)source + s.skipped;
        size -= s.skipped;
    }
    source_text_start(&s.text, source, size);
    s.text.field_name = on_field_name;
    s.text.arg = &s;
    if (import_has_odd_encoding(&s.text)) {
        restart(&s, "its encoding");
        scan_text(&s);
    } else {
        scan_code(&s);
        if (s.text.broken) {
            restart(&s, "a string without an end");
            scan_text(&s);
        }
    }
    import_judge_source(&s);
    return s.r < 0 ? error_nomem(err) : 0;
}

int imports_add(struct imports *i, const char *module)
{
    struct import item = {.module = (uint32_t)i->text.size};
    int r = buf_add(&i->text, module, strlen(module) + 1);

    if (r == 0)
        r = array_add(i->items, i->count, item);
    return r;
}

void imports_clear(struct imports *i)
{
    free(i->items);
    buf_free(&i->text);
    *i = (struct imports){0};
}

const char *imports_module(const struct imports *i, const struct import *s)
{
    return (const char *)i->text.data + s->module;
}

const char *imports_names(const struct imports *i, const struct import *s)
{
    return (const char *)i->text.data + s->names;
}
