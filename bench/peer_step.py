"""The step of bench/step.cpp in Hugging Face + PEFT: LoRA on all linears, AdamW, all positions supervised.

    python3 bench/peer_step.py model=FOLDER|FILE.gguf case=lora_rN dtype=D batch=B length=L [adapter=FOLDER]
"""
import torch

import peer_model
import peer_turns

LEARNING_RATE = 1e-3  # of bench/step.cpp


def main():
    given = peer_turns.arguments()
    rows, length = int(given["batch"]), int(given["length"])
    model = peer_model.load_base(given["model"], given["dtype"])
    model = peer_model.with_lora(model, int(given["case"].removeprefix("lora_r")), given.get("adapter"))
    model.train()
    ids = torch.tensor(peer_model.fixed_ids(rows * length, model.config.vocab_size)).view(rows, length)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)

    def step():
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    losses = [step() for _ in range(4)]
    facts = {"case": given["case"], "dtype": given["dtype"], "threads": torch.get_num_threads(),
             "trainable": sum(p.numel() for p in trained), "tokens": rows * length,
             "loss_1": losses[0], "loss_4": losses[3]}
    peer_turns.run_turns(facts, lambda steps: peer_turns.time_each(steps, step))


if __name__ == "__main__":
    main()
