#!/usr/bin/env python3
"""Writes tiny/, a sentence encoder of BERT type with random weights: the smallest folder that has every part of a real
one. Run without arguments to rewrite it; with --check it fails when the files differ."""
import json
import pathlib
import random
import struct
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "tiny"
WIDTH, INNER, LAYERS, HEADS, POSITIONS, LONGEST = 12, 20, 2, 3, 32, 24

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = "the cat hand other hello world user convert date sort name what is in it and".split()
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,:;!?'-=()%", *"0123456789", *LETTERS,
          *("##" + c for c in LETTERS + "0123456789"), *WORDS, "##s", "##ing", "中", "é"]
TOKENS = list(dict.fromkeys(TOKENS))


def tokenizer():
    special = [{"id": i, "content": t, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False} for i, t in enumerate(TOKENS[:5])]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 1}}

    def mark(name, kind=0):
        return {"SpecialToken": {"id": name, "type_id": kind}}

    return {
        "version": "1.0",
        "truncation": {"max_length": 16, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [mark("[CLS]"), text, mark("[SEP]")],
            "pair": [mark("[CLS]"), text, mark("[SEP]"), second, mark("[SEP]", 1)],
            "special_tokens": {t: {"id": t, "ids": [TOKENS.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 20, "vocab": {t: i for i, t in enumerate(TOKENS)}},
    }


def tensors():
    rng = random.Random(7)

    def normal(*shape, scale):
        count = 1
        for size in shape:
            count *= size
        return shape, [rng.gauss(0, scale) for _ in range(count)]

    def norm(module):
        return {module + ".weight": ((WIDTH,), [1 + rng.gauss(0, 0.2) for _ in range(WIDTH)]),
                module + ".bias": normal(WIDTH, scale=0.2)}

    def linear(module, out, size):
        return {module + ".weight": normal(out, size, scale=size ** -0.5), module + ".bias": normal(out, scale=0.1)}

    all_tensors = {"embeddings.word_embeddings.weight": normal(len(TOKENS), WIDTH, scale=0.6),
                   "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH, scale=0.2),
                   "embeddings.token_type_embeddings.weight": normal(2, WIDTH, scale=0.2),
                   **norm("embeddings.LayerNorm")}
    for layer in range(LAYERS):
        module = f"encoder.layer.{layer}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            all_tensors |= linear(f"{module}.attention.{name}", WIDTH, WIDTH)
        all_tensors |= norm(f"{module}.attention.output.LayerNorm")
        all_tensors |= linear(f"{module}.intermediate.dense", INNER, WIDTH)
        all_tensors |= linear(f"{module}.output.dense", WIDTH, INNER)
        all_tensors |= norm(f"{module}.output.LayerNorm")
    return all_tensors | linear("pooler.dense", WIDTH, WIDTH)


def safetensors():
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in sorted(tensors().items()):
        part = struct.pack(f"<{len(values)}e", *values)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def files():
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH,
              "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
              "vocab_size": len(TOKENS), "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
              "layer_norm_eps": 1e-12, "position_embedding_type": "absolute", "pad_token_id": 0}
    names = ("Transformer", "Pooling", "Normalize")
    modules = [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{n}",
                "type": "sentence_transformers.models." + n} for i, n in enumerate(names)]
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
               "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}
    parts = {"config.json": config, "tokenizer.json": tokenizer(), "modules.json": modules,
             "sentence_bert_config.json": {"max_seq_length": LONGEST, "do_lower_case": False},
             "1_Pooling/config.json": pooling}
    made = {name: json.dumps(part, ensure_ascii=False).encode() + b"\n" for name, part in parts.items()}
    return made | {"model.safetensors": safetensors()}


def main():
    for name, content in files().items():
        path = FOLDER / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_bytes() != content:
                sys.exit(f"{path} is not what this script writes")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


main()
