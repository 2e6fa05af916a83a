"""Spark Connect: a client that has no SparkContext, and a server on a standalone master with two
workers. The server is in the distribution of pyspark from Spark 4 on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jobs
import pytest
import warmpack
import warmpack.spark
from application import give_exact_times
from conftest import free_port, settings_in
from small import run_small
from test_recipe import recipe, write_warm_sources


@pytest.fixture(scope="module")
def remote(place, master, start, home):
    port = free_port()
    settings = {**settings_in(place, home), "spark.connect.grpc.binding.port": port,
                "spark.connect.grpc.binding.address": "127.0.0.1"}
    words = [word for setting in settings.items() for word in ("--conf", "%s=%s" % setting)]
    start(place / "home" / "bin" / "spark-submit", "--master", master, *words, "--class",
          "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal", port=port)
    return "sc://127.0.0.1:%d" % port


@pytest.fixture(scope="module")
def session(remote):
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(remote).create()
    yield session
    session.stop()


def reports_of(session, app, call):
    frame = session.range(0, 2, 1, 2)
    work = app.wrap(jobs.in_frames(jobs.reporting(call)))
    return [json.loads(row.said) for row in frame.mapInPandas(work, "said string").collect()]


def assert_warm(reports, result=42):
    assert len(reports) == 2
    for report in reports:
        assert (report["loads"], report["saves"]) == (3 if report["new"] else 0, 0), report
        assert report["result"][1] == result
        assert report["result"][0].startswith(report["executor"].rpartition("/app-")[0])
        assert ".zip/" in report["package"], "the package came with the job"


def test_an_application_arrives_warm_and_its_next_release_too(session, small, home, tmp_path):
    """In one session that lives long, under one name."""
    tree = tmp_path / "tiny"
    subprocess.run(["cp", "-a", small, tree], check=True)
    old = warmpack.spark.add_app(session, tree)
    first = reports_of(session, old, jobs.run_small())
    assert_warm(first)
    assert all(report["new"] for report in first)
    shutil.rmtree(tree / "pkg" / "__pycache__")
    source = tree / "pkg" / "k.py"
    source.write_text(source.read_text().replace("return a + b", "return a + b + 1000"))
    give_exact_times(tree)
    assert run_small(tree, home) == (0, 3)
    new = warmpack.spark.add_app(session, tree)
    assert new.name == old.name and repr(new) != repr(old)
    assert_warm(reports_of(session, new, jobs.run_small()), 1042)
    assert_warm(reports_of(session, old, jobs.run_small()))


def test_archives_come_by_path_and_by_uri_and_unpacked(session, place, small, tmp_path):
    archive = tmp_path / "con nect.tgz"
    warmpack.create(archive, small.name, directory=small.parent)
    assert_warm(reports_of(session, warmpack.spark.add_app(session, archive), jobs.run_small()))

    shutil.copy2(archive, place / "apps" / "con nect#2.tgz")
    app = warmpack.spark.add_app(session, "viewfs:/apps/con%20nect%232.tgz")
    assert app.name == "con nect#2.tgz"
    assert_warm(reports_of(session, app, jobs.run_small()))

    shutil.copy2(archive, place / "apps" / "connect.tgz")
    uri = "viewfs://store/apps/connect.tgz"
    assert_warm(reports_of(session, warmpack.spark.add_app(session, uri), jobs.run_small()))
    warmpack.create(place / "apps" / "connect.tgz", small.name, directory=small.parent, level=1)
    with pytest.raises(warmpack.Error, match="was added before with other content"):
        warmpack.spark.add_app(session, uri)
    with pytest.raises(warmpack.Error, match="none.tgz: Spark cannot read it") as caught:
        warmpack.spark.add_app(session, "viewfs://store/apps/none.tgz")
    assert "\n" not in str(caught.value)

    unpacked = tmp_path / "unpacked.tgz"
    shutil.copy2(archive, unpacked)
    session.addArtifacts("%s#unpacked" % unpacked, archive=True)
    adopted = warmpack.spark.adopt("unpacked", session)
    assert_warm(reports_of(session, adopted, jobs.run_small()))


def test_what_connect_has_not_is_told(session):
    with pytest.raises(TypeError, match="Spark Connect has no accumulators"):
        warmpack.spark.accumulator(session)


def test_the_recipe_for_spark_connect_runs_as_it_stands(remote, home, tmp_path):
    write_warm_sources(tmp_path, home)
    (tmp_path / "job.py").write_text(recipe("spark-connect"))
    env = dict(os.environ, SPARK_REMOTE=remote,
               PYTHONPATH=str(Path(warmpack.__file__).parents[1]))
    env.pop("SPARK_HOME")
    done = subprocess.run([sys.executable, "job.py"], env=env, cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert str([number + 1 for number in range(8)]) in done.stdout
