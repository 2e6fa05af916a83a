"""Warm caches on the workers of Dask.

    warm = warmpack.dask.Warm("app.tgz")      # or a URL: "s3://bucket/app.tgz"
    client.register_plugin(warm.nanny)        # for processes that start later
    client.register_plugin(warm)              # for those that run

Each worker, also one that joins later, unpacks the archive once a machine and imports from it.
Workers need this package and the program, which their image must bring.
"""

import asyncio
import concurrent.futures
import functools
import hashlib
import os
from typing import Any, Callable, Dict, Optional, Sequence

from . import _places, _url
from ._activate import Activation, activate, prepare
from ._program import Error, PathLike

try:
    from distributed.diagnostics.plugin import (  # type: ignore[import-not-found,unused-ignore]
        NannyPlugin,
        WorkerPlugin,
    )
except ImportError as error:
    raise Error("warmpack.dask needs the Python package distributed, which is not installed"
                ) from error

__all__ = ["Warm", "WarmNanny"]


class _Archive:
    """What is sent: the URL, or the bytes of an archive and their name."""

    def __init__(self, archive: PathLike) -> None:
        self.url: Optional[str] = None
        self.data = b""
        if _url.is_url(archive):
            self.url = os.fsdecode(archive)
            digest = hashlib.sha256(self.url.encode("utf-8", "surrogateescape")).hexdigest()
            self.name = _places.named_by_content(_url.name_of(self.url), digest)
            return
        with open(archive, "rb") as file:
            self.data = file.read()
        self.name = _places.named_by_content(os.path.basename(os.fsdecode(archive)),
                                             hashlib.sha256(self.data).hexdigest())

    def put(self, call: Callable[..., Any], directory: str) -> Any:
        """CALL(archive, place) for this one on a machine, both in DIRECTORY."""
        if self.url is None:
            path = _places.keep(self.data, directory, self.name)
            return call(path, path + ".d")
        place = _places.place_of(self.url, directory, _url.version(self.url))
        return call(self.url, place)


# Dask sets up all plug-ins of a new worker at once: one after the other, the last remains in front.
_thread = concurrent.futures.ThreadPoolExecutor(1, "warmpack")


async def _in_thread(call: Callable[[], Any]) -> Any:
    """A worker goes on answering its scheduler meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_thread, call)


class WarmNanny(NannyPlugin):  # type: ignore[misc,unused-ignore]
    """Unpacks before a worker's process starts, and starts it with the NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES of the caches, whatever imports Numba there. It does not import from the
    archive: register Warm, too."""

    restart = False

    def __init__(self, warm: "Warm") -> None:
        self.name = warm.name + "-nanny"
        self._warm = warm

    async def setup(self, nanny: Any) -> None:
        """Dask calls it on each nanny. Raises warmpack.Error."""
        # Beside the directories of its workers.
        directory = self._warm.directory_for(os.path.join(nanny.local_directory, "of-a-worker"))
        record: Dict[str, Any] = await _in_thread(functools.partial(self._warm.prepare, directory))
        nanny.env.update(record["settings"])


class Warm(WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Unpacks ARCHIVE, a path here or an fsspec URL, and activates it in each worker.

    What a path names travels with the plug-in, in memory: for large archives and many workers give
    a URL that they can read. PATHS are the directories of the tree that go onto sys.path, as for
    warmpack.activate(), and CPU and RETARGET what they are there. It is unpacked once a machine, in
    DIRECTORY, by default beside the local directories of Dask's workers, and stays there.

    Several can be registered. Where two have modules of the same names, as releases of one
    application have, the one that was registered last is used: the other's modules are put aside.
    What is registered again, to go back, keeps its turn on workers that start later: unregister it
    before, by the name that Warm(...).name is.
    """

    def __init__(self, archive: PathLike, *, paths: Sequence[str] = ("",), cpu: bool = True,
                 retarget: bool = True, directory: Optional[PathLike] = None) -> None:
        self._archive = _Archive(archive)
        self._paths = tuple(paths)
        self._how: Dict[str, Any] = {"cpu": cpu, "retarget": retarget}
        self._directory = os.fspath(directory) if directory is not None else None
        # Dask knows a plug-in by its name: each archive has its own.
        self.name = "warmpack-" + self._archive.name

    @property
    def nanny(self) -> WarmNanny:
        """The plug-in for nannies: what their workers' processes have from the start."""
        return WarmNanny(self)

    def directory_for(self, local_directory: str) -> str:
        """Where a worker unpacks that has LOCAL_DIRECTORY from Dask."""
        parent = self._directory or os.path.dirname(os.path.abspath(local_directory))
        return _places.own_directory(parent)

    def prepare(self, directory: str) -> Dict[str, Any]:
        record: Dict[str, Any] = self._archive.put(functools.partial(prepare, **self._how),
                                                   directory)
        return record

    def activate(self, directory: str) -> Activation:
        call = functools.partial(activate, paths=self._paths, replace_modules=True, **self._how)
        done: Activation = self._archive.put(call, directory)
        return done

    async def setup(self, worker: Any) -> None:
        """Dask calls it on each worker. Raises warmpack.Error, which register_plugin() raises, too:
        where Numba was imported with other settings, and where modules cannot be replaced."""
        directory = self.directory_for(worker.local_directory)
        await _in_thread(functools.partial(self.activate, directory))
        # The scheduler is told with each heartbeat: client.scheduler_info()["workers"].
        from . import metrics  # which begins to count
        worker.metrics["warmpack"] = lambda worker: metrics.stats()
