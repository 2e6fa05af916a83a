"""Unpacking an archive once for many processes, and making this one use it."""

import contextlib
import errno
import fcntl
import importlib
import json
import logging
import os
import sys
import uuid
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from . import _in_use, _url
from ._program import Error, PathLike, options, run
from ._root import root_of

_log = logging.getLogger("warmpack")

# What the environment said before any activation changed it: where caches go must not depend on
# which of two applications a process activates first.
_given_cache_dir: Optional[str] = None
_given_known = False


class Activation(NamedTuple):
    """What activate() did."""

    path: str  # of the tree, which is on sys.path
    summary: Dict[str, int]  # verify's: "total", "valid", and each other status that there is
    settings: Dict[str, str]  # the NUMBA_ variables that were set


def _cache_dir_before() -> Optional[str]:
    global _given_cache_dir, _given_known
    if not _given_known:
        given = os.environ.get("NUMBA_CACHE_DIR")
        _given_cache_dir = os.path.abspath(given) if given else None
        _given_known = True
    return _given_cache_dir


# What somebody else has put in place, in an image or on a share, can only be read here.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Waits for every other process that holds the lock PATH; a process that dies lets go. Where it
    cannot be written to, it is enough that nobody holds it who can."""
    fd, how = -1, fcntl.LOCK_EX
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        how = fcntl.LOCK_SH
        with contextlib.suppress(OSError):  # there is none
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if fd >= 0:
            fcntl.flock(fd, how)
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def _read_record(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and os.path.isdir(record.get("root", "")) else None


def _write_record(path: str, record: Dict[str, Any]) -> None:
    temporary = "%s.%d" % (path, os.getpid())
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(temporary, path)


def _is_for_this_architecture(triple: Optional[str]) -> bool:
    """Numba aborts where it is told to compile for a CPU of another one."""
    return not triple or triple.partition("-")[0] == os.uname().machine


def _cpu_settings(indexes: Sequence[Dict[str, Any]]) -> Dict[str, str]:
    """What makes the caches load; nothing where there are none, or for more than one CPU."""
    cpus = {(overload.get("cpu"), overload.get("features"))
            for index in indexes for overload in index.get("overloads", ())
            if "target" not in overload and _is_for_this_architecture(overload.get("triple"))}
    if len(cpus) != 1:
        return {}
    ((name, features),) = cpus
    if not name or features is None:
        return {}
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}


def _warn_of_other_versions(indexes: Sequence[Dict[str, Any]]) -> None:
    """Numba recompiles without a word where it or Python is another one."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        numba = version("numba")
    except PackageNotFoundError:
        _log.warning("there is no Numba for %s", sys.executable)
        return
    python = "%d%d%s" % (*sys.version_info[:2], getattr(sys, "abiflags", ""))
    others = [i for i in indexes if i.get("numba") not in (None, numba)
              or i.get("python") not in (None, python)]
    if others:
        _log.warning("%d of %d cache indexes were made by another version, such as Numba %s for "
                     "Python %s; here are %s and %s", len(others), len(indexes),
                     others[0].get("numba"), others[0].get("python"), numba, python)


def _judge(directory: str, cache_dir: Optional[str], cpu: bool,
           program: Optional[str]) -> Dict[str, Any]:
    """The record of a tree that is in place: where it is, its indexes, and what to set."""
    verdict = run(["verify", *options(cache_dir=cache_dir), "--", directory], program=program)
    summary, settings = verdict["summary"], _cpu_settings(verdict["indexes"]) if cpu else {}
    if summary.get("unsafe-cpu"):
        _log.warning("%d of %d cache indexes hold code that this machine's CPU cannot run; Numba "
                     "will compile it again", summary["unsafe-cpu"], summary["total"])
        settings = {}
    _warn_of_other_versions(verdict["indexes"])
    root = root_of(directory, verdict["indexes"])
    return {"root": root, "summary": summary, "settings": settings}


def _numba_value(name: str) -> Optional[str]:
    """What the Numba that is imported already uses for the variable NAME; None: not known."""
    config = sys.modules["numba"].config
    value = getattr(config, name[len("NUMBA_"):], None)
    if value is not None or name == "NUMBA_CACHE_DIR":
        return str(value or "")
    try:
        if name == "NUMBA_CPU_NAME":
            return str(importlib.import_module("llvmlite.binding").get_host_cpu_name())
        return str(importlib.import_module("numba.core.codegen").get_host_cpu_features())
    except (ImportError, AttributeError):
        return None


def _check_variable(name: str, value: str) -> None:
    if hasattr(sys.modules.get("numba"), "config"):
        used = _numba_value(name)
        if used is not None and used != value:
            raise Error("numba was imported before the application was activated, with %s=%s; "
                        "its caches need %s" % (name, used or "(not set)", value))
    elif os.environ.get(name, value) != value:
        raise Error("%s is %s here, and the application's caches need %s"
                    % (name, os.environ[name] or "(empty)", value))


def _check_cache_dir(wanted: Optional[str]) -> None:
    """Numba says nothing where it looks in another place than the caches were put into."""
    imported = hasattr(sys.modules.get("numba"), "config")
    used = _numba_value("NUMBA_CACHE_DIR") if imported else os.environ.get("NUMBA_CACHE_DIR")
    used = os.path.abspath(used) if used else None
    if used != wanted:
        raise Error("%sNUMBA_CACHE_DIR is %s, and the application's caches need %s"
                    % ("numba was imported before the application was activated: " if imported
                       else "", used or "(not set)", wanted or "(not set)"))


