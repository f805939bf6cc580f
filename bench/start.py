"""From starting the program to the beginning of the first training step: SmolLM2 from its GGUF file, LoRA r=16."""
import tempfile
import time
from pathlib import Path

import job
from report import compared
from turns import BenchError, Worker, run_once

ROWS = 8  # one batch: the step itself is not part of it


def peer_start(setting, batches, dtype):
    begin = time.perf_counter()
    worker = Worker([setting.peer_python, setting.file("peer_start.py"), f"model={setting.demo_base}",
                     f"dtype={dtype}", f"batches={batches}"], setting.peer_environment)
    try:
        return {"start": time.perf_counter() - begin, **worker.finish()}
    finally:
        worker.stop()


def check(mine, theirs):
    """The first step's loss is the base's: it must be the same, and without a peer that of a language model."""
    if theirs is None:
        if not 0 < mine < 6:
            raise BenchError(f"the first step's loss is {mine:.4f}")
    elif not abs(mine - theirs) <= job.TOLERANCE * theirs:
        raise BenchError(f"the first step's loss is {mine:.4f} here and {theirs:.4f} there")


def run(setting, dtype):
    mine, theirs = [], []
    for _ in range(setting.job_rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            options = {**job.recipe(setting, folder, dtype, ROWS), "max_steps": 1}
            mine.append(job.morex_train(setting, folder, options))
            if setting.peer_python:
                run_once([setting.bench, "job", f"recipe={folder / 'recipe.json'}", f"folder={folder / 'peer'}"],
                         setting.environment)
                theirs.append(peer_start(setting, folder / "peer" / "batches.jsonl", dtype))
        check(mine[-1]["losses"][0], theirs[-1]["loss"] if theirs else None)
    line = {"case": "start", "shape": "smollm2", "dtype": dtype, "rounds": len(mine),
            "rss_mb": max(run["rss_mb"] for run in mine),
            **compared([1000 * r["start"] for r in mine], [1000 * r["start"] for r in theirs])}
    if theirs:
        line.update(peer="hf + peft", peer_rss_mb=max(run["rss_mb"] for run in theirs))
    yield line
