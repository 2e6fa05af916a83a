/* Makes an entry of a header and of what extended headers say about it. */

#include "tar_entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"

int tar_member_begin(struct tar_member *m, const struct pax *global)
{
    tar_member_clear(m);
    return pax_copy(&m->pax, global);
}

void tar_member_clear(struct tar_member *m)
{
    pax_clear(&m->pax);
    free(m->long_name);
    free(m->long_link);
    m->long_name = m->long_link = NULL;
    m->has_extension = false;
}

static bool is_ustar(const struct tar_header *h)
{
    return memcmp(h->magic, "ustar\0", 6) == 0;
}

static bool has_names(const struct tar_header *h)
{
    return memcmp(h->magic, "ustar", 5) == 0;
}

/* The name as the header has it: prefix "/" name. star keeps times at the end of its prefix. */
static char *header_name(const struct tar_header *h)
{
    size_t room = memcmp(h->end + 8, "tar", 4) == 0 ? 131 : sizeof(h->prefix);
    size_t prefix = is_ustar(h) ? strnlen(h->prefix, room) : 0;
    size_t name = strnlen(h->name, sizeof(h->name));
    char *out = malloc(prefix + name + 2), *at = out;

    if (!out)
        return NULL;
    if (prefix > 0) {
        memcpy(at, h->prefix, prefix);
        at += prefix;
        *at++ = '/';
    }
    memcpy(at, h->name, name);
    at[name] = '\0';
    return out;
}

static char *member_name(const struct tar_member *m)
{
    const char *name = m->pax.sparse_path ? m->pax.sparse_path
                       : m->pax.path      ? m->pax.path
                                          : m->long_name;

    return name ? strdup(name) : header_name(&m->header);
}

static char *member_link(const struct tar_member *m)
{
    const char *link = m->pax.linkpath ? m->pax.linkpath : m->long_link;

    return link ? strdup(link) : strndup(m->header.linkname, sizeof(m->header.linkname));
}

static enum entry_type member_type(const struct tar_member *m, const char *name)
{
    size_t n = strlen(name);

    switch ((enum tar_type)m->header.type) {
    case TAR_HARDLINK:
        return ENTRY_HARDLINK;
    case TAR_SYMLINK:
        return ENTRY_SYMLINK;
    case TAR_DIR:
    case TAR_DUMPDIR:
        return ENTRY_DIR;
    case TAR_CHAR:
    case TAR_BLOCKDEV:
    case TAR_FIFO:
        return ENTRY_OTHER;
    case TAR_FILE:
    case TAR_FILE_V7:
        /* Before there was a type for directories, a slash made one. */
        return n > 0 && name[n - 1] == '/' ? ENTRY_DIR : ENTRY_FILE;
    default:
        return ENTRY_FILE; /* as POSIX wants of types that a reader does not know */
    }
}

/* As ls shows what is neither file, directory nor link. */
static char member_special(const struct tar_member *m)
{
    switch ((enum tar_type)m->header.type) {
    case TAR_CHAR:
        return 'c';
    case TAR_BLOCKDEV:
        return 'b';
    default:
        return 'p';
    }
}

/* One of the two numbers of a device: of no use but to be shown. */
static uint32_t device_number(const char field[8])
{
    int64_t v;

    return tar_get_number(field, 8, &v) < 0 || v < 0 || v > UINT32_MAX ? 0 : (uint32_t)v;
}

static int header_size(const struct tar_member *m, uint64_t *out)
{
    int64_t size;

    if (tar_get_number(m->header.size, sizeof(m->header.size), &size) < 0 || size < 0)
        return -EINVAL;
    *out = (uint64_t)size;
    return 0;
}

int tar_member_stored(const struct tar_member *m, uint64_t *stored)
{
    if (m->header.type >= TAR_HARDLINK && m->header.type <= TAR_FIFO) {
        *stored = 0;
        return 0;
    }
    *stored = m->pax.size;
    return m->pax.has_size ? 0 : header_size(m, stored);
}

/* A user or group number: 32 bits, of which old writers have some as negative ones. */
static int member_id(bool has_pax, int64_t pax, const char field[8], uint32_t *id)
{
    int64_t v = pax;

    if (!has_pax && tar_get_number(field, 8, &v) < 0)
        return -EINVAL;
    if (v < INT32_MIN || v > UINT32_MAX)
        return -EINVAL;
    *id = (uint32_t)v;
    return 0;
}

/* The name of a user or group, where there is one. */
static int member_text(char **out, const char *pax, const struct tar_header *h, const char *field)
{
    if (pax || (has_names(h) && *field)) {
        *out = pax ? strdup(pax) : strndup(field, sizeof(h->uname));
        if (!*out)
            return -ENOMEM;
    }
    return 0;
}

static int member_owner(const struct tar_member *m, struct entry *e)
{
    const struct tar_header *h = &m->header;
    const struct pax *p = &m->pax;

    if (member_id(p->has_uid, p->uid, h->uid, &e->uid) < 0 ||
        member_id(p->has_gid, p->gid, h->gid, &e->gid) < 0)
        return -EINVAL;
    return member_text(&e->uname, p->uname, h, h->uname) < 0
               ? -ENOMEM
               : member_text(&e->gname, p->gname, h, h->gname);
}

static int member_time(const struct tar_member *m, struct timespec *t)
{
    int64_t sec;

    if (m->pax.has_mtime) {
        *t = m->pax.mtime;
        return 0;
    }
    if (tar_get_number(m->header.mtime, sizeof(m->header.mtime), &sec) < 0)
        return -EINVAL;
    *t = (struct timespec){.tv_sec = sec};
    return 0;
}

int tar_member_entry(const struct tar_member *m, struct entry *e)
{
    _cleanup_free_ char *name = member_name(m);
    _cleanup_free_ char *link = NULL;
    int64_t mode;
    int rc;

    if (!name)
        return -ENOMEM;
    e->type = member_type(m, name);
    e->path = path_clean(name);
    if (!e->path)
        return -ENOMEM;
    if (e->type == ENTRY_SYMLINK || e->type == ENTRY_HARDLINK) {
        link = member_link(m);
        if (!link)
            return -ENOMEM;
        e->target = e->type == ENTRY_SYMLINK ? take_ptr(link) : path_clean(link);
        if (!e->target)
            return -ENOMEM;
    }
    if (tar_get_number(m->header.mode, sizeof(m->header.mode), &mode) < 0)
        return -EINVAL;
    e->mode = (mode_t)(mode & 07777);
    if ((rc = member_owner(m, e)) < 0 || (rc = member_time(m, &e->mtime)) < 0)
        return rc;
    if (e->type == ENTRY_OTHER) {
        e->special = member_special(m);
        e->device.major = device_number(m->header.devmajor);
        e->device.minor = device_number(m->header.devminor);
    }
    return e->type == ENTRY_FILE ? tar_member_stored(m, &e->size) : 0;
}

uint64_t tar_member_doubtful(const struct tar_member *m, const struct entry *e)
{
    const bool is_old_dir =
        e->type == ENTRY_DIR && m->header.type != TAR_DIR && m->header.type != TAR_DUMPDIR;
    uint64_t size = 0;

    if (!is_old_dir && e->type != ENTRY_HARDLINK)
        return 0;
    return m->pax.has_size ? m->pax.size : header_size(m, &size) < 0 ? 0 : size;
}
