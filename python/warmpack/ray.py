"""Warm caches in the processes of Ray.

As a plug-in for runtime environments, where every node was started with the variable
RAY_RUNTIME_ENV_PLUGINS='[{"class": "warmpack.ray.Plugin"}]':

    ray.init(runtime_env={"warmpack": {"archive": "s3://bucket/app.tgz"}})

and without it, as a hook:

    ray.init(runtime_env={"worker_process_setup_hook": warmpack.ray.hook("/shared/app.tgz")})

An archive is unpacked once a node; each worker and actor imports from it. It is a URL that nodes
can read, a path on a disk that they share, or a path relative to the working_dir of the runtime
environment, which Ray brings. Nodes need this package and the program.
"""

import asyncio
import functools
import hashlib
import importlib
import logging
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from . import _cpu, _places, _url
from ._activate import activate, prepare
from ._program import Error, PathLike

try:
    from ray._private.runtime_env.plugin import (  # type: ignore[import-not-found,unused-ignore]
        RuntimeEnvPlugin,
    )
except ImportError as error:
    raise Error("warmpack.ray needs the Python package ray, which is not installed") from error

__all__ = ["Plugin", "hook"]

# Where Ray has unpacked the working_dir while it sets up an environment.
_WORKING_DIR = "RAY_RUNTIME_ENV_CREATE_WORKING_DIR"
_KEYS = {"archive": str, "paths": list, "cpu": bool, "retarget": bool, "directory": str}


def _settings(given: Any) -> Dict[str, Any]:
    """The field "warmpack" of a runtime environment, checked."""
    settings = {"archive": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping) or not isinstance(settings.get("archive"), str):
        raise ValueError('the runtime environment\'s field "warmpack" is the path or URL of an '
                         'archive, or {"archive": ..., "paths": [...], "cpu": ..., '
                         '"retarget": ..., "directory": ...}, not %r' % (given,))
    for name, value in settings.items():
        if name not in _KEYS:
            raise ValueError('the field "warmpack" has no member %r' % name)
        if value is not None and not isinstance(value, _KEYS[name]):
            raise ValueError('"warmpack": %s is a %s, not %r' % (name, _KEYS[name].__name__, value))
    return dict(settings)


def _directory(settings: Mapping[str, Any]) -> str:
    return _places.own_directory(settings.get("directory") or tempfile.gettempdir())


def _file(archive: str, working_dir: Optional[str]) -> str:
    path = os.path.join(working_dir or os.getcwd(), archive)
    if not os.path.isfile(path):
        raise Error("%s: there is no such archive on this node" % path)
    return path


def _sha256(*words: Any) -> str:
    text = "\n".join(map(str, words))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(archive: str, working_dir_uri: Any = None) -> str:
    """Of the content, or of what a store, or Ray for its working_dir, knows it by."""
    if _url.is_url(archive):
        return _sha256(archive, _url.version(archive))
    if working_dir_uri and not os.path.isabs(archive):
        return _sha256(working_dir_uri, archive)
    return _url.sha256(_file(archive, None))


def _source(archive: str, working_dir: Optional[str]) -> str:
    return archive if _url.is_url(archive) else _file(archive, working_dir)


def _place(archive: str, digest: str, directory: str) -> str:
    name = _url.name_of(archive) if _url.is_url(archive) else os.path.basename(archive)
    return os.path.join(directory, _places.named_by_content(name, digest) + ".d")


def _size(path: str) -> int:
    return sum(os.lstat(os.path.join(folder, name)).st_size
               for folder, _, names in os.walk(path) for name in names)


