"""Turns the JSON lines of scripts/bench into a table: medians, spread, and ratios taken pair by pair.

`ms` is what the clock says, `cpu ms` the processor time of all threads. A row's ratios are of its cpu ms (first) and of
its memory to those of its rival: PEFT for the same case, or lora_like:CASE for CASE.
"""
import collections
import json
import statistics
import sys


def ratio(rows, rivals, key):
    return f"{statistics.median(r[key] / p[key] for r, p in zip(rows, rivals)):.2f}"


def main():
    runs = collections.defaultdict(list)
    for line in open(sys.argv[1], encoding="utf-8"):
        run = json.loads(line)
        runs[run["case"], run["dtype"], run["engine"]].append(run)
    print(f"\n{'case':<30}{'dtype':<10}{'engine':<8}{'numbers':>11}{'ms':>8}{'min':>8}{'max':>8}{'cpu ms':>8}{'tokens/s':>10}"
          f"{'MB':>7}{'loss':>10}{'cpu ms/rival':>14}{'MB/rival':>10}")
    for (case, dtype, engine), rows in runs.items():
        ratios = ["", ""]
        peers = runs.get((case, dtype, "peft"), []) if engine == "morex" else []
        if peers and abs(rows[0]["loss"] - peers[0]["loss"]) > (2e-3 if dtype == "float32" else 5e-2):
            sys.exit(f"{case} {dtype}: the engines compute different losses: {rows[0]['loss']}, {peers[0]['loss']}")
        rivals = peers or runs.get((f"lora_like:{case}", dtype, engine), [])
        if rivals:
            ratios = [ratio(rows, rivals, "cpu_ms"), ratio(rows, rivals, "rss_mb")]
        median = {key: statistics.median(r[key] for r in rows) for key in ("ms", "cpu_ms", "tokens_per_second", "rss_mb")}
        print(f"{case:<30}{dtype:<10}{engine:<8}{rows[0]['trainable']:>11}{median['ms']:>8.0f}"
              f"{min(r['ms_min'] for r in rows):>8.0f}{max(r['ms_max'] for r in rows):>8.0f}{median['cpu_ms']:>8.0f}"
              f"{median['tokens_per_second']:>10.0f}{median['rss_mb']:>7.0f}{rows[0]['loss']:>10.4f}{ratios[0]:>14}"
              f"{ratios[1]:>10}")


if __name__ == "__main__":
    main()
