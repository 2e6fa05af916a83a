"""Archives by URL: s3://, gs://, hdfs://, https:// and whatever else fsspec knows.

The program reads and writes files alone; here what a URL names is fetched into a file, or sent from
one. Who may read it, and where a store is, is a matter of fsspec's own configuration: variables
such as FSSPEC_S3_ENDPOINT_URL and AWS_PROFILE, and the files in ~/.config/fsspec.
"""

import contextlib
import hashlib
import importlib
import os
import re
from typing import Any, Iterator, Optional, Tuple, Type

from . import _layouts
from ._program import Error, PathLike
from ._scratch import scratch

# "s3://bucket/app.tgz", and fsspec's chains: "simplecache::s3://bucket/app.tgz".
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")

# What stores say that changes with the content, by any of their names.
_VERSIONS = ("ETag", "etag", "e_tag", "VersionId", "version_id", "generation", "md5Hash",
             "Content-MD5", "checksum", "LastModified", "Last-Modified", "last_modified", "mtime",
             "modified", "updated", "created")


def is_url(name: PathLike) -> bool:
    return bool(_URL.match(os.fsdecode(name)))


def name_of(url: str) -> str:
    """The last part of its path: "app.tgz"."""
    return re.split(r"[?#]", url)[0].rstrip("/").rpartition("/")[2] or "archive"


def filesystem_of(url: str) -> Tuple[Any, str]:
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise Error("%s: to read and write URLs, the Python package fsspec must be installed"
                    % url) from error
    with telling(url):  # some connect at once
        filesystem, path = core.url_to_fs(url)
    return filesystem, str(path)


def _is_absence(error: Exception) -> bool:
    """Web servers' other answers, and having none, are called an absence by fsspec, too."""
    cause = error.__cause__
    is_other = (getattr(cause, "status", 404) != 404
                or isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError))
    return isinstance(error, FileNotFoundError) and not is_other


@contextlib.contextmanager
def telling(url: str, *others: Type[Exception]) -> Iterator[None]:
    """Errors of any store as ours, which name the URL; those of the kinds OTHERS pass."""
    try:
        yield
    except Exception as error:  # Each store has exceptions of its own.
        if isinstance(error, (Error, *others)):
            raise
        if _is_absence(error):
            raise Error("%s: there is no such archive" % url) from error
        cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
        said = " ".join(str(cause or error).split())  # in one line
        raise Error("%s: %s" % (url, said or type(error).__name__)) from error


@contextlib.contextmanager
def _named(url: str, file: str) -> Iterator[None]:
    """What is wrong with FILE, which goes, is told of URL."""
    try:
        yield
    except Error as error:
        raise Error(error.message.replace(file, url), error.status) from error


def version(url: str) -> Optional[str]:
    """What the store says of the content's version, without reading it; None where it says
    nothing."""
    filesystem, path = filesystem_of(url)
    with telling(url):
        filesystem.invalidate_cache()  # of a process that lives long
        if _layouts.is_layout(filesystem, path):
            path = path.rstrip("/") + "/" + _layouts.INDEX  # which names the rest by its content
        info = filesystem.info(path)
    told = ["%s=%s" % (name, info[name]) for name in _VERSIONS if info.get(name)]
    return "; ".join([*told, "size=%s" % info.get("size")]) if told else None


@contextlib.contextmanager
def fetched(url: str, beside: Optional[str] = None, all_layers: bool = False) -> Iterator[str]:
    """A file with what URL names, in a directory of its own in BESIDE, while the context lasts; of
    an image's layout, a directory with ALL_LAYERS or those that are warmpack's."""
    filesystem, path = filesystem_of(url)
    with scratch(beside) as folder:
        file = os.path.join(folder, name_of(url))
        with telling(url):
            if _layouts.is_layout(filesystem, path):
                _layouts.fetch(filesystem, path, file, all_layers)
            else:
                filesystem.get_file(path, file)
        with _named(url, file):
            yield file


@contextlib.contextmanager
def local(archive: Optional[PathLike], all_layers: bool = False) -> Iterator[Optional[PathLike]]:
    """ARCHIVE itself, or a file with what it names where it is a URL."""
    if archive is None or not is_url(archive):
        yield archive
        return
    with fetched(os.fsdecode(archive), all_layers=all_layers) as file:
        yield file


@contextlib.contextmanager
def local_base(base: Optional[PathLike]) -> Iterator[Optional[PathLike]]:
    """The same of LAYOUT[:REF]."""
    url, colon, ref = os.fsdecode(base or "").rpartition(":")
    if "/" in ref or not is_url(url):
        url, colon, ref = os.fsdecode(base or ""), "", ""
    with local(url, all_layers=True) as file:
        yield os.fsdecode(file or "") + colon + ref if is_url(url) else base


@contextlib.contextmanager
def written(archive: PathLike) -> Iterator[PathLike]:
    """Where to write ARCHIVE: itself, or a file that goes to its URL when the context ends well."""
    if not is_url(archive):
        yield archive
        return
    url = os.fsdecode(archive)
    filesystem, path = filesystem_of(url)
    with scratch() as folder:
        file = os.path.join(folder, name_of(url))
        with _named(url, file):
            yield file
        with telling(url):
            if os.path.isdir(file):
                _layouts.send(file, filesystem, path)
            elif os.path.exists(file):  # amend may have nothing to write
                filesystem.put_file(file, path)


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(os.path.join(path, _layouts.INDEX) if os.path.isdir(path) else path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
