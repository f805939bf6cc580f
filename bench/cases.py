"""Which steps are timed, and against what."""
import dataclasses

from turns import BenchError

DTYPES = ["float32", "bfloat16"]
SHAPES = {"smollm2": (8, 128), "S": (4, 256), "M": (4, 256)}  # batch, length
MIXTURES = ["smore_4x4", "trex_4x8", "mixlora_8x16"]
PRESETS = ["smore", "smore_shared", "trex", "mola", "mor", "mixlora", "mor_mixlora", "loramoe", "hydralora", "adamole",
           "dynmole", "moelora", "dora", "moslora"]


@dataclasses.dataclass
class Side:
    """One half of a comparison: a case of bench/cases.cpp, or LoRA in Hugging Face + PEFT."""
    case: str
    engine: str = "morex"  # or "peft"
    batch: int = 0         # 0: the shape's


@dataclasses.dataclass
class Comparison:
    shape: str
    dtype: str
    mine: Side
    rival: Side = None


def alone():
    """What the adapter costs: LoRA over the frozen base, mixtures over LoRA of their size."""
    made = [Comparison(shape, dtype, Side("lora_r16"), Side("frozen")) for shape in SHAPES for dtype in DTYPES]
    return made + [Comparison("S", dtype, Side(name), Side(f"lora_like:{name}"))
                   for name in MIXTURES for dtype in DTYPES]


def against_peers():
    peer = Side("lora_r16", "peft")
    made = [Comparison(shape, dtype, Side("lora_r16"), peer) for shape in SHAPES for dtype in DTYPES]
    return made + [Comparison("S", "float32", Side(name), peer) for name in MIXTURES]


def methods():
    return [Comparison("smollm2", dtype, Side(f"preset:{name}"), Side(f"lora_like:preset:{name}"))
            for dtype in reversed(DTYPES) for name in PRESETS]


def growth():
    """Twice the tokens in twice the time; 32 experts against 4 of the same total rank; a level more."""
    made = [Comparison("S", "float32", Side(name, batch=2 * batch), Side(name, batch=batch))
            for name in ["lora_r16", "smore_4x4", "trex_4x8"] for batch in [1, 2, 4]]
    pairs = [("experts_32x2", "experts_4x16"), ("tree_4x4", "tree_4"), ("tree_4x4x4", "tree_4x4")]
    return made + [Comparison("S", dtype, Side(larger), Side(smaller)) for larger, smaller in pairs for dtype in DTYPES]


def named(text):
    """CASE:SHAPE:DTYPE, as BENCH_CASES lists them; the case may hold colons."""
    case, _, dtype = text.rpartition(":")
    case, _, shape = case.rpartition(":")
    if not case or shape not in SHAPES or dtype not in DTYPES:
        raise BenchError(f"a case must be CASE:{'|'.join(SHAPES)}:{'|'.join(DTYPES)}, got '{text}'")
    return case, shape, dtype
