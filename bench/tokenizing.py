"""Tokenizers on one thread against Hugging Face's: the same ids and the same text back, then the time."""
from report import compared, spread
from turns import BenchError, Worker, take_turns

TOKENIZERS = ["llama-3", "qwen2.5"]
PARTS = {"loading": "tokenizer load", "text": "encode as one text", "paragraphs": "encode by paragraph",
         "decoding": "decode"}


def run(setting, name):
    tokenizer = setting.data / "tokenizers" / name
    text = setting.data / "datasets" / "tinyshakespeare.txt"
    for path in (tokenizer / "tokenizer.json", text):
        if not path.exists():
            raise BenchError(f"{path} is not there; MOREX_DATA_DIR names the folder of data")
    arguments = [f"tokenizer={tokenizer}", f"text={text}"]
    one = {"OMP_NUM_THREADS": "1"}
    workers = []
    try:
        workers.append(Worker([setting.bench, "tokenize", "turns=1"] + arguments, {**setting.environment, **one}))
        facts = workers[0].facts
        if setting.peer_python:
            workers.append(Worker([setting.peer_python, setting.file("peer_tokenize.py")] + arguments,
                                  {**setting.peer_environment, **one}))
            for key in ("tokens", "ids", "decoded"):
                if facts[key] != workers[1].facts[key]:
                    raise BenchError(f"{name}: the {key} differ: {facts[key]} here, {workers[1].facts[key]} there")
        elif facts["decoded"] != facts["source"]:
            raise BenchError(f"{name}: the text is not what came back")
        turns, ends = take_turns(workers, setting)
    finally:
        for worker in workers:
            worker.stop()
    for key, case in PARTS.items():
        mine, theirs = ([spread(turn[key])[1] for turn in side] for side in turns)
        line = {"case": case, "shape": name, "rss_mb": ends[0]["rss_mb"], **compared(mine, theirs)}
        if theirs:
            line.update(peer="hf tokenizers", peer_rss_mb=ends[1]["rss_mb"])
        if key != "loading":
            line["mb_per_second"] = facts["bytes"] / 1e3 / line["ms"]
            line["note"] = f"{line['mb_per_second']:.1f} MB/s"
        yield line
