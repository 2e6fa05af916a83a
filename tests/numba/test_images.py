"""A tree in the layer of an image is warm where container tools unpack or mount it."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import harness
from harness import NOBODY, environment, remove_tree, warmpack
from in_place import RESULTS, reader, run_in_place
from small import run_small, write_small

SAVED = 3


def tool(*words, home):
    subprocess.run([str(word) for word in words], check=True, cwd=home, stdout=subprocess.DEVNULL,
                   env=environment(home))


@pytest.fixture(scope="module", params=["in-tree", "outside"])
def image(workspace, request):
    """The layout of a small warm tree, which itself is gone: its caches in tree, or outside."""
    base = workspace / ("image-" + request.param)
    write_small(base / "build" / "app")
    variables = {"NUMBA_CACHE_DIR": base / "caches"} if request.param == "outside" else {}
    assert run_small(base / "build" / "app", base, **variables) == (0, SAVED)
    warmpack("create", "--format", "oci", "-f", base / "img", "--with-locator", "-C",
             base / "build", "app", home=base, **variables)
    shutil.rmtree(base / "build")
    return base / "img"


def by_tar(image, here):
    """The layer alone, by a tool that knows of no manifest."""
    index = json.loads((image / "index.json").read_text())

    def blob(descriptor):
        return image / "blobs" / "sha256" / descriptor["digest"][7:]

    layers = json.loads(blob(index["manifests"][0]).read_text())["layers"]
    (here / "root").mkdir()
    tool("tar", "-xzf", blob(layers[-1]), "-C", here / "root", home=here)
    return here / "root" / "app"


def by_umoci(image, here):
    if os.geteuid() != 0 or not shutil.which("umoci"):
        pytest.skip("needs root and umoci")
    tool("umoci", "unpack", "--image", "%s:latest" % image, here / "bundle", home=here)
    (here / "bundle").chmod(0o755)
    return here / "bundle" / "rootfs" / "app"


def by_oras(image, here):
    """A copy as oras writes it, and the layer as oras reads that."""
    oras = os.environ.get("WARMPACK_ORAS")
    if not oras:
        pytest.skip("needs oras")
    tool(oras, "cp", "--from-oci-layout", "%s:latest" % image, "--to-oci-layout", "copy:latest",
         home=here)
    warmpack("verify", "-qf", here / "copy", home=here)
    tool(oras, "manifest", "fetch", "--oci-layout", "copy:latest", "--output", "manifest.json",
         home=here)
    (layer,) = json.loads((here / "manifest.json").read_text())["layers"]
    tool(oras, "blob", "fetch", "--oci-layout", "copy@" + layer["digest"], "--output", "layer",
         home=here)
    (here / "root").mkdir()
    tool("tar", "-xzf", "layer", "-C", "root", home=here)
    return here / "root" / "app"


def by_base(image, here):
    """The last layer of an image on another."""
    (here / "deps").mkdir()
    (here / "deps" / "dep.py").write_text("x = 1\n")
    again = here / "again"
    warmpack("create", "-f", here / "deps.oci.tar", "-C", here, "deps", home=here)
    warmpack("extract", "-f", image, "-C", again, home=here)
    warmpack("create", "-f", here / "img.oci", "--base", here / "deps.oci.tar", "-C", again, "app",
             home=here)
    remove_tree(again)
    return by_tar(here / "img.oci", here)


@pytest.mark.parametrize("unpack", [by_tar, by_umoci, by_oras, by_base])
def test_it_loads_from_a_read_only_directory_with_whole_seconds(image, here, unpack):
    root = unpack(image, here)
    sources = list(root.rglob("*.py"))
    assert sources and all(path.stat().st_mtime_ns % 10**9 == 0 for path in sources)
    for directory, _, _ in os.walk(root, topdown=False):
        os.chmod(directory, 0o555)
    run = run_in_place(root, reader(here))
    assert (run.loads, run.saves) == (SAVED, 0), run.said
    assert run.results == [[3, 204.0]]


def test_the_module_in_the_layer_is_enough(image, here):
    root = by_tar(image, here)
    code = "import warmpack.locator; warmpack.locator.install()\n" + RESULTS
    run = run_in_place(root, reader(here), code, locator=False, path=[root / ".warmpack/python"])
    assert (run.loads, run.saves) == (SAVED, 0), run.said


def test_extracted_it_needs_no_locator(image, here, me):
    warmpack("extract", "-f", image, "-C", here / "opt", home=here)
    run = run_in_place(Path(here / "opt" / "app"), me, locator=False)
    assert (run.loads, run.saves) == (SAVED, 0), run.said


@pytest.fixture
def podman(image):
    """podman(WORD...): what it says, with the image in a storage of its own, which is forgotten."""
    if os.geteuid() != 0 or not shutil.which("podman"):
        pytest.skip("needs root and podman")
    place = Path(tempfile.mkdtemp(prefix="podman-"))  # in a name of ASCII alone
    storage = place / "storage.conf"
    storage.write_text('[storage]\ndriver = "vfs"\nrunroot = "%s"\ngraphroot = "%s"\n'
                       % (place / "run", place / "graph"))

    def run(*words, check=True):
        # runc, where it is, can do with the cgroups of any kernel.
        runtime = ["--runtime", "runc"] if shutil.which("runc") else []
        done = subprocess.run(["podman", "--cgroup-manager=cgroupfs", *runtime, *map(str, words)],
                              cwd=image.parent, env=environment(place, CONTAINERS_STORAGE_CONF=storage), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip() if done.returncode == 0 else None

    run("pull", "--quiet", "oci:%s:latest" % image.name)
    run.place = place
    yield run
    run("image", "unmount", "--all")
    shutil.rmtree(place)


def test_it_loads_where_podman_mounts_it(podman, me):
    (name,) = podman("images", "--quiet").split()
    root = Path(podman("image", "mount", name)) / "app"
    before = sorted(root.rglob("*"))
    run = run_in_place(root, me)
    assert (run.loads, run.saves) == (SAVED, 0), run.said
    assert sorted(root.rglob("*")) == before


def test_it_loads_as_a_volume_of_a_container(podman):
    """The container has this machine's Python, and nothing of warmpack but what the volume has."""
    root = podman.place / "rootfs"
    for name in ("usr", "etc", "proc", "dev", "sys", "tmp", "srv"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to("usr/" + name)
    (name,) = podman("images", "--quiet").split()
    limits = ["--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000"]
    container = ["run", "--rm", "--network=none", *limits, "--user=%d" % NOBODY,
                 "--volume=/usr:/usr:ro", "--volume=/etc:/etc:ro",
                 "--mount=type=image,source=%s,destination=/srv" % name]
    if podman(*container, "--rootfs", root, "/usr/bin/true", check=False) is None:
        pytest.skip("needs podman, and a machine where it runs containers")
    variables = {"HOME": "/tmp", "NUMBA_DEBUG_CACHE": 1, "NUMBA_NUM_THREADS": 1,
                 "PYTHONPATH": "/srv/app:/srv/app/.warmpack/python"}
    said = podman(*container, *("--env=%s=%s" % item for item in variables.items()),
                  "--rootfs", root, "/usr/bin/python3", "-B", "-c",
                  "import warmpack.locator; warmpack.locator.install()\n" + RESULTS)
    assert len(harness.LOADED.findall(said)) == SAVED and not harness.SAVED.findall(said), said
    assert "RESULTS [3, 204.0]" in said
