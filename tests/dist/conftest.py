"""What is distributed: the static program, completion, packages."""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import trees  # noqa: E402


@pytest.fixture(scope="session")
def static_program():
    """The program that `cmake --preset static` makes."""
    for words in (["cmake", "--preset", "static"], ["cmake", "--build", "--preset", "static"]):
        done = subprocess.run(words, cwd=trees.ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
    return trees.ROOT / "build-static" / "warmpack"
