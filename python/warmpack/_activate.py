"""Unpacking an archive once for many processes, and making this one use it."""

import contextlib
import errno
import fcntl
import importlib
import json
import logging
import os
import sys
import threading
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from ._program import Error, PathLike, options, run

_log = logging.getLogger("warmpack")

# What the environment said before any activation changed it: where caches go must not depend on
# which of two applications a process activates first.
_given_cache_dir: Optional[str] = None
_given_known = False
_using = threading.Lock()


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


def _root(directory: str) -> str:
    """The tree in DIRECTORY: its one directory, or itself where there are several or where the one
    is a package."""
    # Names that begin with a dot are the manifest's, caches', or of tools.
    names = [name for name in os.listdir(directory) if not name.startswith(".")]
    if len(names) != 1:
        return directory
    top = os.path.join(directory, names[0])
    package = os.path.exists(os.path.join(top, "__init__.py"))
    return top if os.path.isdir(top) and not package else directory


def _cpu_settings(indexes: Sequence[Dict[str, Any]]) -> Dict[str, str]:
    """What makes the caches load; nothing where there are none, or for more than one CPU."""
    cpus = {(overload.get("cpu"), overload.get("features"))
            for index in indexes for overload in index.get("overloads", ())
            if "target" not in overload}
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
    return {"root": _root(directory), "summary": summary, "settings": settings}


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


def _use(record: Dict[str, Any], paths: Sequence[str], cache_dir: Optional[str]) -> Activation:
    root, settings = record["root"], record["settings"]
    wanted = [os.path.normpath(os.path.join(root, path)) for path in paths]
    with _using:  # threads may activate several
        for name, value in settings.items():
            _check_variable(name, value)
        if "NUMBA_CACHE_DIR" not in settings:
            _check_cache_dir(cache_dir)
        os.environ.update(settings)
        sys.path[:] = wanted + [path for path in sys.path if path not in wanted]
        importlib.invalidate_caches()
    return Activation(root, record["summary"], record["settings"])


def once(key: List[Any], beside: str, put: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    """PUT()'s record, made by the first of all processes that ask with the same KEY and kept in
    files beside the path BESIDE."""
    folder, name = os.path.split(beside)
    stem = os.path.join(folder, "." + name)
    with _locked(stem + ".lock"):
        record = _read_record(stem + ".json")
        if record is None or record.get("key") != key:
            record = put()
            record["key"] = key
            try:
                _write_record(stem + ".json", record)
            except OSError as error:
                if error.errno not in _READ_ONLY:  # the next process will find out by itself
                    raise
    return record


def activate(archive: PathLike, directory: PathLike, *, paths: Sequence[str] = ("",),
             cache_dir: Optional[PathLike] = None, cpu: bool = True,
             program: Optional[str] = None) -> Activation:
    """Unpacks ARCHIVE into DIRECTORY, once for all processes that ask, and makes this one use it.

    The tree (the archive's one top-level directory, or DIRECTORY where there are more or it is a
    package), or its subdirectories PATHS, go to the front of sys.path. What DIRECTORY had under the
    archive's top-level names, such as a release of before, is replaced. Caches go into the tree, or
    to CACHE_DIR or $NUMBA_CACHE_DIR where given. CPU sets NUMBA_CPU_NAME and NUMBA_CPU_FEATURES to
    what the caches were compiled for, where this machine can run that. Numba should not have been
    imported; it is an error if it was, with other settings.
    """
    archive, directory = os.path.abspath(archive), os.path.abspath(directory)
    given = _cache_dir_before()
    root = os.path.abspath(cache_dir) if cache_dir else given
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    def unpack() -> Dict[str, Any]:
        # What an archive of before had, and this one has not, must not be imported any more.
        words = options(file=archive, directory=directory, if_needed=True, replace=True,
                        cache_dir=root, layout="cache-dir" if root else "in-tree")
        run(["extract", *words], environ, program=program)
        record = _judge(directory, root, cpu, program)
        if cache_dir:
            record["settings"]["NUMBA_CACHE_DIR"] = root
        return record

    os.makedirs(os.path.dirname(directory), exist_ok=True)
    status = os.stat(archive)
    key = ["archive", archive, status.st_size, status.st_mtime_ns, status.st_ino, root, cpu]
    return _use(once(key, directory, unpack), paths, root)


def activate_unpacked(directory: PathLike, state: PathLike, *, paths: Sequence[str] = ("",),
                      cpu: bool = True, program: Optional[str] = None) -> Activation:
    """The same for a tree that another tool unpacked as DIRECTORY: it is restored once. STATE is
    the path beside which that is recorded."""
    directory = os.path.abspath(directory)
    root = _cache_dir_before()
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    def repair() -> Dict[str, Any]:
        words = options(cache_dir=root, layout="cache-dir" if root else "in-tree")
        run(["restore", *words, "--", directory], environ, program=program)
        return _judge(directory, root, cpu, program)

    status = os.stat(directory)
    key = ["unpacked", directory, status.st_ino, root, cpu]
    return _use(once(key, os.path.abspath(state), repair), paths, root)
