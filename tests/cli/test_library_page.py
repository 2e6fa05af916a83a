"""libwarmpack(3) tells of the library that there is."""

import os
import pathlib
import re
import subprocess

from test_install import REPOSITORY, installed, library_dir, run  # noqa: F401

HEADER = REPOSITORY / "lib" / "warmpack.h"
PAGE = REPOSITORY / "man" / "libwarmpack.3"


def plain(text):
    return re.sub(r"\s+", " ", text).replace("* ", "*").strip()


def declared():
    text = re.sub(r"/\*.*?\*/|^#.*?$", "", HEADER.read_text(), flags=re.S | re.M)
    return sorted(plain(d) for d in re.findall(r"WP_API\s+([^;]+);", text))


def described():
    synopsis = PAGE.read_text().partition(".Sh SYNOPSIS\n")[2].partition(".Sh ")[0]
    return sorted(
        plain(f"{kind} {name}({', '.join(re.findall(r'^.Fa .(.*).$', arguments, re.M))})")
        for kind, name, arguments in re.findall(r'.Ft "([^"\n]*)"\n.Fo (\w+)\n(.*?).Fc\n', synopsis,
                                                re.S))


def test_the_synopsis_has_every_function_as_it_is_declared():
    assert len(declared()) > 40
    assert described() == declared()


def test_the_description_speaks_of_every_function():
    text = PAGE.read_text().partition(".Sh DESCRIPTION\n")[2]
    spoken_of = set(re.findall(r"^\.(?:It )?Fn (wp_\w+)", text, re.M))
    assert spoken_of == {re.search(r"(wp_\w+)\(", d).group(1) for d in declared()}


def test_the_example_unpacks_an_archive(installed, tmp_path):  # noqa: F811
    prefix, flags = installed
    code = PAGE.read_text().partition(".Bd -literal -offset indent\n")[2].partition(".Ed\n")[0]
    (tmp_path / "use.c").write_text(code.replace("\\e", "\\"))
    lib = library_dir(prefix)
    run("cc", *flags, "-Wall", "-Werror", tmp_path / "use.c", "-o", tmp_path / "use",
        f"-I{prefix / 'include'}", f"-L{lib}", "-lwarmpack")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "k.py").write_text("x = 1\n")
    run(prefix / "bin" / "warmpack", "-czf", tmp_path / "app.tgz", "-C", tmp_path, "app",
        LD_LIBRARY_PATH=lib)
    assert run(tmp_path / "use", tmp_path / "app.tgz", tmp_path / "to", LD_LIBRARY_PATH=lib) == ""
    assert (tmp_path / "to" / "app" / "k.py").read_text() == "x = 1\n"
    missing = subprocess.run([tmp_path / "use", tmp_path / "none.tgz"], stderr=subprocess.PIPE,
                             env={**os.environ, "LD_LIBRARY_PATH": str(lib)}, text=True)
    assert missing.returncode == 1
    assert pathlib.Path(missing.stderr.partition(": ")[0]).name == "none.tgz"
