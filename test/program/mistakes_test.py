#!/usr/bin/env python3
"""120 mistakes and more (mistakes.py): each ends with its exit code and a message that names the key, what was found and
what to do. None is silent; nine in ten must say all three."""
import shlex
from swarms import *
from mistakes import FILES, LINES

GOOD = """experiment: {name: test}
model: {layers: 2, dim: 64, heads: 2, kv_heads: 1, ffn: 128, vocab: 512, context: 64}
data: {corpus: {c}}
train:
  steps: 400
  batch_tokens: 512
  optimizer: {lr: 3e-3}
  schedule: {warmup: 10}
outer: {every: 20}
swarm: {listen: "127.0.0.1:0"}
checkpoint: {keep: 3}
machine: {device: cpu, threads: 1}
evaluate: {tokens: 4096}
"""
names = {"{c}": corpus(), "{e}": "good.yaml", "{k}": "node.key", "{ID}": "0" * 64, "{s}": "0" * 64 + "@127.0.0.1:9"}


def fill(text):
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def write(path, text, mode="w"):
    with open(os.path.join(PLACE, path), mode) as f:
        f.write(text)


write("good.yaml", fill(GOOD))
write("binary.dat", bytes(range(256)) * 4096, "wb")
write("text.parquet", b"PAR1" + bytes(5000) + b"PAR1", "wb")
os.makedirs(os.path.join(PLACE, "folder"))
run("keygen", "-o", "node.key")
good = run("plan", "good.yaml")
ok(good.returncode == 0, "the experiment that all go wrong from is good", good.stdout)

whole, rows, silent, codes, less = 0, 0, [], [], []


def judge(what, done, code, patterns):
    """Counts one row."""
    global whole, rows
    rows += 1
    said = done.stdout
    if done.returncode == 0 or not said.strip():
        silent.append(what)
    if str(done.returncode) not in str(code).split("|"):
        codes.append("%s: code %d, not %s: %s" % (what, done.returncode, code, said[-300:]))
    missing = [p for p in patterns if not re.search(p, said)]
    if missing:
        less.append("%s: nothing of %s in: %s" % (what, ", ".join(missing), said[-400:]))
    else:
        whole += 1


for i, (old, new, code, *patterns) in enumerate(FILES):
    if old not in GOOD:
        ok(False, "row %d changes what is in the good file" % i, old)
    write("bad.yaml", fill(GOOD.replace(old, new, 1)))
    judge("%r instead of %r" % (new, old), run("plan", "bad.yaml", timeout=30), code, patterns)
for line, code, *patterns in LINES:
    judge("shoal " + line, run(*shlex.split(fill(line)), timeout=30), code, patterns)

print("# %d of %d mistakes are answered in full: key, what was found, remedy" % (whole, rows))
for line in less:
    print("# " + line.replace("\n", "\n#   "))
ok(rows >= 120, "there are 120 mistakes", rows)
ok(not silent, "none is silent or taken for right", "\n".join(silent))
ok(not codes, "each ends with its exit code", "\n".join(codes))
ok(whole * 10 >= rows * 9, "nine in ten are answered in full", "%d of %d" % (whole, rows))
finish()
