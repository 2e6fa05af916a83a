"""An application arrives warm on every executor, whatever happens to executors."""

import inspect
import os
import platform
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jobs
import pytest
import warmpack
import warmpack.spark
from application import give_exact_times
from small import run_small, write_small


def on_executors(sc, task, partitions=2):
    return sc.parallelize(range(partitions), partitions).mapPartitions(task).collect()


@pytest.fixture(scope="module")
def tiny(sc, small):
    return warmpack.spark.add_app(sc, small)


def assert_small_was_loaded(reports, root="tiny"):
    for report in reports:
        assert (report["loads"], report["saves"]) == (3 if report["new"] else 0, 0), report
        assert report["result"][1] == 42
        # Nothing but what was brought: not the driver's tree.
        assert report["result"][0].startswith(report["executor"] + "/")
        assert "/%s/" % root in report["result"][0]


def test_every_executor_loads_all_and_saves_nothing_beyond_a_run_in_place(sc, warm):
    app = warmpack.spark.add_app(sc, warm["tree"], cache_dir=warm["caches"])
    reports = on_executors(sc, app.wrap(jobs.reporting(jobs.run_application())))
    print(reports)
    assert len({report["executor"] for report in reports}) == 2
    for report in reports:
        assert report["loads"] == warm["loads"] > 40
        assert report["saves"] == warm["saves"]
        assert report["result"].startswith(report["executor"] + "/")
        assert ".zip/" in report["package"], "the package came with the job"


def test_the_same_job_with_a_file_of_gnu_tar_compiles_everything(sc, gnu_tar):
    sc.addFile(str(gnu_tar))
    task = jobs.reporting(jobs.from_gnu_tar(gnu_tar.name))
    # Spark keeps processes by their variables: one that has imported nothing yet.
    sc.environment["OF_GNU_TAR"] = "1"
    (report,) = on_executors(sc, task, partitions=1)
    del sc.environment["OF_GNU_TAR"]
    print(report)
    assert report["loads"] == 0 and report["saves"] > 40


def test_a_task_activates_by_itself_and_is_told_the_place_and_the_verdict(sc, tiny):
    def make(app):
        def call():
            done = app.activate()
            again = app.activate()
            import pkg.k

            return [pkg.k.__file__, pkg.k.add(20, 22), done.path, done.summary, again == done]

        return call

    reports = on_executors(sc, jobs.reporting(make(tiny)))
    assert_small_was_loaded(reports)
    for report in reports:
        assert report["result"][2] == os.path.dirname(os.path.dirname(report["result"][0]))
        assert report["result"][3:] == [{"total": 3, "valid": 3}, True]


def test_two_applications_in_one_job(sc, warm, tiny):
    app = warmpack.spark.add_app(sc, warm["tree"], cache_dir=warm["caches"])
    sc.environment["TWO_APPLICATIONS"] = "1"  # processes that have not imported all of one

    def make(first, second):
        def call():
            for one in (first, second):
                one.activate()
            import pkg.k
            from warmapp import lazy

            return [pkg.k.__file__, pkg.k.add(20, 22), len(list(lazy.run()))]

        return call

    for pair in ((app, tiny), (tiny, app)):
        of = {"pkg.k": 3, "warmapp.lazy": 6}
        for report in on_executors(sc, jobs.reporting(make(*pair), tuple(of))):
            assert report["saves"] == 0
            assert report["loads"] == sum(of[name] for name in report["new"]), report
            assert report["result"][1:] == [42, 6]
    del sc.environment["TWO_APPLICATIONS"]


