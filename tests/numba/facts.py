"""What the Numba that the tests run can do, asked of itself."""

import functools
import json
import subprocess
from types import SimpleNamespace

from harness import PYTHON, environment

ASK = '''\
import importlib.util, json, os, platform
import llvmlite.binding, numba
from numba.core import caching

def locator(name):
    """Before 0.62 their names began with an underscore."""
    return getattr(caching, name, None) or getattr(caching, "_" + name, None)

class Here(locator("InTreeCacheLocator")):
    def __init__(self, function, file):
        self._py_file = file

print(json.dumps({
    "numba": numba.__version__,
    "llvm": ".".join(map(str, llvmlite.binding.llvm_version_info)),
    "python": platform.python_version(),
    "content_stamps": isinstance(Here(None, numba.__file__).get_source_stamp(), bytes),
    "fs_agnostic": locator("InTreeCacheLocatorFsAgnostic") is not None,
    "zip_sources": locator("ZipCacheLocator") is not None,
    "pynndescent": importlib.util.find_spec("pynndescent") is not None,
}))
'''


@functools.lru_cache(maxsize=None)
def facts():
    said = subprocess.run(
        [PYTHON, "-B", "-c", ASK],
        env=environment("/"),
        cwd="/",
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return SimpleNamespace(debian=PYTHON == "/usr/bin/python3", **json.loads(said))
