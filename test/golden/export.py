#!/usr/bin/env python3
"""export.py -- does Hugging Face's transformers say what shoal says? Run by hand; needs torch and transformers.

    export.py SHOAL CHECKPOINT

Exports the checkpoint, loads the folder as transformers does, and compares the likeliest continuations of some prompts
with those of `shoal generate --temperature 0`. Ends with code 1 when one differs.
"""
import subprocess, sys, tempfile

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

TOKENS = 40
PROMPTS = ["The", "a", "It was said that ", "\u00e9t\u00e9 "]


def greedy(model, tokenizer, prompt):
    """The text, prompt included: without a cache, so that ours is compared with the plain forward pass."""
    ids = tokenizer.encode(prompt)  # as a pipeline does: the exported tokenizer puts the beginning in front
    start = len(ids)
    with torch.no_grad():
        while len(ids) < start + TOKENS and len(ids) < model.config.max_position_embeddings:
            best = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if best == model.config.eos_token_id:
                break
            ids.append(best)
    return tokenizer.decode(ids[1:], clean_up_tokenization_spaces=False)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: export.py SHOAL CHECKPOINT")
    shoal, checkpoint = sys.argv[1:]
    different = 0
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([shoal, "export", checkpoint, "--to", place], check=True, stdout=subprocess.DEVNULL)
        model, report = AutoModelForCausalLM.from_pretrained(place, output_loading_info=True)
        model.eval()
        if report["missing_keys"] or report["unexpected_keys"]:
            sys.exit("export.py: keys differ: %s" % report)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(place)
        for prompt in PROMPTS:
            command = [shoal, "generate", checkpoint, prompt, "--temperature", "0", "--tokens", str(TOKENS)]
            ours = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")[:-1]
            theirs = greedy(model, tokenizer, prompt)
            same = ours == theirs.rstrip("\ufffd") or ours == theirs
            different += not same
            print("%s: %r" % ("equal" if same else "DIFFERENT", ours))
            if not same:
                print("    theirs: %r" % theirs)
    sys.exit(1 if different else 0)


main()
