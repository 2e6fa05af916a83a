#ifndef WARMPACK_H
#define WARMPACK_H
/* libwarmpack: pack a Python tree with its Numba caches and unpack it elsewhere so that every
 * cache index stays valid.
 *
 * Conventions
 *   - Functions return 0 on success and a negative errno on failure, with *ERR filled (one line,
 *     control characters escaped, names the file and the cause). ERR may be NULL.
 *   - Structures of options are initialised with zeros ("= {0}"): zero and NULL are the defaults.
 *   - Strings are bytes, as the kernel takes them; lists end with NULL. Nothing given is kept
 *     after the call unless it says so.
 *   - Nothing here prints. What a user should hear of, and what stops a job, is said once, by a
 *     struct wp_context.
 *   - Different jobs may run in different threads at once. What the library keeps between them
 *     changes no result: names of owners for a few seconds, and what the kernel can do. Messages
 *     are handed out one at a time in the whole process.
 *   - -EINVAL also means that what was read is wrong: a damaged or hostile archive, a manifest that
 *     is none. The message says what; -EBADMSG is used for content that differs from what a
 *     checksum or a manifest says, and -EKEYREJECTED, with `trust`, for what no trusted key has
 *     signed or what is not as it was signed. -ENOMEM and -EINTR can come from everything.
 *
 * How structures grow
 *   - Structures that a caller declares, and those that come in arrays, end with reserved members.
 *     A new member takes the place of reserved ones, so that sizes and offsets stay. Structures
 *     that are only pointed to grow at their end.
 *   - Reserved members of options and contexts are zeros, as all is that was initialised with
 *     zeros. Where one is not, the caller was built for a later version and wants what this one
 *     does not know: the job returns -EINVAL.
 *   - Enumerations grow at their end: a program may meet values that it does not know.
 *   - The SONAME says with which versions a program works: until 1.0 it carries the minor version,
 *     then the major one.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WP_API __attribute__((visibility("default")))
#else
#define WP_API
#endif

#define WP_VERSION "0.1.0"

#define WP_RESERVED(n)                                                                             \
    void *reserved_ptr[n];                                                                         \
    uint64_t reserved_int[n]

/* WP_VERSION of the library that is running: static. */
WP_API const char *wp_version(void);

/* ---- Errors and contexts ----------------------------------------------------------------- */

struct wp_error {
    int code;           /* positive errno; 0: nothing set */
    char message[8192]; /* "path: what: cause", no newline */
};

enum wp_severity {
    WP_DETAIL,  /* a step of the job, such as a file that was packed: "app/k.py" */
    WP_NOTE,    /* a user should know it */
    WP_WARNING, /* something is not as it should be; the job goes on */
    WP_CHANGED, /* a warning that the result is not complete: a file changed while it was packed, a
                   source of an archive has no match */
    WP_FAILED   /* an error about one member, while the others are done: a file exists that is to
                   be kept */
};

/* How the caller takes part in jobs. Borrowed for as long as a job runs, and by an archive or a
 * collection until it is closed. Wherever a context is taken, NULL is one of zeros. */
struct wp_context {
    /* These are called on the job's thread and on others, one call at a time; NULL: not at all.
     * TEXT is one line. DONE and TOTAL are bytes of the whole job; TOTAL 0: not known. */
    void (*message)(void *user_data, enum wp_severity severity, const char *text);
    void (*progress)(void *user_data, uint64_t done, uint64_t total);
    void *user_data;
    /* A signal handler may set it: the job then returns -EINTR, with nothing half-done, also where
     * it waits for a pipe. NULL: nothing stops a job. */
    const volatile sig_atomic_t *interrupted;
    unsigned threads; /* to work with, at most 64; 0: one for each CPU */
    /* wp_extract and wp_restore call it once, on the job's thread: after killed runs were cleared
     * up, before what they read is believed, and while no other thread of the job runs. From then
     * on the job makes, changes and removes files only beneath the COUNT directories of DIRS, of
     * which some may not exist yet, removes empty directories that it made above them, and starts
     * no program. A process may use it to confine itself; NULL: not called. */
    void (*confine)(void *user_data, const char *const *dirs, size_t count);
    void *reserved_ptr[3];
    uint64_t reserved_int[4];
};

/* ---- Formats ----------------------------------------------------------------------------- */

struct wp_format; /* static, never freed */

/* "tgz", "tar", "tar.zst" (also "tar.gz", "tzst"); NULL: there is none of that name. */
WP_API const struct wp_format *wp_format_by_name(const char *name);
/* By the suffix of the path ARCHIVE: the longest one wins. NULL: unknown suffix. */
WP_API const struct wp_format *wp_format_by_suffix(const char *archive);
/* F's first name: static. */
WP_API const char *wp_format_name(const struct wp_format *f);
/* Can it be written? (bzip2 and xz are read only.) */
WP_API bool wp_format_writes(const struct wp_format *f);
/* The lowest and highest level of compression; both 0 where the format has none. */
WP_API void wp_format_levels(const struct wp_format *f, int *min, int *max);
/* Format number I of all, for help texts: NULL at and after the end. */
WP_API const struct wp_format *wp_format_at(size_t i);

/* ---- Statuses of an index ---------------------------------------------------------------- */

/* What becomes of an index where Numba looks for one. Source: Numba 0.56 to 0.67,
 * caching.py, IndexDataCacheFile. */
enum wp_status {
    WP_VALID,
    WP_STALE,          /* the stamp differs from the source's */
    WP_SOURCE_MISSING, /* no such source file */
    WP_DATA_MISSING,   /* a data file (.nbc) is gone */
    WP_CORRUPT,        /* a pickle is truncated or malformed */
    WP_UNREADABLE,     /* not one of Numba's, or an error kept it from being read */
    WP_SUSPECT,        /* a data file is older than its source, not the index: Numba died saving */
    WP_MISPLACED,      /* the directory is not where Numba looks for that source */
    WP_UNWRITABLE,     /* Numba would ignore the directory: the user cannot write to it */
    WP_WRONG_NUMBA,    /* another version of Numba wrote it than will read it */
    WP_WRONG_PYTHON,   /* likewise of Python */
    WP_WRONG_CPU,      /* no overload for the CPU that Numba compiles for */
    WP_UNSAFE_CPU,     /* its code needs a feature that this machine lacks */
    WP_OUTDATED,       /* older than a file that its code came from, which no stamp covers */
    WP_SELF_KEYED,     /* as good as valid: of no source file, its key says all */
    WP_UNSAFE_SVML,    /* its code needs Intel's SVML library, which the interpreter lacks */
    WP_MISNAMED,       /* compiled as a module of a name by which it is not imported */
    WP_TYPE_MISSING,   /* its keys or code name a class that its module no longer has */
    WP_IN_PLACE,       /* as good as valid: warmpack.locator, which is in force in the interpreter,
                          takes it from where it is */
    WP_STATUS_COUNT
};
/* "valid", "source-missing", ...: static; "unknown" where S is none. */
WP_API const char *wp_status_name(enum wp_status s);
/* Does Numba load from an index of status S? */
WP_API bool wp_status_loads(enum wp_status s);

