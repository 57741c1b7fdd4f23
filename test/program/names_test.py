#!/usr/bin/env python3
"""No name is run by a shell or taken for something else: quotes, spaces, newlines, $(...), dashes, in every place of a path."""
from swarms import *

NAME = "it's \"a\" b\\\n$(touch pwned) `touch pwned`; touch pwned & * #ä"
LINE = NAME.replace("\n", " ")  # an experiment takes no control characters
corpus()
place = os.path.join(PLACE, NAME)
os.makedirs(place)
shutil.copy(os.path.join(PLACE, "text.txt"), os.path.join(place, NAME + ".txt"))
PWNED = lambda: [os.path.join(r, n) for r, _, names in os.walk(PLACE) for n in names if n == "pwned"]


def run_there(*arguments):
    return subprocess.run([SHOAL] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120, cwd=place)


done = run_there("prepare", NAME + ".txt", "-o", LINE, "--vocab", "512")
ok(done.returncode == 0 and os.path.exists(os.path.join(place, LINE, "manifest.json")), "prepare", done.stdout)
with open(os.path.join(place, "-x " + NAME + ".yaml"), "w") as f:
    f.write("""experiment: {name: odd}
model: {layers: 1, dim: 32, heads: 2, ffn: 64, vocab: 512, context: 32}
data: {corpus: %s}
train: {steps: 20, batch_tokens: 128, schedule: {warmup: 2}}
outer: {every: 10}
checkpoint: {dir: %s, every: 10}
evaluate: {every: 20, tokens: 1024}
machine: {device: cpu, threads: 1}
""" % (json.dumps(LINE), json.dumps("alone" + LINE)))
yaml = "-x " + NAME + ".yaml"
done = run_there("plan", "--", yaml)
ok(done.returncode == 0, "plan", done.stdout)
done = run_there("train", "--", yaml)
ok(done.returncode == 0 and "20 of 20" in done.stdout, "train", done.stdout)
done = run_there("swarm", "-n2", "--out", "-o " + NAME, "--", yaml)
out = os.path.join(place, "-o " + NAME)
ok(done.returncode == 0 and os.path.exists(os.path.join(out, "report.html")), "swarm", done.stdout)
said = json.load(open(os.path.join(out, "summary.json"))) if done.returncode == 0 else {"sample": ""}
ok(said["sample"].startswith("The ") and len(said["sample"]) > 5, "the sample is generated from such a folder", said)
checkpoints = os.path.join(out, "worker-0", "checkpoints")
for arguments in (["eval", checkpoints, "--data", LINE], ["generate", checkpoints, "--tokens", "3", "--", "-$(touch pwned)"], ["export", checkpoints, "--to", "x" + NAME],
                  ["keygen", "-o", NAME + ".key"], ["eval", "alone" + LINE, "--data", LINE]):
    done = run_there(*arguments)
    ok(done.returncode == 0, arguments[0], done.stdout)
ok(os.path.exists(os.path.join(place, "x" + NAME, "config.json")) and os.path.exists(os.path.join(place, NAME + ".key")), "results are where they were wanted")
ok(not PWNED(), "and nothing was run", PWNED())
finish()
