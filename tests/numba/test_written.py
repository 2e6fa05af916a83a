"""Indexes that the library writes from the overloads of others, read by this very Numba."""

import os
import subprocess
from pathlib import Path

from harness import PYTHON, WARMPACK

PROGRAM = Path(WARMPACK).parent / "tests" / "unit" / "test_index_write"


def test_written_indexes_say_what_they_were_made_of_but_for_what_was_changed():
    """tests/unit/test_index_write.c, which makes its indexes with the Numba that it is given."""
    done = subprocess.run(
        [PROGRAM],
        env={**os.environ, "WARMPACK_TEST_PYTHON": PYTHON},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "[  PASSED  ] 9 test(s)." in done.stdout
