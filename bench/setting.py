"""Where everything is, and how long to measure."""
import os
import pathlib
import subprocess

from cases import SHAPES

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Setting:
    def __init__(self, demo_base, peer_python):
        self.demo_base = demo_base
        self.peer_python = peer_python
        self.bench = ROOT / "build" / "morex_bench"
        self.morex = ROOT / "build" / "morex"
        self.folder = ROOT / "build" / "bench"
        self.rounds = int(os.environ.get("BENCH_ROUNDS", 5))
        self.steps = int(os.environ.get("BENCH_STEPS", 3))
        self.job_rounds = min(self.rounds, 2)  # of whole runs, minutes each
        named = os.environ.get("MOREX_DATA_DIR")
        self.data = pathlib.Path(named).resolve() if named else ROOT.parent / "shared" / "data"
        self.environment = dict(os.environ)
        if "OMP_WAIT_POLICY" not in os.environ:  # as the program morex starts itself, the peer alike
            self.environment.setdefault("GOMP_SPINCOUNT", "5000")
        self.peer_environment = dict(self.environment, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
                                     RAYON_NUM_THREADS="1")
        self.made = set()

    def file(self, name):
        return ROOT / "bench" / name

    def batch_of(self, shape):
        return SHAPES[shape]

    def model(self, shape):
        """SmolLM2's file, or the folder of a random model, made where it is missing."""
        if shape == "smollm2":
            return self.demo_base
        folder = self.folder / "shapes" / shape
        if shape not in self.made:
            subprocess.run([self.bench, "shape", f"name={shape}", f"folder={folder}"], check=True)
            self.made.add(shape)
        return folder
