/* Writes the headers of an entry: ustar, with pax records in front where it cannot say everything.
 *
 * Readers that know no pax, or not all of it, get what the header can hold as well: long names by
 * prefix, large and negative numbers in base 256 (busybox reads sizes over 8 GiB from there). */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "pax.h"
#include "tar_header.h"
#include "tar_write_header.h"

static void put_str(char *field, size_t room, const char *s, size_t n)
{
    if (n > 0)
        memcpy(field, s, n < room ? n : room);
}

static struct tar_header plain_header(enum tar_type type, const char *name, uint64_t size)
{
    struct tar_header h = {.magic = "ustar", .version = {'0', '0'}, .type = (char)type};

    put_str(h.name, sizeof(h.name), name, strlen(name));
    tar_put_number(h.mode, sizeof(h.mode), 0644);
    tar_put_number(h.uid, sizeof(h.uid), 0);
    tar_put_number(h.gid, sizeof(h.gid), 0);
    tar_put_number(h.size, sizeof(h.size), (int64_t)size);
    tar_put_number(h.mtime, sizeof(h.mtime), 0);
    tar_put_number(h.devmajor, sizeof(h.devmajor), 0);
    tar_put_number(h.devminor, sizeof(h.devminor), 0);
    return h;
}

/* ---- Extended headers -------------------------------------------------------------------- */

/* Room for an extended header in front of its content. Returns where it stands. */
static int begin_extension(struct buf *b, size_t *at)
{
    *at = b->size;
    return buf_add_zeros(b, TAR_BLOCK);
}

/* Fills the header in, now that the size is known, or takes it back if there is no content. The
 * name is the same for every entry, which compresses best. */
static int end_extension(struct buf *b, size_t at, enum tar_type type, const char *name)
{
    size_t size = b->size - at - TAR_BLOCK;

    if (size == 0) {
        b->size = at;
        return 0;
    }
    struct tar_header h = plain_header(type, name, size);
    tar_put_checksum(&h);
    memcpy(b->data + at, &h, sizeof(h));
    return buf_add_zeros(b, tar_padding(size));
}

/* What pax records have to say of an entry, since its header cannot. */
struct needs {
    const char *comment; /* or NULL */
    const char *name;    /* as it stands in the archive: a directory's ends in a slash */
    size_t name_size, target_size;
    size_t prefix; /* bytes of the name for the prefix field; 0: none */
    bool path, linkpath, uname, gname, size, uid, gid, mtime;
};

/* Splits a long name at a slash into prefix and name; 0 where that does not fit. */
static size_t split_name(const char *name, size_t n)
{
    const struct tar_header *h = NULL;
    const size_t name_room = sizeof(h->name), prefix_room = sizeof(h->prefix);
    size_t at = n - name_room - 1;

    if (n > name_room + 1 + prefix_room)
        return 0;
    while (at < n && name[at] != '/')
        at++;
    return at + 1 < n && at <= prefix_room ? at : 0;
}

static void find_needs(const struct entry *e, struct needs *n)
{
    const struct tar_header *h = NULL;

    n->name_size = strlen(n->name);
    n->target_size = e->target ? strlen(e->target) : 0;
    if (n->name_size > sizeof(h->name))
        n->prefix = split_name(n->name, n->name_size);
    n->path = n->name_size > sizeof(h->name) && n->prefix == 0;
    n->linkpath = n->target_size > sizeof(h->linkname);
    n->uname = e->uname && strlen(e->uname) >= sizeof(h->uname);
    n->gname = e->gname && strlen(e->gname) >= sizeof(h->gname);
    n->size = !tar_number_fits(sizeof(h->size), (int64_t)e->size);
    n->uid = !tar_number_fits(sizeof(h->uid), e->uid);
    n->gid = !tar_number_fits(sizeof(h->gid), e->gid);
    n->mtime = e->mtime.tv_nsec != 0 || !tar_number_fits(sizeof(h->mtime), e->mtime.tv_sec);
}

/* pax text is UTF-8 unless it says that it is not; without that, readers mangle other bytes. */
static bool needs_binary(const struct entry *e, const struct needs *n)
{
    return (n->path && !utf8_valid(n->name, n->name_size)) ||
           (n->linkpath && !utf8_valid(e->target, n->target_size)) ||
           (n->uname && !utf8_valid(e->uname, strlen(e->uname))) ||
           (n->gname && !utf8_valid(e->gname, strlen(e->gname)));
}

