/* Replaces the old path of an environment in texts: anywhere, or in the lines that name a script's
 * interpreter. */

#include "relocate_text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { SHEBANG_MOST = 127 }; /* bytes of "#!PATH" that every Linux takes */

static const char exec_line[] = "'''exec' ";
/* The second form, around a path in quotes and the interpreter's arguments. */
static const char sh_line[] = "#!/bin/sh\n'''exec' \"", exec_end[] = " \"$0\" \"$@\"\n' '''\n";

static bool is_of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || (unsigned char)c >= 128;
}

/* Does PATH stand at TEXT[AT], and not a part of another path? */
static bool stands(const char *path, const char *text, size_t n, size_t at)
{
    const size_t length = strlen(path);

    if (n - at < length || memcmp(text + at, path, length) != 0)
        return false;
    if (at && (is_of_name(text[at - 1]) || text[at - 1] == '/'))
        return false;
    return n - at == length || !is_of_name(text[at + length]);
}

/* Does the old path stand there? Where one of them begins with the other, the longer one that
 * stands there counts. */
static bool is_old(const struct relocate_paths *p, const char *text, size_t n, size_t at)
{
    return stands(p->from, text, n, at) &&
           (strlen(p->from) > strlen(p->to) || !stands(p->to, text, n, at));
}

int relocate_all(const struct relocate_paths *p, const char *text, size_t n, struct buf *out)
{
    size_t from = 0, at = 0;
    int count = 0;

    while (at < n) {
        const char *next = memchr(text + at, '/', n - at);

        if (!next)
            break;
        at = (size_t)(next - text);
        if (is_old(p, text, n, at)) {
            if (buf_add(out, text + from, at - from) < 0 || buf_add_str(out, p->to) < 0)
                return -ENOMEM;
            at += strlen(p->from);
            from = at;
            count++;
        } else if (stands(p->to, text, n, at)) { /* what has been replaced stays */
            at += strlen(p->to);
        } else {
            at++;
        }
    }
    return buf_add(out, text + from, n - from) < 0 ? -ENOMEM : count;
}

/* As shlex.quote of Python, by which venv decides. */
static bool is_plain(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_@%+=:,./-", c));
}

static bool needs_quotes(const char *path)
{
    while (is_plain(*path))
        path++;
    return *path;
}

static bool begins_word(const char *text, size_t at)
{
    return at && (text[at - 1] == '=' || text[at - 1] == ' ');
}

/* The end of the word that begins at AT, in quotes or not. */
static size_t word_end(const char *text, size_t n, size_t at, bool quoted)
{
    while (at < n && text[at] != '\n' && text[at] != '\r' &&
           (quoted ? text[at] != '\'' : is_plain(text[at])))
        at++;
    return at;
}

int relocate_shell(const struct relocate_paths *p, const char *text, size_t n, struct buf *out)
{
    const bool adds = needs_quotes(p->to) && !needs_quotes(p->from);
    const bool takes = needs_quotes(p->from) && !needs_quotes(p->to);
    size_t from = 0, end;
    int count = 0, r;

    if (strpbrk(p->to, "'\"\\$`\n\r"))
        return -EINVAL;
    for (size_t at = 0; at < n && (adds || takes); at = end) {
        bool quoted = takes && text[at] == '\'';
        size_t path = at + quoted;

        end = at + 1;
        if (!begins_word(text, at) || (takes && !quoted) || !stands(p->from, text, n, path))
            continue;
        end = word_end(text, n, path, quoted);
        if (relocate_all(p, text + from, at - from, out) < 0 ||
            (adds && buf_add_str(out, "'") < 0) ||
            relocate_all(p, text + path, end - path, out) < 0 ||
            (adds && buf_add_str(out, "'") < 0))
            return -ENOMEM;
        end += quoted && end < n;
        from = end;
        count++;
    }
    r = relocate_all(p, text + from, n - from, out);
    return r < 0 ? r : r + count;
}

static size_t line_size(const char *text, size_t n)
{
    const char *end = memchr(text, '\n', n);

    return end ? (size_t)(end - text) + 1 : n;
}