/* Source: Numba, caching.py, get_source_stamp of the locators. */
enum wp_stamp_kind {
    WP_STAMP_MTIME,   /* (float st_mtime, int st_size) */
    WP_STAMP_SECONDS, /* (int seconds, int st_size) */
    WP_STAMP_CONTENT, /* 32 bytes: SHA-256 of the source */
    WP_STAMP_UNKNOWN,
    WP_STAMP_NONE /* of no source file: PyTensor's 0, or the digest of an IPython cell */
};
/* "mtime", "seconds", "content", "unknown" or "none": static. */
WP_API const char *wp_stamp_kind_name(enum wp_stamp_kind kind);

struct wp_stamp {
    enum wp_stamp_kind kind;
    double mtime;             /* MTIME: st_mtime as Python has it; SECONDS: a whole number */
    uint64_t size;            /* MTIME, SECONDS: bytes */
    unsigned char sha256[32]; /* CONTENT */
};

/* One compiled version of a function. Texts that come from a pickle may be anything: escape them.
 * Strings are owned by the report. */
struct wp_overload {
    char *signature;               /* what Python's str() of the key's first part gives, or NULL */
    char *triple, *cpu, *features; /* NULL where it is no code for a CPU */
    char *target;                  /* what such other code is for, as Python's repr(), or NULL */
    char *version;                 /* of numba-cuda, where the key says it, or NULL */
    char *launch;                  /* how the kernel is launched, as Python's repr(), or NULL */
    char *other;                   /* further parts of the key, likewise, or NULL */
    char *code, *cells;            /* SHA-256 of bytecode and closure in hex, or NULL */
    char *data;                    /* the data file's name */
    char *module;                  /* that it was compiled as; NULL: not known or not asked for */
    bool closure;                  /* CELLS is not the digest of nothing */
    bool has_size;
    uint64_t size; /* bytes of the data file */
    WP_RESERVED(2);
};

/* One judged index. Strings are owned by the report that holds it. */
struct wp_index_status {
    char *index;  /* path as reported: relative to the tree where beneath it, else absolute */
    char *source; /* relative to the tree; NULL: not known */
    enum wp_status status;
    char *reason; /* one line, NULL where valid */
    bool has_stamp;
    bool other_arch; /* WRONG_CPU: it is for another architecture than the machine's */
    bool locatable;  /* warmpack.locator, were it in force in the interpreter that was asked, would
                        take it from where it is */
    struct wp_stamp stamp;
    char *numba;                   /* the version string, or NULL */
    char *python;                  /* "311" of ".py311.", or NULL */
    struct wp_overload *overloads; /* where asked for, and the index can be read; in its order */
    size_t overload_count;
    WP_RESERVED(2);
};

/* What verify tells besides: none of it makes an index invalid. */
enum wp_note_kind {
    WP_NOTE_GROWS,        /* an index that may get an overload in every run */
    WP_NOTE_CLOSURES,     /* overloads of closures: their keys may be bound to the path */
    WP_NOTE_OLD_ROOT,     /* object code with the path at which it was compiled */
    WP_NOTE_SVML,         /* object code that needs Intel's SVML library */
    WP_NOTE_STICKY,       /* a directory in which Numba fails to save */
    WP_NOTE_ORPHAN,       /* a data file that no index names, or one half written */
    WP_NOTE_SETTINGS,     /* NUMBA_* settings that differ from those at packing */
    WP_NOTE_ABSENT,       /* indexes that were packed and are nowhere */
    WP_NOTE_UNKNOWN_CPU,  /* code for a CPU or with a feature of which nothing is known */
    WP_NOTE_CLOCK,        /* a source whose time was in the future when it was compiled */
    WP_NOTE_MARKER,       /* keys with a launch configuration, of which numba-cuda is not told */
    WP_NOTE_TIMES,        /* indexes of which times do not tell whether they are outdated */
    WP_NOTE_DISTRIBUTION, /* code may come from another version of what the interpreter has */
    WP_NOTE_COUNT
};
/* "grows", "old-root", ...: static; "unknown" where KIND is none. */
WP_API const char *wp_note_name(enum wp_note_kind kind);

/* Strings are owned by the report. */
struct wp_note {
    enum wp_note_kind kind;
    char *path; /* as an index's; NULL: the whole tree */
    char *text; /* one line */
    WP_RESERVED(2);
};

/* Code for one CPU that an interpreter loads. Strings are owned by the report. */
struct wp_loaded_build {
    char *triple, *cpu, *features; /* that it was compiled for */
    char *needs;      /* the features that it needs, sorted, parted by commas; NULL: not known */
    size_t overloads; /* how many of them load */
    bool retargeted;  /* its keys say the interpreter's CPU now */
    WP_RESERVED(2);
};

struct wp_verify_report {
    struct wp_index_status *indexes; /* owned, sorted by path */
    size_t count;
    size_t by_status[32];  /* how many there are, by enum wp_status */
    bool keys;             /* the indexes' overloads were looked at */
    bool manifest;         /* of a tree: there is one, so that restore can act by it */
    bool unfinished;       /* of a tree: a run changes it just now, or was killed while it did */
    struct wp_note *notes; /* owned */
    size_t note_count;
    struct wp_loaded_build *builds; /* with `python`: what that loads; owned */
    size_t build_count;
    WP_RESERVED(3);
};
/* How many indexes of R Numba loads from. */
WP_API size_t wp_verify_report_loads(const struct wp_verify_report *r);
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_verify_report_clear(struct wp_verify_report *r);

/* ---- Create ------------------------------------------------------------------------------ */

/* A path to pack, by which it is also named, and the directory that it is relative to. */
struct wp_member {
    const char *dir; /* NULL: the working directory */
    const char *path;
};

/* A user or group to store for every member. */
struct wp_owner {
    bool set; /* false: store each member's own */
    uint32_t id;
    const char *name; /* NULL: none */
};

/* What an image of format "oci" is to be like. */
struct wp_image_options {
    const char *base; /* the image that the tree is added to: a layout, a directory or a tar, and
                         ":REF" where it holds several; NULL: none, the tree is all of it */
    const char *ref;  /* the name that the layout calls it by; NULL: "latest" */
    const char *platform; /* "OS/ARCHITECTURE[/VARIANT]"; NULL: the base's, else that of the caches,
                             else this machine's */
    WP_RESERVED(2);
};

