/* Opens an archive for the jobs. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"
#include "formats.h"

static int open_input(const char *path, struct wp_error *err)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    return fd < 0 ? error_set(err, errno, path, "cannot open the archive") : fd;
}

int wp_archive_open(const struct wp_context *context, const char *path, struct wp_archive **out,
                    struct wp_error *err)
{
    struct wp_archive *a = calloc(1, sizeof *a);
    struct format_open_options options;
    struct stat st;
    int fd, r;

    if (!a || !(a->name = strdup(strcmp(path, "-") ? path : "standard input"))) {
        free(a);
        return error_nomem(err);
    }
    a->context = context;
    a->pool = pool_new(context_threads(context));
    fd = a->pool ? open_input(path, err) : error_set(err, errno, NULL, "cannot start threads");
    if (fd < 0) {
        wp_archive_close(a);
        return fd;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        a->size = (uint64_t)st.st_size;
    options = (struct format_open_options){.name = a->name, .pool = a->pool, .context = context};
    r = formats_open_reader(&a->reader, fd, &options, err);
    if (r < 0) {
        wp_archive_close(a);
        return r;
    }
    *out = a;
    return 0;
}

bool wp_archive_is_directory(const char *path)
{
    _cleanup_free_ char *layout = path_join(path, "oci-layout");
    _cleanup_free_ char *index = path_join(path, "index.json");

    return layout && index && access(layout, F_OK) == 0 && access(index, F_OK) == 0;
}

void wp_archive_close(struct wp_archive *a)
{
    if (!a)
        return;
    if (a->reader)
        a->reader->ops->free(a->reader);
    pool_free(a->pool);
    free(a->name);
    free(a);
}
