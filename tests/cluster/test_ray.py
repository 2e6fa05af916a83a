"""warmpack.ray on a real Ray of three processes: the plug-in for runtime environments, and the hook
without it. Each test is a program of its own, since a process starts Ray once."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import recipe, run_script

PLUGIN = '[{"class": "warmpack.ray.Plugin"}]'
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1", "NUMBA_DEBUG_CACHE": "1"}
EIGHT = str([number + 1 for number in range(8)])

# Tasks, and actors that live at once and so are processes of their own.
JOB = '''
import json, os, ray, sys
sys.path.append(%(tests)r)
import tasks
from tasks import work
ray.cloudpickle.register_pickle_by_value(tasks)
ray.init(num_cpus=3, include_dashboard=False, runtime_env=%(environment)s)

@ray.remote
class Actor:
    def work(self):
        return work()

actors = [Actor.remote() for _ in range(2)]
reports = ray.get([actor.work.remote() for actor in actors])
reports += ray.get([ray.remote(work).remote()])
for actor in actors:
    ray.kill(actor)
print(json.dumps(reports))
%(more)s
ray.shutdown()
'''


@pytest.fixture
def place(tmp_path):
    """Where Ray works: its sockets' paths must be short."""
    path = Path(tempfile.mkdtemp(prefix="wp-ray-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run(place, environment, more="", **variables):
    code = JOB % {"environment": environment, "tests": str(Path(__file__).parent), "more": more}
    said = run_script(code, place, **{**QUIET, "TMPDIR": str(place), "RAY_TMPDIR": str(place),
                                      **variables})
    return [json.loads(line) for line in said.splitlines() if line.startswith("[{")]


def assert_warm(reports, result=42):
    for report in reports:
        assert (report["loads"], report["saves"], report["result"]) == (3, 0, result), report
    assert len({report["pid"] for report in reports}) == 3
    assert len({report["file"] for report in reports}) == 1


def test_the_plug_in_brings_each_release_to_tasks_and_actors(place, s3, archives):
    """Each runtime environment has processes of its own; what was unpacked is kept by content."""
    for number, archive in enumerate(archives):
        s3.upload_file(str(archive), "bucket", "ray/app-%d.tgz" % number)
    more = """
second = {"warmpack": {"archive": "s3://bucket/ray/app-1.tgz", "paths": [""]}}
print(json.dumps([ray.get(ray.remote(work).options(runtime_env=second).remote())]))
"""
    first, second = run(place, {"warmpack": "s3://bucket/ray/app-0.tgz"}, more,
                        RAY_RUNTIME_ENV_PLUGINS=PLUGIN)
    assert_warm(first)
    assert (second[0]["loads"], second[0]["saves"], second[0]["result"]) == (3, 0, 1042)
    unpacked = [p.name for p in place.glob("warmpack-*/*.d")]
    assert len(unpacked) == 2 and all(name.startswith("app-") for name in unpacked)


def test_what_nobody_uses_any_more_leaves_rays_cache(place, archives):
    """Its size is Ray's to keep; what a job still uses stays."""
    more = """
import time
actor = Actor.options(runtime_env={"warmpack": %r}).remote()
told = ray.get(actor.work.remote())
was_there = os.path.exists(told["file"])
ray.kill(actor)
deadline = time.monotonic() + 120
while os.path.exists(told["file"]) and time.monotonic() < deadline:
    time.sleep(0.2)
print(json.dumps([{**told, "there": [was_there, os.path.exists(told["file"])],
                   "first": os.path.exists(reports[0]["file"])}]))
""" % str(archives[1])
    first, (second,) = run(place, {"warmpack": str(archives[0])}, more,
                           RAY_RUNTIME_ENV_PLUGINS=PLUGIN,
                           RAY_RUNTIME_ENV_WARMPACK_CACHE_SIZE_GB="0")
    assert_warm(first)
    assert (second["loads"], second["saves"], second["result"]) == (3, 0, 1042)
    assert second["there"] == [True, False] and second["first"]


def test_a_mistake_in_the_environment_is_told(place, archives):
    more = """
for wrong in ({"archive": "none.tgz"}, {"archiv": "app.tgz"}):
    try:
        ray.get(ray.remote(work).options(runtime_env={"warmpack": wrong}).remote())
    except Exception as error:
        print(json.dumps([{"error": str(error)}]))
"""
    _, missing, misspelt = run(place, {"warmpack": str(archives[0])}, more,
                               RAY_RUNTIME_ENV_PLUGINS=PLUGIN)
    assert "none.tgz: there is no such archive on this node" in missing[0]["error"]
    assert "is the path or URL of an archive" in misspelt[0]["error"]


def test_the_plug_in_takes_an_archive_that_working_dir_brought(place, archives):
    (place / "job").mkdir()
    shutil.copy2(archives[1], place / "job" / "app.tgz")
    environment = {"working_dir": "job", "warmpack": {"archive": "app.tgz"}}
    (reports,) = run(place, environment, RAY_RUNTIME_ENV_PLUGINS=PLUGIN)
    assert_warm(reports, 1042)


def test_the_hook_takes_an_archive_that_working_dir_brought(place, archives):
    """Where the plug-in is, too: an environment without its field is none of its business."""
    (place / "job").mkdir()
    shutil.copy2(archives[1], place / "job" / "app.tgz")
    environment = ("{'working_dir': 'job', 'worker_process_setup_hook': "
                   "__import__('warmpack.ray').ray.hook('app.tgz')}")
    (reports,) = run(place, environment, RAY_RUNTIME_ENV_PLUGINS=PLUGIN)
    assert_warm(reports, 1042)


@pytest.mark.parametrize("name", ("ray", "ray-hook"))
def test_the_recipe_for_ray_runs_as_it_stands(name, place, s3, archives):
    if name == "ray":
        s3.upload_file(str(archives[0]), "bucket", "app.tgz")
    else:
        (place / "job").mkdir()
        shutil.copy2(archives[0], place / "job" / "app.tgz")
    said = run_script(recipe(name), place, **{**QUIET, "TMPDIR": str(place),
                                              "RAY_TMPDIR": str(place)})
    assert EIGHT in said


def test_ray_is_asked_for_by_name():
    code = "import sys\nsys.modules['ray'] = None\nimport warmpack.ray"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
                          check=False)
    assert "package ray, which is not installed" in done.stderr.splitlines()[-1]


def test_what_ray_forgets_is_removed(archives, tmp_path):
    import asyncio
    import logging

    import warmpack.ray

    environment = {"warmpack": {"archive": str(archives[0]), "directory": str(tmp_path)}}
    plugin = warmpack.ray.Plugin()
    (uri,) = plugin.get_uris(environment)
    size = asyncio.run(plugin.create(uri, environment, None, logging.getLogger()))
    assert size > 10000 and Path(uri[len("warmpack://"):], "app", "pkg").is_dir()
    assert plugin.delete_uri(uri, logging.getLogger()) == size
    (kept,) = tmp_path.iterdir()
    assert list(kept.iterdir()) == []