def test_an_updated_archive_has_a_new_name_and_old_handles_keep_the_old(sc, small, tiny, home,
                                                                        tmp_path):
    tree = tmp_path / "tiny"
    subprocess.run(["cp", "-a", small, tree], check=True)
    shutil.rmtree(tree / "pkg" / "__pycache__")
    source = tree / "pkg" / "k.py"
    source.write_text(source.read_text().replace("return a + b", "return a + b + 1000"))
    give_exact_times(tree)
    assert run_small(tree, home) == (0, 3)
    new = warmpack.spark.add_app(sc, tree)
    assert new.name == tiny.name and repr(new) != repr(tiny)

    reports = on_executors(sc, new.wrap(jobs.reporting(jobs.run_small())))
    assert len({report["executor"] for report in reports}) == 2
    for report in reports:
        assert (report["loads"], report["saves"]) == (3, 0) and report["result"][1] == 1042
        assert report["new"], "the modules of the first are not taken for its own"
    assert_small_was_loaded(on_executors(sc, tiny.wrap(jobs.reporting(jobs.run_small())), 1))


def test_the_same_archive_twice_is_no_error_and_is_unpacked_once(sc, small, tiny, tmp_path):
    subprocess.run(["cp", "-a", small, tmp_path / "own"], check=True)
    archive = tmp_path / "own.tgz"
    warmpack.create(archive, "own", directory=tmp_path)
    apps = [warmpack.spark.add_app(sc.getOrCreate(), archive) for _ in range(2)]
    reports = on_executors(sc, apps[1].wrap(jobs.reporting(jobs.run_small())), 1)
    assert_small_was_loaded(reports, "own")
    # Spark unpacks what is named .tgz beside its files.
    assert not os.path.exists(os.path.join(reports[0]["executor"], "own"))


def test_each_application_runs_the_program_that_it_was_given(sc, small, tiny, tmp_path):
    """A second one is another file to Spark: what stands behind the end of a program is not read."""
    second = tmp_path / "other-warmpack"
    shutil.copy2(warmpack.find_program(), second)
    with open(second, "ab") as file:
        file.write(b"second")
    app = warmpack.spark.add_app(sc, small, program=second)
    again = warmpack.spark.add_app(sc, small, program=second)
    assert app._program == again._program != tiny._program

    def look():
        from pyspark import SparkFiles

        with open(SparkFiles.get(app._program), "rb") as file:
            return file.read()[-6:]

    assert on_executors(sc, lambda _: [look()], 1) == [b"second"]
    assert_small_was_loaded(on_executors(sc, app.wrap(jobs.reporting(jobs.run_small())), 1))


@pytest.mark.parametrize("suffix", ("tgz", "zip"))
def test_a_tree_that_spark_unpacked_is_adopted(sc, small, tmp_path, suffix):
    archive = tmp_path / ("spark-unpacks." + suffix)
    warmpack.create(archive, small.name, directory=small.parent)
    sc.addArchive("%s#unpacked-%s" % (archive, suffix))
    app = warmpack.spark.adopt("unpacked-" + suffix)
    reports = on_executors(sc, app.wrap(jobs.reporting(jobs.run_small())))
    assert_small_was_loaded(reports, "unpacked-%s/tiny" % suffix)


def test_pandas_functions_can_be_wrapped(sc, tiny):
    pandas = pytest.importorskip("pandas")
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import pandas_udf

    session = SparkSession(sc)
    frame = session.range(6).selectExpr("id % 2 as k", "id as v")

    def plus(v: pandas.Series, k: pandas.Series) -> pandas.Series:
        from pkg.k import add

        return v.map(lambda x: add(x, 1)) + k

    def of_group(key, rows):
        from pkg.k import total

        return rows.assign(v=int(total(rows.v.to_numpy("float64"))))[:1]

    def of_batches(batches):
        import pkg.k

        for rows in batches:
            yield rows.assign(v=pkg.k.add(1, 1))

    column = pandas_udf(tiny.wrap(plus), "long")("v", "k")
    assert [row[0] for row in frame.select(column).collect()] == [1, 3, 3, 5, 5, 7]
    grouped = frame.groupBy("k").applyInPandas(tiny.wrap(of_group), frame.schema)
    assert sorted(map(tuple, grouped.collect())) == [(0, 20), (1, 35)]
    mapped = frame.mapInPandas(tiny.wrap(of_batches), frame.schema)
    assert {row.v for row in mapped.collect()} == {2}


def executors(sc):
    return dict(on_executors(sc, jobs.pids(), 4))


