"""The chart: a panel a job, a bar a tool."""

from xml.sax.saxutils import escape

WIDTH, COLUMNS, GAP, BAR, HEAD = 960, 2, 24, 20, 66
LABEL, VALUE = 150, 92  # room left and right of the bars
OURS, THEIRS, INK, SOFT = "#c2410c", "#94a3b8", "#1f2937", "#6b7280"


def value_text(row):
    if row["seconds"] < 0.1:
        return "%.0f ms" % (row["seconds"] * 1000)
    return "%.2f s" % row["seconds"]


def text(x, y, words, size=12, fill=INK, anchor="start", weight="normal"):
    return (
        '<text x="%.1f" y="%.1f" font-size="%d" fill="%s" text-anchor="%s" font-weight="%s">'
        "%s</text>" % (x, y, size, fill, anchor, weight, escape(words))
    )


def panel(job, x, y, width):
    rows = sorted(job["rows"], key=lambda row: row["seconds"])
    # What takes ten times as long as warmpack would squeeze the rest.
    longest = min(rows[-1]["seconds"], 10 * job["rows"][0]["seconds"])
    room = width - LABEL - VALUE
    parts = [text(x, y + 14, job["title"], 14, weight="bold")]
    for number, row in enumerate(rows):
        top = y + 26 + number * BAR
        ours = row["tool"].startswith("warmpack")
        length = max(1.0, room * min(1.0, row["seconds"] / longest))
        cut = row["seconds"] > longest
        parts += [
            text(x + LABEL - 6, top + 12, row["tool"], 12, anchor="end",
                 weight="bold" if ours else "normal"),
            '<rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="2" fill="%s"/>'
            % (x + LABEL, top, length, BAR - 5, OURS if ours else THEIRS),
            text(x + LABEL + length + 5, top + 12,
                 ("… " if cut else "") + value_text(row)
                 + ("" if row["tool"] == "warmpack" else "  %.1f×" % row["ratio"]),
                 11, SOFT),
        ]
    return parts, 26 + len(rows) * BAR


def svg(document):
    tree, machine = document["trees"][0], document["machine"]
    width = (WIDTH - GAP * (COLUMNS + 1)) / COLUMNS
    parts, y = [], HEAD + GAP
    for start in range(0, len(tree["jobs"]), COLUMNS):
        heights = []
        for column, job in enumerate(tree["jobs"][start : start + COLUMNS]):
            drawn, height = panel(job, GAP + column * (width + GAP), y, width)
            parts += drawn
            heights.append(height)
        y += max(heights) + GAP
    title = "Seconds, shorter is better: a site-packages tree of %d files, %.0f MB" % (
        tree["files"], tree["bytes"] / 1e6)
    about = "%s, %d cores, %s, %s; medians of interleaved runs; cut bars end in …" % (
        machine["cpu"], machine["cores"], machine["system"], machine["date"])
    programs = ", ".join("%s %s" % pair for pair in document["versions"].items())
    return "\n".join(
        ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"'
         ' font-family="Helvetica, Arial, sans-serif">' % (WIDTH, y, WIDTH, y),
         '<rect width="100%" height="100%" fill="white"/>',
         text(GAP, 28, title, 17, weight="bold"), text(GAP, 47, about, 11, SOFT),
         text(GAP, 62, programs, 10, SOFT)]
        + parts + ["</svg>", ""])
