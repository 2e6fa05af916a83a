"""Each recipe of README is run as it stands, and what arrives is loaded by a real Numba.

A recipe names places such as /srv and /opt: it runs in a mount namespace of its own, in which they
are empty. Dockerfiles are run without Docker: each stage is an overlay over this machine's root,
RUN lines run in it by chroot, and the last stage passes through a tar of whole seconds, as layers
of images do."""

import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess

import pytest

from trees import BINARY, ROOT, environment, needs_root, public_directory, remove_tree

PYTHON = "/usr/bin/python3"  # to which Debian's Numba belongs
SOURCE = "from numba import njit\n\n\n@njit(cache=True)\ndef add(a, b):\n    return a + b\n"
SETUP = ("from setuptools import setup\n"
         "setup(name='demo_app', version='1.0', packages=['pkg'], zip_safe=False)\n")
CALL = "import pkg.k; pkg.k.add(1, 2)"
WHOLE_SECONDS = "tar --format=gnu -C %s -cf - . | tar -C %s -xpf -"

pytestmark = needs_root  # for mounts


def recipe(name):
    """The block of code after <!-- recipe: NAME -->, of at most ten lines."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- recipe: %s -->\n+```\w*\n(.*?)```" % name, text, re.S)
    assert found, "README has no recipe named " + name
    lines = found.group(1).splitlines()
    assert len(lines) <= 10, "a recipe has at most ten lines"
    return lines


def write_sources(directory):
    (directory / "pkg").mkdir(parents=True)
    (directory / "pkg" / "__init__.py").touch()
    (directory / "pkg" / "k.py").write_text(SOURCE)
    (directory / "setup.py").write_text(SETUP)
    return directory


class Place:
    """Where recipes run: programs on PATH, and a mount namespace with /srv, /opt, /home empty."""

    def __init__(self, path):
        self.path = path
        self.work = path / "work"
        self.work.mkdir()
        programs = path / "bin"
        programs.mkdir()
        (programs / "python3").symlink_to(PYTHON)
        (programs / "warmpack").symlink_to(os.path.abspath(BINARY))
        for name in ("srv", "opt", "home"):
            (path / name).mkdir()
        self.variables = environment(path / "home", PATH=f"{programs}:{os.environ['PATH']}",
                                     NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")

    def run(self, *lines):
        """Runs LINES by sh, and returns what they print."""
        mounts = [f"mount --bind {shlex.quote(str(self.path / name))} /{name}"
                  for name in ("srv", "opt")]
        script = "\n".join(["set -eu", *mounts, f"cd {shlex.quote(str(self.work))}", *lines])
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True,
                              text=True, env=self.variables, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def loads(self, root, before=""):
        """The application at ROOT loads all that it calls and compiles nothing."""
        told = self.run(f"cd {root}; {before} NUMBA_DEBUG_CACHE=1 python3 -c '{CALL}'")
        return "data loaded" in told and "data saved" not in told


@pytest.fixture
def place():
    """Not in tmp_path: each pytest that begins closes the directory of all of them to others."""
    path = public_directory()
    yield Place(path)
    remove_tree(path)


def as_www_data(place):
    return f"setpriv --reuid=www-data --regid=www-data --clear-groups env HOME={place.path}/none"


def test_deployment(place):
    write_sources(place.path / "srv" / "build" / "app")
    place.run(*recipe("deployment"))
    assert (place.path / "opt" / "app" / "pkg" / "__pycache__").stat().st_uid != 0
    assert place.loads("/opt/app", as_www_data(place))


def test_next_release(place):
    app = write_sources(place.path / "srv" / "build" / "app")
    (app / "pkg" / "table.py").write_text("size = 1\n")
    place.run("warmpack create -f app-1.tgz -C /srv/build/app .",
              "warmpack extract -f app-1.tgz -C /opt/app-1", "ln -s app-1 /opt/current")
    (app / "pkg" / "table.py").write_text("size = 2\n")
    said = place.run("exec 2>&1", *recipe("next-release"))
    assert "2 files taken from the earlier tree" in said  # k.py and setup.py: __init__.py is empty
    for release, size in (1, 1), (2, 2):
        table = place.path / "opt" / f"app-{release}" / "pkg" / "table.py"
        assert table.read_text() == f"size = {size}\n"
    assert (place.path / "opt" / "current").readlink() == pathlib.Path("app-2")
    assert place.loads("/opt/current")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")
def test_fleet(place):
    write_sources(place.path / "srv" / "build" / "app")
    place.run(*recipe("fleet"))
    assert place.loads("/opt/app", "unset NUMBA_CPU_NAME NUMBA_CPU_FEATURES;")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")
def test_fleet_merged(place):
    write_sources(place.path / "srv" / "build" / "app")
    *lines, extract = recipe("fleet-merged")
    place.run(*lines, "unset NUMBA_CPU_NAME NUMBA_CPU_FEATURES", extract)
    assert place.loads("/opt/app", "unset NUMBA_CPU_NAME NUMBA_CPU_FEATURES;")
    assert place.loads("/opt/app", "NUMBA_CPU_NAME=x86-64-v2 NUMBA_CPU_FEATURES=")


@pytest.mark.parametrize("kind", ["egg", "wheel"])
def test_packages(place, kind):
    write_sources(place.work)
    place.run(f"python3 -c '{CALL}'", *recipe(kind))
    assert place.loads("/opt/app")


def package_site(place):
    """A directory that does for Python what the installed package does: it is on the path, and its
    .pth file is read."""
    site = place.path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(ROOT / 'python')!r})")
    return site


@pytest.mark.parametrize("mount", ["mount -o loop,ro app.squashfs /opt/app",
                                   "mount -o bind,ro /srv/build/app /opt/app"])
def test_read_only(place, mount):
    """By another user, from a mount that nobody can write to."""
    write_sources(place.path / "srv" / "build" / "app")
    *lines, switch = recipe("read-only")
    place.run(*lines)
    user = f"{as_www_data(place)} PYTHONPATH={package_site(place)}"
    told = place.run("mkdir /opt/app", mount, switch, "cd /opt/app",
                     f"{user} NUMBA_DEBUG_CACHE=1 python3 -c '{CALL}'")
    assert "data loaded" in told and "data saved" not in told


def test_read_only_with_the_module_that_the_tree_carries(place):
    """By Debian's Numba, which may be older than the variable, so the program installs it, too."""
    build = write_sources(place.path / "srv" / "build" / "app")
    place.run(f"cd /srv/build/app && python3 -c '{CALL}'")
    pack, unpack, *settings = recipe("read-only-carried")
    place.run(pack, unpack)
    remove_tree(build)
    call = f"import warmpack.locator; warmpack.locator.install(); {CALL}"
    told = place.run("mount -o bind,ro /opt/app /opt/app", *settings, "cd /",
                     f"{as_www_data(place)} NUMBA_DEBUG_CACHE=1 python3 -c '{call}'")
    assert "data loaded" in told and "data saved" not in told


