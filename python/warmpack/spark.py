"""Warm caches on the executors of Apache Spark.

On the driver, or in a client of Spark Connect:

    app = warmpack.spark.add_app(spark, "src/app")
    rows.mapPartitions(app.wrap(work))  # of an RDD; or frame.mapInPandas(app.wrap(work), ...)

or, in a task, app.activate() before what needs the application is imported. The archive, the
program and this package travel with the job: executors need Python and Numba only.
"""

import glob
import hashlib
import os
import re
import shutil
import tempfile
import threading
import urllib.parse
import zipfile
from typing import Any, Callable, Dict, Optional, Sequence, Union

from . import _in_use, _jobs, _layouts, _url
from ._activate import Activation, activate, activate_unpacked
from ._places import split_suffix
from ._program import Error, PathLike, find_program
from ._transport import Classic, Connect, Handed, transport_of
from ._wrapped import Wrapped

__all__ = ["Activation", "Adopted", "App", "accumulator", "add_app", "adopt", "conf"]


class _Session:
    """What was sent out in one application of Spark, or one session of Connect."""

    def __init__(self, folder: str) -> None:
        self.folder = folder  # for what is sent
        # By where it came from. Spark refuses a name that it knows from another path.
        self.programs: Dict[str, str] = {}
        self.files: Dict[str, bool] = {}  # names, of files with one content each
        self.handed = Handed()


_sessions: Dict[str, _Session] = {}
_lock = threading.Lock()

# What Spark's addFile() unpacks, beside every other file, as well as bringing it.
_UNTARRED = (".tar", ".tar.gz", ".tgz")

# Below the executor's files: what activate() unpacks.
_PLACE = "warmpack-apps"


class _Handle:
    """What is sent to tasks: names alone. The files are found by Spark there."""

    def __init__(self, program: Optional[str], paths: Sequence[str], cpu: bool,
                 retarget: bool) -> None:
        self._program = program
        self._paths = tuple(paths)
        self._cpu = cpu
        self._retarget = retarget
        self._done: Optional[Activation] = None
        self._tree: Optional[_in_use.Tree] = None

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_done": None, "_tree": None}

    def _activate(self, program: Optional[str]) -> Activation:
        raise NotImplementedError

    def activate(self) -> Activation:
        """In a task: unpacks, once for each executor, and makes this process use the application.

        Returns the path of the tree, verify's summary, and how its caches load. Cheap from the
        second call on. Spark keeps Python's processes for later tasks: modules of another
        application, or of an earlier release, that would answer for this one's are put aside, and
        come back with their own application's activate().
        """
        if self._done is None or self._tree is not _in_use.front():
            self._done = self._activate(_spark_program(self._program))
            self._tree = _in_use.front()
        return self._done

    def wrap(self, function: Callable[..., Any], counts: Any = None) -> Wrapped:
        """FUNCTION with activate() before it: for map, mapPartitions, UDFs of pandas.

        COUNTS is an accumulator(): what Numba loads and compiles in each call is added to it."""
        return Wrapped(self, function, counts)


class App(_Handle):
    """An application that add_app() sent out."""

    def __init__(self, name: str, archive: str, program: str, paths: Sequence[str], cpu: bool,
                 retarget: bool, runtime_cache_dir: Optional[str]) -> None:
        super().__init__(program, paths, cpu, retarget)
        self.name = name
        self._archive = archive
        self._runtime_cache_dir = runtime_cache_dir

    def __repr__(self) -> str:
        return "<warmpack.spark.App %s>" % self._archive

    def _activate(self, program: Optional[str]) -> Activation:
        archive = _spark_file(self._archive)
        place = os.path.join(os.path.dirname(archive), _PLACE, self._archive + ".d")
        cache_dir = self._runtime_cache_dir
        if cache_dir:
            cache_dir = os.path.join(os.path.dirname(archive), cache_dir)
        return activate(archive, place, paths=self._paths, cache_dir=cache_dir, cpu=self._cpu,
                        retarget=self._retarget, replace_modules=True, program=program)


