"""Training steps of two sides in turns, after both have shown that they compute what they should.

Two sides that do the same (LoRA here and in PEFT, from one initial adapter) must report the same loss at step 1 and,
three updates later, at step 4. A case without such a peer is held against itself in float64.
"""
import hashlib
import json
import tempfile

from report import compared, spread
from turns import BenchError, Worker, run_once, take_turns

# Largest difference of a loss relative to it, at step 1 and after three updates.
TOLERANCE = {"float32": (2e-5, 2e-4), "bfloat16": (1e-3, 5e-3)}
# Three updates must move the loss by this share of it, or agreement would say nothing about them. `frozen` trains
# next to nothing.
MOVED = 2e-3


def close(what, mine, reference, tolerance):
    if not abs(mine - reference) <= tolerance * abs(reference):
        raise BenchError(f"{what}: the loss is {mine:.6f}, it must be within {tolerance:g} of {reference:.6f}")


class StepRunner:
    def __init__(self, setting):
        self.setting = setting
        # Facts of float64 runs by "case shape batch", kept for as long as the program is the same.
        digest = hashlib.sha256(setting.bench.read_bytes()).hexdigest()
        self.file = setting.folder / f"references-{digest[:16]}.json"
        self.references = json.loads(self.file.read_text()) if self.file.exists() else {}

    def command(self, side, comparison, adapter=None, **more):
        batch, length = self.setting.batch_of(comparison.shape)
        arguments = {"model": self.setting.model(comparison.shape), "case": side.case, "dtype": comparison.dtype,
                     "batch": side.batch or batch, "length": length, "turns": 1}
        if adapter:
            arguments["adapter"] = adapter
        arguments.update(more)
        program = [self.setting.peer_python, self.setting.file("peer_step.py")] if side.engine == "peft" else \
            [self.setting.bench, "step"]
        return program + [f"{key}={value}" for key, value in arguments.items()]

    def start(self, side, comparison, adapter):
        environment = self.setting.peer_environment if side.engine == "peft" else self.setting.environment
        return Worker(self.command(side, comparison, adapter), environment)

    def reference(self, side, comparison):
        key = f"{side.case} {comparison.shape} {side.batch}"
        if key not in self.references:
            command = self.command(side, comparison, dtype="float64", steps=0, turns=0)
            self.references[key] = run_once(command, self.setting.environment)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps(self.references, indent=1))
        return self.references[key]

    def check(self, side, comparison, facts, reference):
        what = f"{side.engine} {side.case} {comparison.shape} {comparison.dtype}"
        first, later = TOLERANCE[comparison.dtype]
        close(f"{what}, step 1", facts["loss_1"], reference["loss_1"], first)
        close(f"{what}, after three updates", facts["loss_4"], reference["loss_4"], later)
        if side.case != "frozen" and not facts["loss_4"] < (1 - MOVED) * facts["loss_1"]:
            raise BenchError(f"{what}: three updates took the loss only from {facts['loss_1']:.6f} to "
                             f"{facts['loss_4']:.6f}")

    def check_all(self, comparison, mine, theirs):
        """`mine` and `theirs`: facts of both sides. The same case in both engines: against each other."""
        side, rival = comparison.mine, comparison.rival
        if rival and rival.engine == "peft" and rival.case == side.case:
            self.check(side, comparison, mine, theirs)
            return
        self.check(side, comparison, mine, self.reference(side, comparison))
        if rival and rival.engine == "morex":
            self.check(rival, comparison, theirs, self.reference(rival, comparison))
        elif rival:  # nothing is trained at step 1: both are the base
            twin = dict(theirs, loss_1=mine["loss_1"])
            self.check(rival, comparison, theirs, twin)

    def run(self, comparison):
        side, rival = comparison.mine, comparison.rival
        workers = []
        with tempfile.TemporaryDirectory() as adapter:
            try:
                workers.append(self.start(side, comparison, adapter))
                if rival:
                    shares = rival.engine == "peft" and rival.case == side.case
                    workers.append(self.start(rival, comparison, adapter if shares else None))
                self.check_all(comparison, workers[0].facts, workers[1].facts if rival else None)
                turns, ends = take_turns(workers, self.setting)
            finally:
                for worker in workers:
                    worker.stop()
        return self.line(comparison, workers, turns, ends)

    def line(self, comparison, workers, turns, ends):
        side, rival = comparison.mine, comparison.rival
        facts = workers[0].facts
        clock, processor = ([spread(turn[key])[1] for turn in turns[0]] for key in ("ms", "cpu_ms"))
        shares = [facts["gflop"] / (ms / 1000) / turn["peak_gflops"] for ms, turn in zip(clock, turns[0])]
        batch, length = self.setting.batch_of(comparison.shape)
        line = {"case": side.case, "shape": comparison.shape, "dtype": comparison.dtype,
                "batch": side.batch or batch, "length": length, "threads": facts["threads"],
                "trainable": facts["trainable"], "loss_1": facts["loss_1"], "loss_4": facts["loss_4"],
                "gflop": facts["gflop"], "peak_gflops": spread([turn["peak_gflops"] for turn in turns[0]])[1],
                "peak_share": spread(shares)[1], "rss_mb": ends[0]["rss_mb"],
                "tokens_per_second": facts["tokens"] / spread(clock)[1] * 1000, "rounds": self.setting.rounds,
                "steps": self.setting.steps, "cpu_ms": spread(processor)[1]}
        theirs = None
        if rival:
            theirs = [spread(turn["ms"])[1] for turn in turns[1]]
            their_processor = [spread(turn["cpu_ms"])[1] for turn in turns[1]]
            line.update(peer=f"{rival.engine} {rival.case}" + (f" batch {rival.batch}" if rival.batch else ""),
                        peer_rss_mb=ends[1]["rss_mb"], peer_trainable=workers[1].facts["trainable"],
                        peer_loss_1=workers[1].facts["loss_1"], peer_loss_4=workers[1].facts["loss_4"],
                        peer_cpu_ms=spread(their_processor)[1],
                        cpu_ratio=spread([b / a for a, b in zip(processor, their_processor)])[1])
            line["note"] = f"processor time {line['cpu_ratio']:.2f}, memory {line['rss_mb'] / line['peer_rss_mb']:.2f}"
        line.update(compared(clock, theirs))
        return line
