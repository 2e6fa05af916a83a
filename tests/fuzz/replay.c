/* Feeds a target with the files beneath the directories given, without a fuzzer: what was found
 * once must stay mended, under every compiler and sanitizer. */

#include <errno.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 24 };

static int feed(const char *path)
{
    _cleanup_buf_ struct buf content = {0};
    int r = file_read(path, LARGEST, &content, NULL);

    if (r < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(-r));
        return r;
    }
    printf("%s\n", path);
    fflush(stdout); /* what is fed when it crashes */
    LLVMFuzzerTestOneInput(content.data, content.size);
    return 0;
}

int main(int argc, char **argv)
{
    FTS *walk = argc > 1 ? fts_open(argv + 1, FTS_LOGICAL | FTS_NOCHDIR, NULL) : NULL;
    FTSENT *f;
    int fed = 0, failed = walk == NULL;

    while (walk && (f = fts_read(walk))) {
        if (f->fts_info == FTS_F)
            feed(f->fts_path) < 0 ? failed++ : fed++;
        else if (f->fts_info == FTS_ERR || f->fts_info == FTS_DNR || f->fts_info == FTS_NS)
            failed++;
    }
    if (walk)
        fts_close(walk);
    printf("%d files\n", fed);
    return failed || !fed;
}
