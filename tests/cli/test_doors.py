"""The rooms of the source tree, and which of them may include which others."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
PUBLIC = "lib/warmpack.h"


def parts():
    """Of each part in CMakeLists.txt its folder and the names of the parts that it may use."""
    text = (ROOT / "CMakeLists.txt").read_text()
    line = re.compile(r"^warmpack_part\((\w+)\s+DIR\s+(\S+)(?:\s+USES\s+([^)]*))?\)", re.M)
    return {m[1]: (ROOT / m[2], (m[3] or "").split()) for m in line.finditer(text)}


def header(name, folder):
    """The file that #include "NAME" in FOLDER means, as the compiler looks for it."""
    for place in (folder, ROOT / "lib", ROOT / "formats"):
        if (place / name).is_file():
            return (place / name).resolve()
    pytest.fail(f'#include "{name}" in {folder}: there is no such header')


def wrong_includes(folder, allowed):
    for source in sorted([*folder.glob("*.c"), *folder.glob("*.h")]):
        for name in INCLUDE.findall(source.read_text()):
            path = header(name, folder)
            if path == ROOT / PUBLIC or path.parent == folder:
                continue
            if path.parent not in allowed or path.name.endswith("_private.h"):
                yield f"{source.relative_to(ROOT)} includes {path.relative_to(ROOT)}"


def test_every_include_goes_through_a_door():
    table = parts()
    wrong = []
    for folder, uses in table.values():
        wrong += wrong_includes(folder, {table[name][0] for name in uses})
    assert not wrong, "\n".join(wrong)


def test_every_source_is_in_a_part():
    folders = {folder for folder, _ in parts().values()}
    sources = [*ROOT.glob("lib/**/*.[ch]"), *ROOT.glob("formats/**/*.[ch]")]
    lost = [s for s in sources if s.parent not in folders and s != ROOT / PUBLIC]
    assert sources and not lost, "\n".join(map(str, lost))


def test_the_program_is_a_client_of_the_public_header():
    sources = [*ROOT.glob("cmd/*.[ch]")]
    wrong = [f"{source.name} includes {name}" for source in sources
             for name in INCLUDE.findall(source.read_text())
             if name != "warmpack.h" and not (ROOT / "cmd" / name).is_file()]
    assert sources and not wrong, "\n".join(wrong)
