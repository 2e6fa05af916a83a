"""The program under test: $WARMPACK, or what the release preset builds."""

import signal

import pytest
import trees

# Whoever runs the tests may ignore them (nohup, a job in the background of a script), and children
# would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def warmpack(tmp_path):
    """Runs it in an empty directory, with a home of its own there."""
    return trees.Runner(tmp_path)
