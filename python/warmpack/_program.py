"""Finding the program, running it, and what it says when it fails."""

import base64
import contextlib
import ctypes
import errno
import json
import logging
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

if TYPE_CHECKING:
    PathLike = Union[str, os.PathLike[str]]
else:  # Python 3.8 has no os.PathLike[str].
    PathLike = Union[str, os.PathLike]

_log = logging.getLogger("warmpack")


class Error(Exception):
    """What the program refused or could not do; str() is the line that it printed.

    status is its exit status, or minus the number of the signal that ended it; None where it was
    not run.
    """

    def __init__(self, message: str, status: Optional[int] = None) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message


def _beside_package() -> Optional[str]:
    """The program that was installed with this package, in its folder bin."""
    import warmpack

    for folder in warmpack.__path__:
        path = os.path.join(folder, "bin", "warmpack")
        if os.path.isfile(path):
            return path
    return None


def _is_front(path: str) -> bool:
    """Is it the script that pip makes of this package, which looks for the program itself?"""
    try:
        with open(path, "rb") as file:
            return b"warmpack.__main__" in file.read(1024)
    except OSError:
        return False


def _on_path() -> Optional[str]:
    for folder in os.get_exec_path():
        path = shutil.which("warmpack", path=folder) if folder else None
        if path and not _is_front(path):
            return path
    return None


def find_program() -> str:
    """The path of the program: $WARMPACK, else the one beside this package, else by PATH."""
    named = os.environ.get("WARMPACK")
    if named:
        path = shutil.which(named) or named
        if not os.path.isfile(path):
            raise Error("%s: there is no such program (from WARMPACK)" % named)
        # The script of this package would come back here for ever.
        if not _is_front(path):
            return os.path.abspath(path)
    found = _beside_package() or _on_path()
    if not found:
        raise Error("the program warmpack was found neither beside the Python package nor by "
                    "PATH; install it, or set WARMPACK to its path")
    return os.path.abspath(found)


_MFD_CLOEXEC, _MFD_EXEC = 1, 0x10


def _memory_file(flags: int) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("warmpack", flags)
    # Such as conda's Python, which is built for a C library that does not have it.
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "memfd_create"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fd: int = libc.memfd_create(b"warmpack", ctypes.c_uint(flags))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def _copy_in_memory(path: str) -> int:
    """A descriptor of a copy of PATH that no mount option keeps from being executed."""
    try:
        # Where vm.memfd_noexec is set, only who asks may execute it.
        fd = _memory_file(_MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd = _memory_file(_MFD_CLOEXEC)  # Linux before 6.3
    try:
        with open(path, "rb") as program, open(fd, "wb", closefd=False) as copy:
            shutil.copyfileobj(program, copy, 1 << 20)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def arguments_of(program: str, inherit: bool = False) -> Iterator[str]:
    """A path by which PROGRAM can be executed while the context lasts.

    That is PROGRAM, or a copy in memory where it lies on a filesystem mounted noexec, or lost its
    execute permission on the way. INHERIT: for execv, which keeps this process's descriptors.
    """
    if os.access(program, os.X_OK):
        # The answer counts mount options on Linux, not only modes.
        yield program
        return
    fd = _copy_in_memory(program)
    try:
        os.set_inheritable(fd, inherit)
        yield "/proc/self/fd/%d" % fd
    finally:
        os.close(fd)


def _spawn(program: str, words: Sequence[str], env: Optional[Mapping[str, str]],
           cwd: Optional[PathLike]) -> "subprocess.CompletedProcess[bytes]":
    with arguments_of(program) as path:
        # Only what lies in memory is handed on by its descriptor.
        fds = [int(os.path.basename(path))] if path.startswith("/proc/self/fd/") else []
        return subprocess.run(["warmpack", *words], executable=path, pass_fds=fds,
                              env=dict(env) if env is not None else None, cwd=cwd,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)


_PREFIX = "warmpack: "


def _lines(stderr: bytes) -> List[str]:
    return [line for line in stderr.decode("utf-8", "backslashreplace").splitlines() if line]


def _without_prefix(lines: List[str]) -> str:
    return "\n".join(line[len(_PREFIX):] if line.startswith(_PREFIX) else line for line in lines)


def _with_names(document: Dict[str, Any]) -> Dict[str, Any]:
    """Text that is not UTF-8 under its own key, as os.fsdecode() gives it, in place of base64."""
    ending = "_base64"
    for key in [key for key in document if key.endswith(ending)]:
        document[key[:-len(ending)]] = os.fsdecode(base64.b64decode(document.pop(key)))
    return document


def run(words: Sequence[str], env: Optional[Mapping[str, str]] = None,
        cwd: Optional[PathLike] = None, program: Optional[str] = None,
        any_status: bool = False) -> Dict[str, Any]:
    """Runs the program with WORDS and --json, and returns its document.

    Statuses 0 and 1 are answers; any other raises Error, but with ANY_STATUS where there is a
    document: then it is that of a command. What it warned of goes to the logger
    "warmpack".
    """
    program = program or find_program()
    words = [words[0], "--json", "--progress=never", *words[1:]]
    try:
        done = _spawn(program, words, env, cwd)
    except OSError as error:
        raise Error("%s: cannot be run: %s" % (program, error.strerror)) from error
    said = _lines(done.stderr)
    if done.returncode not in (0, 1) and not (any_status and done.stdout):
        raise Error(_without_prefix(said) or "%s ended with status %d" % (program, done.returncode),
                    done.returncode)
    document: Dict[str, Any]
    try:
        document = json.loads(done.stdout.decode("utf-8"), object_hook=_with_names)
    except ValueError as error:
        raise Error(_without_prefix(said) or "%s printed no JSON document" % program,
                    done.returncode) from error
    for line in said:
        # Without the prefix it is the summary, which the document has, too.
        if line.startswith(_PREFIX):
            _log.warning("%s", line[len(_PREFIX):])
    return document


def options(**values: Any) -> List[str]:
    """Options in the program's spelling: cache_dir="x" is --cache-dir=x, True a flag, None and
    False nothing, a list or tuple one for each item."""
    words = []
    for name, value in values.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
            continue
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, (bytes, os.PathLike)):
                item = os.fsdecode(item)
            words.append("%s=%s" % (option, item))
    return words