def test_an_executor_started_later_is_warm(sc, tiny):
    before = executors(sc)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 300  # a busy machine starts slowly
    after = {}
    while not after and time.monotonic() < deadline:
        reports = on_executors(sc, tiny.wrap(jobs.reporting(jobs.run_small())))
        after = {r["executor"] for r in reports} - set(before)
    assert after, "no executor was started later"
    assert_small_was_loaded(reports)


def test_an_executor_killed_while_it_unpacks_leaves_no_harm(sc, small, tmp_path):
    tree = tmp_path / "tiny"
    subprocess.run(["cp", "-a", small, tree], check=True)
    # So that unpacking takes a while.
    for number in range(8):
        (tree / ("ballast%d" % number)).write_bytes(os.urandom(16 << 20))
    app = warmpack.spark.add_app(sc, tree)
    marker = tmp_path / "marker"
    task = jobs.reporting(jobs.killed_while_unpacking(app, str(marker)))
    assert_small_was_loaded(on_executors(sc, task, 2))
    staging = Path(marker.read_text())
    assert staging.name.startswith(".warmpack-"), "it was killed in the middle"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names a CPU of x86-64")
def test_executors_of_any_cpu_load_with_no_settings(sc, home, tmp_path):
    """Packed by the driver, or unpacked by Spark; unless retargeting is left away."""
    tree = write_small(tmp_path / "old")
    run_small(tree, home, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="")
    app = warmpack.spark.add_app(sc, tree)
    archive = tmp_path / "old-adopted.tgz"
    warmpack.create(archive, tree.name, directory=tree.parent)
    sc.addArchive("%s#old-adopted" % archive)
    for each in (app, warmpack.spark.adopt("old-adopted")):
        task = each.wrap(jobs.reporting(jobs.run_small()))
        for report in on_executors(sc, task):
            assert (report["loads"], report["saves"]) == (3 if report["new"] else 0, 0), report
        (done,) = on_executors(sc, lambda _, each=each: [tuple(each.activate())], 1)
        assert done[2:4] == ({}, True)
    left = warmpack.spark.add_app(sc, tree, retarget=False)
    assert left._retarget is False


def test_conf_takes_what_add_app_takes():
    of_add_app = dict(inspect.signature(warmpack.spark.add_app).parameters)
    of_conf = dict(inspect.signature(warmpack.spark.conf).parameters)
    assert set(of_add_app) - {"spark", "source"} == set(of_conf) - {"sources", "numba_cache_dir"}
    for name in set(of_add_app) - {"spark", "source"}:
        assert of_add_app[name] == of_conf[name]


def test_settings_for_executors_are_those_that_the_caches_need(small, warm, tmp_path):
    settings = warmpack.spark.conf(small, numba_cache_dir="/var/cache/numba")
    needed = warmpack.env(small)
    assert settings == {
        "spark.executorEnv.NUMBA_CPU_NAME": needed["NUMBA_CPU_NAME"],
        "spark.executorEnv.NUMBA_CPU_FEATURES": needed["NUMBA_CPU_FEATURES"],
        "spark.executorEnv.NUMBA_CACHE_DIR": "/var/cache/numba",
    }
    assert warmpack.spark.conf() == {}
    # The same arguments as add_app, where caches lie outside of the tree.
    del settings["spark.executorEnv.NUMBA_CACHE_DIR"]
    assert warmpack.spark.conf(warm["tree"], cache_dir=warm["caches"], paths=("",)) == settings
    archive = tmp_path / "small.tgz"
    warmpack.create(archive, small.name, directory=small.parent)
    assert warmpack.spark.conf(archive) == settings


def test_an_accumulator_sums_what_all_tasks_loaded_and_compiled(sc, tiny):
    counts = warmpack.spark.accumulator(sc)
    reports = on_executors(sc, tiny.wrap(jobs.reporting(jobs.run_small()), counts))
    assert counts.value["hits"] == sum(report["loads"] for report in reports)
    assert counts.value["misses"] == sum(report["saves"] for report in reports)
