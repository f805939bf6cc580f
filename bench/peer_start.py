"""The peer of bench/start.py: loads SmolLM2 and puts LoRA on it; says so when the first training step begins.

    python3 bench/peer_start.py model=FILE.gguf dtype=D batches=FILE
"""
import json

import torch
from transformers import AutoTokenizer

import peer_model
import peer_turns


def main():
    given = peer_turns.arguments()
    folder, more = peer_model.source(given["model"])
    tokenizer = AutoTokenizer.from_pretrained(folder, **more)
    model = peer_model.with_lora(peer_model.load_base(given["model"], given["dtype"]), 16)
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    with open(given["batches"], encoding="utf-8") as file:
        step = json.loads(file.readline())
    length = max(len(ids) for ids in step["ids"])
    pad = tokenizer.eos_token_id

    def padded(rows, value):
        return torch.tensor([row + [value] * (length - len(row)) for row in rows])

    peer_turns.say({"ready": True})
    loss = model(input_ids=padded(step["ids"], pad), labels=padded(step["labels"], -100),
                 attention_mask=padded([[1] * len(ids) for ids in step["ids"]], 0)).loss
    loss.backward()
    optimizer.step()
    peer_turns.say({"loss": loss.item(), "rss_mb": peer_turns.rss_mb()})


if __name__ == "__main__":
    main()