class Adopted(_Handle):
    """A tree that Spark brought: unpacked by --archives or addArchive, or from a URI."""

    def __init__(self, name: str, program: Optional[str], paths: Sequence[str], cpu: bool,
                 retarget: bool) -> None:
        super().__init__(program, paths, cpu, retarget)
        self.name = name

    def __repr__(self) -> str:
        return "<warmpack.spark.Adopted %s>" % self.name

    def _activate(self, program: Optional[str]) -> Activation:
        tree = _spark_file(self.name)
        if not os.path.isdir(tree):
            raise Error("%s: Spark did not unpack it: of archives it knows .tar.gz, .tgz, .tar, .zip "
                        "and .jar alone; give any other to add_app()" % tree)
        state = os.path.join(os.path.dirname(tree), _PLACE, self.name)
        os.makedirs(os.path.dirname(state), exist_ok=True)
        return activate_unpacked(tree, state, paths=self._paths, cpu=self._cpu,
                                 retarget=self._retarget, replace_modules=True, program=program)


class _Sums:
    """How Spark adds dictionaries of counts."""

    def zero(self, value: Dict[str, float]) -> Dict[str, float]:
        return {name: 0 for name in value}

    def addInPlace(self, value: Dict[str, float], more: Dict[str, float]) -> Dict[str, float]:
        return {name: value[name] + more[name] for name in value}


def accumulator(spark: Any) -> Any:
    """An accumulator for wrap(), whose value is a dictionary as of warmpack.stats(), of all tasks.
    SPARK is a SparkContext or a SparkSession; Spark Connect has no accumulators."""
    if isinstance(transport_of(spark), Connect):
        raise TypeError("Spark Connect has no accumulators")
    context = getattr(spark, "sparkContext", spark)
    return context.accumulator({"hits": 0, "misses": 0, "seconds": 0.0}, _Sums())


def _spark_file(name: str) -> str:
    """Where Spark put the file NAME for this executor."""
    from pyspark import SparkFiles  # type: ignore[import-not-found,unused-ignore]

    # Executors say ".", and a task may change its working directory later.
    path = os.path.abspath(str(SparkFiles.get(name)))
    if not os.path.exists(path):
        raise Error("%s: is not among the files that Spark brought here" % path)
    return path


def _spark_program(name: Optional[str]) -> Optional[str]:
    """The program that Spark brought: NAME, or of an add_app() that this handle does not know of.
    None: the one that is installed."""
    from pyspark import SparkFiles

    if name:
        return _spark_file(name)
    brought = glob.glob(os.path.join(os.path.abspath(SparkFiles.getRootDirectory()),
                                     "warmpack-" + 16 * "[0-9a-f]"))
    return brought[0] if brought else None


def _zip_package(path: str) -> None:
    """Writes this package's modules, for executors on which it is not installed."""
    folder = os.path.dirname(os.path.abspath(__file__))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                archive.write(os.path.join(folder, name), "warmpack/" + name)


