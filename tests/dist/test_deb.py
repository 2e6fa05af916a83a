"""Preset deb makes a package that lintian accepts, and that comes and goes cleanly."""

import os
import re
import subprocess

import pytest

from trees import ROOT, needs_root


def run(*words, timeout=600):
    done = subprocess.run([os.fspath(w) for w in words], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, (words, done.stdout[-4000:])
    return done.stdout


@pytest.fixture(scope="module")
def package():
    run("cmake", "--preset", "deb")
    text = run("cmake", "--build", "--preset", "deb", "--target", "package")
    return re.search(r"package: (\S+\.deb) generated", text).group(1)


@pytest.fixture(scope="module")
def debian(package, tmp_path_factory):
    """A fresh Debian of this machine's release, with what the package depends on."""
    depends = re.findall(r"(\S+) \(", run("dpkg-deb", "--field", package, "Depends"))
    release = re.search(r"^VERSION_CODENAME=(\w+)$", open("/etc/os-release").read(), re.M).group(1)
    root = tmp_path_factory.mktemp("debian") / "root"
    run("debootstrap", "--variant=minbase", "--include=" + ",".join(depends), release, root,
        timeout=3600)
    run("cp", package, root / "tmp" / "warmpack.deb")
    return root


def test_lintian_finds_no_errors_and_no_warnings(package):
    assert run("lintian", "--allow-root", "--fail-on", "error,warning", package) == ""


def files_of(root):
    found = set()
    for path, names, files in os.walk(root):
        names[:] = [n for n in names if os.path.join(path, n) != f"{root}/proc"]
        found |= {os.path.relpath(os.path.join(path, n), root) for n in names + files}
    return {name for name in found if not name.startswith(("var/lib/dpkg/", "var/log/"))}


@needs_root
def test_it_is_installed_and_removed_without_a_trace(debian):
    before = files_of(debian)
    run("/usr/sbin/chroot", debian, "dpkg", "--install", "/tmp/warmpack.deb")
    new = files_of(debian) - before
    assert "usr/bin/warmpack" in new
    assert "usr/share/doc/warmpack/copyright" in new
    assert "usr/share/zsh/vendor-completions/_warmpack" in new
    assert run("/usr/sbin/chroot", debian, "dpkg", "--verify", "warmpack") == ""
    script = ("cd /tmp && mkdir app && echo x = 1 >app/k.py && warmpack create -q -f a.tgz app && "
              "warmpack extract -q -f a.tgz -C out && cmp app/k.py out/app/k.py && rm -r app out a.tgz")
    run("/usr/sbin/chroot", debian, "sh", "-c", script)
    run("/usr/sbin/chroot", debian, "dpkg", "--purge", "warmpack")
    assert files_of(debian) == before