struct wp_create_options {
    const char *archive; /* path; "-" is standard output */
    const struct wp_format *format;
    const struct wp_member *members;
    size_t member_count;
    const char *const *cache_dirs;   /* roots of hashed caches to look into; NULL: none */
    const char *const *source_roots; /* other paths by which Python imported what a member's
                                        directory names */
    const char *const *exclude;      /* patterns as GNU tar has them */
    bool follow;                     /* pack what symlinks point to */
    bool caches_only;                /* caches and manifest without the sources */
    bool fresh_caches;             /* leave out caches that lie in the tree or beside its manifest:
                                      those of cache_dirs alone are packed */
    const char *const *record_env; /* names of environment variables, as patterns of a shell, that
                                      the manifest records beside NUMBA_* */
    const char *command;           /* what warmed the caches, for the manifest; NULL: not said */
    bool strict;                   /* refuse if any index is stale */
    bool sync; /* the archive is on the disk before it has its name, and then that */
    bool numeric_owner;
    struct wp_owner owner, group;
    int level; /* 0: default; use level_set for level 0 */
    bool level_set;
    bool gzip_one_member;
    const char *egg_info; /* egg: the NAME.egg-info directory; NULL: found near the tree */
    bool with_locator;    /* pack the Python module warmpack.locator, too, beside the manifest */
    const char *sign;     /* a private key's file, Ed25519 in PEM, to sign the manifest with; NULL:
                             it is not signed */
    /* An interpreter (a path, or a name to be looked up in $PATH) which is asked for the versions
     * of the distributions that the sources import from elsewhere, and whether the types that
     * caches name are there; NULL: nobody is asked. */
    const char *python;
    struct wp_image_options image; /* format "oci" */
    WP_RESERVED(4);
};

struct wp_create_result {
    uint64_t entries;    /* of the tree, as packed (without the manifest) */
    uint64_t bytes_read; /* content */
    uint64_t bytes_written;
    size_t indexes, valid;          /* packed, and valid when packed */
    size_t cache_dirs;              /* hashed directories that belong to the tree */
    struct wp_verify_report verify; /* each index as it was when packed */
    bool changed;                   /* a file changed while being read */
    char id[17];                    /* the archive's ID: hexadecimal digits */
    WP_RESERVED(4);
};
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_create_result_clear(struct wp_create_result *r);
/* Packs the members, in whatever order they are given, and the caches that belong to them. An
 * existing archive is replaced in one step at the end, and stays as it is after an error. RESULT is
 * overwritten and the caller's to clear; zeros after an error. Errors: -ENOENT, -EACCES and the
 * like where a member cannot be read; -EINVAL where options do not go together, names cannot be
 * packed, `sign` is no such key, or with `strict` an index is stale; what writing gave (-ENOSPC,
 * -EPIPE). A file that
 * changes meanwhile is no error: see `changed`. */
WP_API int wp_create(const struct wp_context *context, const struct wp_create_options *o,
                     struct wp_create_result *result, struct wp_error *err);

/* ---- Reading archives -------------------------------------------------------------------- */

enum wp_layout {
    WP_LAYOUT_AUTO,
    WP_LAYOUT_KEEP,
    WP_LAYOUT_IN_TREE,
    WP_LAYOUT_CACHE_DIR,
    WP_LAYOUT_USER_WIDE
};
/* "auto", "keep", "in-tree", ...: static; NULL behind the last one. */
WP_API const char *wp_layout_name(enum wp_layout l);

/* Paths of the old place in a virtual environment: those of the interpreter in scripts, and those
 * in pyvenv.cfg, .pth files and what activates it. */
enum wp_relocate {
    WP_RELOCATE_AUTO,  /* are rewritten where pyvenv.cfg says that it is one */
    WP_RELOCATE_NEVER, /* stay */
    WP_RELOCATE_ALWAYS /* are rewritten in bin of any tree, too */
};
/* Sources get the times that their indexes remember; where they cannot have them, the indexes are
 * changed instead. */
enum wp_restamp {
    WP_RESTAMP_AUTO,  /* where a filesystem or an owner does not let a time be set */
    WP_RESTAMP_NEVER, /* set times, change no index */
    WP_RESTAMP_ALWAYS /* leave times as they are, change indexes */
};

/* An archive opened for reading. It serves one job (wp_list, wp_extract, wp_verify_archive and the
 * like) and is then to be closed, since a pipe is not read twice. */
struct wp_archive;

/* Opens the archive PATH, whose format is recognised by its content; "-" is standard input. CONTEXT
 * is the one of every job on the archive, and must live as long. Errors: what opening and reading
 * gave; -EINVAL where it is no archive that can be read. *OUT is only set on success. */
WP_API int wp_archive_open(const struct wp_context *context, const char *path,
                           struct wp_archive **out, struct wp_error *err);
/* Is PATH a directory that is no tree, but an archive to be opened: the layout of an image? */
WP_API bool wp_archive_is_directory(const char *path);
/* Closes and frees A; NULL is fine. */
WP_API void wp_archive_close(struct wp_archive *a);

/* An entry of an archive. Strings are the archive's, and live until EACH returns. */
struct wp_list_entry {
    const char *path, *target; /* target: of a link, else NULL */
    char type;                 /* '-', 'd', 'l', 'h', 'p', 'c', 'b', 's', '?' */
    unsigned mode;             /* permission bits */
    uint32_t uid, gid;
    const char *uname, *gname; /* or NULL */
    uint64_t size;             /* bytes */
    int64_t mtime_sec;         /* since the epoch, rounded down */
    int32_t mtime_nsec;
    const unsigned char *sha256;   /* 32 bytes, or NULL where no manifest gives it */
    uint32_t dev_major, dev_minor; /* of 'c' and 'b' */
};
/* Calls EACH for every entry (all of the archive where PATTERNS is NULL). A value other than 0
 * from EACH ends the listing and is returned. Uses the manifest alone where that is possible. A
 * pattern that matches nothing is told as WP_FAILED. Errors: -EINVAL or -EBADMSG where the archive
 * is truncated or damaged, maybe after EACH has been called for what stands before that. */
WP_API int wp_list(struct wp_archive *a, const char *const *patterns,
                   int (*each)(void *ctx, const struct wp_list_entry *e), void *ctx,
                   struct wp_error *err);

/* ---- Retarget ---------------------------------------------------------------------------- */