@pytest.mark.skipif(not shutil.which("skopeo") or not shutil.which("umoci"),
                    reason="needs skopeo and umoci")
def test_image(place):
    build = write_sources(place.path / "srv" / "build" / "app")
    *lines, path, switch = recipe("image")
    place.run(*lines)
    remove_tree(build)
    (place.path / "opt" / "bundle").chmod(0o755)
    call = f"import warmpack.locator; warmpack.locator.install(); {CALL}"
    told = place.run(path, switch, "cd /",
                     f"{as_www_data(place)} NUMBA_DEBUG_CACHE=1 python3 -c '{call}'")
    assert "data loaded" in told and "data saved" not in told


def test_continuous_integration(place):
    """Twice: what the first run cached is loaded in the second one's new checkout."""
    steps = [line.split("- run: ", 1)[1] for line in recipe("ci") if "- run: " in line]
    write_sources(place.work)
    assert "data saved" in place.run("export NUMBA_DEBUG_CACHE=1", *steps)
    shutil.rmtree(place.work / "pkg")
    (place.work / "setup.py").unlink()
    for path in place.work.iterdir():
        assert path.name == "caches.tgz"
    write_sources(place.work)
    told = place.run("export NUMBA_DEBUG_CACHE=1", *steps)
    assert "data loaded" in told and "data saved" not in told


def load_module(place, name):
    """What loads the module of that recipe."""
    modules = place.path / "modules" / "app"
    modules.mkdir(parents=True)
    (modules / "1.0").write_text("\n".join(recipe(name)) + "\n")
    return (f". /usr/share/modules/init/sh; module use {modules.parent}; module load app/1.0; "
            f"cd /; NUMBA_DEBUG_CACHE=1 python3 -c '{CALL}'")


def test_hpc_module(place):
    write_sources(place.path / "srv" / "modules" / "app")
    place.run(f"cd /srv/modules/app; python3 -c '{CALL}'",
              "warmpack seal --strict /srv/modules/app; find . -exec touch -d @1 {} +")
    load = f"export PYTHONPATH={package_site(place)}; {load_module(place, 'hpc')}"
    command = f"{as_www_data(place)} sh -c {shlex.quote(load)}"
    told = place.run(command)
    assert "data loaded" in told and "data saved" not in told


def test_hpc_module_that_unpacks(place):
    write_sources(place.work / "app")
    place.run(f"cd app; python3 -c '{CALL}'; cd ..; mkdir /srv/modules",
              "warmpack create -q --strict -f /srv/modules/app.tgz app")
    load = load_module(place, "hpc-unpacked")
    for _ in range(2):
        told = place.run(load)
        assert "data loaded" in told and "data saved" not in told


