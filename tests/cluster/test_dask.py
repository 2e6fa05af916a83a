"""warmpack.dask.Warm on real clusters: processes of a LocalCluster, and a scheduler with workers that
were started as commands."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

import cloudpickle
import pytest
import tasks
import warmpack
import warmpack.dask
from conftest import recipe, run_script
from distributed import Client, LocalCluster
from tasks import work

cloudpickle.register_pickle_by_value(tasks)


@pytest.fixture(scope="module", autouse=True)
def variables():
    os.environ["NUMBA_DEBUG_CACHE"] = "1"
    yield
    del os.environ["NUMBA_DEBUG_CACHE"]


@pytest.fixture
def local(tmp_path):
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
                      local_directory=str(tmp_path / "dask")) as cluster, Client(cluster) as client:
        yield cluster, client


@contextlib.contextmanager
def processes():
    """Commands, which are ended in the reverse order."""
    running = []

    def start(*words, **how):
        running.append(subprocess.Popen(list(map(str, words)), **how))
        return running[-1]

    try:
        yield start
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def address_in(file, process):
    """What the scheduler says of itself once it listens: it chooses the port."""
    for _ in range(1200):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return json.loads(file.read_text())["address"]
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("it does not listen")


@pytest.fixture
def commands(tmp_path):
    """A scheduler and two workers on loopback; returns its address."""
    with processes() as start:
        log = (tmp_path / "log").open("w")
        dask = (sys.executable, "-m", "dask")
        scheduler = start(*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                          "--scheduler-file", tmp_path / "scheduler.json", stderr=log)
        address = address_in(tmp_path / "scheduler.json", scheduler)
        for number in range(2):
            start(*dask, "worker", address, "--nthreads", "1", "--no-dashboard",
                  "--local-directory", tmp_path / ("machine%d" % number), stderr=log)
        yield address
        log.close()


def on_each(client, function=work):
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return client.gather([client.submit(function, number, workers=[worker], pure=False)
                          for number, worker in enumerate(workers)])


def assert_warm(reports, result=42, loads=3):
    for report in reports:
        assert (report["loads"], report["saves"], report["result"]) == (loads, 0, result), report
    assert len({report["pid"] for report in reports}) == len(reports)


def test_workers_of_today_and_of_later_load_and_unpack_once_a_machine(local, archives, tmp_path):
    cluster, client = local
    warm = warmpack.dask.Warm(archives[0])
    client.register_plugin(warm.nanny)
    client.register_plugin(warm)
    reports = on_each(client)
    assert_warm(reports)
    cluster.scale(3)
    client.wait_for_workers(3)
    late = [r for r in on_each(client) if r["pid"] not in {old["pid"] for old in reports}]
    assert len(late) == 1
    assert_warm(late)
    assert len({report["file"] for report in reports + late}) == 1
    assert late[0]["file"].startswith(str(tmp_path / "dask"))


def test_the_next_release_replaces_the_one_of_before_in_living_workers(local, archives):
    _, client = local
    client.register_plugin(warmpack.dask.Warm(archives[0]))
    before = on_each(client)
    assert_warm(before)
    client.register_plugin(warmpack.dask.Warm(archives[1]))
    after = on_each(client)
    assert_warm(after, 1042)
    assert {r["pid"] for r in before} == {r["pid"] for r in after}


def test_a_worker_of_later_takes_the_last_release_whatever_takes_longer(trees, archives, tmp_path):
    """Dask sets up the plug-ins of a new worker at the same time."""
    subprocess.run(["cp", "-a", trees[0], tmp_path / "app"], check=True)
    for number in range(64):
        (tmp_path / "app" / ("ballast%d" % number)).write_bytes(os.urandom(2 << 20))
    warmpack.create(tmp_path / "large.tgz", "app", directory=tmp_path)
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=None,
                      local_directory=str(tmp_path / "dask")) as cluster, Client(cluster) as client:
        for archive in (tmp_path / "large.tgz", archives[1]):
            client.register_plugin(warmpack.dask.Warm(archive))
        cluster.scale(1)
        client.wait_for_workers(1)
        assert_warm(on_each(client), 1042)


@pytest.fixture
def generic(tmp_path, home):
    """An archive of code for another CPU than any machine's."""
    from small import run_small, write_small

    tree = write_small(tmp_path / "generic" / "app")
    run_small(tree, home, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    warmpack.create(tmp_path / "generic.tgz", "app", directory=tree.parent)
    return tmp_path / "generic.tgz"


def test_workers_of_any_cpu_load_with_no_settings(local, generic):
    """Also those that have imported Numba already."""
    _, client = local
    client.run(lambda: __import__("numba"))
    client.register_plugin(warmpack.dask.Warm(generic))
    assert_warm(on_each(client))
    assert set(client.run(lambda: os.environ.get("NUMBA_CPU_NAME")).values()) == {None}


def test_a_process_that_a_nanny_starts_again_has_the_settings_before_numba(local, generic):
    _, client = local
    client.run(lambda: __import__("numba"))
    warm = warmpack.dask.Warm(generic, retarget=False)
    with pytest.raises(warmpack.Error, match="numba was imported before"):
        client.register_plugin(warm)
    client.unregister_worker_plugin(warm.name)
    client.register_plugin(warm.nanny)
    client.restart()
    assert set(client.run(lambda: os.environ.get("NUMBA_CPU_NAME")).values()) == {"generic"}
    client.run(lambda: __import__("numba"))
    client.register_plugin(warm)
    assert_warm(on_each(client))


def test_several_archives_by_url_on_workers_that_were_started_as_commands(
        commands, s3, archives, tmp_path):
    s3.upload_file(str(archives[0]), "bucket", "dask/app.tgz")
    (tmp_path / "more" / "more").mkdir(parents=True)
    (tmp_path / "more" / "more" / "of_the_second.py").write_text("VALUE = 2\n")
    warmpack.create(tmp_path / "more.tgz", "more", directory=tmp_path / "more")

    def both(_):
        import of_the_second

        return {**work(), "value": of_the_second.VALUE}

    with Client(commands) as client:
        client.wait_for_workers(2, timeout=120)
        for archive in ("s3://bucket/dask/app.tgz", tmp_path / "more.tgz"):
            warm = warmpack.dask.Warm(archive)
            client.register_plugin(warm.nanny)
            client.register_plugin(warm)
        reports = on_each(client, both)
    assert_warm(reports)
    assert {report["value"] for report in reports} == {2}
    assert {report["file"].split("/machine")[1][0] for report in reports} == {"0", "1"}


def test_the_recipe_for_dask_runs_as_it_stands(commands, archives, tmp_path):
    shutil.copy2(archives[0], tmp_path / "app.tgz")
    said = run_script(recipe("dask"), tmp_path, DASK_SCHEDULER_ADDRESS=commands)
    assert str([number + 1 for number in range(8)]) in said


def test_dask_is_asked_for_by_name():
    code = ("import sys\n"
            "sys.modules['distributed'] = None\n"
            "import warmpack.dask")
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
                          check=False)
    assert "package distributed, which is not installed" in done.stderr.splitlines()[-1]


def test_a_directory_that_others_may_write_to_is_refused(tmp_path):
    from warmpack import _places

    place = tmp_path / ("warmpack-%d" % os.geteuid())
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    with pytest.raises(warmpack.Error, match="only this user may write to"):
        _places.own_directory(str(tmp_path))


def test_the_scheduler_is_told_what_workers_loaded_and_compiled(archives, local):
    cluster, client = local
    plugin = warmpack.dask.Warm(archives[0])
    client.register_plugin(plugin)
    on_each(client)

    def told():
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        return [worker["metrics"].get("warmpack", {}) for worker in workers]

    for _ in range(600):  # a heartbeat comes in seconds
        if all(counts.get("hits") == 3 for counts in told()):
            break
        time.sleep(0.1)
    assert [(c["hits"], c["misses"]) for c in told()] == [(3, 0), (3, 0)]
