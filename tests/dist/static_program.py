"""The static program, for tests of several folders."""

import subprocess

import pytest

import trees


@pytest.fixture(scope="session")
def static_program():
    """The program that `cmake --preset static` makes."""
    for words in (["cmake", "--preset", "static"], ["cmake", "--build", "--preset", "static"]):
        done = subprocess.run(words, cwd=trees.ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
    return trees.ROOT / "build-static" / "warmpack"
