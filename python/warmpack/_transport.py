"""How files get to the executors of Spark: by a SparkContext, or by a session of Spark Connect."""

import atexit
import contextlib
import http.client
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
from typing import Any, Dict, Optional, Tuple, Union

from ._program import Error

# Not by pyspark's own classes: executors of what a URI names may have more filesystems.
_WEB = ("http", "https")


class Classic:
    """A SparkContext."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.key = "context %s" % context.applicationId

    def folder(self) -> str:
        """A new directory, which Spark removes when it stops."""
        return tempfile.mkdtemp(prefix="warmpack-", dir=getattr(self._context, "_temp_dir", None))

    def add_file(self, path: str) -> None:
        self._context.addFile(path)

    def add_package(self, path: str) -> None:
        self._context.addPyFile(path)

    def add_uri(self, uri: str, directory: bool) -> None:
        self._context.addFile(uri, directory)

    def _status(self, uri: str) -> Any:
        """The filesystem and the path's status, by Spark's own Hadoop."""
        jvm = self._context._jvm
        path = jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(uri))  # as addFile() reads it
        filesystem = path.getFileSystem(self._context._jsc.hadoopConfiguration())
        return filesystem, filesystem.getFileStatus(path)

    def is_directory(self, uri: str) -> bool:
        """Raises Error where there is nothing."""
        if urllib.parse.urlsplit(uri).scheme in _WEB:
            return False
        try:
            return bool(self._status(uri)[1].isDirectory())
        except Exception as error:  # py4j's, of whatever the filesystem raises
            raise Error("%s: Spark cannot read it: %s" % (uri, _reason(error))) from error

    def version(self, uri: str) -> Optional[str]:
        """What changes with the content of URI; None where that is not known."""
        if urllib.parse.urlsplit(uri).scheme in _WEB:
            return _web_version(uri)
        filesystem, status = self._status(uri)
        if not status.isDirectory():
            return "%d bytes at %d" % (status.getLen(), status.getModificationTime())
        # Directories have no time of all that is below.
        total, newest, count = 0, 0, 0
        files = filesystem.listFiles(status.getPath(), True)
        while files.hasNext():
            one = files.next()
            total, count = total + one.getLen(), count + 1
            newest = max(newest, one.getModificationTime())
        return "%d files, %d bytes at %d" % (count, total, newest)


class Connect:
    """A session of Spark Connect, whose driver is elsewhere."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.key = "session %s" % session.session_id

    def folder(self) -> str:
        """A new directory, which goes when this process ends."""
        path = tempfile.mkdtemp(prefix="warmpack-")
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return path

    def add_file(self, path: str) -> None:
        self._session.addArtifacts(path, file=True)

    def add_package(self, path: str) -> None:
        before = list(sys.path)
        self._session.addArtifacts(path, pyfile=True)
        sys.path[:] = before  # Spark puts it there, too, for this process

    def add_uri(self, uri: str, directory: bool) -> None:
        # The server's driver hands it on; artifacts are files of this machine alone.
        self._session.sql("ADD FILE '%s'" % uri.replace("\\", "\\\\").replace("'", "\\'")).collect()

    def _listed(self, uri: str) -> Any:
        """The paths, sizes and times of the files, which the server's driver knows without reading
        them."""
        frame = self._session.read.format("binaryFile").option("recursiveFileLookup", "true")
        path = urllib.parse.unquote(uri)  # which load() takes as it is
        try:
            return frame.load(path).select("path", "length", "modificationTime").collect()
        except Exception as error:  # gRPC's, Spark's
            raise Error("%s: Spark cannot read it: %s" % (uri, _reason(error))) from error

    def is_directory(self, uri: str) -> bool:
        """Raises Error where there is nothing."""
        if urllib.parse.urlsplit(uri).scheme in _WEB:
            return False
        rows = self._listed(uri)
        return not (len(rows) == 1 and rows[0].path.rpartition("/")[2] == _name_of(uri))

    def version(self, uri: str) -> Optional[str]:
        """What changes with the content of URI; None where that is not known."""
        if urllib.parse.urlsplit(uri).scheme in _WEB:
            return _web_version(uri)
        rows = self._listed(uri)
        return "%d files, %d bytes at %s" % (len(rows), sum(row.length for row in rows),
                                             max((str(row.modificationTime) for row in rows),
                                                 default="-"))


def _name_of(uri: str) -> str:
    """By which executors know what it names."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(uri).path)
    return path.rstrip("/").rpartition("/")[2]


def _reason(error: Exception) -> str:
    """In one line, without what Java appends of its stack."""
    java = getattr(error, "java_exception", None)
    said = str(error if java is None else java.getMessage() or java.toString())
    return said.strip().partition("\n")[0]


def _web_version(url: str) -> Optional[str]:
    request = urllib.request.Request(url, method="HEAD")
    with contextlib.suppress(OSError, http.client.HTTPException), \
            urllib.request.urlopen(request, timeout=60) as answer:
        told = {name: answer.headers.get(name) for name in ("ETag", "Last-Modified")}
        if any(told.values()):
            return "%s %s %s" % (told["ETag"], told["Last-Modified"],
                                 answer.headers.get("Content-Length"))
    return None


def transport_of(spark: Any) -> Union[Classic, Connect]:
    """Of a SparkContext, a SparkSession, or a session of Spark Connect."""
    if hasattr(spark, "addFile"):
        return Classic(spark)
    context = None
    with contextlib.suppress(Exception):  # which a session of Connect raises, of several kinds
        context = spark.sparkContext
    if hasattr(context, "addFile"):
        return Classic(context)
    if hasattr(spark, "addArtifacts") and hasattr(spark, "session_id"):
        return Connect(spark)
    raise TypeError("a SparkContext or SparkSession is needed, also one of Spark Connect, not %r"
                    % (spark,))


class Handed:
    """The URIs that were handed on in one session: Spark and its executors know each by its last
    name alone, and keep what they have."""

    def __init__(self) -> None:
        self._known: Dict[str, Tuple[str, Optional[str]]] = {}

    def hand_on(self, transport: Union[Classic, Connect], uri: str, directory: bool) -> str:
        """The name by which executors find it. Raises Error where that name was handed on before
        and may have other content now."""
        version = transport.version(uri)
        name = _name_of(uri)
        before = self._known.get(name)
        if before is None:
            try:
                transport.add_uri(uri, directory)
            except Exception as error:  # py4j's, gRPC's, Spark's
                raise Error("%s: Spark cannot hand it on: %s" % (uri, _reason(error))) from error
            self._known[name] = (uri, version)
        elif before[0] != uri:
            raise Error("%s: %s was added before, and executors would keep that: give it another "
                        "name" % (uri, before[0]))
        elif before[1] != version:
            raise Error("%s: was added before with other content, and executors would keep that: "
                        "give it another name" % uri)
        elif version is None:
            raise Error("%s: was added before, and whether its content is the same cannot be told: "
                        "give it another name" % uri)
        return name