/* Overloads with the same CPU in their keys. Strings are owned by the result. */
struct wp_retarget_build {
    char *triple, *cpu, *features;
    char *reason; /* why it cannot run there; NULL: it can */
    size_t overloads;
    bool is_native; /* it is for that very CPU */
    bool is_chosen; /* of those that can run, the one that the tree's code is taken from */
    WP_RESERVED(2);
};

struct wp_retarget_result {
    char *triple, *cpu, *features; /* what is compiled for there; NULL where keys are put back */
    size_t indexes;                /* that were valid when packed, and still fit their sources */
    size_t changed;                /* of these, those that became others */
    size_t overloads, loads;       /* in them for a CPU; of these, those that load there */
    size_t left;                   /* and those for which nothing alike loads, either */
    size_t elsewhere;              /* indexes that do not lie where Numba looks */
    struct wp_retarget_build *builds;
    size_t build_count;
    WP_RESERVED(4);
};
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_retarget_result_clear(struct wp_retarget_result *r);

struct wp_retarget_options {
    const char *dir; /* the tree */
    /* Who will run the code: an interpreter (a path, or a name to be looked up in $PATH), which is
     * asked, or the file of a probe; "here" is python3. NULL with `undo`. */
    const char *who;
    bool undo;                        /* the keys become what they were when packed */
    const char *manifest;             /* one in DIR; NULL: all */
    const char *cache_dir;            /* where hashed caches lie; NULL: where they were put */
    const char *user;                 /* who runs Python, NAME|UID[:GROUP]; NULL: who calls */
    const char *const *runtime_roots; /* NULL: where DIR is */
    bool dry_run;                     /* say what would be done, as WP_NOTE */
    bool prune; /* overloads for other CPUs than WHO's are removed, with their data files, where one
                   of the builds can run there: `undo` does not bring them back */
    WP_RESERVED(4);
};
/* Makes code that was compiled for another CPU load for who will run it: of each overload whose
 * code can run there the key gets that CPU's name and features. Only indexes are changed that were
 * valid when packed; triple, signature, stamp and code stay. The indexes as they were are kept
 * beside the manifest. Where there are several builds, one is chosen for the whole tree: the one
 * for that very CPU, else the one with the most features. RESULT is overwritten and the caller's to
 * clear; zeros after an error. Errors: those of wp_restore and wp_python_ask; -EINVAL where WHO
 * says nothing of Numba or of its machine; -EFBIG where there is more to keep than fits. */
WP_API int wp_retarget(const struct wp_context *context, const struct wp_retarget_options *o,
                       struct wp_retarget_result *result, struct wp_error *err);

/* ---- Extract ----------------------------------------------------------------------------- */

struct wp_extract_options {
    const char *dir;             /* NULL: the working directory; created if missing */
    const char *const *patterns; /* members to extract; NULL: all */
    const char *const *exclude;  /* patterns of members to leave out; NULL: none */
    unsigned strip_components;   /* leading parts of names that are left out */
    enum wp_layout layout;
    const char *cache_dir;            /* NULL: none given */
    const char *user;                 /* who runs Python, NAME|UID[:GROUP]; NULL: who calls */
    const char *const *runtime_roots; /* NULL: where DIR is */
    bool group_writable;              /* cache directories are for all users of their group */
    bool keep_old;                    /* leave files that exist, and fail for them alone */
    bool same_permissions;            /* modes as packed: setuid bits too, and no umask */
    bool same_owner;                  /* owners as packed; without it, so only for root */
    bool no_same_owner;               /* overrides same_owner */
    bool numeric_owner;               /* take owners by number, not by name */
    bool replace;     /* swap each top-level directory for the new one in one step */
    bool if_needed;   /* nothing is done where DIR holds this archive already */
    bool sync;        /* all is on the disk before the commit, and after it */
    bool to_stdout;   /* write contents to standard output, and nothing to disk */
    bool caches_only; /* onto a tree that came another way */
    enum wp_restamp restamp;
    enum wp_relocate relocate;
    const char *retarget; /* as WHO of wp_retarget, for what was unpacked; NULL: keys stay */
    bool prune;           /* with that, as in wp_retarget */
    uint64_t max_size;    /* bytes: more than that in files is refused; 0: any size */
    /* Seconds since 1970: the time that all gets, and that indexes are changed to fit; NULL: each
     * its own. With WP_RESTAMP_AUTO alone. */
    const int64_t *mtime;
    /* Public keys, Ed25519 in PEM: files, or directories whose NAME.pem count. An archive that was
     * signed with none of them is refused, and so is one that differs from its manifest. NULL:
     * signatures say nothing. */
    const char *const *trust;
    /* A directory with a tree that was extracted or sealed earlier: files whose content it has are
     * cloned or copied from there. NULL: with `replace`, what is replaced; else none. */
    const char *from;
    WP_RESERVED(4);
};

struct wp_extract_result {
    uint64_t files; /* entries unpacked, without warmpack's own */
    bool has_manifest;
    bool unchanged;          /* with if_needed: nothing was to be done */
    size_t renamed;          /* cache directories that got another name or place */
    enum wp_layout layout;   /* where caches went: never AUTO */
    char *cache_dir;         /* where hashed caches went, as the consumer sees it; NULL: in tree */
    bool set_cache_dir;      /* the consumer must set NUMBA_CACHE_DIR to cache_dir */
    size_t was_valid;        /* indexes that were valid when packed */
    size_t lost;             /* of those, not valid now */
    size_t relocated;        /* files rewritten for a new path of their environment */
    size_t restamped;        /* indexes changed to fit times that could not be set */
    size_t reused;           /* files whose content was taken from an earlier tree */
    size_t sources, matched; /* with caches_only: sources of indexes; those that are the same */
    size_t left_out; /* indexes that were not taken, as a file that their code came from is not the
                        same in the tree; with caches_only of sources that are the same */
    struct wp_verify_report verify;     /* each index where it lies now */
    struct wp_retarget_result retarget; /* with that: as from wp_retarget */
    WP_RESERVED(4);
};
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_extract_result_clear(struct wp_extract_result *r);
/* Unpacks into DIR, lays the caches where Numba looks for them from there, and judges each index.
 * RESULT is overwritten and the caller's to clear; zeros after an error, when DIR is as it was
 * (with `to_stdout` some of it may have been written). Indexes that are not valid are no error: see
 * `lost`. A member that fails alone (an existing file with `keep_old`, a pattern that matches
 * nothing, a hard link whose target is left out) is told as WP_FAILED. Errors: -EINVAL, -EBADMSG
 * where the archive is truncated, damaged, hostile or not what its manifest says; -EKEYREJECTED
 * where `trust` has no key that signed its manifest, or it has none; -EPERM where owners cannot be
 * set; -EBUSY where another process does not finish with DIR for ten minutes; -EISDIR, -EXDEV where
 * something in DIR is in the way; what writing gave (-ENOSPC, -EACCES). */
