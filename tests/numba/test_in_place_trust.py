"""WARMPACK_TRUST in a tree that is run where it lies: caches that a trusted key signed, or none."""

import os
import shutil
import subprocess

import pytest
from harness import PYTHON, warmpack
from in_place import run_in_place
from small import run_small, write_small

SAVED_IN_PLACE = 3

pytestmark = pytest.mark.skipif(
    subprocess.run([PYTHON, "-c", "import cryptography"], stderr=subprocess.DEVNULL,
                   check=False).returncode != 0, reason="this Python has no package cryptography")


@pytest.fixture(scope="module")
def signed(workspace):
    """build/app, warm and sealed with mine.pem, beside keys: mine, other and their .pub.pem."""
    base = workspace / "trust"
    base.mkdir()
    for name in ("mine", "other"):
        for words in (["genpkey", "-algorithm", "ed25519", "-out", name + ".pem"],
                      ["pkey", "-in", name + ".pem", "-pubout", "-out", name + ".pub.pem"]):
            subprocess.run(["openssl", *words], cwd=base, check=True)
    write_small(base / "app")
    assert run_small(base / "app", base) == (0, SAVED_IN_PLACE)
    warmpack("seal", "-q", base / "app", "--sign", base / "mine.pem", home=base)
    return base


@pytest.fixture
def tree(signed, here):
    shutil.copytree(signed / "app", here / "app")
    return here / "app"


def run(tree, me, signed, key="mine", **more):
    done = run_in_place(tree, me, WARMPACK_TRUST=signed / (key + ".pub.pem"), **more)
    assert done.results == [[3, 204.0]], done.said
    return done


def manifest_of(tree):
    (found,) = tree.glob(".warmpack/*/manifest.jsonl")
    return found


def test_signed_caches_load_as_in_place(tree, signed, me):
    for _ in range(2):  # the first makes the overlay, the second finds it
        done = run(tree, me, signed)
        assert (done.loads, done.saves) == (SAVED_IN_PLACE, 0), done.said
        assert done.said == ""
    assert run(tree, me, signed, key="other").loads == 0


def altered_manifest(tree):
    path = manifest_of(tree)
    path.write_bytes(path.read_bytes().replace(b'"0644"', b'"0600"', 1))


def unsigned(tree):
    path = manifest_of(tree)
    path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:-1]))


def truncated(tree):
    path = manifest_of(tree)
    path.write_bytes(path.read_bytes()[:-10])


def altered_indexes(tree):
    for path in tree.glob("pkg/__pycache__/*.nbi"):
        st = path.stat()
        path.write_bytes(path.read_bytes() + b"\0")
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def altered_source(tree):
    """In a comment, with the time and the size that Numba looks at."""
    path = tree / "pkg/k.py"
    st = path.stat()
    path.write_bytes(path.read_bytes().replace(b"import os", b"import re", 1))
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


@pytest.mark.parametrize("change, said", [
    (altered_manifest, "manifest"), (unsigned, "is not signed"), (truncated, "truncated"),
    (altered_indexes, "not as they were packed"), (altered_source, "not what was packed")],
    ids=lambda word: getattr(word, "__name__", ""))
def test_what_is_not_as_it_was_signed_is_loaded_from_nowhere(tree, signed, me, change, said):
    """Nor by Numba's own locators, which would load it: the directory beside the source has all."""
    change(tree)
    done = run(tree, me, signed)
    assert (done.loads, done.saves) == (0, 0)
    assert said in done.said and done.said.count("\n") == 1
    if change is altered_manifest:
        assert run_in_place(tree, me, locator=False).loads == SAVED_IN_PLACE


def test_altered_code_is_compiled_again(tree, signed, me):
    for path in tree.glob("pkg/__pycache__/*.nbc"):
        path.write_bytes(path.read_bytes().replace(b"add", b"bad"))
        break
    changed = sum(path.read_bytes() != (signed / path.relative_to(tree.parent)).read_bytes()
                  for path in tree.glob("pkg/__pycache__/*.nbc"))
    done = run(tree, me, signed)
    assert (done.loads, done.saves) == (SAVED_IN_PLACE - changed, changed)


def test_an_overlay_of_an_unsigned_tree_is_not_taken_with_trust(tree, signed, me):
    unsigned(tree)
    assert run_in_place(tree, me).loads == SAVED_IN_PLACE
    done = run(tree, me, signed)
    assert (done.loads, done.saves) == (0, 0) and "is not signed" in done.said


def test_without_cryptography_no_cache_is_used_and_one_line_says_so(tree, signed, me):
    code = ("import sys\nsys.modules['cryptography'] = None\nimport numpy as np\n"
            "import pkg.k as k\nprint('RESULTS', '[%d, %s]' % (k.add(1, 2), "
            "k.total(np.arange(9.0))))\n")
    done = run_in_place(tree, me, code, WARMPACK_TRUST=signed / "mine.pub.pem")
    assert (done.loads, done.saves, done.results) == (0, 0, [[3, 204.0]])
    assert "cryptography" in done.said and done.said.count("\n") == 1
