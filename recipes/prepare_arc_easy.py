#!/usr/bin/env python3
"""Writes ARC-easy's training questions as prompt/completion rows in the order of a fixed 150-step fine-tune.

    python3 recipes/prepare_arc_easy.py ARC_TRAIN.jsonl MODEL OUT.jsonl [--morex build/morex]

ARC_TRAIN.jsonl is LLM-Adapters' dataset/ARC-Easy/train.json, one object a line. Each question becomes
"Question: …\\nAnswer:" with the right answer's text as completion. The rows are sorted by (tokens, row); step s takes
the eight sorted rows from 8 * ((113 * s) mod 281) on. A recipe with shuffle: false and batches of eight repeats that.
"""
import argparse
import json
import re
import subprocess
import tempfile

STEPS, BATCH, STRIDE, BATCHES = 150, 8, 113, 281


def row_of(item):
    question, choices = re.fullmatch(
        r"Please choose the correct answer to the question: (.*?)\n\nAnswer1: (.*)\n\nAnswer format: .*",
        item["instruction"], re.S).groups()
    answers = re.split(r" Answer\d: ", choices)
    right = answers[int(item["answer"].removeprefix("answer")) - 1]
    return {"prompt": f"Question: {question}\nAnswer:", "completion": f" {right}"}


def write(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def token_counts(rows, model, morex):
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        write(file.name, rows)
        report = subprocess.run(
            [morex, "inspect", "data", "--file", file.name, "--model", model, "--rows", str(len(rows)), "--json"],
            check=True, capture_output=True, text=True)
    shown = json.loads(report.stdout)["shown"]
    assert len(shown) == len(rows)
    return [example["tokens"] for example in shown]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source")
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--morex", default="build/morex")
    options = parser.parse_args()
    with open(options.source, encoding="utf-8") as file:
        rows = [row_of(json.loads(line)) for line in file if line.strip()]
    counts = token_counts(rows, options.model, options.morex)
    order = sorted(range(len(rows)), key=lambda i: (counts[i], i))
    chosen = [order[BATCH * (STRIDE * step % BATCHES) + k] for step in range(STEPS) for k in range(BATCH)]
    write(options.output, [rows[i] for i in chosen])
    print(f"{len(chosen)} rows of {len(rows)} in {options.output}")


if __name__ == "__main__":
    main()
