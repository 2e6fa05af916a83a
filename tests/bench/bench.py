"""Measures warmpack and its peers; see run.sh."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import chart
import jobs
import report
import runs
import scale
import trees


def make_ready(out, top, prepared):
    """Archives that only some jobs need, and a tree that is unpacked already."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(prepared, ignore_errors=True)
    conda = out / "conda"  # the same files as a conda environment, for conda-pack
    if not conda.is_dir():
        (conda / "conda-meta").mkdir(parents=True)
        (conda / "conda-meta" / "history").touch()
        (conda / "lib").mkdir()
        subprocess.run(["cp", "-al", top / "site", conda / "lib"], check=True)
    ours = out / "warmpack.tgz"
    for words in (
        jobs.warmpack("create", "-f", out / "warmpack.tar", "site"),
        jobs.warmpack("create", "-f", ours, "site"),
        jobs.warmpack("extract", "--if-needed", "-f", ours, "-C", prepared),
    ):
        subprocess.run(words, cwd=top, env=runs.environment(), check=True)


def measure(name, top, place, options):
    """All jobs on one tree; what they took."""
    out, prepared = place / "out" / name, place / "prepared" / name
    make_ready(out, top, prepared)
    wanted = jobs.all_jobs(out, prepared, 1.02 if name == "large" else 1.01)
    if options.only:
        wanted = [j for j in wanted if j.name.startswith(tuple(options.only.split(",")))]
    for job in wanted:
        job.tools = jobs.available(job.tools)
    runner = runs.Runner(top, options.runs or (3 if options.quick or name == "large" else 5))
    try:
        runner.all(wanted, slow=not options.quick and name != "large")
        return report.summary(name, top, wanted, runner, out)
    finally:
        runner.close()


def main():
    parser = argparse.ArgumentParser(prog="run.sh")
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--scale-only", nargs="?", const="", metavar="TREE,...")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    place = options.place.resolve()

    if options.scale_only is not None:
        print(scale.text(scale.measure(place, options.scale_only)))
        return
    packages = trees.QUICK if options.quick else trees.PACKAGES
    name = "quick" if options.quick else "site"
    base = trees.site_tree(place, name, packages)
    measured = [measure(name, base, place, options)]
    if options.large:
        large = trees.large_tree(place, "large", trees.site_tree(place, "site", trees.PACKAGES))
        measured.append(measure("large", large, place, options))
    document = {"machine": report.machine(), "versions": report.versions(), "trees": measured}
    text = report.text(document)
    if options.scale:
        document["scale"] = scale.measure(place)
        text += "\n" + scale.text(document["scale"])
    print(text)
    results = place / "results"
    if options.record:
        results = Path(__file__).resolve().parent / "results"
    results.mkdir(parents=True, exist_ok=True)
    (results / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    (results / "results.txt").write_text(text + "\n")
    (results / "chart.svg").write_text(chart.svg(document))
    print("Written: %s/results.json, results.txt, chart.svg" % results, file=sys.stderr)


main()
