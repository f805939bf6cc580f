"""Models of the peer: Hugging Face Transformers, with PEFT's LoRA."""
import os

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import peer_turns


def source(path):
    """Where a Hugging Face folder or a .gguf file is, as from_pretrained takes it."""
    if os.path.isdir(path):
        return path, {}
    return os.path.dirname(path), {"gguf_file": os.path.basename(path)}


def load_base(path, dtype):
    torch.set_num_threads(peer_turns.threads())
    folder, more = source(path)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), **more)


def with_lora(model, rank, adapter=None):
    """LoRA on all linears, alpha twice the rank: the one in the folder `adapter`, or a fresh one."""
    if adapter:
        return PeftModel.from_pretrained(model, adapter, is_trainable=True)
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear",
                                            task_type="CAUSAL_LM"))


def fixed_ids(count, vocabulary):
    """Those of bench/fixed_ids.h."""
    return [(37 * i % 8191 * (i % 8191) + 101 * i + 11) % vocabulary for i in range(count)]
