/* Reads .numba_config.yaml, the file in the working directory from which Numba takes settings that
 * the environment does not have. Of YAML as much is understood as such files use. */

#include "config_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/path.h"
#include "warmpack.h"

enum { LARGEST = 1 << 16 };

static const char config_name[] = ".numba_config.yaml";

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(word, *words) == 0)
            return true;
    return false;
}

/* VALUE, a plain scalar without its comment, as the text of a variable: Numba gets a bool, None or
 * the text itself. NULL: None. */
static const char *plain_value(const char *value)
{
    static const char *const none[] = {"", "~", "null", NULL};
    static const char *const yes[] = {"yes", "true", "on", NULL};
    static const char *const no[] = {"no", "false", "off", NULL};

    return is_one_of(value, none)  ? NULL
           : is_one_of(value, yes) ? "1"
           : is_one_of(value, no)  ? "0"
                                   : value;
}

/* Ends the text at S where a comment or the white space before its end begins. */
static void end_plain(char *s)
{
    size_t n;

    for (char *p = s; *p; p++)
        if (*p == '#' && (p == s || p[-1] == ' ')) {
            *p = '\0';
            break;
        }
    n = strlen(s);
    while (n > 0 && s[n - 1] == ' ')
        s[--n] = '\0';
}

/* Reads the text in quotes at S into itself; false where it is not of the simple kind: a backslash,
 * or something behind it. */
static bool take_quoted(char *s)
{
    const char quote = *s;
    char *out = s, *in = s + 1;

    for (; *in; in++) {
        if (*in == '\\' && quote == '"')
            return false;
        if (*in == quote && !(quote == '\'' && in[1] == quote))
            break;
        in += *in == quote;
        *out++ = *in;
    }
    if (*in != quote)
        return false;
    in++;
    end_plain(in);
    *out = '\0';
    return !*in;
}

/* The value at S, which is changed, into *OUT, NULL for None; false: other YAML. */
static bool take_value(char *s, const char **out)
{
    s += strspn(s, " ");
    if (*s == '"' || *s == '\'') {
        *out = s;
        return take_quoted(s);
    }
    end_plain(s);
    if (*s && (strchr("[]{}&*!|>@`%,", *s) || (strchr("-?:", *s) && (!s[1] || s[1] == ' '))))
        return false;
    if (strstr(s, ": ") || (*s && s[strlen(s) - 1] == ':'))
        return false;
    *out = plain_value(s);
    return true;
}

/* LINE, which is changed: 0, EACH's negative errno, or 1 for other YAML. */
static int take_line(char *line, int (*each)(void *ctx, const char *name, const char *value),
                     void *ctx)
{
    static const char prefix[] = "NUMBA_";
    char name[sizeof prefix + 64];
    const char *value;
    size_t n = 0;

    while (isalnum((unsigned char)line[n]) || line[n] == '_')
        n++;
    if (strchr(line, '\t') || !n || n > 64 || isdigit((unsigned char)*line) || line[n] != ':' ||
        (line[n + 1] && line[n + 1] != ' '))
        return 1;
    memcpy(name, prefix, sizeof prefix - 1);
    for (size_t i = 0; i < n; i++)
        name[sizeof prefix - 1 + i] = (char)toupper((unsigned char)line[i]);
    name[sizeof prefix - 1 + n] = '\0';
    if (!take_value(line + n + 1, &value))
        return 1;
    return value ? each(ctx, name, value) : 0;
}

int config_file_parse(const char *text, size_t size,
                      int (*each)(void *ctx, const char *name, const char *value), void *ctx)
{
    _cleanup_free_ char *copy = strndup(text, size);
    char *line = copy, *next;

    if (!copy)
        return -ENOMEM;
    if (strlen(copy) != size)
        return 1;
    for (int number = 1; line; number++, line = next) {
        size_t blank;
        int r;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        blank = strlen(line);
        if (blank && line[blank - 1] == '\r')
            line[blank - 1] = '\0';
        blank = strspn(line, " ");
        if (!line[blank] || line[blank] == '#' || (number == 1 && strcmp(line, "---") == 0))
            continue;
        r = take_line(line, each, ctx);
        if (r)
            return r < 0 ? r : number;
    }
    return 0;
}

/* ---- The file ------------------------------------------------------------------------------ */

/* Keeps both in a list, one behind the other. */
static int add_pair(void *ctx, const char *name, const char *value)
{
    int r = path_list_add(ctx, strdup(name));

    return r < 0 ? r : path_list_add(ctx, strdup(value));
}

/* Could somebody else have written it? */
static bool is_foreign(const struct stat *st)
{
    return (st->st_uid != geteuid() && st->st_uid != 0) || (st->st_mode & S_IWOTH);
}

/* The text of the file: 1; 0: there is none that counts; negative errno. */
static int read_config(const struct wp_context *context, struct buf *text, struct wp_error *err)
{
    _cleanup_close_ int fd = open(config_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int r;

    /* Where we may not even ask for it, nor may Numba, which then takes it for none. */
    if (fd < 0 && (error_is_absence(-errno) || (errno == EACCES && access(config_name, F_OK) < 0)))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(err, errno, config_name, "cannot be read");
    if (!S_ISREG(st.st_mode)) /* as for Numba */
        return 0;
    if (is_foreign(&st)) {
        report(context, WP_WARNING, config_name,
               "is ignored, though Numba would use it: it is somebody else's, or everybody may "
               "write to it");
        return 0;
    }
    r = file_read_rest(fd, (size_t)st.st_size, LARGEST, text);
    return r < 0 ? error_set(err, -r, config_name, "cannot be read") : 1;
}

int wp_numba_config(const struct wp_context *context,
                    int (*each)(void *ctx, const char *name, const char *value), void *ctx,
                    struct wp_error *err)
{
    _cleanup_(path_list_clear) struct path_list pairs = {0};
    _cleanup_buf_ struct buf text = {0};
    int r = read_config(context, &text, err);

    if (r <= 0)
        return r;
    r = config_file_parse((const char *)text.data, text.size, add_pair, &pairs);
    if (r < 0)
        return error_nomem(err);
    if (r > 0) {
        report(context, WP_WARNING, config_name,
               "is ignored, though Numba would use it: line %d is no simple \"name: value\"", r);
        return 0;
    }
    for (size_t i = pairs.count; i > 0 && r >= 0; i -= 2)
        r = each(ctx, pairs.v[i - 2], pairs.v[i - 1]);
    return r < 0 ? r : 0;
}
