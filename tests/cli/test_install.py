"""What `cmake --install` gives: a program, man pages, and a library that others can build with."""

import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from trees import bound_by_modes, read_only_checkout

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

CONSUMER = r"""
#include <stdio.h>
#include <warmpack.h>
int main(void)
{
    const struct wp_format *f = wp_format_by_suffix("app.tgz");
    printf("%s %s\n", wp_version(), f ? wp_format_name(f) : "none");
    return 0;
}
"""


def run(*words, **variables):
    done = subprocess.run(
        [str(w) for w in words],
        env={**os.environ, **{k: str(v) for k, v in variables.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="surrogateescape",
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build_of(warmpack_path):
    return pathlib.Path(warmpack_path).resolve().parent


def sanitizers(build):
    cache = (build / "CMakeCache.txt").read_text()
    name = re.search("^WARMPACK_SANITIZE:.*?=(.*)", cache, re.M)
    return ["-fsanitize=" + name[1]] if name and name[1] else []


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    build = build_of(os.environ.get("WARMPACK", REPOSITORY / "build" / "warmpack"))
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--build", build)
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix, sanitizers(build)


def test_program_and_man_pages_are_installed(installed):
    prefix, _ = installed
    assert run(prefix / "bin" / "warmpack", "--version").startswith("warmpack ")
    pages = {p.name for p in (prefix / "share" / "man").rglob("*.[135]")}
    assert {p.name for p in (REPOSITORY / "man").glob("*.[135]")} == pages
    assert "warmpack.1" in pages


def test_completions_are_installed_where_shells_look_for_them(installed):
    prefix, _ = installed
    for path in ("bash-completion/completions/warmpack", "zsh/site-functions/_warmpack",
                 "fish/vendor_completions.d/warmpack.fish"):
        assert "extract" in (prefix / "share" / path).read_text()


def library_dir(prefix):
    return next(prefix.rglob("libwarmpack.a")).parent


def test_only_public_symbols_can_be_linked_with(installed):
    prefix, _ = installed
    lib = library_dir(prefix)
    for words in (["-D", lib / "libwarmpack.so"], ["-g", lib / "libwarmpack.a"]):
        lines = run("nm", "--defined-only", *words).splitlines()
        names = {line.split()[2].partition("@")[0] for line in lines
                 if len(line.split()) == 3 and line.split()[1] != "A"}  # the version of the symbols
        names = {n for n in names if "asan" not in n and "tsan" not in n and "ubsan" not in n}
        assert "wp_create" in names
        assert not {n for n in names if not n.startswith("wp_")}


def test_a_library_of_another_minor_version_is_not_loaded_before_1_0(installed):
    prefix, _ = installed
    version = run(prefix / "bin" / "warmpack", "--version").split()[1]
    assert version.startswith("0.")
    minor = version.rpartition(".")[0]
    needs = run("readelf", "-dV", library_dir(prefix) / "libwarmpack.so")
    assert f"[libwarmpack.so.{minor}]" in needs
    assert f"WARMPACK_{minor}" in needs


def test_older_cmakes_read_the_presets():
    """Their error says which CMake is needed, then: that of Ubuntu 22.04, which is 3.22, does not
    read presets of a version above 3, and says no more than that."""
    presets = json.loads((REPOSITORY / "CMakePresets.json").read_text())
    assert presets["version"] <= 3
    assert not set(presets) - {"version", "configurePresets", "buildPresets"}
    assert (REPOSITORY / "CMakeLists.txt").read_text().startswith("cmake_minimum_required(")


STANDARDS = [("cc", f"c{year}") for year in ("99", "11", "17", "2x")] + [
    ("c++", f"c++{year}") for year in ("98", "11", "14", "17", "20")]


@pytest.mark.parametrize("compiler, standard", STANDARDS)
def test_the_header_keeps_to_the_standards(tmp_path, compiler, standard):
    source = tmp_path / ("use.c" if compiler == "cc" else "use.cc")
    source.write_text("#include <warmpack.h>\nint used;\n")
    run(compiler, f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
        f"-I{REPOSITORY / 'lib'}", source)


def test_make_builds_a_read_only_checkout_in_parallel_and_installs(tmp_path):
    """The default generator, where nothing else is asked for."""
    source = read_only_checkout(tmp_path / "source")
    run(*bound_by_modes(), "cmake", "-S", source, "-B", tmp_path / "b", "-G", "Unix Makefiles",
        "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O0")  # which is quicker
    run(*bound_by_modes(), "cmake", "--build", tmp_path / "b", "-j2")
    run(*bound_by_modes(), "cmake", "--install", tmp_path / "b", "--prefix", tmp_path / "p")
    assert run(tmp_path / "p" / "bin" / "warmpack", "--version").startswith("warmpack ")
    assert library_dir(tmp_path / "p")


CONSUMER_CXX = r"""
#include <cstdio>
#include <warmpack.h>
int main()
{
    wp_error err = wp_error();
    wp_archive *archive = NULL;
    int r = wp_archive_open(NULL, "none.tgz", &archive, &err);
    std::printf("%d %s\n", r == -err.code, err.message);
    wp_archive_close(archive);
    return 0;
}
"""


def test_a_program_in_cxx_builds(installed, tmp_path):
    prefix, flags = installed
    lib = library_dir(prefix)
    (tmp_path / "use.cc").write_text(CONSUMER_CXX)
    run("c++", "-std=c++98", "-pedantic", "-Wall", "-Werror", *flags, tmp_path / "use.cc", "-o",
        tmp_path / "use", f"-I{prefix / 'include'}", f"-L{lib}", "-lwarmpack")
    assert run(tmp_path / "use", LD_LIBRARY_PATH=lib).startswith("1 none.tgz: ")


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_a_program_builds_with_pkg_config(installed, tmp_path, kind):
    prefix, flags = installed
    (tmp_path / "use.c").write_text(CONSUMER)
    lib = library_dir(prefix)
    path = f"{lib / 'pkgconfig'}"
    static = ["--static"] if kind == "static" else []
    # This prefix was chosen at installation: names count from where the .pc file lies.
    words = shlex.split(run(  # it puts a backslash before each byte that is not ASCII
        "pkg-config", *static, "--cflags", "--libs", "warmpack", PKG_CONFIG_PATH=path,
    ))
    if kind == "static":
        words = [str(lib / "libwarmpack.a") if w == "-lwarmpack" else w for w in words]
    run("cc", *flags, tmp_path / "use.c", "-o", tmp_path / "use", *words)
    assert run(tmp_path / "use", LD_LIBRARY_PATH=lib).split()[1] == "tgz"


@pytest.mark.parametrize("kind", ["warmpack", "static"])
def test_a_project_builds_with_the_cmake_package(installed, tmp_path, kind):
    prefix, flags = installed
    component = "COMPONENTS static" if kind == "static" else ""
    (tmp_path / "use.c").write_text(CONSUMER)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(use C)\n"
        f"find_package(warmpack 0.1 REQUIRED {component})\n"
        "add_executable(use use.c)\n"
        f"target_link_libraries(use PRIVATE warmpack::{kind})\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_C_FLAGS=" + " ".join(flags))
    run("cmake", "--build", tmp_path / "b")
    assert run(tmp_path / "b" / "use").split()[1] == "tgz"
