/* Names of systems as images have them. */

#include "platform.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"

struct machine {
    const char *name; /* as triples and uname begin */
    const char *architecture, *variant;
};

/* The longer ones before those that they begin with. */
static const struct machine machines[] = {
    {"x86_64", "amd64", ""},    {"amd64", "amd64", ""},
    {"aarch64", "arm64", ""},   {"arm64", "arm64", ""},
    {"armv7", "arm", "v7"},     {"armv6", "arm", "v6"},
    {"armv8", "arm", "v8"},     {"i386", "386", ""},
    {"i486", "386", ""},        {"i586", "386", ""},
    {"i686", "386", ""},        {"powerpc64le", "ppc64le", ""},
    {"ppc64le", "ppc64le", ""}, {"riscv64", "riscv64", ""},
    {"s390x", "s390x", ""},     {"loongarch64", "loong64", ""},
};

static const struct {
    const char *part, *os;
} systems[] = {{"linux", "linux"},
               {"darwin", "darwin"},
               {"macos", "darwin"},
               {"windows", "windows"},
               {"freebsd", "freebsd"}};

bool oci_platform_of_triple(const char *triple, size_t n, struct oci_platform *out)
{
    _cleanup_free_ char *text = strndup(triple, n);

    *out = (struct oci_platform){0};
    for (size_t i = 0; text && i < sizeof machines / sizeof *machines; i++)
        if (!*out->architecture && strncmp(text, machines[i].name, strlen(machines[i].name)) == 0) {
            strcpy(out->architecture, machines[i].architecture);
            strcpy(out->variant, machines[i].variant);
        }
    for (size_t i = 0; text && i < sizeof systems / sizeof *systems; i++)
        if (!*out->os && strstr(text, systems[i].part))
            strcpy(out->os, systems[i].os);
    return *out->os && *out->architecture;
}

int oci_platform_here(struct oci_platform *out, struct wp_error *err)
{
    struct utsname u;
    char triple[sizeof u.machine + sizeof "-linux"];

    if (uname(&u) < 0)
        return error_set(err, errno, NULL, "cannot tell what machine this is");
    snprintf(triple, sizeof triple, "%s-linux", u.machine);
    return oci_platform_of_triple(triple, strlen(triple), out)
               ? 0
               : error_set(err, 0, u.machine,
                           "is a machine without a known name in images: give --platform");
}

static bool take_word(const char **text, char out[OCI_PLATFORM_WORD])
{
    size_t n = strcspn(*text, "/");

    if (!n || n >= OCI_PLATFORM_WORD ||
        strspn(*text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") < n)
        return false;
    memcpy(out, *text, n);
    out[n] = '\0';
    *text += n;
    return true;
}

int oci_platform_parse(const char *text, struct oci_platform *out, struct wp_error *err)
{
    const char *at = text;
    bool fits;

    *out = (struct oci_platform){0};
    fits = take_word(&at, out->os) && *at++ == '/' && take_word(&at, out->architecture);
    if (fits && *at == '/') {
        at++;
        fits = take_word(&at, out->variant);
    }
    return fits && !*at ? 0
                        : error_set(err, 0, text,
                                    "is no platform: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, "
                                    "such as linux/arm64");
}

bool oci_platform_same(const struct oci_platform *a, const struct oci_platform *b)
{
    return strcmp(a->os, b->os) == 0 && strcmp(a->architecture, b->architecture) == 0 &&
           (!*a->variant || !*b->variant || strcmp(a->variant, b->variant) == 0);
}

void oci_platform_text(const struct oci_platform *p, char out[OCI_PLATFORM_TEXT])
{
    snprintf(out, OCI_PLATFORM_TEXT, "%s/%s%s%s", p->os, p->architecture, *p->variant ? "/" : "",
             p->variant);
}