def _use(record: Dict[str, Any], paths: Sequence[str], cache_dir: Optional[str],
         replace_modules: bool) -> Activation:
    root, settings = record["root"], record["settings"]
    wanted = [os.path.normpath(os.path.join(root, path)) for path in paths]
    with _in_use.lock:
        tree = _in_use.check(root, record["made"], wanted, replace_modules)
        for name, value in settings.items():
            _check_variable(name, value)
        if "NUMBA_CACHE_DIR" not in settings:
            _check_cache_dir(cache_dir)
        os.environ.update(settings)
        _in_use.use(tree, wanted)
    return Activation(root, record["summary"], record["settings"])


def once(key: List[Any], beside: str, put: Callable[[str], Dict[str, Any]]) -> Dict[str, Any]:
    """PUT()'s record, made by the first of all processes that ask with the same KEY and kept in
    files beside the path BESIDE. PUT is told what the record of before called what is there."""
    folder, name = os.path.split(beside)
    stem = os.path.join(folder, "." + name)
    with _locked(stem + ".lock"):
        record = _read_record(stem + ".json")
        if record is None or record.get("key") != key or "made" not in record:
            record = put(record.get("made", "before") if record else "before")
            record["key"] = key
            try:
                _write_record(stem + ".json", record)
            except OSError as error:
                if error.errno not in _READ_ONLY:  # the next process will find out by itself
                    raise
    return record


def _unpacked(source: str, place: str, root: Optional[str], settings: Dict[str, str], cpu: bool,
              before: str, program: Optional[str]) -> Dict[str, Any]:
    """Unpacks the file SOURCE as PLACE, its caches into ROOT or the tree; returns the record."""
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    # What an archive of before had, and this one has not, must not be imported any more.
    words = options(file=source, directory=place, if_needed=True, replace=True, cache_dir=root,
                    layout="cache-dir" if root else "in-tree")
    done = run(["extract", *words], environ, program=program)
    record = _judge(place, root, cpu, program)
    record["settings"].update(settings)
    record["made"] = before if done.get("unchanged") else uuid.uuid4().hex
    return record


def prepare(archive: PathLike, directory: PathLike, *, cache_dir: Optional[PathLike] = None,
            cpu: bool = True, program: Optional[str] = None) -> Dict[str, Any]:
    """The part of activate() that is done once for all processes: the record of the tree."""
    place, given = os.path.abspath(directory), _cache_dir_before()
    root = os.path.abspath(cache_dir) if cache_dir else given
    settings = {"NUMBA_CACHE_DIR": root} if cache_dir and root else {}
    beside = os.path.dirname(place)
    os.makedirs(beside, exist_ok=True)

    def put(source: str, before: str) -> Dict[str, Any]:
        return _unpacked(source, place, root, settings, cpu, before, program)

    if not _url.is_url(archive):
        source = os.path.abspath(os.fsdecode(archive))
        status = os.stat(source)
        key = ["archive", source, status.st_size, status.st_mtime_ns, status.st_ino, root, cpu]
        return once(key, place, lambda before: put(source, before))

    url = os.fsdecode(archive)

    def fetch_and_put(before: str) -> Dict[str, Any]:
        with _url.fetched(url, beside) as file:
            return put(file, before)

    version = _url.version(url)
    if version is not None:
        return once(["url", url, version, root, cpu], place, fetch_and_put)
    with _url.fetched(url, beside) as file:  # only the content itself tells
        key = ["content", url, _url.sha256(file), root, cpu]
        return once(key, place, lambda before: put(file, before))


def activate(archive: PathLike, directory: PathLike, *, paths: Sequence[str] = ("",),
             cache_dir: Optional[PathLike] = None, cpu: bool = True,
             replace_modules: bool = False, program: Optional[str] = None) -> Activation:
    """Unpacks ARCHIVE into DIRECTORY, once for all processes that ask, and makes this one use it.

    ARCHIVE is a path or an fsspec URL; one that has not changed is fetched once. The tree (the
    archive's one top-level directory, or DIRECTORY where there are more or it is a package), or its
    subdirectories PATHS, go to the front of sys.path. What DIRECTORY had under the archive's
    top-level names, such as a release of before, is replaced. Caches go into the tree, or to
    CACHE_DIR or $NUMBA_CACHE_DIR where given. CPU sets NUMBA_CPU_NAME and NUMBA_CPU_FEATURES to
    what the caches were compiled for, where this machine can run that. Numba should not have been
    imported; it is an error (warmpack.Error) if it was, with other settings.

    Where modules of a tree that was activated before would answer for this one's, such as those of
    an earlier release, that is an error that names them. With REPLACE_MODULES they are taken out of
    sys.modules, and this tree's are imported anew; functions that somebody holds are still the old
    ones. Modules that no process can replace (compiled ones, and those that extended Numba's own
    functions) are an error in any case. Activating the earlier tree again brings its modules back.
    """
    record = prepare(archive, directory, cache_dir=cache_dir, cpu=cpu, program=program)
    root = os.path.abspath(cache_dir) if cache_dir else _cache_dir_before()
    return _use(record, paths, root, replace_modules)


def activate_unpacked(directory: PathLike, state: PathLike, *, paths: Sequence[str] = ("",),
                      cpu: bool = True, replace_modules: bool = False,
                      program: Optional[str] = None) -> Activation:
    """The same for a tree that another tool unpacked as DIRECTORY: it is restored once. STATE is
    the path beside which that is recorded."""
    place = os.path.abspath(directory)
    root = _cache_dir_before()
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    def repair(before: str) -> Dict[str, Any]:
        words = options(cache_dir=root, layout="cache-dir" if root else "in-tree")
        run(["restore", *words, "--", place], environ, program=program)
        return {**_judge(place, root, cpu, program), "made": "unpacked-%d" % status.st_ino}

    status = os.stat(place)
    key = ["unpacked", place, status.st_ino, root, cpu]
    return _use(once(key, os.path.abspath(state), repair), paths, root, replace_modules)
