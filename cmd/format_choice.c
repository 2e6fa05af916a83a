/* Chooses the format of an archive to be written, and checks the options that depend on it. */

#include "format_choice.h"

#include <stdio.h>
#include <string.h>

#include "message.h"

static int unknown_suffix(const struct args *a, const char *archive)
{
    char list[256] = "";
    const struct wp_format *f;

    for (size_t i = 0; (f = wp_format_at(i)); i++) {
        size_t used = strlen(list);

        if (wp_format_writes(f))
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", wp_format_name(f));
    }
    return message_usage(options_taken('H', a->verb)
                             ? "%s: the suffix names no format; give --format with one of %s"
                             : "%s: the suffix names no format; it must be one of %s",
                         archive, list);
}

static const char *compressed_name(enum compression c)
{
    return c == COMPRESSION_GZIP ? "tgz" : c == COMPRESSION_ZSTD ? "tar.zst" : NULL;
}

/* -z and --zstd come first, as in tar; then --format, then the suffix. */
int format_choose(const struct args *a, const char *archive, const struct wp_format **out)
{
    const struct wp_format *named = a->format ? wp_format_by_name(a->format) : NULL;
    const char *compressed = compressed_name(a->compression);

    if (a->format && !named)
        return message_usage("--format: '%s' is not known", a->format);
    *out = compressed ? wp_format_by_name(compressed) : named;
    if (compressed && named && named != *out && named != wp_format_by_name("tar"))
        return message_usage("--format %s and -z or --zstd exclude one another", a->format);
    if (!*out)
        *out = wp_format_by_suffix(archive);
    /* tar without any hint writes a plain tar; so does it for a format that is one by name. */
    if (!*out && (a->posix || strcmp(archive, "-") == 0))
        *out = wp_format_by_name("tar");
    if (!*out)
        return unknown_suffix(a, archive);
    if (!wp_format_writes(*out))
        return message_usage("%s: %s is read, not written", archive, wp_format_name(*out));
    return 0;
}

int format_check_options(const struct args *a, const struct wp_format *f)
{
    int min = 0, max = 0;

    wp_format_levels(f, &min, &max);
    if (a->seen[OPT_LEVEL] && min == 0 && max == 0)
        return message_usage("--level: %s is not compressed", wp_format_name(f));
    if (a->seen[OPT_LEVEL] && (a->level < min || a->level > max))
        return message_usage("--level: %s has the levels %d to %d", wp_format_name(f), min, max);
    if (a->seen[OPT_GZIP_MEMBERS] && strcmp(wp_format_name(f), "tgz") != 0 &&
        strcmp(wp_format_name(f), "oci") != 0)
        return message_usage("--gzip-members is for tgz, not for %s", wp_format_name(f));
    return 0;
}
