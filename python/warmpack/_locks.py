"""Locks of files, which a process that dies lets go."""

import errno
import fcntl

# What the kernel says where a filesystem has no locks, or does without a service for them; the last
# is NFS's word for a descriptor that is not for writing.
_NO_LOCKS = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOLCK, errno.EBADF)


def lock(fd: int, how: int = fcntl.LOCK_EX) -> None:
    """Takes the lock HOW of the open file FD, and waits for it. Where the filesystem has none, there
    is nothing to wait for; any other failure is raised as OSError."""
    try:
        fcntl.flock(fd, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
