"""Runs gcc -fanalyzer, clang-tidy and cppcheck over the program and the library, and shellcheck over
all scripts: analyse.py REPORT.
Prints what they find, and writes a report for tally.py, in which each that finds something, or is
not there, has failed. What is known and no fault stands where it is found, with the reason.
"""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
# These warnings of gcc's do not know what cleanup attributes free (and take free(NULL) in two of
# them for one thing freed twice), and follow a descriptor only within a function.
NOT_ASKED = ("malloc-leak", "double-free", "fd-leak", "file-leak", "use-of-uninitialized-value",
             "null-argument", "possible-null-dereference", "possible-null-argument",
             "mismatching-deallocation")


def sources():
    for command in json.loads((BUILD / "compile_commands.json").read_text()):
        path = Path(command["file"])
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("lib", "formats", "cmd"):
            yield path, command


def run(words, **more):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, **more)
    except FileNotFoundError:
        return f"{words[0]} is not there\n"
    return done.stdout if done.returncode or "warning:" in done.stdout else ""


def analyzer(item):
    path, command = item
    words = [word for word in shlex.split(command["command"]) if word not in ("-Werror", "ccache")]
    words[words.index("-o") + 1] = os.devnull
    return run([*words, "-fanalyzer", "-fdiagnostics-plain-output",
                *("-Wno-analyzer-" + name for name in NOT_ASKED)], cwd=command["directory"])


def main():
    files = dict(sources())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = {"analyzer": "".join(pool.map(analyzer, files.items())),
                 "clang_tidy": "".join(pool.map(
                     lambda path: run(["clang-tidy", "--quiet", "-p", BUILD, path]), files))}
    found["cppcheck"] = run(["cppcheck", "--quiet", "--std=c11", "--error-exitcode=1",
                             "--enable=warning,portability", "--inline-suppr", "-D_GNU_SOURCE",
                             "-D_FILE_OFFSET_BITS=64", "-DANALYSED_BY_CPPCHECK",
                             "--suppress=missingIncludeSystem",
                             "-j", str(os.cpu_count()), "-Ilib", "-Iformats", "cmd", "lib",
                             "formats"], cwd=ROOT)
    found["shellcheck"] = run(["shellcheck", *sorted(ROOT.glob("tests/**/*.sh")), ROOT / ".ci/run",
                               BUILD / "warmpack.bash"])
    cases = []
    for name, text in found.items():
        print(f"{name}: {'clean' if not text else text}")
        failure = "<failure/>" if text else ""
        cases.append(f'<testcase classname="analyse" name="{name}">{failure}</testcase>')
    Path(sys.argv[1]).write_text(f"<testsuite>{''.join(cases)}</testsuite>")


main()