static int add_pax(struct buf *b, const struct entry *e, const struct needs *n)
{
    size_t at;
    int rc = begin_extension(b, &at);

    if (rc == 0 && n->comment)
        rc = pax_add_str(b, "comment", n->comment);
    if (rc == 0 && needs_binary(e, n))
        rc = pax_add_str(b, "hdrcharset", "BINARY");
    if (rc == 0 && n->path)
        rc = pax_add(b, "path", n->name, n->name_size);
    if (rc == 0 && n->linkpath)
        rc = pax_add(b, "linkpath", e->target, n->target_size);
    if (rc == 0 && n->uname)
        rc = pax_add_str(b, "uname", e->uname);
    if (rc == 0 && n->gname)
        rc = pax_add_str(b, "gname", e->gname);
    if (rc == 0 && n->uid)
        rc = pax_add_number(b, "uid", e->uid);
    if (rc == 0 && n->gid)
        rc = pax_add_number(b, "gid", e->gid);
    if (rc == 0 && n->size)
        rc = pax_add_number(b, "size", (int64_t)e->size);
    if (rc == 0 && n->mtime)
        rc = pax_add_time(b, "mtime", e->mtime);
    return rc < 0 ? rc : end_extension(b, at, TAR_PAX, "PaxHeader");
}

/* ---- Headers ----------------------------------------------------------------------------- */

static int add_entry_header(struct buf *b, const struct entry *e, const struct needs *n)
{
    static const enum tar_type types[] = {[ENTRY_FILE] = TAR_FILE,
                                          [ENTRY_DIR] = TAR_DIR,
                                          [ENTRY_SYMLINK] = TAR_SYMLINK,
                                          [ENTRY_HARDLINK] = TAR_HARDLINK};
    struct tar_header h = plain_header(types[e->type], "", e->size);
    const char *name = n->prefix ? n->name + n->prefix + 1 : n->name;

    put_str(h.prefix, sizeof(h.prefix), n->name, n->prefix);
    put_str(h.name, sizeof(h.name), name, strlen(name));
    put_str(h.linkname, sizeof(h.linkname), e->target, n->target_size);
    tar_put_number(h.mode, sizeof(h.mode), e->mode & 07777);
    tar_put_number(h.uid, sizeof(h.uid), e->uid);
    tar_put_number(h.gid, sizeof(h.gid), e->gid);
    tar_put_number(h.mtime, sizeof(h.mtime), e->mtime.tv_sec);
    if (e->uname)
        put_str(h.uname, sizeof(h.uname) - 1, e->uname, strlen(e->uname));
    if (e->gname)
        put_str(h.gname, sizeof(h.gname) - 1, e->gname, strlen(e->gname));
    tar_put_checksum(&h);
    return buf_add(b, &h, sizeof(h));
}

int tar_add_global(struct buf *b, const char *comment)
{
    size_t at;
    int rc = begin_extension(b, &at);

    if (rc == 0)
        rc = pax_add_str(b, "comment", comment);
    return rc < 0 ? rc : end_extension(b, at, TAR_PAX_GLOBAL, "PaxHeader");
}

int tar_add_header(struct buf *b, const struct entry *e, const char *comment, struct wp_error *err)
{
    struct needs n = {.name = *e->path ? e->path : ".", .comment = comment};
    _cleanup_free_ char *dir = NULL;
    int rc;

    if (e->type == ENTRY_OTHER)
        return error_set(err, 0, e->path, "neither a file, a directory nor a link");
    if (e->size > INT64_MAX)
        return error_set(err, EFBIG, e->path, "cannot be packed");
    if (e->type == ENTRY_DIR) {
        if (asprintf(&dir, "%s/", n.name) < 0) {
            dir = NULL; /* not defined after a failure */
            return error_nomem(err);
        }
        n.name = dir;
    }
    find_needs(e, &n);
    rc = add_pax(b, e, &n);
    if (rc == 0)
        rc = add_entry_header(b, e, &n);
    return rc < 0 ? error_nomem(err) : 0;
}
