"""Trees to pack, what a tree looks like, and who looks: shared by cli, hostile and faults."""

import hashlib
import os
import pathlib
import pickle
import re
import shutil
import stat
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("WARMPACK") or ROOT / "build" / "warmpack")
NOBODY = 65534
SECOND = 1_000_000_000
PATIENCE = 60  # seconds: what has not come by then never will, however busy the machine is
# What would make a test depend on who runs it.
FOREIGN = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "NO_COLOR", "POSIXLY_CORRECT", "TZ", "TAPE",
           "TAR_OPTIONS", "GZIP")
# The times in the zips that tests make themselves are of the zone in which programs will read them.
os.environ.pop("TZ", None)
time.tzset()
os.umask(0o022)  # so that others read what tests make, and modes are the usual ones
# Our places in a tree: the manifest's, and staging.
OURS = re.compile(rb"(^|/)\.warmpack(/|$)")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def environment(home, **more):
    variables = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    variables.update(HOME=str(home), LC_ALL="C.UTF-8", **more)
    return variables


def as_user(uid=NOBODY):
    """The words before a command that another user shall run."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def bound_by_modes():
    """The words before a command that may write only where modes let its user, root or not."""
    return ["setpriv", "--bounding-set=-dac_override", "--"] if os.geteuid() == 0 else []


def read_only_checkout(place):
    """A copy of the checkout at PLACE that nobody may write to, without what was built in it."""
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns("build", "build-*", ".git",
                                                               ".venv*", "__pycache__"))
    for path in place, *place.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    return place


def command(*args, user=None, umask=None):
    words = [BINARY, *map(os.fspath, args)]
    if user is not None:
        words = as_user(user) + words
    if umask is not None:
        words = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *words]
    return words


class Runner:
    """run(*args) runs warmpack in CWD and returns the CompletedProcess; its streams are bytes."""

    def __init__(self, cwd):
        self.cwd = pathlib.Path(cwd)
        self.home = self.cwd / "home"
        self.home.mkdir(exist_ok=True)

    def variables(self, **more):
        return environment(self.home, **more)

    def __call__(self, *args, stdin=b"", cwd=None, env=None, user=None, umask=None, **more):
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        if not hasattr(stdin, "fileno"):
            more["input"] = stdin
        else:
            more["stdin"] = stdin
        more.setdefault("timeout", 120)
        return subprocess.run(command(*args, user=user, umask=umask), cwd=cwd or self.cwd,
                              env=self.variables(**(env or {})), check=False, **more)

    def ok(self, *args, status=0, **more):
        result = self(*args, **more)
        assert result.returncode == status, (args, result.stderr[-2000:])
        return result

    def start(self, *args, user=None, **more):
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("cwd", self.cwd)
        return subprocess.Popen(command(*args, user=user), env=self.variables(), **more)


def refused(result, *said):
    """It failed with one line that holds each of SAID; returns the line."""
    assert result.returncode == 2, result
    lines = result.stderr.decode(errors="backslashreplace").splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("warmpack: ")
    for word in said:
        assert word in lines[0], lines[0]
    return lines[0]


def run(*words, cwd=None, env=None, ok=(0,), stdin=None, home="/nonexistent"):
    """A peer. Returns its standard output."""
    done = subprocess.run([os.fspath(w) for w in words], cwd=cwd, check=False, timeout=120,
                          env=env or environment(home), input=stdin, capture_output=True)
    assert done.returncode in ok, (words, done.returncode, done.stderr[-2000:])
    return done.stdout


# ---- Programs that run -----------------------------------------------------------------------

def wait_for(condition, child):
    """Waits until CONDITION() holds, which it must before CHILD ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert child.poll() is None, child.returncode
        assert time.monotonic() < deadline
        time.sleep(0.005)


def catches(child, number):
    """Will the program end by itself at this signal? Before it has begun, the kernel ends it."""
    text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s*(\w+)$", text, re.M).group(1), 16)
    return caught >> (number - 1) & 1


def cpu_seconds_of(child):
    """What it has used so far."""
    fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sleeps(child):
    """Does no thread of the program run?"""
    try:
        tasks = pathlib.Path(f"/proc/{child.pid}/task").iterdir()
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
                   for task in tasks)
    except (FileNotFoundError, ProcessLookupError):  # a thread has ended meanwhile
        return False


def wait_until_stalled(child):
    """Waits until the program does nothing but wait for somebody else."""
    asleep = 0

    def for_a_while():
        nonlocal asleep
        asleep = asleep + 1 if sleeps(child) else 0
        return asleep >= 40

    wait_for(for_a_while, child)


def user_seconds(run):
    """What the children that RUN() starts and waits for compute. Unlike the time that passes, it
    does not depend on how busy the machine is, nor on what the kernel does for them."""
    before = os.times().children_user
    run()
    return os.times().children_user - before


def traced(directory, *words, calls="all"):
    """Runs the program; its system calls CALLS, a line each, with the number of the process."""
    trace = directory / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", trace, "-e", "trace=" + calls, BINARY, *words],
                   cwd=directory, check=True, capture_output=True,
                   # Leaks cannot be looked for in what is traced.
                   env=environment(directory, ASAN_OPTIONS="detect_leaks=0"))
    return trace.read_text(errors="replace")


