"""Runs a part of an application tree in a fresh process: run_app.py ROOT PART RESULT.json

PART is a function of the tree's entry.py. ROOT goes onto sys.path as it is spelled, so a symlink
in it stays one. The caller sets NUMBA_DEBUG_CACHE and counts Numba's own "[cache]" lines.
"""

import json
import sys
import time

root, part, result = sys.argv[1:4]
sys.path[0] = root

start = time.monotonic()
import entry  # noqa: E402

results = getattr(entry, part)()
seconds = time.monotonic() - start

for name in ("entry", "warmapp", "pynndescent"):
    module = sys.modules.get(name)
    if module and not module.__file__.startswith(root + "/"):
        sys.exit("%s was imported from %s, not from %s" % (name, module.__file__, root))

with open(result, "w", encoding="utf-8") as f:
    json.dump({"results": results, "seconds": seconds}, f)
