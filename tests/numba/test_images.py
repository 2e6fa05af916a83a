"""A tree in the layer of an image is warm where container tools unpack or mount it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import environment, remove_tree, warmpack
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


@pytest.mark.parametrize("unpack", [by_tar, by_umoci, by_base])
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