def system_calls(directory, *words, calls="all"):
    """The names of the system calls that the program makes, in their order. What a job costs is
    counted so and not timed: the kernel may take a hundred times as long for the same call (ext4,
    for one, looks at each inode that was freed in the last seconds before it takes another)."""
    return re.findall(r"^\d+ +(\w+)\(", traced(directory, *words, calls=calls), re.M)


def bytes_read(directory, *words):
    """As many as the program reads of files."""
    lines = traced(directory, *words, calls="read,pread64")
    return sum(map(int, re.findall(r" = (\d+)$", lines, re.M)))


def full_pipe():
    """(reader, writer) of a pipe that has room for nothing more: who writes to it waits."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


def said_through(reader):
    """What came through a full pipe, once whoever writes to it has ended; closes it."""
    with open(reader, "rb") as file:
        return file.read().lstrip(b"\0")


def public_directory():
    """A directory that every user may enter, unlike pytest's own."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="warmpack-test-"))
    path.chmod(0o755)
    return path


def remove_tree(path):
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwX", str(path)], check=False)
    shutil.rmtree(path, ignore_errors=True)


# ---- What a tree looks like ------------------------------------------------------------------

def _digest(at, name):
    digest = hashlib.blake2b()
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at)
    with open(fd, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _look(at, prefix, seen, groups, owners):
    for name in sorted(os.listdir(at)):
        name = os.fsencode(name)
        path = prefix + name
        st = os.stat(name, dir_fd=at, follow_symlinks=False)
        entry = {"type": stat.S_IFMT(st.st_mode), "mode": stat.S_IMODE(st.st_mode),
                 "mtime": st.st_mtime_ns}
        if owners:
            entry["owner"] = (st.st_uid, st.st_gid)
        if stat.S_ISLNK(st.st_mode):
            entry["target"] = os.readlink(name, dir_fd=at)
        if stat.S_ISREG(st.st_mode):
            entry["size"] = st.st_size
            entry["content"] = _digest(at, name)
        if not stat.S_ISDIR(st.st_mode):
            groups.setdefault((st.st_dev, st.st_ino), []).append(path)
        seen[path] = entry
        if stat.S_ISDIR(st.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=at)
            try:
                _look(fd, path + b"/", seen, groups, owners)
            finally:
                os.close(fd)


def look(root, *, ours=False, owners=False):
    """Everything below ROOT: path -> type, mode, mtime, size, content, target, and the names that
    share its inode. What is warmpack's own is left out unless OURS."""
    seen, groups = {}, {}
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _look(fd, b"", seen, groups, owners)
    finally:
        os.close(fd)
    for paths in groups.values():
        for path in paths:
            seen[path]["links"] = tuple(sorted(paths))
    if not ours:
        seen = {path: entry for path, entry in seen.items() if not OURS.search(path)}
    return seen


def without(snapshot, *members):
    return {path: {k: v for k, v in entry.items() if k not in members}
            for path, entry in snapshot.items()}


def differences(a, b):
    """What a test shows where two trees should be equal."""
    lines = [f"{p!r}: only in the first" for p in a.keys() - b.keys()]
    lines += [f"{p!r}: only in the second" for p in b.keys() - a.keys()]
    for path in a.keys() & b.keys():
        for member in a[path].keys() | b[path].keys():
            x, y = a[path].get(member), b[path].get(member)
            if x != y:
                lines.append(f"{path[:80]!r}: {member}: {str(x)[:300]} != {str(y)[:300]}")
    return sorted(lines)


def assert_same(a, b):
    __tracebackhide__ = True
    lines = differences(a, b)
    if lines:
        pytest.fail("\n".join(["the trees differ:"] + lines[:20]), pytrace=True)


def leftovers(*directories):
    """Staging, journals, locks and temporary files that should be gone."""
    found = []
    for directory in directories:
        for path, names, files in os.walk(os.fsencode(directory)):
            found += [os.path.join(path, n) for n in names + files
                      if n.startswith(b".warmpack-") or n.startswith(b".warmpack.")]
    return found


# ---- Trees to pack ---------------------------------------------------------------------------

def set_time(path, ns):
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def write(path, content=b"", mode=None, ns=None):
    path = pathlib.Path(os.fsdecode(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if mode is not None:
        path.chmod(mode)
    if ns is not None:
        set_time(path, ns)
    return path


def noise(size, seed=0):
    """Bytes that do not compress, the same each time."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def index(source, name=None, *, stamp=None, triple="x86_64-pc-linux-gnu"):
    """Writes a cache index, as Numba does, with one overload and its data file beside SOURCE."""
    source = pathlib.Path(source)
    cache = source.parent / "__pycache__"
    cache.mkdir(exist_ok=True)
    name = name or f"{source.stem}.add-3.py311"
    st = source.stat()
    key = ((), (triple, "generic", "+sse"), ("0" * 64, "1" * 64))
    data = pickle.dumps((stamp or (st.st_mtime, st.st_size), {key: name + ".1.nbc"}), -1)
    (cache / (name + ".nbi")).write_bytes(pickle.dumps("0.56.4", -1) + data)
    (cache / (name + ".1.nbc")).write_bytes(pickle.dumps(("library", b"code"), -1))
    return cache / (name + ".nbi")
