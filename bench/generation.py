"""Generation of one sequence against Hugging Face's generate(), and against the memory that it has to read."""
from report import compared, spread
from turns import BenchError, Worker, run_once, take_turns

PROMPT, TOKENS = 32, 64
# Largest difference of a token's log-probability while both engines have chosen the same tokens.
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}


def check(mine, theirs, dtype):
    """float32: the same tokens. bfloat16, where ties are common: as likely ones, up to where the texts part."""
    where = f"generation {dtype}"
    for place, (a, b) in enumerate(zip(mine["ids"], theirs["ids"])):
        difference = abs(mine["log_probs"][place] - theirs["log_probs"][place])
        if not difference <= TOLERANCE[dtype]:
            raise BenchError(f"{where}: token {place} has a log-probability that differs by {difference:g}")
        if a != b:
            if dtype == "float32":
                raise BenchError(f"{where}: token {place} is {a} here and {b} there")
            return


def run(setting, shape, dtype):
    arguments = [f"model={setting.model(shape)}", f"dtype={dtype}", f"prompt={PROMPT}", f"tokens={TOKENS}"]
    workers, bandwidths = [], []
    try:
        workers.append(Worker([setting.bench, "generate", "turns=1"] + arguments, setting.environment))
        if setting.peer_python:
            workers.append(Worker([setting.peer_python, setting.file("peer_generate.py")] + arguments,
                                  setting.peer_environment))
            check(workers[0].facts, workers[1].facts, dtype)
        else:
            reference = [f"model={setting.model(shape)}", "dtype=float64", f"prompt={PROMPT}", f"tokens={TOKENS}"]
            check(workers[0].facts, run_once([setting.bench, "generate", "steps=0"] + reference, setting.environment),
                  dtype)
        turns, ends = take_turns(workers, setting, lambda: bandwidths.append(
            run_once([setting.bench, "bandwidth"], setting.environment)["read_bytes_per_second"]))
    finally:
        for worker in workers:
            worker.stop()
    mine, theirs = ([spread(turn["ms"])[1] for turn in side] for side in turns)
    line = {"case": "generate", "shape": shape, "dtype": dtype, "rss_mb": ends[0]["rss_mb"], **compared(mine, theirs)}
    achieved = [workers[0].facts["bytes_per_token"] / (ms / 1000) for ms in mine]
    shares = [one / bandwidth for one, bandwidth in zip(achieved, bandwidths)]
    line.update(tokens_per_second=1000 / line["ms"], bytes_per_second=spread(achieved)[1],
                bandwidth_share=spread(shares)[1])
    line["note"] = f"{line['tokens_per_second']:.0f} tokens/s, {100 * line['bandwidth_share']:.0f} % of the bandwidth"
    if theirs:
        line.update(peer="hf generate", peer_rss_mb=ends[1]["rss_mb"],
                    peer_tokens_per_second=1000 / line["peer_ms"])
        line["note"] += f", peer {line['peer_tokens_per_second']:.0f} tokens/s"
    return line
