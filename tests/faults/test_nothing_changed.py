"""Exit status 2 of restore: nothing is changed."""

import errno
import os
import shutil
import subprocess

from indexes import make_index


def facts(folder):
    return {str(path.relative_to(folder)): (path.lstat().st_mode, path.lstat().st_mtime_ns)
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_restore_sets_no_time_where_it_fails(warmpack, faulty, tmp_path):
    source = tmp_path / "s" / "app" / "pkg" / "k.py"
    source.parent.mkdir(parents=True)
    source.write_text("y = 1\n")
    source.with_name("data").write_text("z")
    os.utime(source, ns=(0, 1500000001987654321))
    make_index(source, tmp_path / "c")
    warmpack.ok("create", "-qf", "a.tgz", "--cache-dir", "c", "-C", "s", "app")
    whole, tree = tmp_path / "whole", tmp_path / "t"
    whole.mkdir()
    subprocess.run(["tar", "xzmf", tmp_path / "a.tgz", "-C", whole], check=True)
    (whole / "app" / "pkg" / "data").chmod(0o600)
    failed = 0
    for n in range(1, 100):
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(whole, tree)
        before = facts(tree)
        r, happened = faulty("restore", "-q", "t", calls=",mkdirat,renameat2,rename,", n=n,
                             errno=errno.ENOSPC)
        if not happened:
            break
        if r.returncode == 2:
            failed += 1
            assert facts(tree) == before, (n, r)
        else:
            assert (tree / "app" / "pkg" / "k.py").stat().st_mtime_ns == 1500000001987654321
    assert failed > 3
    assert facts(tree)["app/pkg/data"][0] & 0o777 == 0o644
