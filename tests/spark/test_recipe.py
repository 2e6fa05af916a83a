"""What README tells people to paste, as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import warmpack
from conftest import ROOT, spark_home
from small import run_small, write_small


def recipe(name):
    """The block of code after <!-- recipe: NAME -->."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- recipe: %s -->\n+```\w*\n(.*?)```" % name, text, re.S)
    assert found, "README has no recipe named " + name
    assert found.group(1).count("\n") <= 10
    return found.group(1)


def write_warm_sources(place, home):
    """src/app with the package pkg, and its caches in a directory of their own."""
    write_small(place / "src" / "app")
    assert run_small(place / "src" / "app", home, NUMBA_CACHE_DIR=place / "caches") == (0, 3)


@pytest.fixture
def worked_in(tmp_path, home):
    place = tmp_path / "project"
    place.mkdir()
    write_warm_sources(place, home)
    return place


@pytest.mark.parametrize("mounted", ("exec", "noexec"))
def test_the_recipe_for_spark_runs_as_it_stands(worked_in, home, tmp_path, mounted):
    """Also where executors work on a filesystem from which nothing may be executed."""
    if mounted == "noexec" and os.geteuid() != 0:
        pytest.skip("needs root")
    place = spark_home(tmp_path / "spark")
    (worked_in / "job.py").write_text(recipe("spark"))
    settings = {
        "spark.executorEnv.NUMBA_DEBUG_CACHE": "1",
        "spark.executorEnv.HOME": home,
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": tmp_path / "local",
    }
    words = [word for setting in settings.items() for word in ("--conf", "%s=%s" % setting)]
    env = dict(os.environ, SPARK_HOME=str(place), PYSPARK_PYTHON=sys.executable,
               PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
    command = [place / "bin" / "spark-submit", "--master", "local-cluster[1,1,1024]", *words,
               "job.py"]
    # Gone with the namespace: nothing is left mounted, and what executors said goes to a copy.
    script = 'mount -t tmpfs -o noexec none "$1" || exit 77; shift; d=$1; shift; "$@"; r=$?; '
    script += 'mkdir -p "$d"; cp -r "$SPARK_HOME/work" "$d"; exit $r'
    if mounted == "noexec":
        command = ["unshare", "--mount", "sh", "-c", script, "sh", place / "work",
                   tmp_path / "said", *command]
    done = subprocess.run(command, env=env, cwd=worked_in, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77 and mounted == "noexec":
        pytest.skip("needs mount: " + done.stderr.strip())
    assert done.returncode == 0, done.stderr[-3000:]
    assert str([number + 1 for number in range(8)]) in done.stdout
    work = tmp_path / "said" / "work" if mounted == "noexec" else place / "work"
    said = "".join(p.read_text() for p in work.glob("*/*/std*"))
    assert "[cache] data loaded" in said and "[cache] data saved" not in said


def test_the_line_for_one_cpu_runs_after_the_recipe(worked_in):
    """Where its caches lie."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`(SparkConf\(\)\.setAll\(warmpack\.spark\.conf\(.*?\))`", text, re.S)
    code = ("import warmpack, warmpack.spark\n"
            "from pyspark import SparkConf\n"
            "print(dict(%s.getAll())['spark.executorEnv.NUMBA_CPU_NAME'])" % line)
    env = dict(os.environ, PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=worked_in, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (index, *_) = warmpack.inspect(worked_in / "caches")["indexes"]
    assert done.stdout.split() == [index["overloads"][0]["cpu"]]
