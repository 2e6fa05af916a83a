"""The longer table of edits: caches that meet edited sources on their way give what a fresh compile
gives, and what does not depend on the edit stays warm."""

import edits
import pytest
from arrivals_of_edits import WAYS, check, run


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    tree = edits.write(tmp_path_factory.mktemp("warm"), edits.ALL)
    run(tree, edits.ALL, tree)
    return tree


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    tree = edits.write(tmp_path_factory.mktemp("fresh"), edits.ALL, after=True)
    return run(tree, edits.ALL, tree)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_caches_give_what_a_fresh_compile_gives(way, warm, fresh, tmp_path):
    check(warm, fresh, way, tmp_path, edits.ALL)
