"""The job of bench/job.py in Hugging Face's Trainer with PEFT, over given batches from a given adapter.

    python3 bench/peer_job.py model=FILE.gguf dtype=D folder=DIR rate=R batch=B
"""
import json
import os
import tempfile

import torch
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

import peer_model
import peer_turns


class InOrder(Trainer):
    """Rows as they come: the batches are given."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def read_rows(path, batch):
    rows, short = [], False
    with open(path, encoding="utf-8") as file:
        for line in file:
            step = json.loads(line)
            if short:
                raise SystemExit("only the last batch may be smaller")
            short = len(step["ids"]) < batch
            rows += [{"input_ids": ids, "labels": labels} for ids, labels in zip(step["ids"], step["labels"])]
    return rows


def main():
    given = peer_turns.arguments()
    batch = int(given["batch"])
    folder, more = peer_model.source(given["model"])
    tokenizer = AutoTokenizer.from_pretrained(folder, **more)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = peer_model.load_base(given["model"], given["dtype"])
    model = peer_model.with_lora(model, None, os.path.join(given["folder"], "adapter"))
    rows = read_rows(os.path.join(given["folder"], "batches.jsonl"), batch)
    with tempfile.TemporaryDirectory() as output:
        settings = TrainingArguments(output_dir=output, per_device_train_batch_size=batch, num_train_epochs=1,
                                     learning_rate=float(given["rate"]), lr_scheduler_type="linear", weight_decay=0.0,
                                     max_grad_norm=1.0, logging_steps=1, save_strategy="no", report_to="none",
                                     use_cpu=True, disable_tqdm=True)
        trainer = InOrder(model=model, args=settings, train_dataset=rows,
                          data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True))
        result = trainer.train()
        model.save_pretrained(output)
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    peer_turns.say({"loop": result.metrics["train_runtime"], "losses": losses, "rss_mb": peer_turns.rss_mb()})


if __name__ == "__main__":
    main()
