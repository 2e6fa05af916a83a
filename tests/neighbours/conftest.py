"""Real libraries: the caches of one release, and the sources of the next. Run by the Python of an
environment that has what they need and sees Debian's Numba; see neighbours.txt."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "numba")]
