"""The main verbs of the program as functions. See its manual pages for what options mean.

Each archive, create's base and restore's manifest may be an fsspec URL: it is fetched into a
temporary file, and sent from one. The layout of an image that is a directory may be one, too.
"""

import contextlib
import os
from typing import Any, Dict, Mapping, Optional, Sequence, Union, cast

from . import _ranges, _url
from ._program import PathLike, options, run
from ._types import (
    AmendResult,
    CreateResult,
    DiffResult,
    ExplainResult,
    ExtractResult,
    InspectResult,
    MergeResult,
    RestoreResult,
    RetargetResult,
    SealResult,
    VerifyResult,
    WarmResult,
)

PathOrPaths = Union[PathLike, Sequence[PathLike], None]


def create(archive: PathLike, *paths: PathLike, directory: Optional[PathLike] = None,
           format: Optional[str] = None, level: Optional[int] = None,
           cache_dir: PathOrPaths = None, no_cache_dir: bool = False,
           source_root: PathOrPaths = None, egg_info: Optional[PathLike] = None,
           exclude: Union[str, Sequence[str], None] = None, dereference: bool = False,
           caches_only: bool = False, strict: bool = False,
           gzip_members: Optional[str] = None, numeric_owner: bool = False,
           owner: Optional[str] = None, group: Optional[str] = None,
           base: Optional[PathLike] = None, ref: Optional[str] = None,
           platform: Optional[str] = None, with_locator: bool = False,
           python: Optional[PathLike] = None,
           sign: Optional[PathLike] = None, threads: Optional[int] = None,
           env: Optional[Mapping[str, str]] = None) -> CreateResult:
    """Packs PATHS, relative to DIRECTORY, with their Numba caches into ARCHIVE, whose suffix
    chooses the format. ENV, here and below, is the program's environment instead of this one."""
    words = options(format=format, level=level, cache_dir=cache_dir, no_cache_dir=no_cache_dir,
                    source_root=source_root, egg_info=egg_info, exclude=exclude,
                    dereference=dereference, caches_only=caches_only, strict=strict,
                    gzip_members=gzip_members, numeric_owner=numeric_owner, owner=owner,
                    group=group, ref=ref, platform=platform,
                    with_locator=with_locator, python=python, sign=sign, threads=threads,
                    directory=directory)
    names = [os.fspath(path) for path in paths]
    with _url.local_base(base) as image, _url.written(archive) as file:
        result = run(["create", *words, *options(file=file, base=image), "--", *names], env)
    if _url.is_url(archive):
        result["archive"] = os.fsdecode(archive)
    return cast(CreateResult, result)


def extract(archive: PathLike, directory: Optional[PathLike] = None, *patterns: str,
            strip_components: Optional[int] = None, layout: Optional[str] = None,
            cache_dir: Optional[PathLike] = None, user: Union[str, int, None] = None,
            group_writable: bool = False,
            runtime_root: PathOrPaths = None, restamp: Optional[str] = None,
            mtime: Optional[str] = None, relocate: bool = False, no_relocate: bool = False,
            retarget: Optional[PathLike] = None, prune: bool = False,
            exclude: Union[str, Sequence[str], None] = None,
            from_tree: Optional[PathLike] = None, if_needed: bool = False,
            replace: bool = False, keep_old_files: bool = False, caches_only: bool = False,
            preserve_permissions: bool = False, no_same_owner: bool = False,
            numeric_owner: bool = False,
            trust: PathOrPaths = None, threads: Optional[int] = None,
            env: Optional[Mapping[str, str]] = None) -> ExtractResult:
    """Unpacks ARCHIVE, or the members that match PATTERNS, into DIRECTORY so that every cache
    index stays valid; "lost" of the result counts those that did not. FROM_TREE is a tree that was
    extracted or sealed earlier: what it has already is taken from there."""
    words = options(strip_components=strip_components, layout=layout, cache_dir=cache_dir,
                    user=user, group_writable=group_writable, runtime_root=runtime_root,
                    restamp=restamp, mtime=mtime, relocate=relocate, no_relocate=no_relocate,
                    retarget=retarget, prune=prune, exclude=exclude, if_needed=if_needed,
                    replace=replace,
                    keep_old_files=keep_old_files, caches_only=caches_only,
                    preserve_permissions=preserve_permissions, no_same_owner=no_same_owner,
                    numeric_owner=numeric_owner, trust=trust, threads=threads,
                    directory=directory, **{"from": from_tree})

    def unpack(file: PathLike) -> ExtractResult:
        return cast(ExtractResult, run(["extract", *words, *options(file=file), "--", *patterns],
                                       env))

    if not _url.is_url(archive):
        return unpack(archive)
    if from_tree is None and not (if_needed or replace):
        with _url.fetched(os.fsdecode(archive)) as file:
            return unpack(file)
    return _ranges.with_needed(os.fsdecode(archive), words, unpack, env=env)


