"""What the runs say: medians, ratios, targets met and missed; as data and as text."""

import os
import platform
import re
import statistics
import subprocess
import time

import jobs
import trees

MB = 1e6
PROGRAMS = (
    ("warmpack", [jobs.WARMPACK, "--version"]),
    ("GNU tar", ["tar", "--version"]),
    ("gzip", ["gzip", "--version"]),
    ("bsdtar", ["bsdtar", "--version"]),
    ("pigz", ["pigz", "--version"]),
    ("zstd", ["zstd", "--version"]),
    ("zip", ["zip", "-v"]),
    ("unzip", ["unzip", "-v"]),
    ("Python", [jobs.PYTHON, "--version"]),
    ("rapidgzip", ["rapidgzip", "--version"]),
    ("crabz", ["crabz", "--version"]),
    ("ripunzip", ["ripunzip", "--version"]),
    ("conda-pack", ["conda-pack", "--version"]),
)


def machine():
    cpu = memory = "?"
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
        cpu = found.group(1) if found else platform.machine()
    memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    with open("/etc/os-release") as f:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', f.read(), re.M).group(1)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "kernel": platform.release(),
        "system": system,
    }


def versions():
    """By program; those that are not there are left out."""
    found = {}
    for name, command in PROGRAMS:
        try:
            said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True).stdout
        except OSError:
            continue
        version = re.search(r"\d+\.\d+[\w.]*", said)
        if version:
            found[name] = version.group(0).rstrip(".")
    return found


def summary_of(job, tool, runs, out):
    walls = [r["wall"] for r in runs]
    row = {
        "tool": tool.name,
        "seconds": statistics.median(walls),
        "fastest": min(walls),
        "slowest": max(walls),
        "cpu": statistics.median(r["cpu"] for r in runs),
        "memory": max(r["memory"] for r in runs),
        "runs": len(runs),
        "disturbed": sum(r["disturbed"] for r in runs),
    }
    if tool.least:
        row["least"] = tool.least
    if job.output:
        words = " ".join(map(str, tool.command)).split()
        written = [w.strip("'") for w in words if w.strip("'").startswith(str(out))]
        row["bytes"] = os.path.getsize(written[-1])
    return row


def checks_of(job, rows):
    """(what, value, most, met) of each target; a least ratio is turned over in words."""
    by_name = {row["tool"]: row for row in rows}
    ours = by_name["warmpack"]
    found = []

    def check(what, value, limit, unit, at_least=False):
        met = value >= limit if at_least else value <= limit
        found.append({"job": job.name, "what": what, "value": value, "limit": limit,
                      "unit": unit, "at_least": at_least, "met": met})

    for row in rows:
        if "least" in row:
            check("speed against " + row["tool"], row["ratio"], row["least"], "x", True)
    against = by_name.get(job.size_against)
    if against:
        check("size against " + against["tool"], ours["bytes"] / against["bytes"], job.size_most,
              "x")
    check("memory", ours["memory"] / jobs.MIB, job.memory_most / jobs.MIB, "MiB")
    if job.seconds_most:
        check("time", ours["seconds"] * 1000, job.seconds_most * 1000, "ms")
    one = by_name.get("warmpack, 1 thread")
    single = [by_name[t.name] for t in job.tools if t.single and t.name in by_name]
    if one and single:
        best = min(single, key=lambda row: row["seconds"])
        check("one thread against " + best["tool"], best["seconds"] / one["seconds"], 1.0, "x",
              True)
    return found


def summary(name, top, wanted, runner, out):
    files, size = trees.count(top / "site")
    document = {"tree": name, "files": files, "bytes": size, "jobs": [], "checks": [],
                "left_out": runner.left_out}
    for job in wanted:
        rows = [
            summary_of(job, tool, runner.results[job.name, tool.name], out)
            for tool in job.tools
            if (job.name, tool.name) in runner.results
        ]
        for row in rows:
            row["ratio"] = row["seconds"] / rows[0]["seconds"]
        document["jobs"].append({"job": job.name, "title": job.title, "rows": rows})
        document["checks"] += checks_of(job, rows)
    return document


def seconds(value):
    return "%.1f ms" % (value * 1000) if value < 0.1 else "%.2f s" % value


def row_text(row):
    size = "%.2f MB" % (row["bytes"] / MB) if "bytes" in row else ""
    target = ">= %.2f" % row["least"] if "least" in row else ""
    return "  %-24s %9s %9s %9s %8s %8.0f MiB %11s %7.2f %8s%s" % (
        row["tool"],
        seconds(row["seconds"]),
        seconds(row["fastest"]),
        seconds(row["slowest"]),
        seconds(row["cpu"]),
        row["memory"] / jobs.MIB,
        size,
        row["ratio"],
        target,
        "  (disturbed: %d of %d)" % (row["disturbed"], row["runs"]) if row["disturbed"] else "",
    )


def check_text(check):
    digits = 3 if "size" in check["what"] else 2 if check["unit"] == "x" else 0
    return "  %-7s %-16s %-40s %.*f %s, target at %s %.*f" % (
        "ok" if check["met"] else "MISSED",
        check["job"],
        check["what"],
        digits,
        check["value"],
        check["unit"],
        "least" if check["at_least"] else "most",
        digits,
        check["limit"],
    )


def text(document):
    m = document["machine"]
    lines = [
        "%s, %d cores, %d GiB, %s, Linux %s, %s"
        % (m["cpu"], m["cores"], m["memory_gib"], m["system"], m["kernel"], m["date"]),
        ", ".join("%s %s" % pair for pair in document["versions"].items()),
    ]
    for tree in document["trees"]:
        lines += ["", "Tree %s: %d files, %.1f MB. Medians; memory of the largest process;"
                  % (tree["tree"], tree["files"], tree["bytes"] / MB),
                  "ratio: how many times as long as warmpack's.", "",
                  "  %-24s %9s %9s %9s %8s %12s %11s %7s %8s" % (
                      "", "median", "fastest", "slowest", "CPU", "memory", "size", "ratio",
                      "target")]
        for job in tree["jobs"]:
            lines += [job["title"]] + [row_text(row) for row in job["rows"]]
        lines += ["Left out: " + wrong for wrong in tree["left_out"]]
        lines += ["", "Targets"] + [check_text(check) for check in tree["checks"]]
        missed = sum(not check["met"] for check in tree["checks"])
        lines.append("%d of %d targets met" % (len(tree["checks"]) - missed, len(tree["checks"])))
        disturbed = sum(row["disturbed"] for job in tree["jobs"] for row in job["rows"])
        if disturbed:
            lines.append("%d of %d runs had less than the machine's cores, though repeated: the"
                         " figures are a hint only." % (
                             disturbed,
                             sum(row["runs"] for job in tree["jobs"] for row in job["rows"])))
    return "\n".join(lines)
