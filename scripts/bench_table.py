#!/usr/bin/env python3
"""Makes one Markdown table of the last run of `cargo bench --bench table`.

    scripts/bench_table.py [target/criterion]

One row per benchmark, one column per map; nanoseconds of processor time per operation (the median
of Criterion's samples); the best of a row is bold.
"""

import json
import sys
from pathlib import Path

COLUMNS = ["ferrum batched", "ferrum", "papaya batched", "papaya", "dashmap", "scc", "sharded"]
ROWS = ["get hit", "get miss", "set overwrite", "mixed 90-10", "incr spread", "incr hot",
        "growth from empty"]


def read(root):
    """{group: {map: nanoseconds}}"""
    groups = {}
    for path in root.glob("*/*/new/estimates.json"):
        benchmark = json.loads((path.parent / "benchmark.json").read_text())
        if benchmark["function_id"] in COLUMNS:
            median = json.loads(path.read_text())["median"]["point_estimate"]
            groups.setdefault(benchmark["group_id"], {})[benchmark["function_id"]] = median
    return groups


def order(group):
    operation, keys, threads = group.split(", ")
    return int(keys.split()[0]), int(threads.split()[0]), ROWS.index(operation)


def main():
    default = Path(__file__).resolve().parent.parent / "target/criterion"
    groups = read(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
    print("| ns of CPU per operation | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---|" * len(COLUMNS))
    for group in sorted(groups, key=order):
        figures = groups[group]
        cells = []
        for column in COLUMNS:
            cell = f"{figures[column]:.0f}" if column in figures else "-"
            cells.append(f"**{cell}**" if figures.get(column) == min(figures.values()) else cell)
        print(f"| {group} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