def restore(directory: PathLike, *, manifest: Optional[PathLike] = None,
            layout: Optional[str] = None, cache_dir: Optional[PathLike] = None,
            user: Union[str, int, None] = None, group_writable: bool = False,
            runtime_root: PathOrPaths = None,
            restamp: Optional[str] = None, mtime: Optional[str] = None,
            relocate: bool = False, no_relocate: bool = False,
            retarget: Optional[PathLike] = None, prune: bool = False, dry_run: bool = False,
            trust: PathOrPaths = None, threads: Optional[int] = None,
            env: Optional[Mapping[str, str]] = None) -> RestoreResult:
    """Repairs a tree that another tool unpacked, or that was moved."""
    words = options(layout=layout, cache_dir=cache_dir, user=user,
                    group_writable=group_writable, runtime_root=runtime_root,
                    restamp=restamp, mtime=mtime, relocate=relocate,
                    no_relocate=no_relocate, retarget=retarget, prune=prune, dry_run=dry_run,
                    trust=trust, threads=threads)
    with _url.local(manifest) as file:
        return cast(RestoreResult, run(["restore", *words, *options(manifest=file), "--",
                                        os.fspath(directory)], env))


def retarget(directory: PathLike, who: Optional[PathLike] = None, *, undo: bool = False,
             prune: bool = False, cache_dir: Optional[PathLike] = None,
             user: Union[str, int, None] = None, runtime_root: PathOrPaths = None,
             dry_run: bool = False, threads: Optional[int] = None,
             env: Optional[Mapping[str, str]] = None) -> RetargetResult:
    """Makes code in a tree that was compiled for another CPU load for WHO, a Python interpreter or
    the file of a probe, with no setting; "here" is the python3 in $PATH. With undo the keys become
    what they were when packed."""
    words = options(cache_dir=cache_dir, user=user, runtime_root=runtime_root, dry_run=dry_run,
                    threads=threads, undo=undo, prune=prune, **{"for": who})
    return cast(RetargetResult, run(["retarget", *words, "--", os.fspath(directory)], env))


def amend(archive: PathLike, *, source: PathLike, output: Optional[PathLike] = None,
          source_root: PathOrPaths = None, cache_dir: PathOrPaths = None,
          no_cache_dir: bool = False, strict: bool = False, format: Optional[str] = None,
          level: Optional[int] = None, python: Optional[PathLike] = None,
          sign: Optional[PathLike] = None, threads: Optional[int] = None,
          env: Optional[Mapping[str, str]] = None) -> AmendResult:
    """Adds a manifest, and the caches of the tree SOURCE, to an archive that another tool made."""
    words = options(source=source, source_root=source_root, cache_dir=cache_dir,
                    no_cache_dir=no_cache_dir, strict=strict, format=format, level=level,
                    python=python, sign=sign, threads=threads)
    target = archive if output is None else output
    urls = [name for name in (archive, target) if _url.is_url(name)]
    with _url.local(archive, all_layers=True) as file, _url.written(target) as made:
        # Without URLs it is the program that knows what is one file.
        result = run(["amend", *words, *options(file=file, output=made if urls else output)], env)
    if _url.is_url(target):
        result["archive"] = os.fsdecode(target)
    return cast(AmendResult, result)


def merge(output: PathLike, *inputs: PathLike, cache_dir: PathOrPaths = None,
          no_cache_dir: bool = False, caches_only: bool = False, strict: bool = False,
          numeric_owner: bool = False, owner: Optional[str] = None, group: Optional[str] = None,
          format: Optional[str] = None, level: Optional[int] = None,
          gzip_members: Optional[str] = None,
          sign: Optional[PathLike] = None, threads: Optional[int] = None,
          env: Optional[Mapping[str, str]] = None) -> MergeResult:
    """Makes one archive of several archives and trees of the same sources, which were warmed for
    different CPUs."""
    words = options(cache_dir=cache_dir, no_cache_dir=no_cache_dir, caches_only=caches_only,
                    strict=strict, numeric_owner=numeric_owner, owner=owner, group=group,
                    format=format, level=level, gzip_members=gzip_members, sign=sign,
                    threads=threads)
    with contextlib.ExitStack() as stack:
        files = [os.fspath(stack.enter_context(_url.local(path)) or "") for path in inputs]
        made = stack.enter_context(_url.written(output))
        result = run(["merge", *words, *options(output=made), "--", *files], env)
    if _url.is_url(output):
        result["archive"] = os.fsdecode(output)
    return cast(MergeResult, result)


def seal(directory: PathLike, *, cache_dir: PathOrPaths = None, no_cache_dir: bool = False,
         source_root: PathOrPaths = None, exclude: Union[str, Sequence[str], None] = None,
         strict: bool = False, numeric_owner: bool = False, python: Optional[PathLike] = None,
         sign: Optional[PathLike] = None, threads: Optional[int] = None,
         env: Optional[Mapping[str, str]] = None) -> SealResult:
    """Writes the manifest of a warm tree into it, so that warmpack.locator finds its caches however
    the tree is copied."""
    words = options(cache_dir=cache_dir, no_cache_dir=no_cache_dir, source_root=source_root,
                    exclude=exclude, strict=strict, numeric_owner=numeric_owner, python=python,
                    sign=sign, threads=threads)
    return cast(SealResult, run(["seal", *words, "--", os.fspath(directory)], env))


