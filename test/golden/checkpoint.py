#!/usr/bin/env python3
"""checkpoint.py -- makes test/golden/checkpoint_*.ckpt: checkpoints of old versions, by programs that wrote that version.

    git checkout f7801c6 && ./zigw build && python3 test/golden/checkpoint.py zig-out/bin/shoal 1
    git checkout 8b0f48d && ./zigw build && python3 test/golden/checkpoint.py zig-out/bin/shoal 2

They were written once, by the commits named above; later programs must read them (test/model/checkpoint_test.c) and go on
from them (test/program/folders_test.py, which imports TEXTS and EXPERIMENT). Keys and steps differ each time this runs.
"""
import glob, os, shutil, subprocess, sys, tempfile

TEXTS = ["".join("Line %d of text %d, long enough to train on, has %d words.\n" % (i, n, i * i % 97) for i in range(50))
         for n in range(40)]
EXPERIMENT = """experiment: {name: golden, seed: 24301}
model: {layers: 1, dim: 16, heads: 2, ffn: 16, vocab: 258, context: 8, tied: true}
data: {corpus: corpus}
train: {steps: 6, batch_tokens: 64, optimizer: {lr: 2e-3}}
outer: {every: 2, count: steps}
checkpoint: {keep: 1}
machine: {device: cpu, threads: 1}
"""


def main():
    shoal = os.path.abspath(sys.argv[1])
    kept = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoint_%d_" % int(sys.argv[2]))
    with tempfile.TemporaryDirectory() as place:
        def call(*argv):
            subprocess.run([shoal, *argv], cwd=place, check=True)
        for n, text in enumerate(TEXTS):
            with open(os.path.join(place, "%d.txt" % n), "w") as f:
                f.write(text)
        with open(os.path.join(place, "golden.yaml"), "w") as f:
            f.write(EXPERIMENT)
        call("prepare", *["%d.txt" % n for n in range(len(TEXTS))], "-o", "corpus", "--vocab", "258", "--validation", "0.1")
        shutil.copy(place + "/corpus/tokenizer.json", kept + "tokenizer.json")
        call("train", "golden.yaml", "--steps", "4")
        alone = glob.glob(place + "/runs/golden/*.ckpt")[0]
        shutil.copy(alone, kept + "alone.ckpt")
        call("swarm", "golden.yaml", "-n", "2", "--deterministic", "--out", "out")
        swarm = glob.glob(place + "/out/worker-0/checkpoints/*.ckpt")[0]
        shutil.copy(swarm, kept + "swarm.ckpt")
        print(alone, swarm)


if __name__ == "__main__":
    main()
