/* Preloaded: lets the call number FAULT_N of the kinds in FAULT_CALLS (",readdir,openat2,") fail
 * with errno FAULT_ERRNO, and all those after it where FAULT_LASTS is set, or kills the process
 * there where FAULT_KILL is set. Kinds are the names below; "changing" is all of those that change
 * something, "every" all. FAULT_ALLOCATION=N: the N-th allocation fails. FAULT_OUT: a file that
 * gets a word when it has happened: "happened", or "foreign" where that was in a function of
 * another library which is known to crash then. Where FAULT_N or FAULT_ALLOCATION is 0 it gets
 * their number, when the program ends. */
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
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

static long calls, wanted, allocations, allocation = -1;
static int error, kills, lasts, out = -1;
static const char *kinds, *base;
static __thread int foreign;

static long raw(long n, long a, long b, long c, long d, long e, long f)
{
    static long (*real)(long, ...);

    if (!real)
        real = dlsym(RTLD_NEXT, "syscall");
    return real(n, a, b, c, d, e, f);
}

/* The file is opened before the program confines itself. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULT_OUT"), *text;

    kinds = getenv("FAULT_CALLS");
    base = getenv("FAULT_BASE");
    error = (text = getenv("FAULT_ERRNO")) ? atoi(text) : EIO;
    kills = getenv("FAULT_KILL") != NULL;
    lasts = getenv("FAULT_LASTS") != NULL;
    if (path)
        out =
            (int)raw(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666, 0, 0);
    wanted = (text = getenv("FAULT_N")) ? atol(text) : 0;
    allocation = (text = getenv("FAULT_ALLOCATION")) ? atol(text) : -1;
    unsetenv("LD_PRELOAD"); /* programs that this one starts are not meant */
}

static void note(void)
{
    const char *word = foreign ? "foreign" : "happened";

    raw(SYS_write, out, (long)word, (long)strlen(word), 0, 0, 0);
}

static int is_wanted(const char *kind, int changes)
{
    char text[32];

    snprintf(text, sizeof text, ",%s,", kind);
    return strstr(kinds, text) || strstr(kinds, ",every,") ||
           (changes && strstr(kinds, ",changing,"));
}

__attribute__((destructor)) static void end(void)
{
    char text[32];

    if (kinds ? !wanted : !allocation)
        raw(SYS_write, out, (long)text,
            snprintf(text, sizeof text, "%ld", kinds ? calls : allocations), 0, 0, 0);
}

static int fails(const char *kind, int changes)
{
    long n;

    if (!kinds || !is_wanted(kind, changes))
        return 0;
    n = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (lasts ? n < wanted : n != wanted)
        return 0;
    note();
    if (kills)
        kill(getpid(), SIGKILL);
    errno = error;
    return 1;
}

