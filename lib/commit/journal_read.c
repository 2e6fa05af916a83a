/* Reads a journal, as journal.c writes it. Nothing is believed: the digest guards against a cut,
 * not against a forger. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/path.h"
#include "staging_private.h"
#include "tree/beneath.h"

enum { LARGEST_POINTER = 1 << 20 };

int staging_journal_master(const struct staging_area *a, struct buf *path)
{
    int r = beneath_read(a->stage_fd, STAGING_JOURNAL_AT, LARGEST_POINTER, path, NULL);
    if (r < 0 && !beneath_is_no_file(r))
        return r; /* what the journal elsewhere needs would be taken for nobody's */
    if (r < 0 || path->size == 0 || path->data[0] != '/' || memchr(path->data, '\0', path->size))
        return -ENOENT;
    return buf_terminate(path);
}

/* Decodes in place. */
static int decode(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            *out++ = *p;
            continue;
        }
        const char digits[] = {p[1], p[1] ? p[2] : '\0', '\0'};
        unsigned char byte;
        if (hex_decode(digits, &byte, 1) < 0 || byte == 0)
            return -EINVAL;
        *out++ = (char)byte;
        p += 2;
    }
    *out = '\0';
    return 0;
}

/* The next field, up to a space: a number from MIN to MAX. */
static int take_number(char **at, int base, long long min, long long max, long long *out)
{
    char *end;
    if (**at != '-' && (**at < '0' || **at > '9'))
        return -EINVAL;
    errno = 0;
    *out = strtoll(*at, &end, base);
    if (errno || end == *at || *end != ' ' || *out < min || *out > max)
        return -EINVAL;
    *at = end + 1;
    return 0;
}

static int take_inode(char **at, ino_t *out)
{
    char *end;
    if (**at < '0' || **at > '9')
        return -EINVAL;
    errno = 0;
    *out = strtoull(*at, &end, 10);
    if (errno || *end != ' ')
        return -EINVAL;
    *at = end + 1;
    return 0;
}

