"""An egg made of a warm tree, unpacked as installers do it, loads as the tree did in place."""

from arrivals import assert_as_in_place
from harness import indexes_in, run_numba, warmpack

EGG = "warmapp-1.0-py3.11.egg"


def test_unpacked_egg_loads_as_in_place(in_tree, copied, here, me):
    metadata = here / "warmapp.egg-info"
    metadata.mkdir()
    (metadata / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: warmapp\nVersion: 1.0\n")
    warmpack("create", "-f", here / EGG, "--egg-info", metadata, "-C", copied, ".", home=me.home)
    root = here / "site" / EGG
    done = warmpack("extract", "-f", here / EGG, "-C", root, home=me.home)
    assert done.counts == (in_tree.indexes, in_tree.indexes)
    assert (root / "EGG-INFO" / "PKG-INFO").exists()
    assert len(indexes_in(root)) == in_tree.indexes
    assert_as_in_place(run_numba(root, me), in_tree, root)