# ---- Docker, by hand -------------------------------------------------------------------------

def install_package(root):
    """What pip installs of the package, into an image: modules, the .pth file and the program."""
    modules = root / "usr" / "lib" / "python3" / "dist-packages"
    shutil.copytree(ROOT / "python" / "warmpack", modules / "warmpack")
    shutil.copy(ROOT / "python" / "warmpack-auto.pth", modules)
    (root / "usr" / "local" / "bin").mkdir(parents=True)
    shutil.copy2(BINARY, root / "usr" / "local" / "bin" / "warmpack")


class Stage:
    """A stage of an image: an overlay over this machine's root."""

    def __init__(self, path, image):
        self.path = path
        self.user = None
        for name in ("upper", "work", "root"):
            (path / name).mkdir(parents=True)
        assert image in ("python-numba", "python-numba-warmpack")
        if image == "python-numba-warmpack":
            install_package(path / "upper")
        self.mount = (f"mount -t overlay overlay -o lowerdir=/,upperdir={path}/upper,"
                      f"workdir={path}/work {path}/root")

    def run(self, variables, others, command, bind=None):
        lines = ["set -eu", self.mount]
        if bind:
            stage, target = bind
            lines += [others[stage].mount, f"mkdir -p {self.path}/root{target}",
                      f"mount --bind {others[stage].path}/root {self.path}/root{target}"]
        user = f"--userspec={self.user}:{self.user} --groups=" if self.user else ""
        lines += [f"exec /usr/sbin/chroot {user} {self.path}/root sh -c {shlex.quote(command)}"]
        done = subprocess.run(["unshare", "--mount", "sh", "-c", "\n".join(lines)], check=False,
                              capture_output=True, text=True, env=variables, timeout=300)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
        return done.stdout


def build(lines, context, path, variables):
    """Runs a Dockerfile of FROM, COPY, RUN, ENV and USER; returns the last stage. VARIABLES are
    those of its image in the end."""
    stages, last = {}, None
    for line in "\n".join(lines).replace("\\\n", "").splitlines():
        word, rest = line.split(None, 1)
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            last = Stage(path / f"stage-{len(stages)}", image)
            stages[name or "last"] = last
        elif word == "COPY":
            source, target = rest.split()
            source = shlex.quote(str(context / source))
            upper = shlex.quote(f"{last.path}/upper{target}")
            subprocess.run(f"mkdir -p $(dirname {upper}x); cp -rL {source} {upper}", shell=True,
                           check=True)
        elif word == "RUN":
            bind = re.match(r"--mount=type=bind,from=(\w+),target=(\S+) (.*)", rest)
            last.run(variables, stages, bind.group(3) if bind else rest, bind and bind.group(1, 2))
        elif word == "ENV":
            variables.update([rest.split("=", 1)])
        else:
            assert word == "USER"
            last.user = rest
    return last


def as_a_layer(image, root):
    """ROOT of the image as it is once the image has been pushed and pulled."""
    upper, layer = image.path / "upper" / root, image.path / "layer"
    layer.mkdir()
    subprocess.run(WHOLE_SECONDS % (upper, layer), shell=True, check=True)
    shutil.rmtree(upper)
    os.rename(layer, upper)


def test_docker(place):
    """The tree is root's, and its sources have the times of a checkout."""
    context = place.path / "context"
    write_sources(context / "app")
    variables = environment("/nonexistent", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="",
                            PATH="/usr/bin:/bin:/usr/local/bin")
    image = build(recipe("docker"), context, place.path, variables)
    as_a_layer(image, "srv/app")
    assert (image.user, variables["WARMPACK_AUTO"]) == ("www-data", "1")
    python = f"cd /srv/app && NUMBA_DEBUG_CACHE=1 %s {PYTHON} -c '{CALL}'"
    told = image.run(variables, {}, python % "")
    assert "data loaded" in told and "data saved" not in told
    without = image.run(variables, {}, python % "WARMPACK_AUTO= NUMBA_CACHE_DIR=/tmp/none")
    assert "data loaded" not in without


def test_docker_unpacked(place, static_program):
    context = place.path / "context"
    write_sources(context / "app")
    shutil.copy2(static_program, context / "warmpack")
    variables = environment("/nonexistent", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="",
                            PATH="/usr/bin:/bin:/usr/local/bin")
    image = build(recipe("docker-unpacked"), context, place.path, variables)
    as_a_layer(image, "opt/app")
    assert image.user == "www-data"
    python = f"cd /opt/app && NUMBA_DEBUG_CACHE=1 {PYTHON} -c '{CALL}'"
    told = image.run(variables, {}, python)
    assert "data loaded" in told and "data saved" not in told