WP_API int wp_extract(struct wp_archive *a, const struct wp_extract_options *o,
                      struct wp_extract_result *result, struct wp_error *err);

/* Bytes of an archive, from the one at BEGIN to before the one at END. */
struct wp_range {
    uint64_t begin, end;
};

/* What wp_extract reads of a file of SIZE bytes. */
struct wp_needs {
    bool is_known; /* false: all of it, perhaps */
    struct wp_range *ranges;
    size_t count;
    WP_RESERVED(2);
};
/* Frees what N owns and leaves zeros; N may be zeros already. */
WP_API void wp_needs_clear(struct wp_needs *n);
/* Which bytes of A, a file, wp_extract with the same options is going to read, so that the rest
 * need not be fetched: the file may have holes there. Its manifest, first and last bytes are needed
 * for this. Where something turns out not to be as the earlier tree's manifests say, wp_extract
 * reads more: then it fails for what is not there, as for any damage. *OUT is the caller's to
 * clear; zeros after an error. */
WP_API int wp_extract_needs(struct wp_archive *a, const struct wp_extract_options *o,
                            struct wp_needs *out, struct wp_error *err);

/* ---- Restore ----------------------------------------------------------------------------- */

struct wp_restore_options {
    const char *dir;      /* the tree */
    const char *manifest; /* NULL: those in DIR */
    enum wp_layout layout;
    const char *cache_dir;            /* NULL: none given */
    const char *user;                 /* who runs Python, NAME|UID[:GROUP]; NULL: who calls */
    const char *const *runtime_roots; /* NULL: where DIR is */
    enum wp_restamp restamp;
    enum wp_relocate relocate;
    const char *retarget; /* as WHO of wp_retarget; NULL: keys stay */
    bool prune;           /* with that, as in wp_retarget */
    const int64_t *mtime; /* as in extract, of files as they were packed; NULL: each its own */
    bool group_writable;  /* as in extract */
    bool keep_modes;      /* set no modes */
    bool sync;            /* as in extract */
    bool dry_run; /* say what would be done, as WP_NOTE; the verdict is on what is there now */
    const char *const *trust; /* as in extract, for every manifest in DIR and for the caches */
    WP_RESERVED(4);
};

struct wp_restore_result {
    size_t manifests;                 /* of archives that were found in the tree */
    size_t damaged;                   /* manifests passed over, each reported as WP_FAILED */
    uint64_t files, missing, changed; /* of the manifests: as packed, not there, other content */
    uint64_t extra;          /* beside them in their directories, and not packed; caches apart */
    size_t sources, matched; /* of indexes that were valid when packed; there and same */
    uint64_t times, modes, links; /* set; symbolic links made again */
    size_t relocated;             /* as in wp_extract_result */
    size_t restamped, pycs;       /* indexes and .pyc files changed instead */
    size_t renamed;               /* cache directories that got another name or place */
    enum wp_layout layout;        /* where caches are: never AUTO */
    char *cache_dir;              /* as in wp_extract_result */
    bool set_cache_dir;
    size_t was_valid, lost; /* as in wp_extract_result */
    size_t left_out; /* indexes that were not put or fitted anywhere, as a file that their code came
                        from is not the same */
    struct wp_verify_report verify;
    struct wp_retarget_result retarget; /* with that: as from wp_retarget */
    WP_RESERVED(4);
};
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_restore_result_clear(struct wp_restore_result *r);
/* Repairs a tree that another tool unpacked, or that was moved: times, modes, cache directories.
 * Running it again changes nothing. RESULT is overwritten and the caller's to clear; zeros after an
 * error. Errors: -ENOENT where there is no manifest; what is wrong with the first one where none
 * can be used; -EBUSY where another run does not finish with the tree; what reading and writing
 * gave. */
WP_API int wp_restore(const struct wp_context *context, const struct wp_restore_options *o,
                      struct wp_restore_result *result, struct wp_error *err);

/* ---- Asking Python ----------------------------------------------------------------------- */

/* What decides, besides the index's place and stamp, whether an interpreter loads from a cache. */
struct wp_python {
    char *python; /* "311", as in ".py311."; all are owned */
    char *numba;  /* its version */
    char *triple, *cpu, *features;
    char *cache_dir;       /* NUMBA_CACHE_DIR, from wherever it is set; NULL: not set */
    char *locators;        /* likewise NUMBA_CACHE_LOCATOR_CLASSES */
    bool no_svml;          /* it runs without Intel's SVML library */
    bool no_whole_seconds; /* none of its locators stamps whole seconds */
    WP_RESERVED(4);
};
/* Runs the interpreter PYTHON (a path, or a name to be looked up in $PATH) with a fixed script that
 * imports Numba, in this environment. It is killed if it takes longer than two minutes.
 * *OUT is the caller's to clear; zeros after an error.
 * Errors: -ETIMEDOUT; -EINVAL where it has no Numba or answers nonsense; what spawning gave. */
WP_API int wp_python_ask(const struct wp_context *context, const char *python,
                         struct wp_python *out, struct wp_error *err);
/* Frees what P owns and leaves zeros; P may be zeros already. */
WP_API void wp_python_clear(struct wp_python *p);

/* ---- Verify and path --------------------------------------------------------------------- */

struct wp_verify_options {
    const char *manifest;  /* of a tree; NULL: those in it */
    const char *cache_dir; /* where NUMBA_CACHE_DIR points for the consumer; NULL: not set */
    const char *user;      /* who runs Python, NAME|UID[:GROUP]; NULL: who calls */
    const char *const *runtime_roots; /* paths that DIR has then; NULL: where it is */
    const char *python; /* interpreter that will load the caches: it is asked; NULL: not known */
    /* NUMBA_CPU_NAME and NUMBA_CPU_FEATURES for the consumer; NULL: not set, or PYTHON says it. */
    const char *cpu_name, *cpu_features;
    bool keys; /* archives: read what is in the indexes, though the manifest says if they fit */
    const char *const *trust; /* as in extract; of a tree, as in restore */
    WP_RESERVED(4);
};
/* Judges each index of the tree DIR, in it and where caches for it lie outside, and takes notes.
 * RESULT is overwritten, and the caller's to clear; zeros after an error. That indexes are not
 * valid is no error. Errors: -ENOENT, -ENOTDIR, -EACCES where DIR, a directory in it or a cache
 * root cannot be read; -EINVAL where there is no such user or the given manifest is none; those of
 * wp_python_ask; -EINTR. */
WP_API int wp_verify_tree(const struct wp_context *context, const char *dir,
                          const struct wp_verify_options *o, struct wp_verify_report *result,
                          struct wp_error *err);

