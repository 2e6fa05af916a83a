"""One short job of every verb that reads or writes a tree or an archive, and what it works on: the
campaigns of faults run each of them to every one of its calls and of its allocations."""

import json
import os
import shutil
import subprocess
import zipfile

from indexes import make_index

PYTHON = os.environ.get("WARMPACK_TEST_PYTHON", "/usr/bin/python3")
ONE = ("--threads", "1")
SIGN = ("--sign", "key.pem")
TRUST = ("--trust", "keys")
JOBS = {
    "create": ("create", "-f", "x.tgz", "-C", "s", "app", *ONE),
    "create a zip": ("create", "-f", "x.zip", "-C", "s", "app", *ONE),
    "create a tar.zst": ("create", "-f", "x.tar.zst", "-C", "s", "app", *ONE),
    "create --caches-only": ("create", "--caches-only", "-f", "x.tgz", "-C", "s", "app", *ONE),
    "create --sync": ("create", "--sync", "-f", "x.tgz", "-C", "s", "app", *ONE),
    "create --sign": ("create", "-f", "x.tgz", *SIGN, "-C", "s", "app", *ONE),
    "create an image": ("create", "-f", "x.oci.tar", "-C", "s", "app", *ONE),
    "create an image on a base": ("create", "--sync", "-f", "out", "--format", "oci", "--base",
                                  "base.oci", "-C", "s", "app", *ONE),
    "extract": ("extract", "-f", "a.tgz", "-C", "out", *ONE),
    "extract a zip": ("extract", "-f", "a.zip", "-C", "out", *ONE),
    "extract an image": ("extract", "-f", "base.oci", "-C", "out", *ONE),
    "extract --from": ("extract", "-f", "a.tgz", "-C", "out", "--from", "tree", *ONE),
    "extract a zip --from": ("extract", "-f", "a.zip", "-C", "out", "--from", "tree", *ONE),
    "extract --sync": ("extract", "--sync", "-f", "a.tgz", "-C", "out", *ONE),
    "extract with a cache root": ("extract", "-f", "a.tgz", "-C", "out", "--cache-dir", "cd", *ONE),
    "extract over another": ("extract", "-f", "a.tgz", "-C", "older2", *ONE),
    "extract --replace": ("extract", "--replace", "-f", "a.tgz", "-C", "older2", *ONE),
    "extract -k": ("extract", "-kf", "a.tgz", "-C", "gaps2", *ONE),
    "extract --if-needed": ("extract", "--if-needed", "-f", "a.tgz", "-C", "out", *ONE),
    "extract --if-needed again": ("extract", "--if-needed", "-f", "a.tgz", "-C", "tree", *ONE),
    "extract --caches-only": ("extract", "--caches-only", "-f", "a.tgz", "-C", "s2", *ONE),
    "extract --retarget": ("extract", "-f", "a.tgz", "-C", "out", "--retarget=probe.json", *ONE),
    "extract to stdout": ("extract", "-Of", "a.tgz", *ONE),
    "extract --trust": ("extract", "-f", "signed.tgz", "-C", "out", *TRUST, *ONE),
    "extract --from --trust": ("extract", "-f", "signed.tgz", "-C", "out", "--from", "tree", *TRUST,
                               *ONE),
    "extract --caches-only --trust": ("extract", "--caches-only", "-f", "signed.tgz", "-C", "s2",
                                      *TRUST, *ONE),
    "restore": ("restore", "raw2", *ONE),
    "restore --restamp": ("restore", "--restamp", "always", "raw2", *ONE),
    "restore into a cache root": ("restore", "raw2", "--cache-dir", "cd", *ONE),
    "restore what two packed": ("restore", "shared2", *ONE),
    "restore --trust": ("restore", "signed2", *TRUST, *ONE),
    "verify": ("verify", "tree", *ONE),
    "verify what is misplaced": ("verify", "shadowed", *ONE),
    "verify an archive": ("verify", "-f", "a.tgz", *ONE),
    "verify --fix": ("verify", "--fix", "raw2", *ONE),
    "verify --trust": ("verify", "signed", *TRUST, *ONE),
    "verify an archive --trust": ("verify", "-f", "signed.tgz", *TRUST, *ONE),
    "list": ("list", "-vf", "a.tgz"),
    "list an image": ("list", "-f", "base.oci", *ONE),
    "inspect": ("inspect", "tree"),
    "diff": ("diff", "a.tgz", "other.tgz", *ONE),
    "diff with a tree": ("diff", "a.tgz", "tree", *ONE),
    "amend": ("amend", "-f", "plain.tgz", "-o", "y.tgz", "--source", "s", *ONE),
    "amend a wheel": ("amend", "-f", "plain.whl", "-o", "y.whl", "--source", "s", *ONE),
    "amend --sign": ("amend", "-f", "plain.tgz", "-o", "y.tgz", "--source", "s", *SIGN, *ONE),
    "merge": ("merge", "-o", "m.tgz", "a.tgz", "other.tgz", *ONE),
    "merge a tree": ("merge", "-o", "m.tgz", "a.tgz", "elsewhere", *ONE),
    "merge --sign": ("merge", "-o", "m.tgz", "a.tgz", "other.tgz", *SIGN, *ONE),
    "seal": ("seal", "s2", *ONE),
    "seal --sign": ("seal", "s2", *SIGN, *ONE),
    "seal over another": ("seal", "older2", *ONE),
    "seal again": ("seal", "sealed2", "--cache-dir", "roots", *ONE),
    "create from a seal": ("create", "-f", "x.tgz", "-C", "sealed", ".", *ONE),
    "merge a signed tree": ("merge", "-o", "m.tgz", "other.tgz", "signed", *ONE),
    "retarget": ("retarget", "tree2", "--for", "probe.json", *ONE),
    "retarget --undo": ("retarget", "--undo", "aimed2", *ONE),
    "warm": ("warm", "-f", "w.tgz", "-C", "bare", "app", *ONE, "--", PYTHON, "-m", "app.smoke"),
    "env": ("env", "tree"),
    "path": ("path", "a.tgz"),
    "explain": ("explain", "/bin/true"),
}
# What they end with: files are kept, there are differences, a cache is not where Numba looks.
USUAL = {"extract -k": 2, "diff": 1, "verify what is misplaced": 1}
SLOW = {"warm": 10}  # jobs that take seconds: so many tries, and in a campaign alone

