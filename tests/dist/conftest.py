"""What is distributed: the static program, completion, packages."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from static_program import static_program  # noqa: E402,F401