struct wp_fix_result {
    uint64_t times; /* set as the manifest records them */
    size_t moved;   /* cache directories put where Numba looks */
    size_t removed; /* files */
    WP_RESERVED(4);
};
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_fix_result_clear(struct wp_fix_result *r);
/* Does what can be done safely about what REPORT, from wp_verify_tree on DIR with the same options,
 * has found. Where an index is stale or misplaced and DIR has a manifest: times are set, of files
 * that still have the content that it records, and cache directories moved, as wp_restore does;
 * no index is changed. Then what is corrupt or suspect is removed, with the data files that bear
 * its name, and so are data files of no index, unless they are younger than a minute. All is told
 * as WP_NOTE. REPORT is then on what is left.
 * DRY_RUN: only tells what would be done, counts it, and leaves REPORT as it is.
 * Errors: those of wp_restore but -ENOENT, and what removing gives; REPORT is cleared then. */
WP_API int wp_verify_fix(const struct wp_context *context, const char *dir,
                         const struct wp_verify_options *o, bool dry_run,
                         struct wp_verify_report *report, struct wp_fix_result *done,
                         struct wp_error *err);
/* Judges an archive without unpacking it: stamps against the recorded times. Of O, python,
 * cpu_name, cpu_features and keys count. RESULT as in wp_verify_tree. Errors: what reading gives;
 * -EBADMSG where the archive is truncated or damaged; those of wp_python_ask. A can be read once.
 */
WP_API int wp_verify_archive(struct wp_archive *a, const struct wp_verify_options *o,
                             struct wp_verify_report *result, struct wp_error *err);

/* Says what is in the indexes without judging them: in PATH, a file or all beneath a directory.
 * Those that can be read are valid, the others corrupt, with the reason. RESULT as in
 * wp_verify_tree. Errors: what opening PATH gives, -EFBIG for a file of more than 64 MiB; what
 * walking the directory gives; -EINTR. */
WP_API int wp_inspect_path(const struct wp_context *context, const char *path,
                           struct wp_verify_report *result, struct wp_error *err);
/* The same for the indexes in an archive, without unpacking it. Errors as in wp_verify_archive. */
WP_API int wp_inspect_archive(struct wp_archive *a, struct wp_verify_report *result,
                              struct wp_error *err);

/* ---- Settings for a CPU ------------------------------------------------------------------ */

/* What a machine can do, and what Numba there compiles for. Members are NULL where not known. */
struct wp_probe {
    char *machine; /* "+adx,+aes,...": what its CPU has and its system lets programs use */
    struct wp_python python;
    WP_RESERVED(4);
};
/* Fills *OUT for this machine; PYTHON NULL: without asking an interpreter. *OUT is the caller's to
 * clear; zeros after an error. Errors: those of wp_python_ask. */
WP_API int wp_probe_here(const struct wp_context *context, const char *python, struct wp_probe *out,
                         struct wp_error *err);
/* As JSON, on one line. Allocated; NULL: no memory. */
WP_API char *wp_probe_text(const struct wp_probe *p);
/* Frees what P owns and leaves zeros; P may be zeros already. */
WP_API void wp_probe_clear(struct wp_probe *p);

/* What NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are to be. Strings are owned, of characters that a
 * shell takes as they are; TRIPLE is NULL where not known. */
struct wp_cpu {
    char *triple, *name, *features;
    WP_RESERVED(4);
};
/* Frees what C owns and leaves zeros; C may be zeros already. */
WP_API void wp_cpu_clear(struct wp_cpu *c);

/* Can this machine run code that is compiled for C? *LACKS becomes what it has not, as "avx512f and
 * 3 more", or NULL where it can; allocated. C->triple may be NULL: this machine's architecture.
 * Errors: -ENOTSUP where the name or a feature is not known; -ENOMEM. */
WP_API int wp_cpu_lacks(const struct wp_cpu *c, char **lacks, struct wp_error *err);

struct wp_env; /* caches and probes, gathered from several places */

/* An empty one, the caller's to free. CONTEXT must live as long. Errors: -ENOMEM. */
WP_API int wp_env_new(const struct wp_context *context, struct wp_env **out, struct wp_error *err);
/* NULL is fine. */
WP_API void wp_env_free(struct wp_env *e);
/* Adds a directory, an index or a probe. 1: a file that is none of these, perhaps an archive.
 * Indexes that cannot be read are told as WP_WARNING and left out. Errors: those of
 * wp_inspect_path; -EINVAL where there is no index that can be read, or a probe is malformed. What
 * was added before stays. */
WP_API int wp_env_add_path(struct wp_env *e, const char *path, struct wp_error *err);
/* The same for an archive; NAME is for messages. Errors: those of wp_inspect_archive; -EINVAL. */
WP_API int wp_env_add_archive(struct wp_env *e, const char *name, struct wp_archive *a,
                              struct wp_error *err);
/* The settings with which Numba loads all that was added. *OUT is the caller's to clear; zeros
 * after an error, and where keys in it were retargeted: these load with no settings, and what loads
 * with settings alone is told as WP_WARNING. -EINVAL: there is nothing for a CPU, or for several
 * (the message names two), or the name of one has characters that no CPU's name has. */
WP_API int wp_env_settings(const struct wp_env *e, struct wp_cpu *out, struct wp_error *err);
/* Settings that every machine added can use, for caches that they are to share: a generic CPU with
 * the features that all have. *OUT as in wp_env_settings. -EINVAL: they are not of one triple, or
 * of one it is not known what it has. */
WP_API int wp_env_common(const struct wp_env *e, struct wp_cpu *out, struct wp_error *err);

/* The caches added, held against one of the probes added. */
struct wp_env_check {
    const char *probe;              /* its file's name; the env's */
    size_t total, load, run;        /* indexes; those that would load, those that could run */
    struct wp_verify_report verify; /* each index, as it would be judged there */
    WP_RESERVED(4);
};
/* Frees what C owns and leaves zeros; C may be zeros already. */
WP_API void wp_env_check_clear(struct wp_env_check *c);
/* How many probes were added. */
WP_API size_t wp_env_probes(const struct wp_env *e);
/* Holds all caches against probe number PROBE. The notes of OUT->verify name what is not known. OUT
 * is zeros after an error. -EINVAL: there are no caches, or the probe says nothing of Numba. */
WP_API int wp_env_check(const struct wp_env *e, size_t probe, struct wp_env_check *out,
                        struct wp_error *err);

/* ---- Amend ------------------------------------------------------------------------------- */

