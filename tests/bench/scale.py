"""Trees at the limits: very many files, many in one directory, many directories, a very large file,
very deep directories. Does the cost grow with the size, and memory not?"""

import shutil
import sys

import jobs
import report
import runs
import trees

HUGE = 20 << 30
LEVELS = 100
AN_ENTRY = 300  # bytes of memory that an entry of the manifest may take
GROWTH = 1.3  # a file of a larger tree may take so many times as long as one of the smallest
FORMATS = ("tgz", "zip", "tar.zst")
# How it is made, how many files, and in which formats it is packed. Trees of one kind stand
# together, the smallest first.
MANY = {
    "many": (trees.many_tree, (10_000, 100_000, 1_000_000), FORMATS),
    "flat": (trees.flat_tree, (10_000, 100_000), ("tgz", "zip")),
    "spread": (trees.spread_tree, (10_000, 100_000), ("tgz", "zip")),
}


def limit_of(suffix):
    return 96 * jobs.MIB * (2 if suffix == "tar.zst" else 1)


def tasks(out, name, suffix, here, peer):
    """All that reads or writes the tree's archive, in an order in which it can be done: HERE it is
    unpacked."""
    archive, limit = out / (name + "." + suffix), limit_of(suffix)
    site = here / "site"

    def job(verb, kind, words, **more):
        return jobs.Job(verb + "-" + suffix, verb + " ." + suffix, kind,
                        [jobs.Tool("warmpack", words)], memory_most=limit, **more)

    def reading(verb, *words):
        return job(verb, "read", jobs.warmpack(*words))

    found = [
        job("create", "pack", jobs.warmpack("create", "-f", archive, "site"), output=suffix),
        job("list", "read", [jobs.WARMPACK, "list", "-f", str(archive)]),
        reading("verify-archive", "verify", "-f", archive),
        job("extract", "unpack", jobs.warmpack("extract", "--if-needed", "-f", archive),
            exact="all"),
        reading("if-needed", "extract", "--if-needed", "-f", archive, "-C", here),
        reading("verify", "verify", site),
        reading("restore", "restore", site),
    ]
    # What a tool that keeps no times leaves behind.
    found[-1].tools[0].before = ["find", str(site), "-type", "f", "-exec", "touch", "{}", "+"]
    if peer:
        theirs = out / (name + "-gnu.tgz")
        found[0].tools.append(jobs.Tool("GNU tar", ["tar", "-czf", str(theirs), "site"]))
        found[3].tools.insert(0, jobs.Tool("GNU tar", ["tar", "-xzf", str(theirs)]))
    return found


def run_format(runner, out, name, suffix, peer, compare, files, size):
    """The tree in one format. Its archives are gone afterwards: all at once would not fit."""
    rows = []
    for job in tasks(out, name, suffix, runner.scratch / "here", peer):
        for tool in list(job.tools):
            runs.say("%s: %s, %s" % (name, job.name, tool.name))
            took = runner.once(job, tool)
            if compare and not runner.check(job, tool):
                continue
            rows.append({"tree": name, "job": job.name, "tool": tool.name,
                         "seconds": took["wall"], "cpu": took["cpu"], "memory": took["memory"],
                         "memory_most": job.memory_most, "disturbed": took["disturbed"],
                         "files": files, "bytes": size})
            print(row_text(rows[-1]), file=sys.stderr, flush=True)
    for archive in out.glob(name + "*"):
        archive.unlink()
    return rows


def run_tree(top, out, name, suffixes, scratch=None, compare=True, peer=False):
    files, size = trees.count(top / "site")
    rows, runner = [], runs.Runner(top, 1, scratch)
    try:
        for suffix in suffixes:
            rows += run_format(runner, out, name, suffix, peer and suffix == "tgz", compare,
                               files, size)
    finally:
        runner.close()
    runs.say("")
    return rows


def enough_room(place, size):
    free = shutil.disk_usage(place).free
    if free < size:
        print("bench: the file of 20 GiB is left out: %.0f GB free, %.0f GB needed"
              % (free / 1e9, size / 1e9), file=sys.stderr)
    return free >= size


def measure(place, only=""):
    """All trees, or those of ONLY, a list with commas of names and of kinds."""
    wanted = only.split(",") if only else [*MANY, "deep", "huge"]
    out = place / "out" / "scale"
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind, (make, sizes, suffixes) in MANY.items():
        for files in sizes:
            name = "%s-%d" % (kind, files)
            if name in wanted or kind in wanted:
                top = make(place, name, files)
                rows += run_tree(top, out, name, suffixes, peer=kind == "many")
    if "deep" in wanted:
        top = trees.deep_tree(place, "deep", LEVELS)
        rows += run_tree(top, out, "deep", FORMATS)
    if "huge" in wanted and enough_room(place, HUGE + (20 << 30)):
        top = trees.huge_tree(place, "huge", HUGE)
        # Too large for tmpfs, and for reading it once more to compare: digests are checked.
        rows += run_tree(top, out, "huge", FORMATS, scratch=place, compare=False)
    return {"rows": rows, "checks": checks(rows)}


def checks(rows):
    found = []

    def check(row, what, value, limit, unit):
        found.append({"job": row["tree"], "what": row["job"] + " " + what, "value": value,
                      "limit": limit, "unit": unit, "at_least": False, "met": value <= limit})

    ours = [row for row in rows if row["tool"] == "warmpack"]
    smallest = {}  # of each kind of tree and job
    for row in ours:
        kind, limit = row["tree"].split("-")[0], row["memory_most"]
        if kind in MANY:
            limit = 1.5 * limit + AN_ENTRY * row["files"]
        check(row, "memory", row["memory"] / jobs.MIB, limit / jobs.MIB, "MiB")
        small = smallest.setdefault((kind, row["job"]), row)
        if row["files"] > small["files"]:
            check(row, "CPU a file, against %d" % small["files"],
                  row["cpu"] / row["files"] / (small["cpu"] / small["files"]), GROWTH, "x")
    return found


def row_text(row):
    each = "%.1f us" % (row["cpu"] / row["files"] * 1e6) if row["files"] > 1 else ""
    return "  %-14s %-22s %-10s %10s %10s %8.0f MiB %10s%s" % (
        row["tree"], row["job"], row["tool"], report.seconds(row["seconds"]),
        report.seconds(row["cpu"]), row["memory"] / jobs.MIB, each,
        "  (disturbed)" if row["disturbed"] else "")


def text(scale):
    lines = ["", "Scale: one run each; memory of the largest process; CPU a file", "",
             "  %-14s %-22s %-10s %10s %10s %12s %10s" % (
                 "tree", "job", "tool", "wall", "CPU", "memory", "a file")]
    lines += [row_text(row) for row in scale["rows"]]
    return "\n".join(lines + [""] + [report.check_text(check) for check in scale["checks"]])
