"""The program is built so that a fault in memory ends it, and is of no other use."""

import os
import pathlib
import platform
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("WARMPACK") or ROOT / "build" / "warmpack").resolve()


def readelf(*words):
    return subprocess.run(["readelf", "-W", *words, BINARY], check=True, capture_output=True,
                          text=True, env={**os.environ, "LC_ALL": "C"}).stdout


@pytest.fixture(scope="module")
def symbols():
    return set(re.findall(r" (\w+)@GLIBC", readelf("--dyn-syms")))


def is_sanitized():
    return bool(re.search(r"__(asan|ubsan|tsan)_", readelf("--dyn-syms")))


def test_it_lies_anywhere_and_its_stack_holds_no_code():
    assert re.search(r"Type:\s+DYN", readelf("-h"))
    stack = re.search(r"GNU_STACK\s.*? ([R ][W ][E ]) ", readelf("-l"))
    assert stack and "E" not in stack[1]


def test_its_tables_are_read_only_once_it_runs():
    assert "GNU_RELRO" in readelf("-l")
    if not is_sanitized():
        assert re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*NOW", readelf("-d"))


def test_calls_and_stacks_are_checked(symbols):
    if is_sanitized():  # those check more
        return
    assert "__stack_chk_fail" in symbols
    assert {"__snprintf_chk", "__memcpy_chk"} & symbols, "nothing is fortified"


def test_jumps_lead_to_marked_places_alone():
    """-fcf-protection. The mark of the whole program needs that of each library's object in it, so
    functions are looked at."""
    if platform.machine() != "x86_64" or is_sanitized():
        return
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", BINARY], check=True,
                          capture_output=True, text=True).stdout
    assert code.count("endbr64") > 1000
