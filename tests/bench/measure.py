"""Runs one command and writes what it took as JSON: measure.py RESULT COMMAND...

A process of its own, because the kernel counts the memory of whoever starts a command as the
command's: this one is small. What it says of memory is that of the largest process.
"""

import json
import os
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def machine():
    """Seconds of CPU that the machine has spent so far, and those that a hypervisor took."""
    with open("/proc/stat") as f:
        ticks = [int(word) for word in f.readline().split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq, steal = ticks[:8]
    return (user + nice + system + irq + softirq) / TICK, steal / TICK


def main():
    result, command = sys.argv[1], sys.argv[2:]
    busy, stolen = machine()
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    busy_after, stolen_after = machine()
    own = usage.ru_utime + usage.ru_stime
    with open(result, "w") as f:
        json.dump(
            {
                "wall": wall,
                "cpu": own,
                "user": usage.ru_utime,
                "system": usage.ru_stime,
                "memory": usage.ru_maxrss * 1024,
                "others": max(0.0, busy_after - busy - own),
                "stolen": stolen_after - stolen,
                "status": os.waitstatus_to_exitcode(status),
            },
            f,
        )


main()
