"""Pack Python trees so that their Numba caches arrive warm.

Thin typed functions over the program warmpack, one for each of its main verbs. A result is the
document that the verb prints with --json; the manual pages say what its members mean, and which of
them are always there the types do, such as ExtractResult. What the program refuses is raised as
warmpack.Error, with the line that it prints.

    import warmpack
    warmpack.create("app.tgz", "app", directory="/srv/build")
    done = warmpack.extract("app.tgz", "/opt")
    print(done["summary"])          # {'total': 32, 'valid': 32}

activate() unpacks an archive once for many processes, and makes this process use it. Archives may
be URLs that fsspec knows, such as "s3://bucket/app.tgz", where that package is installed. See
warmpack.spark, warmpack.dask and warmpack.ray for tasks elsewhere, and warmpack.setuptools for eggs
and wheels. python -m warmpack is the program itself.
"""

import importlib
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from ._activate import activate
    from ._jobs import (
        amend,
        create,
        diff,
        env,
        explain,
        extract,
        inspect,
        merge,
        restore,
        retarget,
        seal,
        verify,
        warm,
    )
    from ._process import Activation
    from ._program import Error, find_program
    from .metrics import instrument, stats
    from ._types import (
        AmendResult,
        Compiled,
        CreateResult,
        Difference,
        DiffResult,
        ExplainResult,
        ExtractResult,
        Fixed,
        Index,
        InspectedIndex,
        InspectResult,
        LoadedBuild,
        MergedBuild,
        MergeResult,
        Note,
        Overload,
        Process,
        RestoreResult,
        RetargetResult,
        SealResult,
        Stamp,
        Unmatched,
        VerifiedIndex,
        VerifyResult,
        WarmBuild,
        WarmResult,
    )

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "AmendResult",
    "Compiled",
    "CreateResult",
    "DiffResult",
    "Difference",
    "Error",
    "ExplainResult",
    "ExtractResult",
    "Fixed",
    "Index",
    "InspectedIndex",
    "InspectResult",
    "LoadedBuild",
    "MergeResult",
    "MergedBuild",
    "Note",
    "Overload",
    "Process",
    "RestoreResult",
    "RetargetResult",
    "SealResult",
    "Stamp",
    "Unmatched",
    "VerifiedIndex",
    "VerifyResult",
    "WarmBuild",
    "WarmResult",
    "activate",
    "amend",
    "create",
    "diff",
    "env",
    "explain",
    "extract",
    "find_program",
    "inspect",
    "instrument",
    "merge",
    "restore",
    "retarget",
    "seal",
    "stats",
    "verify",
    "warm",
]

_MODULES = ("_activate", "_jobs", "_process", "_program", "_types", "metrics")


# Read when they are asked for: a program that has only warmpack.locator loaded starts sooner.
def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = vars(importlib.import_module("." + module, __name__))
            if name in found:
                return found[name]
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