static int is_out(void)
{
    if (allocation < 0 || __atomic_add_fetch(&allocations, 1, __ATOMIC_SEQ_CST) != allocation)
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

static int makes(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;
}

/* Of openat2 the program has no function; how[0] are its flags. */
long syscall(long n, ...)
{
    long v[6];
    va_list ap;

    va_start(ap, n);
    for (int i = 0; i < 6; i++)
        v[i] = va_arg(ap, long);
    va_end(ap);
    if (n == SYS_openat2 && fails("openat2", makes((int)*(const unsigned long long *)v[2])))
        return -1;
    return raw(n, v[0], v[1], v[2], v[3], v[4], v[5]);
}

/* A function that returns TYPE, or BAD where it fails. CHANGES: something. */
#define WRAPPED(type, name, declared, kind, changes, bad, ...)                                     \
    type name declared                                                                             \
    {                                                                                              \
        static type(*real) declared;                                                               \
                                                                                                   \
        if (!real)                                                                                 \
            real = dlsym(RTLD_NEXT, #name);                                                        \
        return fails(kind, changes) ? (bad) : real(__VA_ARGS__);                                   \
    }
#define CHANGES(name, declared, kind, ...) WRAPPED(int, name, declared, kind, 1, -1, __VA_ARGS__)
#define LOOKS(name, declared, kind, ...) WRAPPED(int, name, declared, kind, 0, -1, __VA_ARGS__)

CHANGES(renameat2, (int a, const char *x, int b, const char *y, unsigned f), "renameat2", a, x, b,
        y, f)
CHANGES(renameat, (int a, const char *x, int b, const char *y), "rename", a, x, b, y)
CHANGES(rename, (const char *x, const char *y), "rename", x, y)
CHANGES(mkdir, (const char *x, mode_t m), "mkdir", x, m)
CHANGES(mkdirat, (int a, const char *x, mode_t m), "mkdirat", a, x, m)
CHANGES(rmdir, (const char *x), "rmdir", x)
CHANGES(unlink, (const char *x), "unlink", x)
CHANGES(unlinkat, (int a, const char *x, int f), "unlinkat", a, x, f)
CHANGES(linkat, (int a, const char *x, int b, const char *y, int f), "linkat", a, x, b, y, f)
CHANGES(symlinkat, (const char *x, int a, const char *y), "symlinkat", x, a, y)
CHANGES(futimens, (int fd, const struct timespec t[2]), "futimens", fd, t)
CHANGES(utimensat, (int a, const char *x, const struct timespec t[2], int f), "utimensat", a, x, t,
        f)
CHANGES(fchmod, (int fd, mode_t m), "fchmod", fd, m)
CHANGES(fchmodat, (int a, const char *x, mode_t m, int f), "fchmodat", a, x, m, f)
CHANGES(fchown, (int fd, uid_t u, gid_t g), "fchown", fd, u, g)
CHANGES(fchownat, (int a, const char *x, uid_t u, gid_t g, int f), "fchownat", a, x, u, g, f)
CHANGES(ftruncate64, (int fd, off64_t n), "ftruncate", fd, n)
CHANGES(fsync, (int fd), "fsync", fd)
CHANGES(syncfs, (int fd), "syncfs", fd)
CHANGES(mkostemp64, (char *x, int f), "mkostemp", x, f)
WRAPPED(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t o), "write", 1, -1, fd, p, n,
        o)

LOOKS(fstat64, (int fd, struct stat64 *s), "fstat", fd, s)
LOOKS(stat64, (const char *x, struct stat64 *s), "stat", x, s)
LOOKS(lstat64, (const char *x, struct stat64 *s), "stat", x, s)
LOOKS(fstatat64, (int d, const char *p, struct stat64 *s, int f), "fstatat", d, p, s, f)
LOOKS(statx, (int d, const char *p, int f, unsigned m, struct statx *s), "statx", d, p, f, m, s)
LOOKS(faccessat, (int d, const char *p, int m, int f), "faccessat", d, p, m, f)
LOOKS(flock, (int fd, int o), "flock", fd, o)
LOOKS(dup, (int fd), "dup", fd)
WRAPPED(DIR *, fdopendir, (int fd), "opendir", 0, NULL, fd)
WRAPPED(DIR *, opendir, (const char *x), "opendir", 0, NULL, x)
WRAPPED(ssize_t, getdents64, (int fd, void *p, size_t n), "readdir", 0, -1, fd, p, n)
WRAPPED(ssize_t, read, (int fd, void *p, size_t n), "read", 0, -1, fd, p, n)
WRAPPED(ssize_t, pread64, (int fd, void *p, size_t n, off64_t o), "read", 0, -1, fd, p, n, o)
WRAPPED(ssize_t, __pread64_chk, (int fd, void *p, size_t n, off64_t o, size_t b), "read", 0, -1, fd,
        p, n, o, b)
WRAPPED(ssize_t, readlink, (const char *x, char *p, size_t n), "readlink", 0, -1, x, p, n)
WRAPPED(ssize_t, readlinkat, (int d, const char *x, char *p, size_t n), "readlink", 0, -1, d, x, p,
        n)
WRAPPED(char *, realpath, (const char *x, char *p), "realpath", 0, NULL, x, p)
WRAPPED(char *, getcwd, (char *p, size_t n), "getcwd", 0, NULL, p, n)
WRAPPED(void *, mmap64, (void *a, size_t n, int p, int f, int fd, off64_t o), "mmap", 0, MAP_FAILED,
        a, n, p, f, fd, o)

/* Of a directory outside FAULT_BASE, which may hold much that is nobody's here, one counts. */
struct dirent64 *readdir64(DIR *d)
{
    static struct dirent64 *(*real)(DIR *);
    char link[64], path[4096] = "";

    if (!real)
        real = dlsym(RTLD_NEXT, "readdir64");
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd(d));
    if (base && telldir(d) != 0 &&
        raw(SYS_readlinkat, AT_FDCWD, (long)link, (long)path, sizeof path - 1, 0, 0) > 0 &&
        strncmp(path, base, strlen(base)) != 0)
        return real(d);
    return fails("readdir", 0) ? NULL : real(d);
}

/* What the program says is no part of what it does. */
ssize_t write(int fd, const void *p, size_t n)
{
    return fd > STDERR_FILENO && fails("write", 1) ? -1
                                                   : raw(SYS_write, fd, (long)p, (long)n, 0, 0, 0);
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    return fails("open", makes(flags)) ? -1
                                       : (int)raw(SYS_openat, dir, (long)path, flags, mode, 0, 0);
}

int openat64(int dir, const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = makes(flags) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_at(dir, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = makes(flags) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_at(AT_FDCWD, path, flags, mode);
}

int __openat64_2(int dir, const char *path, int flags)
{
    return open_at(dir, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

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
