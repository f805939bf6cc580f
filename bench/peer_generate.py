"""The generation of bench/generate.cpp in Hugging Face Transformers.

    python3 bench/peer_generate.py model=FOLDER dtype=D prompt=N tokens=N
"""
import torch

import peer_model
import peer_turns


def main():
    given = peer_turns.arguments()
    tokens = int(given["tokens"])
    model = peer_model.load_base(given["model"], given["dtype"]).eval()
    prompt = torch.tensor([peer_model.fixed_ids(int(given["prompt"]), model.config.vocab_size)])
    settings = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": tokens, "min_new_tokens": tokens,
                "do_sample": False, "pad_token_id": 0}
    first = model.generate(prompt, return_dict_in_generate=True, output_logits=True, **settings)
    ids = first.sequences[0, prompt.shape[1]:].tolist()
    log_probs = [torch.log_softmax(row[0].double(), 0)[i].item() for row, i in zip(first.logits, ids)]

    def turn(repetitions):
        timed = peer_turns.time_each(repetitions, lambda: model.generate(prompt, **settings))
        return {key: [ms / tokens for ms in values] for key, values in timed.items()}

    peer_turns.run_turns({"dtype": given["dtype"], "threads": torch.get_num_threads(), "ids": ids,
                          "log_probs": log_probs}, turn)


if __name__ == "__main__":
    main()
