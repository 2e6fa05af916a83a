/* Says what can be done about indexes that are not valid, and about notes. */

#include "hints.h"

#include "message.h"

static const char *const of_status[WP_STATUS_COUNT] = {
    [WP_STALE] = "Numba compiles again",
    [WP_SOURCE_MISSING] = "unpack the sources, too, or remove the index",
    [WP_DATA_MISSING] = "unpack again, or let Numba compile again",
    [WP_CORRUPT] = "Numba raises an error or crashes there: 'warmpack verify --fix' removes it",
    [WP_UNREADABLE] =
        ("an error keeps it from being read, or something other than Numba wrote it under the name "
         "of an index; it is left alone"),
    [WP_SUSPECT] = ("Numba may give the results of an earlier version there: 'warmpack verify "
                    "--fix' removes it, and Numba compiles again"),
    [WP_MISPLACED] = ("set NUMBA_CACHE_DIR to where it lies, or say by --cache-dir, --runtime-root "
                      "and --user where Numba looks"),
    [WP_UNWRITABLE] = "let who runs Python write to the directory; --user says who that is",
    [WP_WRONG_NUMBA] = "run it with the Numba that compiled it, or compile again",
    [WP_WRONG_PYTHON] = "run it with the Python that compiled it, or compile again",
    [WP_WRONG_CPU] = "'warmpack env' prints the settings with which Numba loads these caches",
    [WP_UNSAFE_CPU] = "compile with settings that all machines can use: 'warmpack env --common'",
    [WP_OUTDATED] =
        ("it may give old results: 'warmpack verify --fix' removes it, and Numba compiles "
         "again"),
    [WP_UNSAFE_SVML] = ("install the library (icc_rt, intel-cmplr-lib-rt), or compile with "
                        "NUMBA_DISABLE_INTEL_SVML=1: the program ends when it loads this"),
    [WP_MISNAMED] =
        ("compile again by importing the module as programs do, not by running a script "
         "that lies in the package, nor by exec in a namespace without a __name__"),
    [WP_TYPE_MISSING] = ("Numba raises an error there, whatever is called: 'warmpack verify --fix' "
                         "removes it"),
};

/* What else works where the tree has a manifest. */
static const char *const with_manifest[WP_STATUS_COUNT] = {
    [WP_STALE] = ("'warmpack restore' gives sources the times that the manifest records; else "
                  "Numba compiles again"),
    [WP_WRONG_CPU] = ("'warmpack retarget' makes what can run there load with no settings; "
                      "'warmpack env' prints the settings with which Numba loads these caches"),
    [WP_MISPLACED] = ("'warmpack restore' puts it where Numba looks; --cache-dir, --runtime-root "
                      "and --user say where that is, or set NUMBA_CACHE_DIR to where it lies"),
    [WP_UNWRITABLE] = ("let who runs Python write to the directory (--user says who that is), or "
                       "let Numba read the tree as it is with NUMBA_CACHE_LOCATOR_CLASSES="
                       "warmpack.locator.Warm: see warmpack-locator(7)"),
};

static const char *const of_note[WP_NOTE_COUNT] = {
    [WP_NOTE_GROWS] = ("closures over other compiled functions, and arrays as default values, are "
                       "never found again: cache the functions that are called, not these"),
    [WP_NOTE_OLD_ROOT] = ("fine in the texts of errors; a path that the program uses, such as "
                          "__file__, is still the old one"),
    [WP_NOTE_SVML] = "install the library (icc_rt), or compile with NUMBA_DISABLE_INTEL_SVML=1",
    [WP_NOTE_STICKY] = "give the directory to who runs Python, or take its sticky bit away",
    [WP_NOTE_ORPHAN] = "'warmpack verify --fix' removes it",
    [WP_NOTE_ABSENT] = "unpack again, or let Numba compile again",
    [WP_NOTE_UNKNOWN_CPU] = "try it on the machine: code that it cannot run ends the program",
    [WP_NOTE_MARKER] = "make the empty file, or let numba-cuda compile again",
    [WP_NOTE_DISTRIBUTION] =
        "install the version that the caches were made with, or make them anew",
    [WP_NOTE_TIMES] = "pack the tree where it was warmed and unpack it here: then content decides",
    [WP_NOTE_SETTINGS] = "the code is as it was compiled: compile again with the settings wanted",
};

static const char *hint_of(const struct wp_verify_report *r, enum wp_status s)
{
    bool other_arch = s == WP_WRONG_CPU;

    for (size_t i = 0; i < r->count && other_arch; i++)
        other_arch = r->indexes[i].status != s || r->indexes[i].other_arch;
    if (other_arch)
        return "nothing makes code for another architecture run here: Numba compiles again";
    return r->manifest && with_manifest[s] ? with_manifest[s] : of_status[s];
}

/* Indexes that would load as they are, if warmpack.locator were in force. */
static void hint_locator(const struct wp_verify_report *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++)
        n += r->indexes[i].locatable && !wp_status_loads(r->indexes[i].status);
    if (n)
        message_summary("hint: %zu of them load where they are, and nothing is written there, with "
                        "NUMBA_CACHE_LOCATOR_CLASSES=warmpack.locator.Warm or WARMPACK_AUTO=1: see "
                        "warmpack-locator(7)",
                        n);
}

void hints_print(const struct wp_verify_report *r)
{
    bool told[WP_NOTE_COUNT] = {false};

    for (int s = 0; s < WP_STATUS_COUNT; s++)
        if (r->by_status[s] && of_status[s])
            message_summary("hint: %s: %s", wp_status_name((enum wp_status)s),
                            hint_of(r, (enum wp_status)s));
    for (size_t i = 0; i < r->note_count; i++) {
        enum wp_note_kind kind = r->notes[i].kind;

        if (!told[kind] && of_note[kind])
            message_summary("hint: %s: %s", wp_note_name(kind), of_note[kind]);
        told[kind] = true;
    }
    hint_locator(r);
}