static bool skip_word(char **at, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

static int parse_area(struct staging_journal *j, char *text)
{
    struct staging_journal_area a = {0};
    size_t n = strcspn(text, " ");
    if (text[n] != ' ' || n != sizeof a.name - 1 || j->area_count == STAGING_MAX_AREAS)
        return -EINVAL;
    memcpy(a.name, text, n);
    char *path = text + n + 1;
    if (decode(path) < 0 || path[0] != '/' || !own_is_staging(a.name))
        return -EINVAL;
    if (array_grow(j->areas, j->area_count) < 0 || !(a.path = strdup(path)))
        return -ENOMEM;
    j->areas[j->area_count++] = a;
    return 0;
}

static int parse_attributes(struct staging_op *op, char **at)
{
    long long mode, uid, gid, sec, nsec;
    if (take_number(at, 8, 0, 07777, &mode) < 0 || take_number(at, 10, -1, UINT_MAX, &uid) < 0 ||
        take_number(at, 10, -1, UINT_MAX, &gid) < 0 ||
        take_number(at, 10, LLONG_MIN, LLONG_MAX, &sec) < 0 ||
        take_number(at, 10, 0, UTIME_OMIT, &nsec) < 0 || (nsec > 999999999 && nsec != UTIME_OMIT))
        return -EINVAL;
    op->mode = (mode_t)mode;
    op->uid = (uid_t)uid;
    op->gid = (gid_t)gid;
    op->mtime = (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = (long)nsec};
    return 0;
}

static int parse_op(struct staging_journal *j, char *at)
{
    static const char *const words[] = {
        [OP_MODE] = "mode ", [OP_REMOVE] = "remove ", [OP_PUT] = "put ", [OP_DIR] = "dir "};
    struct staging_op op = {0};
    long long area, a = 0, b = 0;
    int r = 0;

    while (!skip_word(&at, words[op.kind]))
        if (op.kind++ == OP_DIR)
            return -EINVAL;
    if (take_number(&at, 10, 0, (long long)j->area_count - 1, &area) < 0)
        return -EINVAL;
    if (op.kind == OP_MODE) {
        r = take_inode(&at, &op.ino);
        if (r == 0)
            r = take_number(&at, 8, 0, 07777, &a);
        if (r == 0)
            r = take_number(&at, 8, 0, 07777, &b);
        op.mode = (mode_t)a;
        op.before = (mode_t)b;
    } else if (op.kind == OP_PUT) {
        r = take_inode(&at, &op.ino);
        if (r == 0)
            r = take_number(&at, 10, 0, 1, &a);
        op.replaces = a != 0;
    } else if (op.kind == OP_DIR) {
        r = parse_attributes(&op, &at);
    }
    if (r < 0 || decode(at) < 0)
        return -EINVAL;
    bool root = *at == '\0' && (op.kind == OP_MODE || op.kind == OP_DIR);
    if (!root && !path_is_safe(at))
        return -EINVAL;
    struct staging_op *added = staging_plan_add(&j->plan, op.kind, (unsigned)area, at);
    if (!added)
        return -ENOMEM;
    op.path = added->path;
    op.area = (unsigned)area;
    *added = op;
    return 0;
}

/* Checks the last line; the lines before it are TEXT's first *BODY bytes. */
static int check_end(const char *text, size_t size, size_t *body, size_t *count)
{
    if (size == 0 || text[size - 1] != '\n')
        return -EINVAL;
    size_t at = size - 1;
    while (at > 0 && text[at - 1] != '\n')
        at--;
    unsigned char said[SHA256_SIZE], is[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    int used = 0;
    if (sscanf(text + at, "end %zu %64[0-9a-f]%n", count, hex, &used) != 2 ||
        at + (size_t)used + 1 != size || hex_decode(hex, said, sizeof said) < 0)
        return -EINVAL;
    sha256_of(text, at, is);
    *body = at;
    return memcmp(said, is, sizeof is) == 0 ? 0 : -EINVAL;
}

static int parse(struct staging_journal *j, char *text, size_t size)
{
    size_t body, count;
    int r = check_end(text, size, &body, &count);
    if (r < 0)
        return r;
    text[body] = '\0';
    bool in_ops = false;
    for (char *line = text, *next; r == 0 && *line; line = next) {
        next = strchr(line, '\n');
        if (!next)
            return -EINVAL;
        *next++ = '\0';
        char *at = line;
        if (line == text) {
            if (!skip_word(&at, STAGING_JOURNAL_HEADER) ||
                (strcmp(at, "keep") != 0 && strcmp(at, "merge") != 0))
                return -EINVAL;
            j->plan.keep_old = strcmp(at, "keep") == 0;
        } else if (!in_ops && skip_word(&at, "area ")) {
            r = parse_area(j, at);
        } else {
            in_ops = true;
            r = parse_op(j, at);
        }
    }
    if (r == 0 && (j->area_count == 0 || count != j->plan.count))
        r = -EINVAL;
    return r;
}

int staging_journal_read(const struct staging_area *a, struct staging_journal *j)
{
    _cleanup_buf_ struct buf b = {0};

    *j = (struct staging_journal){.undo = true};
    int r = beneath_read(a->stage_fd, STAGING_UNDO, STAGING_JOURNAL_LARGEST, &b, NULL);
    if (error_is_absence(r)) {
        j->undo = false;
        r = beneath_read(a->stage_fd, STAGING_JOURNAL, STAGING_JOURNAL_LARGEST, &b, NULL);
    }
    if (r == 0)
        r = buf_terminate(&b);
    if (r == 0)
        r = memchr(b.data, '\0', b.size) ? -EINVAL : parse(j, (char *)b.data, b.size);
    if (r < 0)
        staging_journal_clear(j);
    return r == -EINVAL || r == -EISDIR || r == -ELOOP || r == -EFBIG ? -ENOENT : r;
}

void staging_journal_clear(struct staging_journal *j)
{
    for (size_t i = 0; i < j->area_count; i++)
        free(j->areas[i].path);
    free(j->areas);
    staging_plan_clear(&j->plan);
    *j = (struct staging_journal){0};
}
