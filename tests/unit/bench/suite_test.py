"""The suite of bench/ with a worker whose losses and times are given: what it prints, and what it refuses."""
import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "bench"))
sys.dont_write_bytecode = True

import cases
import generation
import job
import suite
from report import Report
from setting import Setting
from steps import StepRunner
from turns import BenchError, Worker

KEYS = ["case", "shape", "dtype", "peer", "ms", "peer_ms", "ratio", "peak_share", "rss_mb", "peer_rss_mb"]
GOOD = {"smore_4x4": {"losses": [10.0, 9.0], "ms": 50.0}, "lora_like:smore_4x4": {"losses": [10.0, 9.5], "ms": 40.0}}


class FakeSetting(Setting):
    def __init__(self, folder, answers):
        super().__init__("base.gguf", None)
        self.bench, self.folder, self.rounds, self.steps = HERE / "fake_worker.py", pathlib.Path(folder), 3, 2
        self.environment = dict(os.environ, FAKE_WORKER=json.dumps(answers))


def run(answers, dtype="float32"):
    comparison = cases.Comparison("smollm2", dtype, cases.Side("smore_4x4"), cases.Side("lora_like:smore_4x4"))
    with tempfile.TemporaryDirectory() as folder:
        return StepRunner(FakeSetting(folder, answers)).run(comparison)


class Steps(unittest.TestCase):
    def test_a_line_has_the_ten_keys_in_order_and_the_ratio_says_how_much_longer_the_peer_takes(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as screen:
            file = pathlib.Path(folder) / "lines.jsonl"
            Report(file).add(run(GOOD))
            text = file.read_text().splitlines()
        self.assertEqual(len(text), 1)
        line = json.loads(text[0])
        self.assertEqual(list(line)[:10], KEYS)
        self.assertEqual([line[key] for key in KEYS],
                         ["smore_4x4", "smollm2", "float32", "morex lora_like:smore_4x4", 50.0, 40.0, 0.8, 0.2, 7.0, 7.0])
        self.assertIn("smore_4x4", screen.getvalue())

    def test_a_loss_that_is_not_float64s_is_refused(self):
        for wrong in ([10.1, 9.0], [10.0, 9.1], [float("nan"), 9.0]):
            answers = {**GOOD, "smore_4x4": {"losses": wrong, "float64": [10.0, 9.0], "ms": 50.0}}
            for dtype in cases.DTYPES:
                with self.assertRaisesRegex(BenchError, "smore_4x4.*the loss is"):
                    run(answers, dtype)

    def test_the_rivals_loss_is_checked_as_well(self):
        rival = {"losses": [10.0, 9.5], "float64": [10.0, 9.2], "ms": 40.0}
        with self.assertRaisesRegex(BenchError, "lora_like:smore_4x4"):
            run({**GOOD, "lora_like:smore_4x4": rival})

    def test_a_case_that_learns_nothing_is_refused(self):
        with self.assertRaisesRegex(BenchError, "three updates took the loss only from"):
            run({**GOOD, "smore_4x4": {"losses": [10.0, 9.99], "ms": 50.0}})

    def test_the_suite_ends_with_1_and_prints_no_line_of_a_case_that_fails(self):
        def fails():
            raise BenchError("wrong")
        with mock.patch.object(suite, "step_work", lambda *_: [("a case", fails)]), \
                mock.patch.object(sys, "argv", ["suite.py", "--base", "x"]), \
                contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()) as screen:
            with self.assertRaises(SystemExit) as ended:
                suite.main()
        self.assertIn("1 of 1 cases failed", str(ended.exception))
        self.assertIn("a case: NOT TIMED. wrong", errors.getvalue())
        self.assertEqual(screen.getvalue(), "")

    def test_a_worker_that_dies_says_why(self):
        with self.assertRaisesRegex(BenchError, "(?s)ended with 3.*no such model"):
            Worker([sys.executable, "-c", "import sys; print('no such model', file=sys.stderr); sys.exit(3)"],
                   dict(os.environ))


class Names(unittest.TestCase):
    def test_a_named_case_may_hold_colons(self):
        self.assertEqual(cases.named("lora_like:preset:smore:M:bfloat16"), ("lora_like:preset:smore", "M", "bfloat16"))
        for wrong in ("lora_r16:Q:float32", "lora_r16:S", "S:float32", "lora_r16:S:float16"):
            with self.assertRaises(BenchError):
                cases.named(wrong)


class OtherChecks(unittest.TestCase):
    def test_a_job_must_end_where_the_peers_ends(self):
        falling = [2.0] * 8 + [1.0] * 8
        job.check(falling, None)
        job.check(falling, [2.0] * 8 + [1.009] * 8)
        for mine, theirs in ((falling, [2.0] * 8 + [1.02] * 8), (falling, falling[1:]), ([2.0] * 16, None)):
            with self.assertRaises(BenchError):
                job.check(mine, theirs)

    def test_generation_must_be_the_peers(self):
        mine = {"ids": [5, 6], "log_probs": [-1.0, -2.0]}
        generation.check(mine, mine, "float32")
        other = {"ids": [5, 7], "log_probs": [-1.0, -2.0]}
        generation.check(mine, other, "bfloat16")
        with self.assertRaises(BenchError):
            generation.check(mine, other, "float32")
        with self.assertRaises(BenchError):
            generation.check(mine, {"ids": [5, 7], "log_probs": [-1.5, -2.0]}, "bfloat16")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
