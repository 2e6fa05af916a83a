"""Dask, Ray and object stores: real servers on loopback, which each fixture stops.

Run by the Python of an environment that has them and sees Debian's Numba; see cluster.txt.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "numba")]

import warmpack  # noqa: E402
from application import give_exact_times  # noqa: E402
from harness import WARMPACK  # noqa: E402
from small import run_small, write_small  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(WARMPACK, os.X_OK):
        pytest.exit("no program at %s: build it, or set WARMPACK" % WARMPACK, returncode=2)
    for name in [n for n in os.environ if n.startswith(("NUMBA_", "XDG_", "PYTHONPATH", "AWS_",
                                                       "FSSPEC_", "DASK_", "RAY_"))]:
        del os.environ[name]
    os.environ.update({
        "WARMPACK": WARMPACK, "PYTHONPATH": str(ROOT / "python"), "NUMBA_NUM_THREADS": "1",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "no_proxy": "127.0.0.1,localhost",
    })


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("home")
    os.environ["HOME"] = str(path)
    return path


@pytest.fixture(scope="session")
def trees(tmp_path_factory, home):
    """Two releases of one application: add(20, 22) is 42, and 1042."""
    found = []
    for number in range(2):
        tree = write_small(tmp_path_factory.mktemp("release") / "app")
        source = tree / "pkg" / "k.py"
        source.write_text(source.read_text().replace("return a + b", "return a + b + %d"
                                                     % (1000 * number)))
        give_exact_times(tree)
        assert run_small(tree, home) == (0, 3)
        found.append(tree)
    return found


@pytest.fixture(scope="session")
def archives(trees, tmp_path_factory):
    found = []
    for tree in trees:
        path = tmp_path_factory.mktemp("archive") / "app.tgz"
        warmpack.create(path, tree.name, directory=tree.parent)
        found.append(path)
    return found


@pytest.fixture(scope="session")
def s3():
    """A server of S3's protocol with the bucket "bucket"."""
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ["AWS_ENDPOINT_URL"] = "http://%s:%s" % server.get_host_and_port()
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()
    del os.environ["AWS_ENDPOINT_URL"]


def recipe(name):
    """The block of code after <!-- recipe: NAME -->, of at most ten lines."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- recipe: %s -->\n+```\w*\n(.*?)```" % name, text, re.S)
    assert found, "README has no recipe named " + name
    assert len(found.group(1).splitlines()) <= 10
    return found.group(1)


def run_script(code, cwd, **variables):
    """Runs CODE as a program of its own, with this Python; returns what it printed."""
    (cwd / "job.py").write_text(code)
    done = subprocess.run([sys.executable, "job.py"], cwd=cwd, env={**os.environ, **variables},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
