"""Turns the JSON lines of scripts/bench into a table: medians, spread, and ratios taken pair by pair."""
import collections
import json
import statistics
import sys


def main():
    runs = collections.defaultdict(list)
    for line in open(sys.argv[1], encoding="utf-8"):
        run = json.loads(line)
        runs[run["case"], run["dtype"], run["engine"]].append(run)
    print(f"\n{'case':<16}{'dtype':<10}{'engine':<8}{'ms':>9}{'min':>9}{'max':>9}{'tokens/s':>10}{'MB':>8}"
          f"{'loss':>10}{'ms peer/morex':>16}{'MB morex/peer':>16}")
    for (case, dtype, engine), rows in runs.items():
        ms, mb = [r["ms"] for r in rows], [r["rss_mb"] for r in rows]
        ratios = ["", ""]
        peers = runs.get((case, dtype, "peft"), []) if engine == "morex" else []
        if peers:
            if abs(rows[0]["loss"] - peers[0]["loss"]) > (2e-3 if dtype == "float32" else 5e-2):
                sys.exit(f"{case} {dtype}: the engines compute different losses: {rows[0]['loss']}, {peers[0]['loss']}")
            ratios = [f"{statistics.median(p['ms'] / r['ms'] for r, p in zip(rows, peers)):.2f}",
                      f"{statistics.median(r['rss_mb'] / p['rss_mb'] for r, p in zip(rows, peers)):.2f}"]
        print(f"{case:<16}{dtype:<10}{engine:<8}{statistics.median(ms):>9.0f}{min(ms):>9.0f}{max(ms):>9.0f}"
              f"{statistics.median(r['tokens_per_second'] for r in rows):>10.0f}{statistics.median(mb):>8.0f}"
              f"{rows[0]['loss']:>10.4f}{ratios[0]:>16}{ratios[1]:>16}")


if __name__ == "__main__":
    main()
