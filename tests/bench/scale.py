"""Trees at the limits: very many files, a very large one, very deep directories. Does the cost
grow with the size, and memory not?"""

import shutil
import sys

import jobs
import report
import runs
import trees

MANY = (10_000, 100_000, 1_000_000)
HUGE = 20 << 30
LEVELS = 100
AN_ENTRY = 300  # bytes of memory that an entry of the manifest may take
GROWTH = 1.3  # a file of the largest tree may take so many times as long as one of the smallest


def tasks(out, name, suffixes):
    """Packing, listing and unpacking in each format, with warmpack and with a peer."""
    found = []
    for suffix in suffixes:
        archive = out / (name + "." + suffix)
        limit = 96 * jobs.MIB * (2 if suffix == "tar.zst" else 1)
        ours = jobs.warmpack
        found += [
            jobs.Job("create-" + suffix, "create ." + suffix, "pack",
                     [jobs.Tool("warmpack", ours("create", "-f", archive, "site"))],
                     output=suffix, memory_most=limit),
            jobs.Job("list-" + suffix, "list ." + suffix, "read",
                     [jobs.Tool("warmpack", [jobs.WARMPACK, "list", "-f", str(archive)])],
                     memory_most=limit),
            jobs.Job("extract-" + suffix, "extract ." + suffix, "unpack",
                     [jobs.Tool("warmpack", ours("extract", "-f", archive))],
                     memory_most=limit, exact="all"),
        ]
    if "tgz" in suffixes:
        theirs = out / (name + "-gnu.tgz")
        found[0].tools.append(jobs.Tool("GNU tar", ["tar", "-czf", str(theirs), "site"]))
        found[2].tools.append(jobs.Tool("GNU tar", ["tar", "-xzf", str(theirs)]))
    return found


def run_tree(top, out, name, suffixes, scratch, compare):
    files, size = trees.count(top / "site")
    rows, runner = [], runs.Runner(top, 1, scratch)
    try:
        for job in tasks(out, name, suffixes):
            for tool in job.tools:
                runs.say("%s: %s, %s" % (name, job.name, tool.name))
                took = runner.once(job, tool)
                if compare:
                    runner.check(job, tool)
                rows.append({"tree": name, "files": files, "bytes": size, "job": job.name,
                             "tool": tool.name, "seconds": took["wall"], "cpu": took["cpu"],
                             "memory": took["memory"], "memory_most": job.memory_most,
                             "disturbed": took["disturbed"]})
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


def measure(place):
    out = place / "out" / "scale"
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for files in MANY:
        top = trees.many_tree(place, "many-%d" % files, files)
        rows += run_tree(top, out, "many-%d" % files, ("tgz", "zip", "tar.zst"), None, True)
    if enough_room(place, HUGE + (4 << 30)):
        top = trees.huge_tree(place, "huge", HUGE)
        # Too large for tmpfs, and for reading it once more to compare: digests are checked.
        rows += run_tree(top, out, "huge", ("tgz", "zip", "tar.zst"), place, False)
    top = trees.deep_tree(place, "deep", LEVELS)
    rows += run_tree(top, out, "deep", ("tgz", "zip", "tar.zst"), None, True)
    return {"rows": rows, "checks": checks(rows)}


def checks(rows):
    found = []

    def check(row, what, value, limit, unit):
        found.append({"job": row["tree"], "what": row["job"] + " " + what, "value": value,
                      "limit": limit, "unit": unit, "at_least": False, "met": value <= limit})

    ours = [row for row in rows if row["tool"] == "warmpack"]
    for row in ours:
        limit = row["memory_most"]
        if row["tree"].startswith("many"):
            limit = 1.5 * limit + AN_ENTRY * row["files"]
        check(row, "memory", row["memory"] / jobs.MIB, limit / jobs.MIB, "MiB")
    many = [row for row in ours if row["tree"].startswith("many")]
    for row in many:
        small = next(r for r in many if r["job"] == row["job"] and r["files"] == MANY[1])
        if row["files"] == MANY[-1]:
            check(row, "CPU a file, against %d files" % MANY[1],
                  row["cpu"] / row["files"] / (small["cpu"] / small["files"]), GROWTH, "x")
    return found


def text(scale):
    lines = ["", "Scale: one run each; memory of the largest process", "",
             "  %-14s %-16s %-10s %10s %10s %12s %10s" % (
                 "tree", "job", "tool", "wall", "CPU", "memory", "a file")]
    for row in scale["rows"]:
        each = "%.1f us" % (row["seconds"] / row["files"] * 1e6) if row["files"] > 1 else ""
        lines.append("  %-14s %-16s %-10s %10s %10s %8.0f MiB %10s%s" % (
            row["tree"], row["job"], row["tool"], report.seconds(row["seconds"]),
            report.seconds(row["cpu"]), row["memory"] / jobs.MIB, each,
            "  (disturbed)" if row["disturbed"] else ""))
    return "\n".join(lines + [""] + [report.check_text(check) for check in scale["checks"]])
