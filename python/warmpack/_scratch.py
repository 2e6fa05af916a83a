"""Directories for a moment, which do not stay behind processes that are killed."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from typing import Iterator, Optional

from ._locks import lock

_NEW, _LOCKED, _LOCK = ".warmpack-new-", ".warmpack-scratch-", "/.warmpack-lock"


def _sweep(parent: str) -> None:
    """Removes what this user's processes that are gone have left. The lock goes with the rest: where
    there is none, another is removing it, or died of that."""
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        if not name.startswith(_LOCKED):
            continue
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
                continue
            with contextlib.ExitStack() as stack:
                with contextlib.suppress(FileNotFoundError):
                    fd = os.open(path + _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                    stack.callback(os.close, fd)
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def scratch(parent: Optional[str] = None) -> Iterator[str]:
    """A directory in PARENT, by default the temporary one, while the context lasts."""
    parent = parent or tempfile.gettempdir()
    with contextlib.suppress(OSError):  # what may not be listed is not swept
        _sweep(parent)
    path, fd = tempfile.mkdtemp(prefix=_NEW, dir=parent), -1
    try:
        fd = os.open(path + _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        lock(fd)
        locked = os.path.join(parent, _LOCKED + os.path.basename(path)[len(_NEW):])
        os.rename(path, locked)
        path = locked
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if fd >= 0:
            os.close(fd)
