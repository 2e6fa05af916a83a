/* Counts the CPUs that a process may use: its affinity mask and its control groups' quota. */

#include "pool.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"

enum { LARGEST = 1 << 20 }; /* bytes of a file of proc(5); longer ones are passed over */

/* CPUs that this process may run on. The kernel refuses a set smaller than its own, so the set
 * grows until it fits. */
static unsigned affinity(void)
{
    for (size_t cpus = 1024; cpus <= 1024 * 1024; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        int r = sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), set);
        int saved = errno;
        int n = r == 0 ? CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), set) : 0;
        CPU_FREE(set);
        if (r == 0)
            return n > 0 ? (unsigned)n : 1;
        if (saved != EINVAL)
            break;
    }
    return 1;
}

/* The file DIR/NAME as a text; false where it cannot be read. */
static bool read_file(const char *dir, const char *name, struct buf *out)
{
    _cleanup_free_ char *path = NULL;

    if (name && asprintf(&path, "%s/%s", dir, name) < 0) {
        path = NULL;
        return false;
    }
    out->size = 0;
    return file_read(name ? path : dir, LARGEST, out, NULL) == 0 && buf_terminate(out) == 0;
}

static const char *text(const struct buf *b)
{
    return (const char *)b->data;
}

static unsigned whole_cpus(uint64_t quota, uint64_t period)
{
    uint64_t n = period ? (quota + period - 1) / period : 0;

    return n > UINT16_MAX ? 0 : (unsigned)n;
}

static bool is_number(const char *text)
{
    return *text >= '0' && *text <= '9'; /* not "max" (version 2), not -1 (version 1) */
}

/* The limit that the group with directory DIR sets, or 0. */
static unsigned group_quota(const char *dir, bool unified)
{
    _cleanup_buf_ struct buf quota = {0}, period = {0};
    char *end;
    uint64_t n;

    if (!read_file(dir, unified ? "cpu.max" : "cpu.cfs_quota_us", &quota) ||
        !is_number(text(&quota)))
        return 0;
    n = strtoull(text(&quota), &end, 10);
    if (unified)
        return *end == ' ' ? whole_cpus(n, strtoull(end, NULL, 10)) : 0;
    if (!read_file(dir, "cpu.cfs_period_us", &period) || !is_number(text(&period)))
        return 0;
    return whole_cpus(n, strtoull(text(&period), NULL, 10));
}

/* Is WORD one of those in LIST, which commas separate? */
static bool lists(const char *list, size_t size, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list, *end = list + size; at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t length = (size_t)((comma ? comma : end) - at);
        if (length == n && memcmp(at, word, n) == 0)
            return true;
        at += length + 1;
    }
    return false;
}

/* The path of the process's group, from the text of /proc/self/cgroup: lines "ID:CONTROLLERS:PATH",
 * where version 2 has no controllers. NULL: it is in none. */
static char *group_path(const char *lines, bool unified)
{
    for (const char *line = lines; *line;
         line = *strchrnul(line, '\n') ? strchr(line, '\n') + 1 : "") {
        const char *end = strchrnul(line, '\n');
        const char *controllers = memchr(line, ':', (size_t)(end - line));
        const char *path =
            controllers ? memchr(controllers + 1, ':', (size_t)(end - controllers - 1)) : NULL;
        if (!path)
            continue;
        controllers++;
        size_t size = (size_t)(path - controllers);
        if (unified ? size == 0 : lists(controllers, size, "cpu"))
            return strndup(path + 1, (size_t)(end - path - 1));
    }
    return NULL;
}

/* Undoes the escapes of mountinfo: a backslash and three octal digits. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *at = text; *at; to++) {
        unsigned code;
        if (*at == '\\' && sscanf(at + 1, "%3o", &code) == 1 && strlen(at) >= 4) {
            *to = (char)code;
            at += 4;
        } else {
            *to = *at++;
        }
    }
    *to = '\0';
}

struct mount {
    char *root, *point; /* which group is mounted, and where; owned */
};

static void mount_clear(struct mount *m)
{
    free(m->root);
    free(m->point);
    *m = (struct mount){0};
}

/* Where the hierarchy is mounted, from the text of /proc/self/mountinfo: "ID PARENT DEV ROOT POINT
 * OPTIONS [TAGS] - TYPE SOURCE SUPER". */
static bool find_mount(const char *lines, bool unified, struct mount *out)
{
    for (const char *line = lines; *line;
         line = *strchrnul(line, '\n') ? strchr(line, '\n') + 1 : "") {
        _cleanup_free_ char *one = strndup(line, (size_t)(strchrnul(line, '\n') - line));
        char *type = one ? strstr(one, " - ") : NULL;
        char kind[16], super[4096];

        if (!type || sscanf(type, " - %15s %*s %4095s", kind, super) != 2 ||
            strcmp(kind, unified ? "cgroup2" : "cgroup") != 0 ||
            (!unified && !lists(super, strlen(super), "cpu")))
            continue;
        *type = '\0';
        mount_clear(out);
        if (sscanf(one, "%*s %*s %*s %ms %ms", &out->root, &out->point) != 2)
            return false;
        unescape(out->root);
        unescape(out->point);
        return true;
    }
    return false;
}

/* What of PATH lies below ROOT, "" for ROOT itself; NULL: PATH lies elsewhere, as in a container
 * that sees the names of its host. */
static const char *below(const char *path, const char *root)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return strcmp(path + n, "/") == 0 ? "" : path + n;
}

static unsigned hierarchy_quota(const char *groups, const char *mounts, bool unified)
{
    _cleanup_(mount_clear) struct mount m = {0};
    _cleanup_free_ char *path = group_path(groups, unified);
    _cleanup_free_ char *dir = NULL;
    const char *rest;
    unsigned least = 0;

    if (!path || !find_mount(mounts, unified, &m))
        return 0;
    rest = below(path, m.root);
    if (asprintf(&dir, "%s%s", m.point, rest ? rest : "") < 0) {
        dir = NULL;
        return 0;
    }
    for (size_t top = strlen(m.point);;) {
        unsigned n = group_quota(dir, unified);
        char *slash = strrchr(dir, '/');
        if (n && (!least || n < least))
            least = n;
        if (!slash || slash < dir + top)
            return least;
        *slash = '\0';
    }
}

unsigned cpus_quota(const char *cgroup, const char *mountinfo)
{
    _cleanup_buf_ struct buf groups = {0}, mounts = {0};
    unsigned first, unified;

    if (!read_file(cgroup, NULL, &groups) || !read_file(mountinfo, NULL, &mounts))
        return 0;
    first = hierarchy_quota(text(&groups), text(&mounts), false);
    unified = hierarchy_quota(text(&groups), text(&mounts), true);
    return first && (!unified || first < unified) ? first : unified;
}

unsigned cpus_usable(void)
{
    unsigned n = affinity();
    unsigned quota = cpus_quota("/proc/self/cgroup", "/proc/self/mountinfo");

    return quota && quota < n ? quota : n;
}