/* LINE is "PATH", and what stands behind it: as pip and uv write them for a shell. */
static int add_exec(const struct relocate_paths *p, const char *line, size_t n, struct buf *out)
{
    const size_t from = strlen(p->from);
    const char *rest = memchr(line + from, ' ', n - from), *end = line + n;
    const char *path_end;

    while (end > line && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    path_end = rest && rest < end ? rest : end;
    if (strpbrk(p->to, "\"'\\$`\n\r"))
        return -EINVAL;
    return buf_printf(out, "%s%s%.*s\"%.*s%s", sh_line, p->to, (int)(path_end - line - from),
                      line + from, (int)(end - path_end), path_end, exec_end) < 0
               ? -ENOMEM
               : 1;
}

/* The first line, "#!PATH ...", of N bytes. */
static int script_line(const struct relocate_paths *p, const char *line, size_t n, struct buf *out)
{
    size_t before = out->size, at = 2;
    int r;

    while (at < n && (line[at] == ' ' || line[at] == '\t'))
        at++;
    if (!is_old(p, line, n, at))
        return buf_add(out, line, n) < 0 ? -ENOMEM : 0;
    r = relocate_all(p, line, n, out);
    if (r < 0 || (out->size - before <= SHEBANG_MOST && !strpbrk(p->to, " \t\n\r")))
        return r;
    out->size = before;
    return add_exec(p, line + at, n - at, out);
}

/* "'''exec' PATH ...", whose path is in quotes, or gets some, or loses them. */
static int exec_script(const struct relocate_paths *p, const char *line, size_t n, struct buf *out)
{
    const size_t at = sizeof exec_line - 1;
    const bool adds = is_old(p, line, n, at) && needs_quotes(p->to);
    const bool takes = !needs_quotes(p->to) && needs_quotes(p->from) && line[at] == '"' &&
                       stands(p->from, line, n, at + 1);
    const size_t path = at + takes + strlen(p->from);
    const char *quote = adds ? "\"" : "";
    size_t end = path;

    if (strpbrk(p->to, "\"'\\$`\n\r"))
        return -EINVAL;
    if (!adds && !takes)
        return relocate_all(p, line, n, out);
    while (end < n && line[end] != (takes ? '"' : ' ') && line[end] != '\n')
        end++;
    if (buf_printf(out, "%s%s%s%.*s%s", exec_line, quote, p->to, (int)(end - path), line + path,
                   quote) < 0)
        return -ENOMEM;
    end += takes && end < n && line[end] == '"';
    return buf_add(out, line + end, n - end) < 0 ? -ENOMEM : 1;
}

int relocate_script(const struct relocate_paths *p, const char *text, size_t n, struct buf *out)
{
    size_t first = line_size(text, n), second = line_size(text + first, n - first);
    const char *line = text + first;
    size_t head = first;
    int r;

    if (n < 2 || memcmp(text, "#!", 2) != 0)
        return buf_add(out, text, n) < 0 ? -ENOMEM : 0;
    if (second >= sizeof exec_line && memcmp(line, exec_line, sizeof exec_line - 1) == 0) {
        if (buf_add(out, text, first) < 0)
            return -ENOMEM;
        r = exec_script(p, line, second, out);
        head += second;
    } else {
        r = script_line(p, text, first, out);
    }
    if (r >= 0 && buf_add(out, text + head, n - head) < 0)
        return -ENOMEM;
    return r;
}

int relocate_shorten(const char *text, size_t n, struct buf *out)
{
    const size_t head = sizeof sh_line - 2, tail = sizeof exec_end - 1; /* without the quote */
    const char *end = memmem(text, n, exec_end, tail), *path, *path_end, *rest;
    bool quoted;

    if (n < head || memcmp(text, sh_line, head) != 0 || !end || end < text + head + 2)
        return 0;
    quoted = text[head] == '"';
    path = text + head + quoted;
    path_end = memchr(path, quoted ? '"' : ' ', (size_t)(end - path));
    if (!path_end)
        path_end = end;
    rest = path_end + (quoted && path_end < end);
    return buf_printf(out, "#!%.*s%.*s\n", (int)(path_end - path), path, (int)(end - rest), rest) <
                       0 ||
                   buf_add(out, end + tail, n - (size_t)(end - text) - tail) < 0
               ? -ENOMEM
               : 1;
}
