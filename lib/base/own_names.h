#pragma once
/* Names of files and directories that warmpack itself creates in trees and archives. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Directory of manifests: .warmpack/ID/manifest.jsonl. */
#define MANIFEST_DIR ".warmpack"
#define MANIFEST_NAME "manifest.jsonl"
#define STATE_NAME "state.jsonl"
enum { OWN_ID_LENGTH = 16 /* hex digits of ID */ };
/* Beside the directories of manifests that unpacking and restoring have made. */
#define OWN_IGNORE ".gitignore"

/* Beside the directories of manifests: a directory for PYTHONPATH, with the locator in it. There is
 * no __init__.py, so that a package `warmpack` that is installed comes first, whole. */
#define OWN_PYTHON "python"
#define OWN_LOCATOR OWN_PYTHON "/warmpack/locator.py"

/* In an egg or a wheel the place is EGG-INFO/warmpack/ID or NAME.dist-info/warmpack/ID. */
#define EGG_DIR "EGG-INFO"
#define WHEEL_DIR_SUFFIX ".dist-info"
#define METADATA_SUBDIR "warmpack"

/* Staging directories, with six letters or digits behind it. */
#define STAGING_PREFIX MANIFEST_DIR "-"
enum { STAGING_NAME_SIZE = sizeof STAGING_PREFIX + 6 };
/* Held by processes that unpack into one directory at once; in the directory of a manifest, by the
 * one that repairs its tree. */
#define OWN_LOCK MANIFEST_DIR ".lock"
/* For mkostemp(3): a file that loses its name at once. */
#define OWN_TEMPORARY MANIFEST_DIR ".XXXXXX"

/* What takes the place of another file, with 16 hex digits behind it; that of a symbolic link has
 * a tail, too, and lies beside a file without. */
#define OWN_REPLACING MANIFEST_DIR ".new."
#define OWN_LINK_TAIL ".link"

/* Is NAME, of N bytes, that of the metadata directory of an egg or a wheel? */
bool own_is_metadata(const char *name, size_t n);
/* Is NAME that of a staging directory? */
bool own_is_staging(const char *name);
/* Would PATH of an archive be taken for what a run has made while it is at work: for a staging
 * directory, by the beginning of a component, or what lies in one; a lock; or what is to replace
 * another file? */
bool own_is_forbidden(const char *path);

/* The type of a file that warmpack calls NAME in a directory called WITHIN (only the last component
 * counts), as in st_mode: manifests, staging, locks, what replaces others. 0: it calls none so. */
mode_t own_type(const char *within, const char *name);

/* Where warmpack's own directory begins in PATH of an archive, as an offset: that of ".warmpack/",
 * at the top or one level below; 0 for the metadata directory of an egg or a wheel, which it lies
 * in. -1: PATH does not lie there. */
int own_home_at(const char *path);
/* Is PATH of an archive one of a manifest: ID/manifest.jsonl there? */
bool own_is_manifest(const char *path);

/* Is PATH of a tree a directory of manifests, at any depth, or does it lie in one? */
bool own_holds(const char *path);

/* Where home begins in PATH of a tree, "TOP/.warmpack/ID" or "NAME.dist-info/warmpack/ID" at any
 * depth: the length of what stands before it, without its slash; -1: PATH does not end in one. */
int own_home_prefix(const char *path);
