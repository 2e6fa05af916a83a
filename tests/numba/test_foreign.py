"""Archives of other tools read by warmpack, and warmpack's read by other tools."""

import subprocess

import pytest
from arrivals import assert_as_in_place
from harness import PYTHON, run_numba, warmpack

def test_foreign_pax_archive_keeps_its_caches(in_tree, here, me):
    root = here / "new"
    done = warmpack(
        "extract",
        *("-f", in_tree.tars["pax"][0], "-C", root, "--strip-components", "1"),
        home=me.home,
    )
    assert done.counts == (in_tree.indexes, in_tree.indexes)
    assert_as_in_place(run_numba(root, me), in_tree, root)


def test_foreign_archive_of_whole_seconds_is_unpacked_with_a_warning(in_tree, here, me):
    root = here / "new"
    done = warmpack(
        "extract",
        *("-f", in_tree.tars["gnu"][0], "-C", root, "--strip-components", "1"),
        home=me.home,
    )
    assert done.counts == (0, in_tree.indexes)
    assert "stale" in done.err
    assert run_numba(root, me).loads == 0


OPENERS = {
    "gnu-tar": "tar -xzf '{archive}' -C '{directory}'",
    "bsdtar": "bsdtar -xzf '{archive}' -C '{directory}'",
    "python": PYTHON
    + " -c 'import sys, tarfile; tarfile.open(sys.argv[1], \"r:gz\").extractall(sys.argv[2])'"
    + " '{archive}' '{directory}'",
}


@pytest.mark.parametrize("tool", sorted(OPENERS))
def test_caches_in_tree_survive_when_another_tool_unpacks_our_archive(in_tree, here, me, tool):
    line = OPENERS[tool].format(archive=in_tree.archives[".tgz"], directory=here)
    subprocess.run(line, shell=True, check=True, stderr=subprocess.PIPE)
    root = here / "app"
    assert_as_in_place(run_numba(root, me), in_tree, root)
    done = warmpack("verify", root, home=me.home)
    assert done.counts == (in_tree.indexes, in_tree.indexes)