struct wp_amend_options {
    const char *output; /* path of the archive to write, which may be the one that is read */
    const struct wp_format *format; /* of OUTPUT */
    const char *source;             /* the tree that the archive was made from */
    const char *const *cache_dirs;  /* as in create; so are the rest */
    const char *const *source_roots;
    bool strict;
    bool sync; /* as in create */
    int level;
    bool level_set;
    const char *sign;   /* as in create */
    const char *python; /* as in create */
    WP_RESERVED(4);
};

struct wp_amend_result {
    bool written;     /* false: there was nothing to add, and OUTPUT is as it was */
    uint64_t sources; /* .py files in the archive */
    char **unmatched; /* those whose content no file of SOURCE has, sorted; NULL-ended; owned */
    size_t unmatched_count;
    uint64_t added;               /* cache files */
    size_t left_behind;           /* indexes of matched sources that are not valid */
    uint64_t pyc, pyc_in_zip;     /* in a zip: compiled files that have a source, and those that
                                     are valid by its time there */
    struct wp_create_result made; /* the new archive; its verify judges each index in it */
    WP_RESERVED(4);
};

/* Gives an archive that another tool made what create would have given it: the exact times of its
 * sources, their valid caches, and a manifest. Each .py file of A is matched by its content with
 * one beneath o->source. Everything else stays as it is. OUTPUT is replaced in one step. RESULT is
 * overwritten and the caller's to clear; zeros after an error. Errors: -EINVAL, -EBADMSG where A is
 * truncated, damaged or holds what would be lost; -EINVAL where `strict` is set and an index is
 * stale; what reading SOURCE and writing gave. */
WP_API int wp_amend(struct wp_archive *a, const struct wp_amend_options *o,
                    struct wp_amend_result *result, struct wp_error *err);
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_amend_result_clear(struct wp_amend_result *r);

/* ---- Merge ------------------------------------------------------------------------------- */

/* What is merged: one of both. */
struct wp_merge_input {
    struct wp_archive *archive; /* of warmpack's, read whole; borrowed */
    const char *tree;           /* a directory: what unpacking an archive there would give */
    WP_RESERVED(1);
};

struct wp_merge_options {
    const char *output; /* path of the archive to write, which may be one that is read; "-" is
                           standard output */
    const struct wp_format *format; /* of OUTPUT */
    const struct wp_merge_input *inputs;
    size_t input_count;            /* at least two */
    const char *const *cache_dirs; /* of trees, as in create; so are the rest */
    bool caches_only;
    bool strict; /* refuse if any index is left out */
    bool sync;   /* as in create */
    bool numeric_owner;
    struct wp_owner owner, group;
    int level;
    bool level_set;
    bool gzip_one_member;
    const char *sign; /* as in create */
    WP_RESERVED(4);
};

/* Code for one CPU, as it stands in the keys. Strings are owned by the result. */
struct wp_merge_build {
    char *triple, *cpu, *features;
    size_t input; /* number of the input that it came from */
    size_t overloads;
    WP_RESERVED(2);
};

struct wp_merge_result {
    struct wp_merge_build *builds; /* owned; in the order of the inputs */
    size_t build_count;
    size_t joined;                /* indexes that hold overloads of several inputs */
    size_t left_out;              /* indexes of inputs that were not valid, or do not fit */
    struct wp_create_result made; /* the new archive; its verify judges each index in it */
    WP_RESERVED(4);
};

/* Makes one archive of several that were made of the same sources and warmed for different CPUs:
 * all entries of the first, and for each function the overloads of all. Each of the others must
 * have the first one's sources, by content; one that has caches alone those that it tells of. Only
 * indexes are taken that were valid when packed, and whose code came from nothing that the first
 * one has otherwise; the others are told as WP_WARNING and counted. Indexes are fitted to the times
 * of the first one's sources. Two builds for one CPU are refused, unless every data file of the
 * later one is in the earlier. OUTPUT is replaced in one step. RESULT is overwritten and the
 * caller's to clear; zeros after an error. Errors: -EINVAL where sources differ (each is told as
 * WP_WARNING), an input has no manifest or brings nothing, two builds are for one CPU, or with
 * `strict` an index is left out; -EBADMSG where an archive is truncated or damaged, or its manifest
 * calls valid what is not; what reading and writing gave. */
WP_API int wp_merge(const struct wp_context *context, const struct wp_merge_options *o,
                    struct wp_merge_result *result, struct wp_error *err);
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_merge_result_clear(struct wp_merge_result *r);

/* ---- Seal -------------------------------------------------------------------------------- */

struct wp_seal_options {
    const char *dir;                 /* the tree */
    const char *const *cache_dirs;   /* as in create; so are the rest */
    const char *const *source_roots; /* other paths by which Python imported what is in DIR */
    const char *const *exclude;
    const char *const *record_env;
    const char *command;
    bool strict;
    bool sync; /* as in extract */
    bool numeric_owner;
    bool with_locator;
    const char *sign;
    const char *python;
    WP_RESERVED(4);
};

struct wp_seal_result {
    bool written;                 /* false: the same seal is there already, and stays as it is */
    bool replaced;                /* an earlier manifest gave way */
    struct wp_create_result made; /* of the tree; its bytes_written is 0, its verify judges each
                                     index */
    WP_RESERVED(4);
};

/* Writes into the tree DIR the manifest that packing it would have made, in .warmpack/ID, and
 * copies the caches that belong to it and lie outside there. Nothing else changes in DIR. A
 * manifest of an earlier time in DIR/.warmpack is replaced, in one step; with the same content
 * nothing is written. RESULT is overwritten and the caller's to clear; zeros after an error.
 * Errors, after which DIR is as it was: -ENOENT, -ENOTDIR where DIR is no directory; -EINVAL where
 * `strict` is set and an index is not valid, or an earlier manifest has caches that a restore would
 * make valid; -EBUSY where another run does not finish there; what reading DIR and writing gave
 * (-EACCES, -EROFS, -ENOSPC). */
WP_API int wp_seal(const struct wp_context *context, const struct wp_seal_options *o,
                   struct wp_seal_result *result, struct wp_error *err);
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_seal_result_clear(struct wp_seal_result *r);

/* ---- Diff -------------------------------------------------------------------------------- */

/* One of the two things that are compared. */
struct wp_diff_side {
    const char *path;           /* a directory, or a manifest; of an archive, for messages */
    struct wp_archive *archive; /* NULL: PATH is a directory or a manifest */
};

struct wp_diff_options {
    const char *const *cache_dirs; /* for directories: as in create; so are the rest */
    const char *const *source_roots;
    const char *const *exclude;
    WP_RESERVED(4);
};

