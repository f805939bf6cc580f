"""The benchmark suite; scripts/bench builds what it needs and starts it.

    python3 bench/suite.py --base FILE.gguf [--json FILE] [--vs-peers] GROUP…
"""
import argparse
import os
import subprocess
import sys

import cases
import generation
import job
import start
import tokenizing
from report import Report
from setting import Setting
from steps import StepRunner
from turns import BenchError


def step_comparisons(groups, with_peers):
    made = []
    if "steps" in groups:
        made += (cases.against_peers() if with_peers else []) + cases.alone()
    if "methods" in groups:
        made += cases.methods()
    if "growth" in groups:
        made += cases.growth()
    return made


def named_comparisons(text, with_peers):
    """What BENCH_CASES asks for: LoRA against PEFT with --vs-peers, everything else alone."""
    for item in text.split():
        case, shape, dtype = cases.named(item)
        against_peft = with_peers and not case.startswith(("frozen", "lora_like:"))
        rival = cases.Side(case if case.startswith("lora_r") else "lora_r16", "peft") if against_peft else None
        yield cases.Comparison(shape, dtype, cases.Side(case), rival)


def step_work(comparisons, setting):
    steps = StepRunner(setting)
    return [(f"{c.mine.case} {c.shape} {c.dtype}", lambda c=c: [steps.run(c)]) for c in comparisons]


def other_work(groups, setting):
    """(name, function that yields lines) of the groups that are not training steps alone."""
    runs = {"job": job.run, "start": start.run, "generate": lambda *given: [generation.run(*given)],
            "tokenize": tokenizing.run}
    given = {"job": [(dtype,) for dtype in cases.DTYPES], "start": [(dtype,) for dtype in cases.DTYPES],
             "generate": [("S", dtype) for dtype in cases.DTYPES],
             "tokenize": [(name,) for name in tokenizing.TOKENIZERS]}
    return [(" ".join((group,) + each), lambda run=runs[group], each=each: run(setting, *each))
            for group in runs if group in groups for each in given[group]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--json")
    parser.add_argument("--vs-peers", action="store_true")
    parser.add_argument("groups", nargs="*")
    options = parser.parse_args()
    setting = Setting(options.base, os.environ.get("MOREX_PEER_PYTHON") if options.vs_peers else None)
    chosen = os.environ.get("BENCH_CASES")
    try:
        comparisons = list(named_comparisons(chosen, options.vs_peers)) if chosen else \
            step_comparisons(options.groups, options.vs_peers)
    except BenchError as error:
        sys.exit(f"BENCH_CASES: {error}")
    work = step_work(comparisons, setting) + ([] if chosen else other_work(options.groups, setting))
    report = Report(options.json)
    failed = 0
    for name, run in work:
        try:
            for line in run():
                report.add(line)
        except (BenchError, OSError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{name}: NOT TIMED. {error}", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"{failed} of {len(work)} cases failed: no figure of them counts")


if __name__ == "__main__":
    main()
