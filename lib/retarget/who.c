/* Finds who will run the code: asks an interpreter, or reads a probe. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "numba/probe.h"
#include "retarget/retarget.h"

enum { LARGEST_PROBE = 1 << 20 };

/* Reads the probe in file NAME. 1; 0: it is none. */
static int read_probe(struct retarget_who *who, const char *name, struct wp_error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct stat st;
    int r;

    if (stat(name, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > LARGEST_PROBE)
        return 0;
    r = file_read(name, LARGEST_PROBE, &text, NULL);
    if (r < 0 && r != -EACCES) /* an interpreter need not be readable */
        return error_set(err, -r, name, "cannot be read");
    if (r < 0 || !probe_is_like(&text))
        return 0;
    r = probe_read(&who->probe, &text, name, err);
    return r < 0 ? r : 1;
}

/* Finds what the machine has, less what its Numba denies. */
static int find_features(struct retarget_who *who, bool is_here, struct wp_error *err)
{
    const enum features_arch arch = features_arch_of(who->probe.python.triple);
    _cleanup_(features_code_clear) struct features_code machine = {0};

    if (is_here) {
        if (!features_of_host(&who->have))
            return error_set(err, ENOTSUP, who->name, "nothing is known of CPUs like this one");
    } else if (!who->probe.machine) {
        return error_set(err, 0, who->name, "says nothing of what its machine has");
    } else {
        if (features_of_code(&machine, arch, "", who->probe.machine) < 0)
            return error_nomem(err);
        who->have = machine.set;
        who->have.arch = arch;
    }
    features_deny(&who->have, who->probe.python.features);
    return 0;
}

int retarget_who_ask(struct retarget_who *who, const struct wp_context *context, const char *name,
                     struct wp_error *err)
{
    const struct wp_python *python = &who->probe.python;
    int r;

    *who = (struct retarget_who){0};
    if (strcmp(name, "here") == 0)
        name = "python3";
    who->name = strdup(name);
    if (!who->name)
        return error_nomem(err);
    r = read_probe(who, name, err);
    if (r < 0)
        return r;
    if (r == 0 && wp_python_ask(context, name, &who->probe.python, err) < 0)
        return err ? -err->code : -EINVAL;
    if (!python->triple || !python->cpu || !python->features)
        return error_set(err, 0, name, "says nothing of Numba: probe with --python");
    if (!features_is_plain(python->triple) || !features_is_plain(python->cpu) ||
        !features_is_plain(python->features))
        return error_set(err, 0, name, "tells of a CPU that no machine has");
    return find_features(who, r == 0, err);
}

void retarget_who_clear(struct retarget_who *who)
{
    free(who->name);
    wp_probe_clear(&who->probe);
    *who = (struct retarget_who){0};
}
