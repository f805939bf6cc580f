"""A real job: SmolLM2 fine-tuned with LoRA r=16 on the first 512 rows of code_alpaca_2k, prompts masked.

`morex train` runs a recipe in the file's order. The peer, Hugging Face's Trainer with its padding collator, is given
the very batches of that recipe and the adapter that it starts from; the losses must end within 1 %. `job loop` is the
time from the first step's beginning to the last step's end, `job process` that from starting the program to its end.
"""
import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from report import compared
from turns import BenchError, run_once

ROWS, BATCH = 512, 8
LAST = 8            # steps whose mean loss is compared
TOLERANCE = 0.01
LEARNING_RATE = 2e-4


def recipe(setting, folder, dtype, rows):
    data = setting.data / "datasets" / "code_alpaca_2k.jsonl"
    if not data.exists():
        raise BenchError(f"{data} is not there; MOREX_DATA_DIR names the folder of data")
    return {"model_name_or_path": str(setting.demo_base), "train_file": str(data), "max_train_samples": rows,
            "output_dir": str(folder / "run"), "shuffle": False, "group_by_length": False, "dtype": dtype,
            "method": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear",
            "per_device_train_batch_size": BATCH, "learning_rate": LEARNING_RATE, "lr_scheduler_type": "linear",
            "logging_steps": 1, "report_to": "none"}


class LineWatch(threading.Thread):
    """When the lines of a file that another process writes came: (seconds by the clock, line)."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.lines, self.ended = path, [], threading.Event()

    def run(self):
        file = None
        rest = ""
        while True:
            last_look = self.ended.is_set()
            if file is None and self.path.exists():
                file = open(self.path, encoding="utf-8")
            if file:
                rest += file.read()
                now = time.perf_counter()
                *whole, rest = rest.split("\n")
                self.lines += [(now, json.loads(line)) for line in whole if line]
            if last_look:
                return
            time.sleep(0.002)

    def finish(self):
        self.ended.set()
        self.join()
        return self.lines


def morex_train(setting, folder, options):
    """Seconds of the loop and of the process, when the first step began, each step's loss, peak memory."""
    file = folder / "recipe.json"
    file.write_text(json.dumps(options), encoding="utf-8")
    watch = LineWatch(folder / "run" / "metrics.jsonl")
    watch.start()
    begin = time.perf_counter()
    done = subprocess.run([setting.morex, "train", file, "--quiet"], env=setting.environment, text=True,
                          capture_output=True)
    end = time.perf_counter()
    lines = [line for line in watch.finish() if "loss" in line[1]]
    if done.returncode != 0 or not lines:
        raise BenchError(f"morex train ended with {done.returncode}:\n{done.stderr}")
    first_step = lines[0][0] - lines[0][1]["seconds"]
    result = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))["result"]
    return {"loop": lines[-1][0] - first_step, "process": end - begin, "start": first_step - begin,
            "losses": [line["loss"] for _, line in lines], "rss_mb": result["peak_memory_bytes"] / 1e6}


def peer_train(setting, folder, dtype):
    begin = time.perf_counter()
    facts = run_once([setting.peer_python, setting.file("peer_job.py"), f"model={setting.demo_base}", f"dtype={dtype}",
                      f"folder={folder}", f"rate={LEARNING_RATE}", f"batch={BATCH}"], setting.peer_environment)
    return {**facts, "process": time.perf_counter() - begin}


def end_loss(losses):
    last = losses[-LAST:]
    return sum(last) / len(last)


def check(mine, theirs):
    """`theirs`: None without a peer; then the loss must fall."""
    if theirs is None:
        if not end_loss(mine) < 0.98 * sum(mine[:LAST]) / LAST:
            raise BenchError(f"the loss did not fall: it began at {mine[0]:.4f} and ended at {end_loss(mine):.4f}")
        return
    if len(mine) != len(theirs):
        raise BenchError(f"{len(mine)} steps here, {len(theirs)} there")
    if not abs(end_loss(mine) - end_loss(theirs)) <= TOLERANCE * end_loss(theirs):
        raise BenchError(f"the loss ended at {end_loss(mine):.4f} here and at {end_loss(theirs):.4f} there")


def run(setting, dtype):
    mine, theirs = [], []
    for _ in range(setting.job_rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            mine.append(morex_train(setting, folder, recipe(setting, folder, dtype, ROWS)))
            if setting.peer_python:
                run_once([setting.bench, "job", f"recipe={folder / 'recipe.json'}", f"folder={folder / 'peer'}"],
                         setting.environment)
                theirs.append(peer_train(setting, folder / "peer", dtype))
        check(mine[-1]["losses"], theirs[-1]["losses"] if theirs else None)
    for key in ("loop", "process"):
        line = {"case": f"job {key}", "shape": "smollm2", "dtype": dtype, "rss_mb": max(r["rss_mb"] for r in mine),
                "steps": len(mine[0]["losses"]), "end_loss": end_loss(mine[0]["losses"]), "rounds": len(mine),
                **compared([1000 * r[key] for r in mine], [1000 * r[key] for r in theirs])}
        line["note"] = f"loss {line['end_loss']:.4f}"
        if theirs:
            line.update(peer="hf trainer + peft", peer_rss_mb=max(r["rss_mb"] for r in theirs),
                        peer_end_loss=end_loss(theirs[0]["losses"]))
            line["note"] += f", peer {line['peer_end_loss']:.4f}"
        yield line
