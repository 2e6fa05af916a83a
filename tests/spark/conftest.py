"""A real Spark: executors are processes of their own, with directories of their own.

Run by the Python of an environment that has pyspark and sees Debian's Numba; see spark.txt.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "numba")]

from application import write_application  # noqa: E402
from harness import WARMPACK, Person, run_numba  # noqa: E402
from small import run_small, write_small  # noqa: E402

PARTS = ("application", "neighbours")


def pytest_sessionstart(session):
    if not os.access(WARMPACK, os.X_OK):
        pytest.exit("no program at %s: build it, or set WARMPACK" % WARMPACK, returncode=2)
    for name in [n for n in os.environ if n.startswith(("NUMBA_", "XDG_", "PYTHONPATH"))]:
        del os.environ[name]
    os.environ["WARMPACK"] = WARMPACK


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def spark_home(place):
    """Spark as installed, but executors work in PLACE/work."""
    import pyspark

    place.mkdir()
    for path in Path(pyspark.__file__).parent.iterdir():
        if path.name != "work":
            (place / path.name).symlink_to(path)
    (place / "work").mkdir()
    return place


@pytest.fixture(scope="session")
def warm(tmp_path_factory, home):
    """The driver's application, warmed: its tree, its caches, and what a second run in place did,
    which is all that can be asked for elsewhere."""
    base = tmp_path_factory.mktemp("driver")
    tree = write_application(base / "build" / "app")
    person = Person(home)
    for _ in range(2):
        runs = [run_numba(tree, person, part, NUMBA_CACHE_DIR=base / "caches") for part in PARTS]
    return {
        "tree": tree,
        "caches": base / "caches",
        "loads": sum(run.loads for run in runs),
        "saves": sum(run.saves for run in runs),
    }


@pytest.fixture(scope="session")
def small(tmp_path_factory, home):
    """A tree of one module that loads in a moment; its caches lie in it."""
    tree = write_small(tmp_path_factory.mktemp("small") / "tiny")
    assert run_small(tree, home) == (0, 3)
    return tree


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process, log):
    """Until somebody listens on PORT."""
    deadline = time.monotonic() + 300  # a busy machine starts slowly
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("it does not listen:\n" + log.read_text()[-3000:])


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts a command of Spark's distribution; all are ended, in the reverse order, with what they
    started."""
    running, logs = [], tmp_path_factory.mktemp("logs")

    def start(*words, port=None):
        log = logs / str(len(running))
        with log.open("w") as file:
            running.append(subprocess.Popen(
                list(map(str, words)), stdout=file, stderr=file, start_new_session=True,
                env=dict(os.environ, SPARK_LOCAL_IP="127.0.0.1")))
        if port:
            wait_for(port, running[-1], log)

    yield start
    for process in reversed(running):
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Where all of Spark works; variables for whatever starts it."""
    place = tmp_path_factory.mktemp("spark")
    os.environ["SPARK_HOME"] = str(spark_home(place / "home"))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    (place / "apps").mkdir()
    yield place
    shutil.rmtree(place, ignore_errors=True)


def is_spark_4():
    import pyspark

    return int(pyspark.__version__.split(".")[0]) >= 4


@pytest.fixture(scope="session")
def master(place, start):
    """With Spark 3 two executors of a local cluster; with Spark 4 a standalone master with two
    workers. Each has room for two applications."""
    if not is_spark_4():
        return "local-cluster[2,1,1024]"
    port = free_port()
    address = "spark://127.0.0.1:%d" % port
    run = place / "home" / "bin" / "spark-class"
    start(run, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", port,
          "--webui-port", "0", port=port)
    for number in range(2):
        start(run, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "2",
              "--memory", "2g", "--webui-port", "0", "--work-dir", place / "home" / "work", address)
    return address


def settings_in(place, home):
    return {
        "spark.executorEnv.HOME": str(home),
        "spark.executorEnv.NUMBA_DEBUG_CACHE": "1",
        "spark.executorEnv.NUMBA_NUM_THREADS": "1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "600s",  # a busy machine starts slowly
        "spark.locality.wait": "0",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(place / "local"),
        "spark.executor.cores": "1",
        "spark.executor.memory": "1g",
        "spark.cores.max": "2",
        # A filesystem of Hadoop that is no local one, as s3a: and hdfs: are: "viewfs://store/apps".
        "spark.hadoop.fs.viewfs.mounttable.store.link./apps": (place / "apps").as_uri(),
        "spark.hadoop.fs.viewfs.mounttable.default.link./apps": (place / "apps").as_uri(),
    }


@pytest.fixture(scope="session")
def sc(place, master, home):
    from pyspark import SparkConf, SparkContext

    conf = SparkConf().setMaster(master).setAppName("warmpack")
    context = SparkContext(conf=conf.setAll(settings_in(place, home).items()))
    context.setLogLevel("ERROR")
    yield context
    context.stop()


@pytest.fixture(scope="session")
def gnu_tar(warm, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "app.tgz"
    subprocess.run(["tar", "-czf", path, "-C", warm["tree"].parent, "app"], check=True)
    return path
