#pragma once
/* Deflate data that other deflate data may follow, made with libdeflate.
 *
 * libdeflate ends what it makes with a block marked as final. That mark is taken away, an empty
 * stored block fills the last byte up, and then the next run of data may follow. To find the mark
 * zlib goes over the compressed data once and says where the blocks of deflate begin: far cheaper
 * than compressing with zlib, and the data are proved on the way. */

#include <stddef.h>

#include "base/buf.h"

struct open_deflate;

struct open_deflate *open_deflate_new(int level); /* NULL: no memory */
/* Appends SIZE bytes of DATA to OUT, deflated and open at the end; nothing where SIZE is 0. 0,
 * -ENOMEM, or -EIO. */
int open_deflate_add(struct open_deflate *j, const void *data, size_t size, struct buf *out);
/* Appends the empty final block that ends such data. 0 or -ENOMEM. */
int open_deflate_end(struct buf *out);
void open_deflate_free(struct open_deflate *j); /* NULL is fine */