TRIPLE = "x86_64-pc-linux-gnu"
PROBE = {"format": "warmpack-probe", "version": 1, "python": "3.11", "numba": "0.56.4",
         "machine": "+64bit,+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87", "triple": TRIPLE,
         "cpu": "x86-64", "features": "+sse2"}
WARMED = "from numba import njit\n\n\n@njit(cache=True)\ndef f(x):\n    return x + 1\n"


def zipped(path, root):
    """A wheel as another tool makes it."""
    with zipfile.ZipFile(path, "w") as out:
        for file in sorted(root.rglob("*.py")):
            out.write(file, file.relative_to(root))
        out.writestr("app-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: app\nVersion: 1\n")
        out.writestr("app-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        out.writestr("app-1.dist-info/RECORD", "app/k.py,,\napp-1.dist-info/RECORD,,\n")


def copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def share(warmpack, base):
    """A tree with two manifests that know app/k.py, whose times are lost."""
    copy(base / "s", base / "more")
    (base / "more/lib").mkdir()
    (base / "more/lib/k.py").write_text("from app import k\n")
    make_index(base / "more/lib/k.py")
    warmpack.ok("create", "-qf", "more.tgz", "-C", "more", "app", "lib")
    for name in "more.tgz", "a.tgz":
        warmpack.ok("extract", "-qf", name, "-C", "shared")
    for path in (base / "shared").rglob("*.py"):
        os.utime(path, ns=(0, 1600000000000000000), follow_symlinks=False)


def prepare(warmpack, base):
    """Makes what the jobs work on in BASE. Returns a function that undoes what JOBS[job] has
    changed."""
    source = base / "s" / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    os.utime(source, ns=(0, 1500000001500000000))
    bare = base / "bare" / "app"
    bare.mkdir(parents=True)
    (bare / "k.py").write_text(WARMED)
    (bare / "smoke.py").write_text("from app import k\nassert k.f(1) == 2\n")
    make_index(source)
    source.with_name("l.py").symlink_to("k.py")
    for name in "a.tgz", "a.zip", "base.oci":
        warmpack.ok("create", "-qf", name, "-C", "s", "app")
    copy(base / "s", base / "elsewhere")
    make_index(base / "elsewhere" / "app" / "k.py", cpu="x86-64-v2", features="")
    warmpack.ok("create", "-qf", "other.tgz", "-C", "elsewhere", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "tree")
    share(warmpack, base)
    (base / "probe.json").write_text(json.dumps(PROBE))
    copy(base / "tree", base / "aimed")
    warmpack.ok("retarget", "-q", "aimed", "--for", "probe.json")
    (base / "raw").mkdir()
    for words in ("xzmf", "a.tgz", "-C", "raw"), ("czf", "plain.tgz", "-C", "s", "app"):
        subprocess.run(["tar", *words], cwd=base, check=True)
    zipped(base / "plain.whl", base / "s")
    (base / "keys").mkdir()
    for words in (("genpkey", "-algorithm", "ed25519", "-out", "key.pem"),
                  ("pkey", "-in", "key.pem", "-pubout", "-out", "keys/pub.pem")):
        subprocess.run(["openssl", *words], cwd=base, check=True)
    warmpack.ok("create", "-qf", "signed.tgz", *SIGN, "-C", "s", "app")
    warmpack.ok("extract", "-qf", "signed.tgz", "-C", "signed")
    copy(base / "bare", base / "sealed")
    make_index(base / "sealed" / "app" / "k.py", base / "roots")
    warmpack.ok("seal", "-q", "sealed", "--cache-dir", "roots", *SIGN)
    copy(base / "bare", base / "shadowed")
    (base / "shadowed/app/__pycache__").mkdir()
    make_index(base / "shadowed/app/k.py", warmpack.home / ".cache/numba")
    copy(base / "tree", base / "older")
    copy(base / "tree", base / "gaps")
    (base / "older" / "app" / "k.py").write_text("x = 0\n")
    (base / "older" / "app" / "gone.py").write_text("")
    (base / "gaps" / "app" / "k.py").unlink()

    def undo(job):
        words = JOBS[job]
        for name in "out", "cd":
            if name in words:
                shutil.rmtree(base / name, ignore_errors=True)
        for name in words:
            if name.endswith("2") and (base / name[:-1]).is_dir():
                copy(base / name[:-1], base / name)
            elif name.startswith(("x.", "y.", "m.", "w.")):
                (base / name).unlink(missing_ok=True)
    return undo