enum wp_change {
    WP_CHANGE_NONE,    /* for no difference */
    WP_CHANGE_ADDED,   /* only the second has it */
    WP_CHANGE_REMOVED, /* only the first has it */
    WP_CHANGE_CONTENT, /* content, type or a link's target; or what an index has */
    WP_CHANGE_MODE,
    WP_CHANGE_TIME, /* only the time: of a file, or the one that an index has of its source */
    WP_CHANGE_COUNT
};
/* "added", "removed", "changed", "mode", "time": static; "unknown" where CHANGE is none. */
WP_API const char *wp_change_name(enum wp_change change);

/* Strings and arrays are owned by the result. */
struct wp_difference {
    enum wp_change change;
    bool is_cache;
    char *path; /* a top-level directory that only one of the two has is left out; a cache file is
                   named as if it lay in the tree */
    struct wp_overload *gained, *lost; /* of an index that is read on both sides */
    size_t gained_count, lost_count;
    WP_RESERVED(2);
};

struct wp_diff_result {
    struct wp_difference *differences; /* sorted by path; owned */
    size_t count;
    size_t by_change[16]; /* how many there are, by enum wp_change */
    size_t gained, lost;  /* overloads, of all indexes */
    WP_RESERVED(4);
};
/* Frees what R owns and leaves zeros; R may be zeros already. */
WP_API void wp_diff_result_clear(struct wp_diff_result *r);
/* Compares A with B. Of an archive all is read, also its content; of a directory what wp_create
 * would pack of it; a manifest says it all but for the overloads in indexes. Owners do not count,
 * nor do the times of directories and links, and where one of the two has caches only, these alone
 * are compared. RESULT is overwritten and the caller's to clear; zeros after an error. Errors:
 * those of wp_verify_archive and wp_create; -EINVAL where PATH is no manifest; -EBUSY where a
 * source or a cache changes whenever it is read. */
WP_API int wp_diff(const struct wp_context *context, const struct wp_diff_side *a,
                   const struct wp_diff_side *b, const struct wp_diff_options *o,
                   struct wp_diff_result *result, struct wp_error *err);

/* A directory where Numba may look for a source file's cache, in the order in which it tries. */
struct wp_cache_place {
    enum wp_layout kind; /* CACHE_DIR, IN_TREE or USER_WIDE */
    char *dir;           /* absolute; owned */
    bool used;           /* the one Numba takes: the first that can be made and written to */
    char *why_not;       /* owned; NULL where usable */
    WP_RESERVED(2);
};
/* The places for FILE (a .py), as it is seen from each runtime root; of O, cache_dir, user and
 * runtime_roots count. *PLACES is an array of *COUNT, freed by wp_cache_places_free; NULL after an
 * error. Errors: what looking at FILE gives; -EISDIR; -EINVAL where there is no such user, or FILE
 * is absolute though there are runtime roots.
 * Source: Numba, caching.py, CacheImpl._locator_classes and ensure_cache_path. */
WP_API int wp_cache_places(const char *file, const struct wp_verify_options *o,
                           struct wp_cache_place **places, size_t *count, struct wp_error *err);
/* NULL is fine. */
WP_API void wp_cache_places_free(struct wp_cache_place *places, size_t count);

/* What Numba would get for a source file through warmpack.locator, see warmpack-locator(7). Strings
 * are owned. */
struct wp_located {
    bool is_installed; /* the interpreter has the module */
    bool in_force;     /* and its Numba asks it */
    char *manifest;    /* path of the manifest by which it is judged; NULL: no tree has the file */
    char *overlay;     /* the directory that Numba would be given; NULL: none */
    char **indexes;    /* names in the manifest of those it would find there */
    size_t index_count;
    char *reason; /* why there is none, one line, or NULL */
    WP_RESERVED(2);
};
/* Asks the interpreter PYTHON, in this environment, for the COUNT FILES (.py). *LOCATED is an array
 * of COUNT, freed by wp_located_free; NULL after an error. Where the interpreter has no module
 * warmpack.locator, the library's own tells what it would say. Errors: as wp_python_ask. */
WP_API int wp_locate(const struct wp_context *context, const char *python, const char *const *files,
                     size_t count, struct wp_located **located, struct wp_error *err);
/* Frees an array of COUNT and what it owns. */
WP_API void wp_located_free(struct wp_located *located, size_t count);

/* The root of USER's user-wide caches (name or UID; NULL: who calls, whose $XDG_CACHE_HOME is then
 * obeyed), whether or not it exists. Allocated; NULL on failure, where ERR has the cause.
 * Source: Numba, caching.py, _UserWideCacheLocator. */
WP_API char *wp_user_wide_cache_dir(const char *user, struct wp_error *err);

/* Calls EACH with the settings of the file .numba_config.yaml in the working directory, the last
 * first, of which each counts but once, as variables: NUMBA_CACHE_DIR and its value. Numba, where
 * its Python has PyYAML, takes them where the environment has no variable of that name. What is no
 * simple "name: value", or belongs to somebody else than who calls and root, is told of and not
 * taken. 0, EACH's negative value, or that of an error. Source: Numba, config.py, _EnvReloader. */
WP_API int wp_numba_config(const struct wp_context *context,
                           int (*each)(void *ctx, const char *name, const char *value), void *ctx,
                           struct wp_error *err);

/* ---- Texts ------------------------------------------------------------------------------- */

/* TEXT for a terminal or a message: control characters, the backslash and bytes that are not UTF-8
 * as \n, \t, \\, \ooo. Allocated; NULL: no memory. */
WP_API char *wp_escape(const char *text);
/* Is it well-formed UTF-8, without surrogates and overlong forms? */
WP_API bool wp_is_utf8(const char *text);

enum { WP_NUMBER_SIZE = 32 };
/* A float as Python's repr() has it: the fewest digits that read back as V. */
WP_API void wp_float_text(double v, char out[WP_NUMBER_SIZE]);
/* A time as a decimal number with nine digits behind the point. SEC is rounded down, as in struct
 * timespec: -1 and 500000000 are half a second before the epoch. */
WP_API void wp_time_text(int64_t sec, int32_t nsec, char out[WP_NUMBER_SIZE]);

/* The entries of FEATURES, a list such as wp_overload has, that say something other than the name
 * CPU says already, in its order, parted by spaces. *KNOWN: is the name known? Else it is all of
 * them. Allocated; NULL: no memory. */
WP_API char *wp_features_beside(const char *cpu, const char *features, bool *known);

/* The number of the user or group NAME. 1; 0 where there is none; negative errno. */
WP_API int wp_account_id(const char *name, bool group, uint32_t *id);
/* The name of user or group number ID, "" where it has none. Allocated; NULL: no memory. */
WP_API char *wp_account_name(uint32_t id, bool group);

#ifdef __cplusplus
}
#endif
#endif