def _read_zipped_package(path: str) -> None:
    """The same where this package is itself imported from a zip."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name.startswith("warmpack/") and name.endswith(".py"):
                new.writestr(name, old.read(name))


def _copy_named_by_content(source: str, folder: str, stem: str, suffix: str) -> str:
    """Copies SOURCE into FOLDER as STEM-DIGEST.SUFFIX; returns that name.

    Executors know a file by its name alone, and keep what they have: other content must have
    another name.
    """
    digest = hashlib.sha256()
    fd, temporary = tempfile.mkstemp(dir=folder)
    with open(source, "rb") as file, open(fd, "wb") as copy:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
            copy.write(block)
    stem = re.sub(r"[^\w.+-]", "_", stem)  # Spark takes names for URIs
    if suffix in _UNTARRED:
        suffix += ".archive"
    name = "%s-%s%s" % (stem, digest.hexdigest()[:16], suffix)
    os.chmod(temporary, 0o755 if not suffix else 0o644)
    os.replace(temporary, os.path.join(folder, name))
    return name


def _send(transport: Union[Classic, Connect], session: _Session, name: str) -> None:
    if name not in session.files:
        transport.add_file(os.path.join(session.folder, name))
        session.files[name] = True


def _session_of(transport: Union[Classic, Connect]) -> _Session:
    """With this package sent out."""
    session = _sessions.get(transport.key)
    if session is None:
        session = _Session(transport.folder())
        package = os.path.join(session.folder, "warmpack_package.zip")
        if os.path.isdir(os.path.dirname(os.path.abspath(__file__))):
            _zip_package(package)
        else:
            _read_zipped_package(package)
        transport.add_package(package)
        _sessions[transport.key] = session
    return session


def _send_program(transport: Union[Classic, Connect], session: _Session,
                  program: Optional[PathLike]) -> str:
    """Once for each session; returns its name."""
    source = os.path.abspath(os.fsdecode(program or find_program()))
    if source not in session.programs:
        name = _copy_named_by_content(source, session.folder, "warmpack", "")
        _send(transport, session, name)
        session.programs[source] = name
    return session.programs[source]


def _pack(tree: str, folder: str, packing: Dict[str, Any]) -> str:
    """Packs the directory TREE into FOLDER; returns the path of the archive."""
    tree = os.path.abspath(tree)
    made = os.path.join(tempfile.mkdtemp(dir=folder), os.path.basename(tree) + ".tar.zst")
    _jobs.create(made, os.path.basename(tree), directory=os.path.dirname(tree), **packing)
    return made


def _refuse_packing(source: str, packing: Dict[str, Any]) -> None:
    if any(value not in (None, False) for value in packing.values()):
        raise TypeError("%s is packed already: the options of create do not apply" % source)


def _is_uri(source: str) -> bool:
    """Also with one slash, as Spark writes them itself: "dbfs:/app.tgz", "file:/srv/app.tgz"."""
    return _url.is_url(source) or bool(re.match("[A-Za-z][A-Za-z0-9+.-]*:/", source))


def add_app(spark: Any, source: PathLike, *,
            cache_dir: Union[PathLike, Sequence[PathLike], None] = None,
            source_root: Union[PathLike, Sequence[PathLike], None] = None,
            exclude: Union[str, Sequence[str], None] = None, strict: bool = False,
            paths: Sequence[str] = ("",), runtime_cache_dir: Optional[str] = None,
            cpu: bool = True, retarget: bool = True,
            program: Optional[PathLike] = None) -> Union[App, Adopted]:
    """Sends an application with its warm caches to every executor, also to those that start later.

    SPARK is a SparkContext, a SparkSession or a session of Spark Connect. SOURCE is a directory,
    which is packed with the options CACHE_DIR, SOURCE_ROOT, EXCLUDE and STRICT of create; or an
    archive; or a URI that Spark can read (s3a:, hdfs:, dbfs:, file:) of an archive or of a tree
    with its manifest in it, which is handed on without being read here (Spark hands on no tree by
    file:; give its path). PATHS are the directories
    of the tree that go onto sys.path; by default the tree itself, or what holds it where it is a
    package. Caches go into the tree, or to $NUMBA_CACHE_DIR of the executors (see conf()), or to
    RUNTIME_CACHE_DIR, which is relative to the executor's files. CPU and RETARGET are those of
    activate(): code that was compiled for another CPU than an executor's loads there where it can
    run, unless the executors have NUMBA_CPU_NAME or NUMBA_CPU_FEATURES set. PROGRAM must run on the
    executors: the static one runs on all of the same architecture.

    Call it again after a change: the new archive gets a new name, and handles keep to their own. A
    URI whose content changed is a warmpack.Error, since Spark keeps what executors have: give each
    release a name of its own.
    """
    transport = transport_of(spark)
    source = os.fsdecode(source)
    packing: Dict[str, Any] = {"cache_dir": cache_dir, "source_root": source_root,
                               "exclude": exclude, "strict": strict}
    with _lock:
        session = _session_of(transport)
        program_name = _send_program(transport, session, program)
        if _is_uri(source):
            _refuse_packing(source, packing)
            directory = transport.is_directory(source)
            name = session.handed.hand_on(transport, source, directory)
            if directory:
                return Adopted(name, program_name, paths, cpu, retarget)
            return App(name, name, program_name, paths, cpu, retarget, runtime_cache_dir)

        packed = os.path.isdir(source)
        if not packed:
            _refuse_packing(source, packing)
        path = _pack(source, session.folder, packing) if packed else source
        try:
            archive = _copy_named_by_content(path, session.folder,
                                             *split_suffix(os.path.basename(path)))
        finally:
            if packed:
                shutil.rmtree(os.path.dirname(path))
        _send(transport, session, archive)
    name = os.path.basename(os.path.abspath(source))
    return App(name, archive, program_name, paths, cpu, retarget, runtime_cache_dir)


def _unpacked_as(given: str) -> str:
    """NAME of what Spark was given to unpack: "hdfs:/apps/app.tgz#NAME"."""
    path, _, name = given.partition("#")
    return name or urllib.parse.unquote(path).rstrip("/").rpartition("/")[2]


def adopt(name: str, spark: Any = None, *, paths: Sequence[str] = ("",), cpu: bool = True,
          retarget: bool = True, program: Optional[PathLike] = None) -> Adopted:
    """A handle for an archive that Spark unpacks as NAME (--archives app.tgz#NAME, addArchive,
    addArtifacts), which may also be all that these were given: activate() restores the tree once
    for each executor, or takes its caches by warmpack.locator where the tree can only be read. Of
    archives Spark unpacks .tar.gz, .tgz, .tar, .zip and .jar; of any other activate() says so.

    On the driver, this sends out the program (with Spark Connect, give SPARK); in a task, it must
    be there already.
    """
    if spark is None:
        from pyspark import SparkContext

        spark = getattr(SparkContext, "_active_spark_context", None)
    program_name = None
    if spark is not None:
        transport = transport_of(spark)
        with _lock:
            program_name = _send_program(transport, _session_of(transport), program)
    return Adopted(_unpacked_as(name), program_name, paths, cpu, retarget)


def _settings_of_uri(uri: str) -> Dict[str, Any]:
    """The same, read here; of a tree in a store no more than its indexes."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        return _jobs.env(urllib.parse.unquote(parts.path))
    url = re.sub("^([^:/]+:)/(?!/)", r"\1///", uri)
    filesystem, path = _url.filesystem_of(url)
    with _url.telling(url), tempfile.TemporaryDirectory(prefix="warmpack-") as folder:
        if (filesystem.info(path).get("type") != "directory"
                or filesystem.exists(path + "/" + _layouts.INDEX)):
            return _jobs.env(url)
        names = [name for name in filesystem.find(path) if name.endswith(".nbi")]
        if not names:
            raise Error("%s: has no cache index" % url)
        files = [os.path.join(folder, str(number), os.path.basename(name))
                 for number, name in enumerate(names)]
        for name, file in zip(names, files):
            os.mkdir(os.path.dirname(file))
            filesystem.get_file(name, file)
        return _jobs.env(*files)


