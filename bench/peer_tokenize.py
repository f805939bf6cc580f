"""bench/tokenize.cpp with Hugging Face's tokenizers, on one thread.

    python3 bench/peer_tokenize.py tokenizer=FOLDER text=FILE
"""
import array
import hashlib
import os
import time

from tokenizers import Tokenizer

import peer_turns


def main():
    given = peer_turns.arguments()
    path = os.path.join(given["tokenizer"], "tokenizer.json")
    with open(given["text"], encoding="utf-8", newline="") as file:
        text = file.read()
    paragraphs = [part for part in text.split("\n\n") if part]
    results = {}

    def milliseconds(work):
        begin = time.perf_counter()
        result = work()
        return (time.perf_counter() - begin) * 1000, result

    def encode_paragraphs(tokenizer):
        ids = []
        for paragraph in paragraphs:
            ids += tokenizer.encode(paragraph, add_special_tokens=False).ids
        return ids

    def turn(repetitions):
        times = {"loading": [], "text": [], "paragraphs": [], "decoding": []}
        for _ in range(repetitions):
            took, tokenizer = milliseconds(lambda: Tokenizer.from_file(path))
            times["loading"].append(took)
            took, results["text"] = milliseconds(lambda: tokenizer.encode(text, add_special_tokens=False).ids)
            times["text"].append(took)
            took, results["decoded"] = milliseconds(
                lambda: tokenizer.decode(results["text"], skip_special_tokens=False))
            times["decoding"].append(took)
            tokenizer = Tokenizer.from_file(path)
            took, results["paragraphs"] = milliseconds(lambda: encode_paragraphs(tokenizer))
            times["paragraphs"].append(took)
        return times

    turn(1)
    ids = array.array("q", results["text"] + results["paragraphs"]).tobytes()
    peer_turns.run_turns({"ids": hashlib.sha256(ids).hexdigest(), "tokens": len(results["text"]),
                          "decoded": hashlib.sha256(results["decoded"].encode()).hexdigest()}, turn)


if __name__ == "__main__":
    main()
