"""What `cmake --install` gives: a program, man pages, and a library that others can build with."""

import os
import pathlib
import shlex
import subprocess

import pytest

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


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    build = build_of(os.environ.get("WARMPACK", REPOSITORY / "build" / "warmpack"))
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--build", build)
    run("cmake", "--install", build, "--prefix", prefix)
    sanitize = [
        line.split("=", 1)[1]
        for line in (build / "CMakeCache.txt").read_text().splitlines()
        if line.startswith("WARMPACK_SANITIZE:")
    ]
    flags = ["-fsanitize=" + sanitize[0]] if sanitize and sanitize[0] else []
    return prefix, flags


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
        names = {line.split()[2] for line in lines if len(line.split()) == 3}
        names = {n for n in names if "asan" not in n and "tsan" not in n and "ubsan" not in n}
        assert "wp_create" in names
        assert not {n for n in names if not n.startswith("wp_")}


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_a_program_builds_with_pkg_config(installed, tmp_path, kind):
    prefix, flags = installed
    (tmp_path / "use.c").write_text(CONSUMER)
    lib = library_dir(prefix)
    path = f"{lib / 'pkgconfig'}"
    static = ["--static"] if kind == "static" else []
    # The .pc file names the configured prefix; this one was chosen at installation.
    words = shlex.split(run(  # it puts a backslash before each byte that is not ASCII
        "pkg-config", *static, "--define-variable=libdir=" + str(lib),
        "--define-variable=includedir=" + str(prefix / "include"), "--cflags", "--libs",
        "warmpack", PKG_CONFIG_PATH=path,
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
