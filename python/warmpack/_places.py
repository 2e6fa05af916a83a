"""Where archives are unpacked on machines that run other people's tasks."""

import hashlib
import os
import stat
from typing import Optional, Tuple

from . import _url
from ._program import Error
from ._scratch import scratch


def is_there(path: str) -> bool:
    """Whether anything is; an error is no absence, and is raised."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def own_directory(parent: str) -> str:
    """A directory in PARENT that is this user's alone: what is activated from it is run."""
    path = os.path.join(os.path.abspath(parent), "warmpack-%d" % os.geteuid())
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise Error("%s: not a directory that only this user may write to" % path)
    return path


def split_suffix(name: str) -> Tuple[str, str]:
    """("app", ".tar.zst") of "app.tar.zst"."""
    stem, suffix = os.path.splitext(name)
    if stem.endswith(".tar"):
        stem, suffix = stem[:-4], ".tar" + suffix
    return stem, suffix


def named_by_content(name: str, digest: str) -> str:
    stem, suffix = split_suffix(name)
    return "%s-%s%s" % (stem, digest[:16], suffix)


def keep(data: bytes, directory: str, name: str) -> str:
    """Writes DATA, an archive that NAME names by its content, into DIRECTORY if it is not there;
    returns its path."""
    path = os.path.join(directory, name)
    if not is_there(path):
        with scratch(directory) as folder:
            temporary = os.path.join(folder, name)
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
    return path


def place_of(url: str, directory: str, version: Optional[str]) -> str:
    """Where in DIRECTORY the content of URL is unpacked: another version elsewhere, since processes
    may use the one of before."""
    digest = hashlib.sha256(("%s\n%s" % (url, version)).encode("utf-8", "surrogateescape"))
    return os.path.join(directory, named_by_content(_url.name_of(url), digest.hexdigest()) + ".d")
