"""Which CPU code in caches is for, and making it load on this one.

Numba loads an overload only where the CPU in its key is, to the letter, the one that it compiles
for. Either the keys are made this machine's (retargeting), or NUMBA_CPU_NAME and NUMBA_CPU_FEATURES
are set to what the keys say.
"""

import functools
import hashlib
import logging
import os
import sys
from typing import Any, Dict, List, Optional, Sequence

from ._program import Error, run

_log = logging.getLogger("warmpack")

VARIABLES = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")


@functools.lru_cache(maxsize=None)
def given() -> Dict[str, str]:
    """Those of the variables that were set before any activation set them."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


@functools.lru_cache(maxsize=None)
def numba_version() -> Optional[str]:
    """Of the Numba that this Python would import; None: it has none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("numba")
    except PackageNotFoundError:
        return None


def python_tag() -> str:
    return "%d%d%s" % (*sys.version_info[:2], getattr(sys, "abiflags", ""))


@functools.lru_cache(maxsize=None)
def here() -> str:
    """Stands for all that decides what Numba puts into keys here: the CPU, Python and Numba."""
    wanted = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    lines: List[str] = []
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break  # the first processor
                if line.partition(":")[0].strip() in wanted:
                    lines.append(line.strip())
    except OSError:
        pass
    text = "\n".join([*lines, os.uname().machine, python_tag(), str(numba_version())])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def can_retarget() -> bool:
    """Is there a Numba to retarget for, which nobody has told what to compile for?"""
    return bool(not given() and sys.executable and numba_version())


def _environ() -> Dict[str, str]:
    hidden = ("NUMBA_CACHE_DIR", *(name for name in VARIABLES if name not in given()))
    return {name: value for name, value in os.environ.items() if name not in hidden}


def retarget(directory: str, words: Sequence[str], program: Optional[str]) -> bool:
    """Makes the caches in DIRECTORY, which lie where WORDS say, load in this Python with no
    setting. False: some of their code cannot; then its keys are as they were."""
    try:
        done = run(["retarget", *words, "--for=" + sys.executable, "--", directory], _environ(),
                   program=program)["retarget"]
    except Error as error:
        _log.info("%s: the caches keep the CPU that they were compiled for: %s", directory, error)
        return False
    if done["changed"]:
        names = sorted({build["cpu"] for build in done["builds"] if build["chosen"]})
        _log.info("%s: %d of %d overloads, compiled for %s, load here (%s) with no settings; "
                  "retarget=False leaves them as they are", directory, done["loads"],
                  done["overloads"], ", ".join(names), done["cpu"])
    return bool(done["left"] == 0)


def undo_retarget(directory: str, words: Sequence[str], program: Optional[str]) -> None:
    run(["retarget", *words, "--undo", "--", directory], _environ(), program=program)


def _is_for_this_architecture(triple: Optional[str]) -> bool:
    """Numba aborts where it is told to compile for a CPU of another one."""
    return not triple or triple.partition("-")[0] == os.uname().machine


def settings_for(indexes: Sequence[Dict[str, Any]]) -> Dict[str, str]:
    """What makes the caches load; nothing where there are none, or for more than one CPU."""
    cpus = {(overload.get("cpu"), overload.get("features"))
            for index in indexes for overload in index.get("overloads", ())
            if "target" not in overload and _is_for_this_architecture(overload.get("triple"))}
    if len(cpus) != 1:
        return {}
    ((name, features),) = cpus
    if not name or features is None:
        return {}
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
