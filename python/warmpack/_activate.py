"""Unpacking an archive once for many processes, and making this one use it."""

import contextlib
import errno
import fcntl
import glob
import json
import logging
import os
import sys
import uuid
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from . import _cpu, _ranges, _url
from ._locks import lock
from ._process import Activation, cache_dir_before, use
from ._program import Error, PathLike, options, run
from ._root import root_of

__all__ = ["Activation", "activate", "activate_unpacked", "prepare"]

_log = logging.getLogger("warmpack")


class _Wish(NamedTuple):
    """How the CPU that caches were compiled for is dealt with, and by which program."""

    cpu: bool
    retarget: bool
    program: Optional[str]

    def key(self) -> List[Any]:
        return [self.cpu, self.retarget]


def _wish(cpu: bool, retarget: bool, program: Optional[str]) -> _Wish:
    return _Wish(cpu, retarget and _cpu.can_retarget(), program)


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
            lock(fd, how)
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def _read_record(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return record if isinstance(record, dict) and os.path.isdir(record.get("root", "")) else None


def _write_record(path: str, record: Dict[str, Any]) -> None:
    temporary = "%s.%d" % (path, os.getpid())
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(temporary, path)


def _warn_of_other_versions(indexes: Sequence[Dict[str, Any]]) -> None:
    """Numba recompiles without a word where it or Python is another one."""
    numba, python = _cpu.numba_version(), _cpu.python_tag()
    if numba is None:
        _log.warning("there is no Numba for %s", sys.executable)
        return
    others = [i for i in indexes if i.get("numba") not in (None, numba)
              or i.get("python") not in (None, python)]
    if others:
        _log.warning("%d of %d cache indexes were made by another version, such as Numba %s for "
                     "Python %s; here are %s and %s", len(others), len(indexes),
                     others[0].get("numba"), others[0].get("python"), numba, python)


def _judge(directory: str, cache_dir: Optional[str], wish: _Wish,
           is_retargeted: bool) -> Dict[str, Any]:
    """The record of a tree that is in place: where it is, its indexes, and what to set."""
    words = options(cache_dir=cache_dir)
    verdict = run(["verify", *words, "--", directory], program=wish.program)
    summary, indexes = verdict["summary"], verdict["indexes"]
    settings = _cpu.settings_for(indexes) if wish.cpu and not is_retargeted else {}
    if summary.get("unsafe-cpu"):
        _log.warning("%d of %d cache indexes hold code that this machine's CPU cannot run; Numba "
                     "will compile it again", summary["unsafe-cpu"], summary["total"])
        settings = {}
    _warn_of_other_versions(indexes)
    folders = {os.path.dirname(os.path.join(directory, index["index"])) for index in indexes}
    return {"root": root_of(directory, indexes), "summary": summary, "settings": settings,
            "retargeted": is_retargeted, "here": _cpu.here(), "caches": sorted(folders)}


def _set_keys(place: str, root: Optional[str], wish: _Wish, is_old: bool) -> bool:
    """Are all keys in PLACE, which may have been there before, this machine's own afterwards?"""
    words = options(cache_dir=root)
    if wish.retarget:
        return _cpu.retarget(place, words, wish.program)
    if is_old:
        _cpu.undo_retarget(place, words, wish.program)
    return False


def once(key: List[Any], beside: str, put: Callable[[str], Dict[str, Any]]) -> Dict[str, Any]:
    """PUT()'s record, made by the first of all processes that ask with the same KEY and kept in
    files beside the path BESIDE. PUT is told what the record of before called what is there."""
    folder, name = os.path.split(beside)
    stem = os.path.join(folder, "." + name)
    with _locked(stem + ".lock"):
        record = _read_record(stem + ".json")
        if record is None or record.get("key") != key or "caches" not in record:
            record = put(record.get("made", "before") if record else "before")
            record["key"] = key
            try:
                _write_record(stem + ".json", record)
            except OSError as error:
                if error.errno not in _READ_ONLY:  # the next process will find out by itself
                    raise
    return record


def _words(place: str, root: Optional[str]) -> List[str]:
    """How it is unpacked: what an archive of before had, and this one has not, must not be imported
    any more."""
    return options(directory=place, if_needed=True, replace=True, cache_dir=root,
                   layout="cache-dir" if root else "in-tree")


def _unpacked(source: str, place: str, root: Optional[str], settings: Dict[str, str], wish: _Wish,
              before: str) -> Dict[str, Any]:
    """Unpacks the file SOURCE as PLACE, its caches into ROOT or the tree; returns the record."""
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = run(["extract", *_words(place, root), *options(file=source)], environ,
               program=wish.program)
    record = _judge(place, root, wish, _set_keys(place, root, wish, bool(done.get("unchanged"))))
    record["settings"].update(settings)
    record["made"] = before if done.get("unchanged") else uuid.uuid4().hex
    return record


def prepare(archive: PathLike, directory: PathLike, *, cache_dir: Optional[PathLike] = None,
            cpu: bool = True, retarget: bool = True,
            program: Optional[str] = None) -> Dict[str, Any]:
    """The part of activate() that is done once for all processes: the record of the tree."""
    place, given = os.path.abspath(directory), cache_dir_before()
    wish = _wish(cpu, retarget, program)
    root = os.path.abspath(cache_dir) if cache_dir else given
    settings = {"NUMBA_CACHE_DIR": root} if cache_dir and root else {}
    beside = os.path.dirname(place)
    os.makedirs(beside, exist_ok=True)

    def put(source: str, before: str) -> Dict[str, Any]:
        return _unpacked(source, place, root, settings, wish, before)

    if not _url.is_url(archive):
        source = os.path.abspath(os.fsdecode(archive))
        index = os.path.join(source, "index.json")  # of a layout that is a directory
        status = os.stat(index if os.path.isdir(source) else source)
        key = ["archive", source, status.st_size, status.st_mtime_ns, status.st_ino, root, *wish.key()]
        return once(key, place, lambda before: put(source, before))

    url = os.fsdecode(archive)

    def fetch_and_put(before: str) -> Dict[str, Any]:
        return _ranges.with_needed(url, _words(place, root), lambda file: put(file, before),
                                   beside=beside, program=wish.program)

    version = _url.version(url)
    if version is not None:
        return once(["url", url, version, root, *wish.key()], place, fetch_and_put)
    with _url.fetched(url, beside) as file:  # only the content itself tells
        key = ["content", url, _url.sha256(file), root, *wish.key()]
        return once(key, place, lambda before: put(file, before))


def _has_manifest(directory: str) -> bool:
    return any(glob.glob(os.path.join(glob.escape(directory), *below, ".warmpack", "*",
                                      "manifest.jsonl")) for below in ((), ("*",)))


def _in_place(place: str, wish: _Wish) -> Dict[str, Any]:
    """The record of a tree that stays as it is: its caches are taken by the locator."""
    if not _has_manifest(place):
        raise Error("%s: has no manifest: `warmpack seal` writes one into a warm tree" % place)
    record = _judge(place, None, wish, wish.retarget)
    status = os.stat(place)
    record.update(in_place=True, made="in-place-%d-%d" % (status.st_ino, status.st_mtime_ns))
    return record


def activate(archive: PathLike, directory: Optional[PathLike] = None, *,
             paths: Sequence[str] = ("",), cache_dir: Optional[PathLike] = None, cpu: bool = True,
             retarget: bool = True, replace_modules: bool = False,
             program: Optional[str] = None) -> Activation:
    """Unpacks ARCHIVE into DIRECTORY, once for all processes that ask, and makes this one use it.

    ARCHIVE is a path or an fsspec URL; one that has not changed is fetched once. The tree (the
    archive's one top-level directory, or DIRECTORY where there are more or it is a package), or its
    subdirectories PATHS, go to the front of sys.path. What DIRECTORY had under the archive's
    top-level names, such as a release of before, is replaced. Caches go into the tree, or to
    CACHE_DIR or $NUMBA_CACHE_DIR where given. Numba should not have been imported; it is an error
    (warmpack.Error) if it was, with other settings.

    ARCHIVE can also be a directory with its manifest in it, sealed or unpacked by anything: then
    there is no DIRECTORY, nothing is written, and Numba is given its caches by warmpack.locator.
    The same is done where an unpacked tree is for Numba to read, but not to write to.

    RETARGET makes code that was compiled for another CPU load here with no settings, where this
    machine can run it and neither NUMBA_CPU_NAME nor NUMBA_CPU_FEATURES is set. Where that is not
    to be, CPU sets these two to what the caches were compiled for, if this machine can run that.

    Where modules of a tree that was activated before would answer for this one's, such as those of
    an earlier release, that is an error that names them. With REPLACE_MODULES they are taken out of
    sys.modules, and this tree's are imported anew; functions that somebody holds are still the old
    ones. Modules that no process can replace (compiled ones, and those that extended Numba's own
    functions) are an error in any case. Activating the earlier tree again brings its modules back.
    """
    root = os.path.abspath(cache_dir) if cache_dir else cache_dir_before()
    if directory is None:
        if _url.is_url(archive) or not os.path.isdir(archive):
            raise Error("%s: say into which directory it is to be unpacked" % os.fsdecode(archive))
        record = _in_place(os.path.abspath(os.fsdecode(archive)), _wish(cpu, retarget, program))
    else:
        record = prepare(archive, directory, cache_dir=cache_dir, cpu=cpu, retarget=retarget,
                         program=program)
    return use(record, paths, root, replace_modules)


def activate_unpacked(directory: PathLike, state: PathLike, *, paths: Sequence[str] = ("",),
                      cpu: bool = True, retarget: bool = True, replace_modules: bool = False,
                      program: Optional[str] = None) -> Activation:
    """The same for a tree that another tool unpacked as DIRECTORY: it is restored once, where it
    can be written to. STATE is the path beside which that is recorded."""
    place = os.path.abspath(directory)
    root, wish = cache_dir_before(), _wish(cpu, retarget, program)
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    def repair(before: str) -> Dict[str, Any]:
        words = options(cache_dir=root, layout="cache-dir" if root else "in-tree")
        run(["restore", *words, "--", place], environ, program=program)
        record = _judge(place, root, wish, _set_keys(place, root, wish, True))
        return {**record, "made": "unpacked-%d" % status.st_ino}

    status = os.stat(place)
    if not os.access(place, os.W_OK) and _has_manifest(place):
        return use(_in_place(place, wish), paths, root, replace_modules)
    key = ["unpacked", place, status.st_ino, root, *wish.key()]
    return use(once(key, os.path.abspath(state), repair), paths, root, replace_modules)
