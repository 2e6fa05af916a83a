"""What is measured: jobs, the tools that do each, and the target against each tool."""

import os
import shlex
import shutil
import sys
from dataclasses import dataclass

MIB = 1 << 20
WARMPACK = os.environ.get("WARMPACK", "warmpack")
PYTHON = sys.executable


@dataclass
class Tool:
    name: str
    command: list
    least: float = None  # how many times as long it shall take as warmpack
    slow: bool = False  # left out of --quick, and run once only
    single: bool = False  # uses one thread: warmpack with one shall not be slower
    before: list = None  # run first, not timed


@dataclass
class Job:
    name: str
    title: str
    kind: str  # pack: writes `output`; unpack: fills an empty directory on tmpfs; read: neither
    tools: list  # the first is warmpack
    output: str = ""  # pack: the archive's name, without the tool's
    exact: str = ""  # unpack: what warmpack gives its exact time, see trees.contents
    size_against: str = ""  # pack: the tool than whose archive ours shall not be larger
    size_most: float = 1.01
    memory_most: float = 96 * MIB
    seconds_most: float = None  # an absolute target


def warmpack(verb, *words, threads=None):
    more = ["--threads", str(threads)] if threads else []
    return [WARMPACK, verb, "-q", *more, *map(str, words)]


def shell(text, **words):
    """A pipeline, which fails when any part of it does."""
    quoted = {k: shlex.quote(str(v)) for k, v in words.items()}
    return ["bash", "-c", "set -o pipefail; " + text.format(**quoted)]


def available(tools):
    """Those of whose programs all are there."""

    def there(tool):
        words = tool.command
        names = [words[0]]
        if words[:2] == ["bash", "-c"]:
            names = [part.split()[0] for part in words[2].split(";", 1)[1].split("|")]
        return all(shutil.which(n) for n in names)

    return [t for t in tools if there(t)]


def tarfile_pack(output, mode):
    code = "import sys, tarfile\nwith tarfile.open(sys.argv[1], %r) as t: t.add('site')" % mode
    return [PYTHON, "-c", code, str(output)]


def tarfile_unpack(archive):
    code = "import sys, tarfile\nwith tarfile.open(sys.argv[1]) as t: t.extractall('.')"
    return [PYTHON, "-c", code, str(archive)]


def pack_tgz(out, most):
    def to(tool):
        return out / (tool + ".tgz")

    return Job(
        "create-tgz",
        "create .tgz",
        "pack",
        [
            Tool("warmpack", warmpack("create", "-f", to("warmpack"), "site")),
            Tool("GNU tar czf", ["tar", "-czf", str(to("gnutar")), "site"], 5.0, single=True),
            Tool("bsdtar czf", ["bsdtar", "-czf", str(to("bsdtar")), "site"], 4.2, single=True),
            Tool("tar | pigz", shell("tar -cf - site | pigz > {o}", o=to("pigz")), 2.3),
            Tool("tar | crabz", shell("tar -cf - site | crabz -l 6 > {o}", o=to("crabz"))),
            Tool(
                "warmpack, 1 thread",
                warmpack("create", "-f", to("one"), "site", threads=1),
            ),
            Tool("Python tarfile", tarfile_pack(to("python"), "w:gz"), slow=True, single=True),
            Tool(
                "conda-pack (level 4)",
                ["conda-pack", "-q", "-f", "-p", str(out / "conda"), "-o",
                 str(out / "conda.tar.gz"), "--n-threads", "-1"],
                slow=True,
            ),
        ],
        output="tgz",
        size_against="GNU tar czf",
        size_most=most,
    )


def pack_zip(out):
    def to(tool):
        return out / (tool + ".zip")

    return Job(
        "create-zip",
        "create .zip",
        "pack",
        [
            Tool("warmpack", warmpack("create", "-f", to("warmpack"), "site")),
            Tool("Info-ZIP zip", ["zip", "-qry", str(to("infozip")), "site"], 4.5, single=True),
            Tool(
                "bsdtar --format zip",
                ["bsdtar", "--format", "zip", "-cf", str(to("bsdtar")), "site"],
                single=True,
            ),
            Tool(
                "warmpack, 1 thread",
                warmpack("create", "-f", to("one"), "site", threads=1),
            ),
            Tool(
                "Python zipfile",
                [PYTHON, "-m", "zipfile", "-c", str(to("python")), "site"],
                slow=True,
                single=True,
            ),
        ],
        output="zip",
        size_against="Info-ZIP zip",
    )


def pack_zst(out):
    def to(tool):
        return out / (tool + ".tar.zst")

    return Job(
        "create-tar-zst",
        "create .tar.zst",
        "pack",
        [
            Tool("warmpack", warmpack("create", "-f", to("warmpack"), "site")),
            Tool("tar | zstd -T0", shell("tar -cf - site | zstd -qT0 > {o}", o=to("zstd")), 1.15),
            Tool(
                "bsdtar --zstd", ["bsdtar", "--zstd", "-cf", str(to("bsdtar")), "site"], single=True
            ),
            Tool("warmpack, 1 thread", warmpack("create", "-f", to("one"), "site", threads=1)),
        ],
        output="tar.zst",
        size_against="tar | zstd -T0",
        memory_most=192 * MIB,
    )