class Plugin(RuntimeEnvPlugin):  # type: ignore[misc,unused-ignore]
    """The field "warmpack" of runtime environments: the path or URL of an archive, or a dictionary
    with "archive" and, if wanted, "paths" (directories of the tree for sys.path), "cpu" (false:
    NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are not set), "retarget" (false: code for other CPUs than
    a node's is left as it is) and "directory" (where nodes unpack, by default in their temporary
    directory).

    What is unpacked is known by its content and kept by Ray's own cache, whose size
    RAY_RUNTIME_ENV_WARMPACK_CACHE_SIZE_GB sets. Ray looks no second time while an environment of
    the same text is in use: in a job that runs, a new release needs a name of its own.
    """

    name = "warmpack"

    @staticmethod
    def validate(runtime_env_dict: Any) -> None:
        """Raises ValueError where the field is not as it should be."""
        _settings(runtime_env_dict["warmpack"])

    def get_uris(self, runtime_env: Any) -> List[str]:
        """One, by content: "warmpack://PLACE", where it is unpacked; none where the field is not,
        of which Ray asks as well."""
        # Ray tells its user of errors of validate() and create() alone, which will meet the same.
        try:
            settings = _settings(runtime_env.get("warmpack"))
        except ValueError:
            return []
        archive = settings["archive"]
        try:
            digest = _digest(archive, runtime_env.get("working_dir"))
        except (Error, OSError):
            digest = _sha256(archive)
        return ["warmpack://" + _place(archive, digest, _directory(settings))]

    def _record(self, uri: str, runtime_env: Any) -> Dict[str, Any]:
        settings = _settings(runtime_env["warmpack"])
        source = _source(settings["archive"], os.environ.get(_WORKING_DIR))
        given = runtime_env.get("env_vars") or {}
        retarget = settings.get("retarget") is not False and not set(_cpu.VARIABLES) & set(given)
        return prepare(source, uri[len("warmpack://"):], cpu=settings.get("cpu") is not False,
                       retarget=retarget)

    async def create(self, uri: Optional[str], runtime_env: Any, context: Any,
                     logger: logging.Logger) -> float:
        """Unpacks; returns the size on disk in bytes. Raises warmpack.Error."""
        assert uri is not None
        record = functools.partial(self._record, uri, runtime_env)
        await asyncio.get_running_loop().run_in_executor(None, record)
        return float(_size(uri[len("warmpack://"):]))

    def modify_context(self, uris: List[str], runtime_env: Any, context: Any,
                       logger: logging.Logger) -> None:
        """Lets processes start with what the caches need. Raises warmpack.Error where the
        environment's own variables say something else."""
        (uri,) = uris
        record = self._record(uri, runtime_env)
        for name, value in record["settings"].items():
            if context.env_vars.setdefault(name, value) != value:
                raise Error("the runtime environment sets %s to %s, and the application's caches "
                            "need %s" % (name, context.env_vars[name] or "(empty)", value))
        paths = [os.path.normpath(os.path.join(record["root"], path))
                 for path in _settings(runtime_env["warmpack"]).get("paths") or ("",)]
        before = context.env_vars.get("PYTHONPATH") or os.environ.get("PYTHONPATH")
        context.env_vars["PYTHONPATH"] = os.pathsep.join(paths + ([before] if before else []))

    def delete_uri(self, uri: str, logger: logging.Logger) -> float:
        """Removes what was unpacked; returns its size in bytes."""
        place = uri[len("warmpack://"):]
        folder, name = os.path.split(place)
        size = _size(place)
        shutil.rmtree(place, ignore_errors=True)
        for suffix in (".json", ".lock"):
            try:
                os.unlink(os.path.join(folder, "." + name + suffix))
            except FileNotFoundError:
                pass
        return float(size)


def _export() -> None:
    """Keeps gauges of Ray, which its nodes export for Prometheus, at what is counted."""
    from . import explaining, metrics  # which begin to count

    gauge = importlib.import_module("ray.util.metrics").Gauge
    gauges = {name: gauge("warmpack_" + name, "of Numba in this process: see warmpack.stats()")
              for name in metrics.stats()}

    def tell() -> None:
        for name, value in metrics.stats().items():
            gauges[name].set(value)

    explaining.on_change(tell)


def hook(archive: PathLike, *, paths: Sequence[str] = ("",), cpu: bool = True,
         retarget: bool = True, directory: Optional[PathLike] = None) -> Callable[[], None]:
    """A worker_process_setup_hook that activates ARCHIVE in each process before its first task.

    PATHS, CPU and RETARGET are those of warmpack.activate(). It is unpacked once a node, in
    DIRECTORY, by default the temporary one, and stays there. On a node that cannot, Ray fails the
    process with the warmpack.Error.
    """
    source = os.fsdecode(archive)
    where = {"directory": os.fsdecode(directory)} if directory is not None else {}
    path_list = tuple(paths)

    def activate_archive() -> None:
        place = _place(source, _digest(source), _directory(where))
        activate(_source(source, None), place, paths=path_list, cpu=cpu, retarget=retarget,
                 replace_modules=True)
        _export()

    return activate_archive
