"""Prints what scripts/demo --compare measured: one row a method, accuracy per task, cost. The same table in Markdown goes
to FOLDER/table.md.

    python3 scripts/lib/compare_report.py FOLDER METHOD...
"""
import json
import pathlib
import statistics
import sys


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def accuracy(report):
    tasks = {name: task["acc"] for name, task in report["tasks"].items()}
    items = sum(task["n"] for task in report["tasks"].values())
    right = sum(task["acc"] * task["n"] for task in report["tasks"].values())
    share = right / items
    return tasks, share, (share * (1 - share) / items) ** 0.5


def step_milliseconds(folder):
    """The median over the log lines of the milliseconds a step took since the line before."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if "seconds" in line]
    rates = [(b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) * 1000 for a, b in zip(lines, lines[1:])]
    return statistics.median(rates), max(line["peak_memory_bytes"] for line in lines)


def rows_of(folder, methods):
    base_tasks, base_all, base_error = accuracy(read(folder / "base.json"))
    header = ["method", "trainable", "ms/step", "peak GB", "all tasks"] + list(base_tasks)
    rows = [["untouched", "", "", "", f"{base_all:.0%} ± {base_error:.0%}"] + [f"{v:.0%}" for v in base_tasks.values()]]
    for method in methods:
        tasks, total, error = accuracy(read(folder / f"{method}.json"))
        run = read(folder / method / "run.json")
        milliseconds, peak = step_milliseconds(folder / method)
        rows.append([method, f"{run['trainable_parameters'] / 1e6:.2f} M", f"{milliseconds:.0f}", f"{peak / 1e9:.2f}",
                     f"{total:.0%} ± {error:.0%}"] + [f"{tasks[name]:.0%}" for name in base_tasks])
    return header, rows


def main():
    folder = pathlib.Path(sys.argv[1])
    header, rows = rows_of(folder, sys.argv[2:])
    widths = [max(len(row[i]) for row in [header] + rows) for i in range(len(header))]
    print()
    for row in [header] + rows:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))
    markdown = ["| " + " | ".join(row) + " |" for row in [header] + rows]
    markdown.insert(1, "|" + "---|" * len(header))
    (folder / "table.md").write_text("\n".join(markdown) + "\n", encoding="utf-8")
    print(f"\nExact match on held-out items, one seed, one learning rate for all. The table as Markdown: "
          f"{folder / 'table.md'}")


if __name__ == "__main__":
    main()
