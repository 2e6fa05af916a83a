"""Out of memory ends a job with a line that says so: it hangs and crashes nowhere, and makes no
cache anything that it is not."""

import os
import shutil
import signal
import subprocess

import pytest

from indexes import make_index

STEP = int(os.environ.get("WARMPACK_ALLOCATION_STEP", "7"))  # 1: every allocation
ONE = ("--threads", "1")
JOBS = {
    "create": ("create", "-qf", "x.tgz", "-C", "s", "app", *ONE),
    "create a zip": ("create", "-qf", "x.zip", "-C", "s", "app", *ONE),
    "create a tar.zst": ("create", "-qf", "x.tar.zst", "-C", "s", "app", *ONE),
    "create an image": ("create", "-qf", "x.oci.tar", "-C", "s", "app", *ONE),
    "create an image on a base": ("create", "-qf", "out", "--format", "oci", "--base", "base.oci",
                                  "-C", "s", "app", *ONE),
    "list an image": ("list", "-f", "base.oci", *ONE),
    "create --caches-only": ("create", "--caches-only", "-qf", "x.tgz", "-C", "s", "app", *ONE),
    "extract": ("extract", "-qf", "a.tgz", "-C", "out", *ONE),
    "extract a zip": ("extract", "-qf", "a.zip", "-C", "out", *ONE),
    "extract --from": ("extract", "-qf", "a.tgz", "-C", "out", "--from", "tree", *ONE),
    "extract a zip --from": ("extract", "-qf", "a.zip", "-C", "out", "--from", "tree", *ONE),
    "extract with a cache root": ("extract", "-qf", "a.tgz", "-C", "out", "--cache-dir", "cd", *ONE),
    "extract --if-needed": ("extract", "--if-needed", "-qf", "a.tgz", "-C", "out", *ONE),
    "extract --if-needed again": ("extract", "--if-needed", "-qf", "a.tgz", "-C", "tree", *ONE),
    "extract --caches-only": ("extract", "--caches-only", "-qf", "a.tgz", "-C", "s2", *ONE),
    "extract to stdout": ("extract", "-Of", "a.tgz", *ONE),
    "restore": ("restore", "-q", "raw2", *ONE),
    "restore --restamp": ("restore", "-q", "--restamp", "always", "raw2", *ONE),
    "verify": ("verify", "tree", *ONE),
    "verify an archive": ("verify", "-f", "a.tgz", *ONE),
    "verify --fix": ("verify", "--fix", "raw2", *ONE),
    "list": ("list", "-vf", "a.tgz"),
    "inspect": ("inspect", "tree"),
    "amend": ("amend", "-f", "plain.tgz", "-o", "y.tgz", "--source", "s", *ONE),
    "seal": ("seal", "s2", *ONE),
    "retarget": ("retarget", "--undo", "tree2", *ONE),
    "env": ("env", "tree"),
    "path": ("path", "a.tgz"),
    "merge": ("merge", "-qo", "y.tgz", "a.tgz", "b.tgz", *ONE),
    "merge a tree": ("merge", "-qo", "y.tgz", "a.tgz", "t", *ONE),
    "diff": ("diff", "a.tgz", "b.tgz"),
    "diff a tree": ("diff", "a.tgz", "tree"),
    "explain": ("explain", "/bin/true"),
    "create --sign": ("create", "-qf", "x.tgz", "--sign", "key.pem", "-C", "s", "app", *ONE),
    "extract --trust": ("extract", "-qf", "signed.tgz", "-C", "out", "--trust", "keys", *ONE),
    "restore --trust": ("restore", "-q", "signed2", "--trust", "keys", *ONE),
    "verify --trust": ("verify", "signed", "--trust", "keys", *ONE),
    "verify an archive --trust": ("verify", "-f", "signed.tgz", "--trust", "keys", *ONE),
}


@pytest.fixture
def trees(warmpack, tmp_path):
    """What the jobs work on. Returns a function that brings what they have changed back."""
    source = tmp_path / "s" / "app" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    os.utime(source, ns=(0, 1500000001500000000))
    make_index(source)
    source.with_name("l.py").symlink_to("k.py")
    for name in "a.tgz", "a.zip", "base.oci":
        warmpack.ok("create", "-qf", name, "-C", "s", "app")
    warmpack.ok("extract", "-qf", "a.tgz", "-C", "tree")
    (tmp_path / "raw").mkdir()
    for words in ("xzmf", "a.tgz", "-C", "raw"), ("czf", "plain.tgz", "-C", "s", "app"):
        subprocess.run(["tar", *words], cwd=tmp_path, check=True)

    # The same for another CPU, and signed.
    shutil.copytree(tmp_path / "s", tmp_path / "t", symlinks=True)
    make_index(tmp_path / "t/app/k.py", cpu="skylake")
    warmpack.ok("create", "-qf", "b.tgz", "-C", "t", "app")
    (tmp_path / "keys").mkdir()
    for words in (("genpkey", "-algorithm", "ed25519", "-out", "key.pem"),
                  ("pkey", "-in", "key.pem", "-pubout", "-out", "keys/pub.pem")):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True)
    warmpack.ok("create", "-qf", "signed.tgz", "--sign", "key.pem", "-C", "s", "app")
    warmpack.ok("extract", "-qf", "signed.tgz", "-C", "signed")

    def refresh(words):
        for name in "out", "cd", "s2", "raw2", "tree2", "signed2":
            if name in words:
                shutil.rmtree(tmp_path / name, ignore_errors=True)
                if name.endswith("2"):
                    shutil.copytree(tmp_path / name[:-1], tmp_path / name, symlinks=True)
    return refresh


@pytest.mark.parametrize("job", JOBS)
def test_out_of_memory_ends_a_job_with_one_line(warmpack, faulty, trees, tmp_path, job):
    words, happened, n = JOBS[job], True, 1
    trees(words)
    usual = warmpack(*words).returncode
    assert usual in (0, 1)
    while happened:
        trees(words)
        r, happened = faulty(*words, allocation=n)
        foreign = happened and (tmp_path / "happened").read_text() == "foreign"
        if r.returncode not in (0, usual) and not (
                foreign and r.returncode in (-signal.SIGSEGV, -signal.SIGABRT)):
            assert r.returncode == 2, (n, r)
            assert b"memory" in r.stderr, (n, r)
        # libcrypto sets itself up by thousands of allocations.
        n += STEP * 31 if STEP > 1 and n > 250 and "key" in " ".join(words) else STEP
    assert n > 30
