"""What is not valid is said to be so, and stays so: valid means that Numba loads it."""

import os
import subprocess

import pytest
from harness import PYTHON, SAVED, environment, indexes_in, run_numba, warmpack


def touch(path):
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))


def relative(paths, root):
    return {os.path.relpath(path, root) for path in paths}


def test_verify_names_the_index_of_a_touched_source_and_numba_recompiles_it(copied, me):
    total = len(indexes_in(copied))
    assert warmpack("verify", copied, home=me.home).counts == (total, total)

    touch(copied / "warmapp" / "recursion.py")
    touch(copied / "größe" / "zähler.py")
    done = warmpack("verify", copied, home=me.home, expect=1)
    assert done.counts == (total - 2, total)
    named = [line for line in done.out.splitlines() if line.split()[0] == "stale"]
    assert len(named) == len(done.out.splitlines()) == 2
    assert "warmapp/__pycache__/recursion.fibonacci-" in done.out
    assert "größe/__pycache__/zähler.fläche-" in done.out

    saved = relative(run_numba(copied, me).saved, copied)
    assert {path.split("/")[-1].split("-")[0] for path in saved} == {
        "recursion.fibonacci",
        "zähler.fläche",
    }
    assert warmpack("verify", copied, home=me.home).counts == (total, total)


def test_index_stale_when_packed_is_never_made_valid(copied, here, me):
    total = len(indexes_in(copied))
    touch(copied / "warmapp" / "recursion.py")
    archive = here / "app.tgz"
    words = ("-f", archive, "-C", copied.parent, "app")
    refused = warmpack("create", "--strict", *words, home=me.home, expect=2)
    assert "recursion.fibonacci-" in refused.err
    assert not archive.exists()

    packed = warmpack("create", *words, home=me.home)
    assert packed.counts == (total - 1, total)
    root = here / "new"
    done = warmpack(
        "extract", "-f", archive, "-C", root, "--strip-components", "1", home=me.home
    )
    assert done.counts == (total - 1, total)
    saved = run_numba(root, me).saved
    assert saved and all("/recursion.fibonacci-" in path for path in saved)


def test_missing_data_is_named_and_recompiled(copied, me):
    gone = next((copied / "warmapp" / "__pycache__").glob("recursion.fibonacci-*.nbc"))
    gone.unlink()
    done = warmpack("verify", copied, home=me.home, expect=1)
    assert done.out.startswith("data-missing")
    assert gone.name in done.out
    assert [os.path.basename(p) for p in run_numba(copied, me).saved] == [gone.name]


def test_edit_within_the_same_second_and_size_is_noticed(copied, me):
    source = copied / "warmapp" / "recursion.py"
    text = source.read_text()
    times = source.stat()
    source.write_text(text.replace("n < 2", "n < 1"))
    # The same size and the same whole second: only the nanoseconds tell.
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns - times.st_mtime_ns % 10**9))
    done = warmpack("verify", copied, home=me.home, expect=1)
    assert "recursion.fibonacci-" in done.out


def test_exact_copy_by_another_tool_is_valid(copied, here, me):
    """cp -a keeps what lies in tree; verify must say so without a manifest."""
    copy = here / "cp"
    subprocess.run(["cp", "-a", copied, copy], check=True)
    total = len(indexes_in(copied))
    assert warmpack("verify", copy, home=me.home).counts == (total, total)


def write_release(root, number):
    path = root / "pkg" / "k.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "from numba import njit\n\n@njit(cache=True)\ndef f(x):\n    return x + %d\n" % number
    )
    os.utime(path, (1.7e9 + number + 0.5,) * 2)
    return root


def call(root, me, variables):
    done = subprocess.run(
        [PYTHON, "-B", "-c", "from pkg.k import f; print(f(1))"],
        env=environment(me.home, NUMBA_DEBUG_CACHE=1, PYTHONPATH=root, **variables),
        cwd=me.home,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return int(done.split()[-1]), len(SAVED.findall(done))


@pytest.mark.parametrize("place", ["a cache root", "the tree"])
def test_what_was_compiled_of_the_release_before_is_not_made_valid(here, me, place):
    """Another tool has put a release over one that was used there. A constant has changed, which is
    in no key of Numba's: the two indexes differ in the time that they remember alone."""
    build, packed = write_release(here / "build", 2), {"NUMBA_CACHE_DIR": here / "packed"}
    assert call(build, me, packed) == (3, 1)
    archive = here / "a.tgz"
    warmpack("create", "-f", archive, "-C", build, "--cache-dir", here / "packed", "pkg", home=me.home)

    root = write_release(here / "root", 1)
    variables = {"NUMBA_CACHE_DIR": here / "own"} if place == "a cache root" else {}
    assert call(root, me, variables) == (2, 1)
    subprocess.run(["tar", "-xzf", archive, "-C", root], check=True)
    options = ["--cache-dir", here / "own"] if variables else []
    assert warmpack("restore", *options, root, home=me.home).counts == (1, 1)
    assert call(root, me, variables) == (3, 0)
