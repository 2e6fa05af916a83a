/* For the program that is linked statically (WARMPACK_STATIC) and runs on any Linux, with another
 * glibc or none. It may load no shared libraries. libcrypto would, for network addresses, engines
 * and whatever a configuration file of the machine names; libarchive would, for character sets.
 * None of this is used here, so that the linker turns these calls to functions that answer "there
 * is no such thing" (--wrap, in CMakeLists.txt). The link fails where another such call comes in.
 */

#ifdef WARMPACK_STATIC

#include <errno.h>
#include <iconv.h>
#include <netdb.h>
#include <openssl/crypto.h>

void *__wrap_dlopen(const char *file, int mode);
int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
void __wrap_freeaddrinfo(struct addrinfo *list);
int __wrap_getnameinfo(const struct sockaddr *address, socklen_t size, char *name,
                       socklen_t name_size, char *service, socklen_t service_size, int flags);
struct hostent *__wrap_gethostbyname(const char *name);
iconv_t __wrap_iconv_open(const char *to, const char *from);

__attribute__((constructor)) static void ignore_configuration(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

void *__wrap_dlopen(const char *file, int mode)
{
    (void)file;
    (void)mode;
    return NULL;
}

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    return EAI_FAIL;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

int __wrap_getnameinfo(const struct sockaddr *address, socklen_t size, char *name,
                       socklen_t name_size, char *service, socklen_t service_size, int flags)
{
    (void)address;
    (void)size;
    (void)name;
    (void)name_size;
    (void)service;
    (void)service_size;
    (void)flags;
    return EAI_FAIL;
}

struct hostent *__wrap_gethostbyname(const char *name)
{
    (void)name;
    return NULL;
}

iconv_t __wrap_iconv_open(const char *to, const char *from)
{
    (void)to;
    (void)from;
    errno = EINVAL;
    return (iconv_t)-1; // NOLINT(performance-no-int-to-ptr)
}

#endif