def _settings_of(source: str, packing: Dict[str, Any]) -> Dict[str, Any]:
    """NUMBA_CPU_NAME and NUMBA_CPU_FEATURES for an application: of those caches alone that are
    packed."""
    if _is_uri(source) or not os.path.isdir(source):
        _refuse_packing(source, packing)
        return _settings_of_uri(source) if _is_uri(source) else _jobs.env(source)
    tree = os.path.abspath(source)
    with tempfile.TemporaryDirectory(prefix="warmpack-") as folder:
        made = os.path.join(folder, "caches.tar")
        _jobs.create(made, os.path.basename(tree), directory=os.path.dirname(tree),
                     caches_only=True, **packing)
        return _jobs.env(made)


def conf(*sources: PathLike, cache_dir: Union[PathLike, Sequence[PathLike], None] = None,
         source_root: Union[PathLike, Sequence[PathLike], None] = None,
         exclude: Union[str, Sequence[str], None] = None, strict: bool = False,
         paths: Sequence[str] = ("",), runtime_cache_dir: Optional[str] = None, cpu: bool = True,
         retarget: bool = True, program: Optional[PathLike] = None,
         numba_cache_dir: Optional[PathLike] = None) -> Dict[str, str]:
    """Settings for a SparkConf, so that executors start with what the caches of applications need.

    The arguments are those of add_app(): which caches are meant, CACHE_DIR, SOURCE_ROOT, EXCLUDE
    and STRICT say; PATHS, RUNTIME_CACHE_DIR, RETARGET and PROGRAM change nothing here. What URIs
    name is read here, by fsspec unless it is file:. Sets NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, and
    NUMBA_CACHE_DIR where NUMBA_CACHE_DIR, a path on the executors, is given. Applications that need
    different settings are a warmpack.Error.

        SparkConf().setAll(warmpack.spark.conf("src/app", cache_dir="caches").items())
    """
    prefix = "spark.executorEnv."
    settings: Dict[str, str] = {}
    packing: Dict[str, Any] = {"cache_dir": cache_dir, "source_root": source_root,
                               "exclude": exclude, "strict": strict}
    for source in sources if cpu else ():
        for name, value in _settings_of(os.fsdecode(source), packing).items():
            if settings.setdefault(prefix + name, value) != value:
                raise Error("%s needs %s=%s, and another application %s"
                            % (os.fsdecode(source), name, value, settings[prefix + name]))
    if numba_cache_dir is not None:
        settings[prefix + "NUMBA_CACHE_DIR"] = os.fsdecode(numba_cache_dir)
    return settings
