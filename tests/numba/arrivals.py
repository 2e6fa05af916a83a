"""Unpacking a warm tree somewhere else, and judging what Numba made of it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from facts import facts
from harness import Done, run_numba, warmpack


@dataclass
class Arrival:
    root: Path
    variables: dict  # what the consumer sets
    done: Done


def arrive(warm, here, *words, home, suffix=".tgz", cache_dir=None, inside=None, **variables):
    """Unpacks under another path and another top-level name.

    CACHE_DIR is given by --cache-dir and set for the consumer. INSIDE: the caches stay in the
    root that is inside the tree.
    """
    root = here / "opt" / "été" / "release 7"
    root.parent.mkdir(parents=True)
    options = ["--cache-dir", cache_dir] if cache_dir else []
    done = warmpack(
        "extract",
        *("-f", warm.archives[suffix], "-C", root, "--strip-components", "1"),
        *options,
        *words,
        home=home,
        **variables,
    )
    if inside if inside is not None else warm.place == "inside":
        cache_dir = root / ".numba_cache"
    return Arrival(root, {"NUMBA_CACHE_DIR": cache_dir} if cache_dir else {}, done)


def own_place(warm, here):
    """What keeps each place's caches of the same kind where another path is given."""
    return {"cache_dir": here / "new caches"} if warm.place == "outside" else {}


def unpacked_by_tar(warm, flavour, here):
    """Unpacks what GNU tar packed; returns the root and what the consumer sets."""
    root = here / "unpacked" / "app"
    caches = here / "caches"
    for archive, directory in zip(warm.tars[flavour], (root.parent, caches)):
        directory.mkdir()
        subprocess.run(["tar", "-xzf", archive, "-C", directory], check=True)
    if warm.place == "inside":
        caches = root / ".numba_cache"
    return root, {} if warm.place == "in-tree" else {"NUMBA_CACHE_DIR": caches}


def kept_by_tar(warm, part="application"):
    """How many loads tar's whole seconds leave: none, but where Numba looks at content alone."""
    is_kept = facts().content_stamps and warm.place == "in-tree"
    return warm.in_place[part].loads if is_kept else 0


def assert_as_in_place(run, warm, beneath, part="application"):
    """The promise: as many loads as in place, no more saves, equal results, from BENEATH alone."""
    before = warm.in_place[part]
    assert before.loads > 0
    assert run.results == before.results
    assert (run.loads, run.saves <= before.saves) == (before.loads, True), (
        "%d loads and %d saves, in place %d and %d; saved: %s"
        % (run.loads, run.saves, before.loads, before.saves, run.saved)
    )
    strays = [path for path in run.loaded if not path.startswith(str(beneath) + "/")]
    assert not strays


def assert_all_valid(done, warm):
    assert done.counts == (warm.indexes, warm.indexes)


def run_there(arrival, person, part="application"):
    return run_numba(arrival.root, person, part, **arrival.variables)
