"""Filesystems without locks do for all that locks; any other failure to lock is told."""

import errno
import fcntl
import os

import pytest
from warmpack import _activate, _scratch, locator


def once(place):
    assert _activate.once([1], str(place / "app"), lambda before: {"caches": []})["key"] == [1]


def scratch(place):
    with _scratch.scratch(str(place)) as directory:
        assert os.path.isdir(directory)


def save(place):
    with locator._locked(str(place)):
        pass


def private(place):
    directory = locator._Private().directory(str(place))
    assert os.path.isdir(directory)


@pytest.fixture(name="fails_with")
def failing_flock(monkeypatch):
    def set_number(number):
        def flock(_fd, _how):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return set_number


@pytest.mark.parametrize("job", (once, scratch, save, private))
@pytest.mark.parametrize("name", ("EOPNOTSUPP", "ENOSYS", "EINVAL", "ENOLCK", "EBADF"))
def test_a_filesystem_without_locks_is_enough(tmp_path, fails_with, job, name):
    fails_with(getattr(errno, name))
    job(tmp_path)


@pytest.mark.parametrize("job", (once, scratch, save, private))
def test_any_other_failure_is_no_filesystem_without_locks(tmp_path, fails_with, job):
    """Else two processes that save at once would take one number for two overloads."""
    fails_with(errno.EIO)
    with pytest.raises(OSError) as raised:
        job(tmp_path)
    assert raised.value.errno == errno.EIO

