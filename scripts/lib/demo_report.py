"""Prints what the demo's fine-tuning changed: accuracy per task, three answers, and what to type next."""
import json
import pathlib
import sys


def samples(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def question(prompt):
    text = prompt.rsplit("<|im_start|>user\n", 1)[-1]
    return text.split("<|im_end|>", 1)[0]


def main():
    folder, base = pathlib.Path(sys.argv[1]), sys.argv[2]
    before, after = (json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("before", "after"))
    print(f"\n{'task':<18}{'items':>6}{'before':>9}{'after':>9}")
    totals = [0, 0.0, 0.0]
    for task, old in before["tasks"].items():
        new = after["tasks"][task]
        totals = [totals[0] + old["n"], totals[1] + old["acc"] * old["n"], totals[2] + new["acc"] * new["n"]]
        print(f"{task:<18}{old['n']:>6}{old['acc']:>9.0%}{new['acc']:>9.0%}")
    print(f"{'all':<18}{totals[0]:>6}{totals[1] / totals[0]:>9.0%}{totals[2] / totals[0]:>9.0%}"
          f"   (exact match; standard error about {(0.25 / totals[0]) ** 0.5:.0%} at most)")

    pairs = list(zip(samples(pathlib.Path(before["samples"])), samples(pathlib.Path(after["samples"]))))
    shown = set()
    for old, new in pairs:
        if new["correct"] and not old["correct"] and new["task"] not in shown and len(shown) < 3:
            shown.add(new["task"])
            print(f"\n{question(new['prompt'])}\n  before: {old['answer'][:150]!r}\n  after:  {new['answer'][:150]!r}")

    adapter = folder / "smore"
    print(f"""
The adapter lies in {adapter}. What to type next:
  build/morex generate --model {base} \\
      --adapter {adapter} --apply-chat-template --prompt 'Convert 4.2 km to m.'
  build/morex inspect adapter {adapter} --model {base}
  build/morex train demo/smore.yaml output_dir=runs/mine train_file=YOUR.jsonl
  build/morex convert --model {base} --adapter {adapter} \\
      --to lora --rank 32 --fit demo/data/train.jsonl --fit-rows 200 --output runs/lora
A S'MoRE adapter depends on the token and is not linear, so it runs in morex and cannot be folded into the base's
weights; the LoRA that convert fits to it can: build/morex merge.""")


if __name__ == "__main__":
    main()