def unpack_tgz(name, title, archive, plain, ours):
    """OURS: the archive has many members, and is held against plain tar, too."""
    tools = [
        Tool("warmpack", warmpack("extract", "-f", archive)),
        Tool("GNU tar xzf", ["tar", "-xzf", str(archive)], 4.0 if ours else 2.2, single=True),
        Tool("bsdtar xzf", ["bsdtar", "-xzf", str(archive)], 2.8 if ours else None, single=True),
        Tool("pigz | tar", shell("pigz -dc {a} | tar -xf -", a=archive)),
        Tool("rapidgzip | tar", shell("rapidgzip -dc {a} | tar -xf -", a=archive)),
        Tool("crabz | tar", shell("crabz -d {a} | tar -xf -", a=archive)),
        Tool("warmpack, 1 thread", warmpack("extract", "-f", archive, threads=1)),
        Tool("Python tarfile", tarfile_unpack(archive), slow=True, single=True),
    ]
    if ours:
        # At most 1.25 times the time of a tar that has nothing to inflate.
        tools.insert(3, Tool("tar xf, uncompressed", ["tar", "-xf", str(plain)], 1 / 1.25))
    return Job(name, title, "unpack", tools, exact="all" if ours else "")


def unpack_zip(name, title, archive, unzip_least, bsdtar_least, ours):
    return Job(
        name,
        title,
        "unpack",
        [
            Tool("warmpack", warmpack("extract", "-f", archive)),
            Tool("unzip", ["unzip", "-q", str(archive)], unzip_least, single=True),
            Tool("bsdtar xf", ["bsdtar", "-xf", str(archive)], bsdtar_least, single=True),
            Tool("ripunzip", ["ripunzip", "unzip-file", "-q", str(archive)]),
            Tool("warmpack, 1 thread", warmpack("extract", "-f", archive, threads=1)),
            Tool(
                "Python zipfile",
                [PYTHON, "-m", "zipfile", "-e", str(archive), "."],
                slow=True,
                single=True,
            ),
        ],
        exact="all" if ours else "",
    )


def unpack_zst(archive):
    return Job(
        "extract-tar-zst",
        "extract our .tar.zst",
        "unpack",
        [
            Tool("warmpack", warmpack("extract", "-f", archive)),
            Tool("tar --zstd -xf", ["tar", "--zstd", "-xf", str(archive)], 1.3),
            Tool("bsdtar xf", ["bsdtar", "-xf", str(archive)], single=True),
            Tool("warmpack, 1 thread", warmpack("extract", "-f", archive, threads=1)),
        ],
        exact="all",
        memory_most=192 * MIB,
    )


HASHING = "read and SHA-256"


def repair(verb, archive, prepared):
    """A tree on tmpfs: restored after unzip, or verified as PREPARED; against hashing it once."""
    before = ["unzip", "-q", str(archive)] if verb == "restore" else None
    place = "site" if verb == "restore" else str(prepared / "site")
    # Enough files at once that starting openssl costs nothing, few enough for all cores.
    hash_all = "find {p} -type f -print0 | xargs -0 -P {n} -n 256 openssl dgst -sha256 >/dev/null"
    return Job(
        verb,
        verb + " a tree",
        "unpack" if verb == "restore" else "read",
        [
            Tool("warmpack", warmpack(verb, place), before=before),
            Tool(
                HASHING,
                shell(hash_all, p=place, n=len(os.sched_getaffinity(0))),
                1 / 1.3,
                before=before,
            ),
        ],
        exact="files",  # restore leaves directories as it finds them
    )


def look(archive, prepared):
    """What shall feel as if nothing had to be read."""
    listing = [WARMPACK, "list", "-f", str(archive)]
    return [
        Job("list", "list our .tgz", "read",
            [Tool("warmpack", listing), Tool("GNU tar tzf", ["tar", "-tzf", str(archive)]),
             Tool("bsdtar tzf", ["bsdtar", "-tzf", str(archive)])],
            seconds_most=0.05),
        Job("verify-archive", "verify -f our .tgz", "read",
            [Tool("warmpack", warmpack("verify", "-f", archive))], seconds_most=0.05),
        Job("if-needed", "extract --if-needed, unchanged", "read",
            [Tool("warmpack",
                  warmpack("extract", "--if-needed", "-f", archive, "-C", prepared))],
            seconds_most=0.05),
    ]


def all_jobs(out, prepared, size_most):
    """In the order in which they can run: what is unpacked is packed first."""
    ours, foreign = out / "warmpack.tgz", out / "gnutar.tgz"
    return [
        pack_tgz(out, size_most),
        pack_zip(out),
        pack_zst(out),
        unpack_tgz("extract-tgz", "extract our .tgz", ours, out / "warmpack.tar", True),
        unpack_zip("extract-zip", "extract our .zip", out / "warmpack.zip", 4.5, 3.2, True),
        unpack_zst(out / "warmpack.tar.zst"),
        unpack_tgz("extract-gnu-tgz", "extract GNU tar's .tgz", foreign, None, False),
        unpack_zip("extract-infozip", "extract Info-ZIP's .zip", out / "infozip.zip", 4.0, None,
                   False),
        repair("restore", out / "warmpack.zip", prepared),
        repair("verify", out / "warmpack.zip", prepared),
        *look(ours, prepared),
    ]
