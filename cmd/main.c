/* Parses the command line and runs the verb. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "args.h"
#include "message.h"
#include "settings.h"
#include "show.h"
#include "signals.h"
#include "verbs.h"

static verb_run *const run[VERB_COUNT] = {
    [VERB_CREATE] = create_run,     [VERB_EXTRACT] = extract_run, [VERB_LIST] = list_run,
    [VERB_AMEND] = amend_run,       [VERB_RESTORE] = restore_run, [VERB_VERIFY] = verify_run,
    [VERB_INSPECT] = inspect_run,   [VERB_ENV] = env_run,         [VERB_PATH] = path_run,
    [VERB_RETARGET] = retarget_run, [VERB_SEAL] = seal_run,       [VERB_DIFF] = diff_run,
    [VERB_EXPLAIN] = explain_run,   [VERB_MERGE] = merge_run,     [VERB_WARM] = warm_run,
};

/* Where a standard descriptor is closed, a file of ours would get its number and what is meant for
 * the terminal would be written into it. Opened the wrong way round, so that use fails. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(STATUS_FAILED);
    }
}

static int dispatch(const struct args *a)
{
    struct wp_context context = {
        .message = message_receive, .interrupted = signals_flag(), .threads = a->threads};
    int rc;

    if (a->version) {
        printf("warmpack %s\n", wp_version());
        return STATUS_DONE;
    }
    if (a->help) {
        options_help(a->verb);
        return STATUS_DONE;
    }
    message_set_level(a->quiet, a->verbose);
    rc = settings_take(&context, a); /* first: options are checked by them, too */
    if (rc == 0)
        rc = args_check(a);
    if (rc)
        return rc;
    progress_set(a->progress, a->quiet);
    context.progress = progress_shown() ? progress_update : NULL;
    rc = run[a->verb](&context, a);
    message_transient(NULL);
    return rc;
}

int main(int argc, char **argv)
{
    struct args a;
    int rc;

    fill_standard_descriptors();
    rc = args_parse(&a, argc, argv);
    if (rc == 0)
        rc = dispatch(&a);
    args_clear(&a);
    message_raise(rc);
    show_finish();
    return message_status();
}
