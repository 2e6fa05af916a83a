"""A real Spark: executors are processes of their own, with directories of their own.

Run by the Python of an environment that has pyspark and sees Debian's Numba; see spark.txt.
"""

import os
import shutil
import subprocess
import sys
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


@pytest.fixture(scope="session")
def sc(tmp_path_factory, home):
    place = tmp_path_factory.mktemp("spark")
    os.environ["SPARK_HOME"] = str(spark_home(place / "home"))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark import SparkConf, SparkContext

    settings = {
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
    }
    conf = SparkConf().setMaster("local-cluster[2,1,1024]").setAppName("warmpack")
    context = SparkContext(conf=conf.setAll(settings.items()))
    context.setLogLevel("ERROR")
    yield context
    context.stop()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def gnu_tar(warm, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "app.tgz"
    subprocess.run(["tar", "-czf", path, "-C", warm["tree"].parent, "app"], check=True)
    return path
