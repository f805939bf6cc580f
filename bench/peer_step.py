"""The step of step_bench.cpp in Hugging Face + PEFT: LoRA on all seven linears, AdamW, all positions supervised.

    python3 bench/peer_step.py MODEL.gguf lora_r16|lora_r8 float32|bfloat16 [BATCH LENGTH STEPS]

Prints the same JSON line. Needs torch, transformers, peft, gguf and accelerate.
"""
import json
import os
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def main():
    model_file, case, dtype = sys.argv[1:4]
    rows, length, steps = (int(sys.argv[4 + i]) if len(sys.argv) > 4 + i else n for i, n in enumerate((8, 128, 7)))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    rank = int(case.removeprefix("lora_r"))
    folder, name = os.path.split(model_file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=getattr(torch, dtype))
    model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear",
                                             task_type="CAUSAL_LM"))
    model.train()
    vocabulary = model.config.vocab_size
    ids = torch.tensor([(37 * i % 8191 * (i % 8191) + 101 * i + 11) % vocabulary for i in range(rows * length)])
    ids = ids.view(rows, length)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
    times, processor, first_loss = [], [], None
    for step in range(steps + 2):
        begin, started = time.perf_counter(), time.process_time()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        took = (time.perf_counter() - begin) * 1000
        if step == 0:
            first_loss = loss.item()
        if step >= 2:
            times.append(took)
            processor.append((time.process_time() - started) * 1000)
    median = statistics.median(times)
    print(json.dumps({"case": case, "shape": f"{rows}x{length}", "dtype": dtype, "threads": torch.get_num_threads(),
                      "trainable": sum(p.numel() for p in trained), "ms": median, "ms_min": min(times),
                      "ms_max": max(times), "cpu_ms": statistics.median(processor), "tokens_per_second": rows * length / median * 1000,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, "loss": first_loss}))


if __name__ == "__main__":
    main()
