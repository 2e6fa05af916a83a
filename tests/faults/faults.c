/* Preloaded: lets the call number FAULT_N of the kinds in FAULT_CALLS (",readdir,openat2,") fail
 * with errno FAULT_ERRNO, or kills the process there where FAULT_KILL is set. FAULT_ALLOCATION=N:
 * the N-th allocation fails. FAULT_OUT: a file that is made when it has happened, with "foreign" in
 * it where that was in a function of another library which is known to crash then. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

static long calls, wanted, allocations, allocation;
static int error, kills;
static const char *kinds, *out;
static __thread int foreign;

__attribute__((constructor)) static void begin(void)
{
    const char *text;

    kinds = getenv("FAULT_CALLS");
    out = getenv("FAULT_OUT");
    error = (text = getenv("FAULT_ERRNO")) ? atoi(text) : EIO;
    kills = getenv("FAULT_KILL") != NULL;
    wanted = (text = getenv("FAULT_N")) ? atol(text) : 0;
    allocation = (text = getenv("FAULT_ALLOCATION")) ? atol(text) : 0;
}

static long raw(long n, long a, long b, long c, long d, long e, long f)
{
    static long (*real)(long, ...);

    if (!real)
        real = dlsym(RTLD_NEXT, "syscall");
    return real(n, a, b, c, d, e, f);
}

static void note(void)
{
    int fd = out ? (int)raw(SYS_openat, AT_FDCWD, (long)out, O_WRONLY | O_CREAT, 0666, 0, 0) : -1;

    if (fd >= 0 && foreign)
        raw(SYS_write, fd, (long)"foreign", 7, 0, 0, 0);
    if (fd >= 0)
        close(fd);
}

static int fails(const char *kind)
{
    char text[32];

    snprintf(text, sizeof text, ",%s,", kind);
    if (!wanted || !kinds || !strstr(kinds, text) ||
        __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != wanted)
        return 0;
    note();
    if (kills)
        kill(getpid(), SIGKILL);
    errno = error;
    return 1;
}

static int is_out(void)
{
    if (!allocation || __atomic_add_fetch(&allocations, 1, __ATOMIC_SEQ_CST) != allocation)
        return 0;
    note();
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n)
{
    return is_out() ? NULL : __libc_malloc(n);
}

void *calloc(size_t a, size_t b)
{
    return is_out() ? NULL : __libc_calloc(a, b);
}

void *realloc(void *p, size_t n)
{
    return is_out() ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t a, size_t b)
{
    size_t n;

    if (__builtin_mul_overflow(a, b, &n)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, n);
}

long syscall(long n, ...)
{
    long v[6];
    va_list ap;

    va_start(ap, n);
    for (int i = 0; i < 6; i++)
        v[i] = va_arg(ap, long);
    va_end(ap);
    if (n == SYS_openat2 && fails("openat2"))
        return -1;
    return raw(n, v[0], v[1], v[2], v[3], v[4], v[5]);
}

struct dirent64 *readdir64(DIR *d)
{
    static struct dirent64 *(*real)(DIR *);

    if (!real)
        real = dlsym(RTLD_NEXT, "readdir64");
    return fails("readdir") ? NULL : real(d);
}

#define WRAPPED(type, name, declared, kind, ...)                                                   \
    type name declared                                                                             \
    {                                                                                              \
        static type(*real) declared;                                                               \
                                                                                                   \
        if (!real)                                                                                 \
            real = dlsym(RTLD_NEXT, #name);                                                        \
        return fails(kind) ? -1 : real(__VA_ARGS__);                                               \
    }

WRAPPED(ssize_t, read, (int fd, void *p, size_t n), "read", fd, p, n)
WRAPPED(int, renameat2, (int a, const char *x, int b, const char *y, unsigned f), "renameat2", a, x,
        b, y, f)
WRAPPED(int, renameat, (int a, const char *x, int b, const char *y), "rename", a, x, b, y)
WRAPPED(int, rename, (const char *x, const char *y), "rename", x, y)
WRAPPED(int, mkdirat, (int a, const char *x, mode_t m), "mkdirat", a, x, m)
WRAPPED(int, unlinkat, (int a, const char *x, int f), "unlinkat", a, x, f)
WRAPPED(int, futimens, (int fd, const struct timespec t[2]), "futimens", fd, t)
WRAPPED(int, fchmod, (int fd, mode_t m), "fchmod", fd, m)
WRAPPED(int, fstatat64, (int d, const char *p, struct stat64 *s, int f), "fstatat", d, p, s, f)

/* glibc's name services, jansson's parser and libcrypto do not check some of their allocations. */
#define FOREIGN(type, name, declared, ...)                                                         \
    type name declared                                                                             \
    {                                                                                              \
        static type(*real) declared;                                                               \
        type r;                                                                                    \
                                                                                                   \
        if (!real)                                                                                 \
            real = dlsym(RTLD_NEXT, #name);                                                        \
        foreign++;                                                                                 \
        r = real(__VA_ARGS__);                                                                     \
        foreign--;                                                                                 \
        return r;                                                                                  \
    }

FOREIGN(int, getpwuid_r, (uid_t u, struct passwd *p, char *b, size_t n, struct passwd **o), u, p, b,
        n, o)
FOREIGN(int, getpwnam_r, (const char *u, struct passwd *p, char *b, size_t n, struct passwd **o), u,
        p, b, n, o)
FOREIGN(int, getgrgid_r, (gid_t u, struct group *p, char *b, size_t n, struct group **o), u, p, b,
        n, o)
FOREIGN(int, getgrnam_r, (const char *u, struct group *p, char *b, size_t n, struct group **o), u,
        p, b, n, o)
/* libcrypto sets itself up when it is first asked for a kind of key. */
FOREIGN(void *, EVP_PKEY_new_raw_public_key, (int t, void *e, const unsigned char *k, size_t n), t,
        e, k, n)
FOREIGN(void *, EVP_PKEY_new_raw_private_key, (int t, void *e, const unsigned char *k, size_t n), t,
        e, k, n)
FOREIGN(int, EVP_DigestSignInit, (void *c, void **p, const void *t, void *e, void *k), c, p, t, e,
        k)
FOREIGN(int, EVP_DigestVerifyInit, (void *c, void **p, const void *t, void *e, void *k), c, p, t, e,
        k)
FOREIGN(void *, json_loadb, (const char *t, size_t n, size_t f, void *e), t, n, f, e)
