/* Reads the end of a tar archive, and what stands behind it. */

#include "tar_read.h"

static int leads_astray(const struct tar_reader *r, uint64_t offset, struct wp_error *err)
{
    return error_set(err, 0, r->name,
                     "the archive is damaged: it says that its manifest begins at byte %llu, which "
                     "is not so",
                     (unsigned long long)offset);
}

/* Does the archive's codec point elsewhere than at the manifest? */
static int check_pointer(struct tar_reader *r, struct wp_error *err)
{
    struct source *source = r->in.source;
    const struct codec *c = r->codec;
    unsigned char last[TAR_BLOCK];
    uint64_t size, offset;

    if (r->is_raw || !c || !c->pointer_size || !source->ending ||
        !source->ending(source, last, c->pointer_size, &size) || !c->read_pointer(last, &offset))
        return 0;
    return r->has_manifest && offset != r->manifest_place.packed ? leads_astray(r, offset, err) : 0;
}

/* Whoever looks for the manifest at once, by the pointer, must find the one that the entries were
 * held against; and behind the end of an archive of ours stands nothing else, whatever was joined
 * to it: else one reader would see another archive than the next. The pointer of an earlier plain
 * tar may be there, also where somebody has compressed it since. */
static int check_own_end(struct tar_reader *r, uint64_t end, const struct tar_rest *rest,
                         struct wp_error *err)
{
    uint64_t offset;
    bool has_pointer = codec_none.read_pointer(rest->last, &offset);

    if (rest->is_more || !(has_pointer || tar_is_zero_block(rest->last)))
        return error_set(err, 0, r->name,
                         "something follows the end of the archive, at byte %llu of the tar: "
                         "refused (are these archives joined together?)",
                         (unsigned long long)end);
    if (r->says_place && !tar_manifest_says_its_place(r))
        return leads_astray(r, r->said_place, err);
    if (has_pointer && r->has_manifest && offset != r->manifest_place.plain)
        return leads_astray(r, offset, err);
    return check_pointer(r, err);
}

int tar_read_missing_end(struct tar_reader *r, struct wp_error *err)
{
    if (r->base.mark || r->member.has_extension)
        return tar_stream_cut(&r->in, err);
    r->ended = true;
    report(r->context, WP_WARNING, r->name,
           "no blocks of zeros end the archive, after %llu bytes of tar: it may be truncated",
           (unsigned long long)r->in.offset);
    return 0;
}

int tar_read_end(struct tar_reader *r, struct wp_error *err)
{
    unsigned char block[TAR_BLOCK];
    uint64_t at = r->in.offset;
    struct tar_rest rest;
    bool is_lone, is_followed;
    int rc = tar_stream_read(&r->in, block, sizeof(block), err);

    if (rc < 0)
        return rc;
    if (r->member.has_extension)
        return tar_damaged(r, at, "an extended header without its entry", err);
    is_lone = rc == 1 && !tar_is_zero_block(block);
    r->ended = true;
    rc = tar_stream_drain(&r->in, &rest, err);
    if (rc < 0)
        return rc;
    rest.is_more |= is_lone;
    is_followed = rest.is_more || !tar_is_zero_block(rest.last);
    if (is_followed && at == TAR_BLOCK)
        return error_set(err, 0, r->name, "not a tar archive: it begins with zeros and goes on");
    if (r->base.mark)
        return check_own_end(r, at - TAR_BLOCK, &rest, err);
    if (is_followed)
        report(r->context, WP_WARNING, r->name,
               "%s at byte %llu of the tar; what follows is ignored (are these archives joined "
               "together?)",
               is_lone ? "a lone block of zeros ends the archive" : "the archive ends",
               (unsigned long long)(at - TAR_BLOCK));
    return 0;
}
