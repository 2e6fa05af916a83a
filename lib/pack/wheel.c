/* Packing a wheel: its RECORD is made anew. */

#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "job.h"
#include "manifest/wheel_record.h"

static bool holds(const struct pack *p, const char *dir, const char *name)
{
    _cleanup_free_ char *path = path_join(dir, name);

    return path && pack_holds(p, path);
}

static int drop(struct pack *p, const char *dir, const char *const *names, struct wp_error *err)
{
    for (; *names; names++) {
        _cleanup_free_ char *path = path_join(dir, *names);

        if (!path)
            return error_nomem(err);
        pack_drop(p, path);
    }
    return 0;
}

int pack_uninstalled_wheel(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *dir = strndup(p->home, strcspn(p->home, "/"));
    /* Where the package came from (PEP 610), whether it was asked for (PEP 376), who installed it,
     * and what uv remembers of that. The next installer writes its own. */
    static const char *const installed[] = {"direct_url.json", "INSTALLER",     "REQUESTED",
                                            "uv_cache.json",   "uv_build.json", NULL};

    return dir ? drop(p, dir, installed, err) : error_nomem(err);
}

int pack_wheel(struct pack *p, struct wp_error *err)
{
    _cleanup_free_ char *record = wheel_record_path(p->home);
    _cleanup_free_ char *dir = record ? path_dir(record) : NULL;
    /* Signatures are over the RECORD that was. */
    static const char *const outdated[] = {WHEEL_RECORD, WHEEL_RECORD ".jws", WHEEL_RECORD ".p7s",
                                           NULL};
    int r;

    if (!dir)
        return error_nomem(err);
    if (!holds(p, dir, "WHEEL") || !holds(p, dir, "METADATA"))
        return error_set(err, 0, p->o->archive, "not made: %s lacks WHEEL or METADATA", dir);
    r = drop(p, dir, outdated, err);
    if (r == 0)
        r = pack_make(p, record, "", err);
    if (r == 0) /* it is checked by making it again */
        p->made[p->made_count - 1].entry.has_sha256 = false;
    return r;
}