def _one_of(directory: Optional[PathLike], archive: Optional[PathLike]) -> Sequence[str]:
    if (directory is None) == (archive is None):
        raise TypeError("give either a path or archive=")
    return options(file=archive) if directory is None else ["--", os.fspath(directory)]


def verify(directory: Optional[PathLike] = None, *, archive: Optional[PathLike] = None,
           cache_dir: Optional[PathLike] = None, user: Union[str, int, None] = None,
           runtime_root: PathOrPaths = None, python: Optional[PathLike] = None,
           fix: bool = False, dry_run: bool = False,
           trust: PathOrPaths = None, threads: Optional[int] = None,
           env: Optional[Mapping[str, str]] = None) -> VerifyResult:
    """Judges every index of a tree, or of an archive: valid, or why not."""
    words = options(cache_dir=cache_dir, user=user, runtime_root=runtime_root, python=python,
                    fix=fix, dry_run=dry_run, trust=trust, threads=threads)
    with _url.local(archive) as file:
        return cast(VerifyResult, run(["verify", *words, *_one_of(directory, file)], env))


def inspect(path: Optional[PathLike] = None, *, archive: Optional[PathLike] = None,
            threads: Optional[int] = None,
            env: Optional[Mapping[str, str]] = None) -> InspectResult:
    """Says what is in one index, in all of a tree, or in all of an archive."""
    words = options(threads=threads)
    with _url.local(archive) as file:
        return cast(InspectResult, run(["inspect", *words, *_one_of(path, file)], env))


def diff(a: PathLike, b: PathLike, *, cache_dir: PathOrPaths = None, no_cache_dir: bool = False,
         source_root: PathOrPaths = None, exclude: Union[str, Sequence[str], None] = None,
         threads: Optional[int] = None, env: Optional[Mapping[str, str]] = None) -> DiffResult:
    """Says what two archives, directories or manifests have not in common."""
    words = options(cache_dir=cache_dir, no_cache_dir=no_cache_dir, source_root=source_root,
                    exclude=exclude, threads=threads)
    with _url.local(a) as first, _url.local(b) as second:
        names = [os.fspath(cast(PathLike, name)) for name in (first, second)]
        return cast(DiffResult, run(["diff", *words, "--", *names], env))


def _command(words: Sequence[PathLike]) -> Sequence[str]:
    if isinstance(words, (str, bytes, os.PathLike)):
        raise TypeError("command is a program and its arguments, as a list")
    return [os.fsdecode(word) for word in words]


def warm(archive: Optional[PathLike], *paths: PathLike, command: Sequence[PathLike],
         directory: Optional[PathLike] = None, cpu: Union[str, Sequence[str], None] = None,
         keep_going: bool = False, record_env: Union[str, Sequence[str], None] = None,
         source_root: PathOrPaths = None, exclude: Union[str, Sequence[str], None] = None,
         strict: bool = False, format: Optional[str] = None, level: Optional[int] = None,
         threads: Optional[int] = None, env: Optional[Mapping[str, str]] = None) -> WarmResult:
    """Warms PATHS, relative to DIRECTORY, by COMMAND, a program and its arguments, and packs them
    into ARCHIVE once a copy elsewhere is proved warm: "written" of the result says whether. With
    None for ARCHIVE, one path is warmed in place. What COMMAND prints is kept from this process,
    and stands in the Error where it fails."""
    words = options(directory=directory, cpu=cpu, keep_going=keep_going, record_env=record_env,
                    source_root=source_root, exclude=exclude, strict=strict, format=format,
                    level=level, threads=threads)
    tail = [*[os.fspath(path) for path in paths], "--", *_command(command)]
    if archive is None:
        return cast(WarmResult, run(["warm", *words, *tail], env))
    with _url.written(archive) as file:
        result = run(["warm", *words, *options(file=file), *tail], env)
    if _url.is_url(archive):
        result["archive"] = os.fsdecode(archive)
    return cast(WarmResult, result)


def explain(command: Sequence[PathLike], *, json_lines: Optional[PathLike] = None,
            env: Optional[Mapping[str, str]] = None) -> ExplainResult:
    """Runs COMMAND, a program and its arguments, and says what Numba compiled in it, and why;
    "status" of the result is how it ended. What it prints is kept from this process."""
    return cast(ExplainResult, run(["explain", *options(json_lines=json_lines), "--",
                                    *_command(command)], env, any_status=True))


def env(*paths: PathLike, env: Optional[Mapping[str, str]] = None) -> Dict[str, Any]:
    """The settings NUMBA_CPU_NAME and NUMBA_CPU_FEATURES with which the caches of trees, indexes
    and archives load."""
    with contextlib.ExitStack() as stack:
        files = [os.fspath(stack.enter_context(_url.local(path)) or "") for path in paths]
        return run(["env", "--", *files], env)
