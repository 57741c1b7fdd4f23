#!/usr/bin/env python3
"""`shoal bench cpu`: its JSON holds together, an experiment gives the shape, and bad options end with one sentence. How
fast it is, no test asks."""
from swarms import *

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "experiments")

done = run("bench", "cpu", "--preset", "2m", "--context", "64", "--batch", "256", "--seconds", "1", "--threads", "1", "--json")
ok(done.returncode == 0, "the smallest preset runs", done.stdout)
said = json.loads(done.stdout)
ok(said["parameters"] == 262464 and said["context"] == 64 and said["micro_batch"] == 4 and said["threads"] == 1,
   "it says what was measured", said)
matrices = 262464 - 5 * 64 - 1024 * 64  # without gains and the embedding, which is a lookup
ok(said["flops_per_token"] == 6 * matrices + 6 * 2 * 64 * 64, "operations a token follow from the formula", said)
speed = said["steps"] * 256 / said["seconds"]
ok(said["steps"] >= 3 and abs(said["tokens_per_second"] / speed - 1) < 0.01, "tokens a second are tokens by seconds", said)
ok(abs(said["flops"] / (said["tokens_per_second"] * said["flops_per_token"]) - 1) < 0.01 and
   abs(said["share"] - said["flops"] / said["peak_flops"]) < 0.001 and 0 < said["share"] < 1,
   "the share of the peak is what it says it is", said)
ok(0 < said["step_seconds_best"] <= said["step_seconds_median"] and said["step_seconds_best"] <= said["seconds"] / said["steps"],
   "the best step is no slower than the middle one, nor than the mean", said)
ok(said["precision"] == "fp32" and 16 * 262464 < said["peak_bytes"] < 1e9, "it takes memory for four vectors at least", said)
ok(0 < said["loss"] < 7.5, "it trains: the loss starts near ln 1024 and falls on text that repeats", said)

done = run("bench", "cpu", os.path.join(SHIPPED, "tiny.yaml"), "--seconds", "1")
ok(done.returncode == 0 and "tiny: 262464 parameters, context 128" in done.stdout and "share" in done.stdout,
   "an experiment gives the shape", done.stdout)

with open(os.path.join(SHIPPED, "tiny.yaml")) as f, open(os.path.join(PLACE, "half.yaml"), "w") as to:
    to.write(f.read().replace("train:", "train:\n  precision: bf16"))
done = run("bench", "cpu", "half.yaml", "--seconds", "1", "--ops", "1")  # in fp32: json_test.py
ops = dict(re.findall(r"^op +(\w+|\w+ of \d+) +[\d.]+ ms +([\d.]+) G(?:B|FLOP)/s$", done.stdout, re.M))
ok(done.returncode == 0 and "bf16" in done.stdout and all(float(speed) > 0.001 for speed in ops.values()) and
   {"embed", "norm_backward", "attention of 64", "attention_backward of 128", "linear_weight", "cross_entropy", "adamw"} <= set(ops),
   "operations are timed one by one, with GB or operations a second of each", done.stdout)

for words, sentence in [(["--preset", "3m"], "3m"), (["--seconds", "-1"], "--seconds '-1': it must be a whole number from 1"),
                        (["--batch", "100"], "batch_tokens"), (["--frob"], "no option --frob"),
                        (["tiny.yaml", "--preset", "2m"], "leave those options out")]:
    done = run("bench", "cpu", *words)
    ok(done.returncode == 2 and done.stdout.count("\n") == 1 and sentence in done.stdout,
       "%s ends with one sentence and code 2" % " ".join(words), done.stdout)
done = run("bench", "cpu", "--context", "64", "--batch", "128", "--seconds", "1", "--threads", "1", "--ops", "100000000")
ok(done.returncode == 1 and done.stdout.count("\n") == 1 and "timing operations: no memory" in done.stdout,
   "operands that find no memory are one sentence", done.stdout)
done = run("bench", "gpu", "--seconds", "1", CUDA_VISIBLE_DEVICES="")
ok(done.returncode == 1 and done.stdout.count("\n") == 1 and re.search("CUDA|NVIDIA|GPU", done.stdout), "so is bench gpu without a GPU", done.stdout)
done = run("bench", "tpu")
ok(done.returncode == 2 and "no subject 'tpu'" in done.stdout, "a subject that is none is named", done.stdout)

half = run("bench", "cpu", "--preset", "2m", "--context", "64", "--batch", "256", "--seconds", "1", "--threads", "1",
           "--precision", "bf16", "--micro-batch", "3", "--json")
ok(half.returncode == 0, "it runs in bf16", half.stdout)
half = json.loads(half.stdout)
ok(half["micro_batch"] == 3 and 0 < half["loss"] < 7.5 and half["steps"] >= 3 and 0 < half["share"] < 1,
   "and trains, at no more than the peak of bf16", half)

child = subprocess.Popen([SHOAL, "bench", "cpu", "--context", "64", "--batch", "256", "--seconds", "1", "--threads", "1"],
                         stdout=subprocess.DEVNULL, cwd=PLACE)
CHILDREN.append(child)
threads = set()
while child.poll() is None:
    try:
        with open("/proc/%d/status" % child.pid) as f:
            threads |= {int(line.split()[1]) for line in f if line.startswith("Threads:")}
    except OSError:
        pass
    time.sleep(0.05)
ok(threads == {1} and child.returncode == 0, "with one thread the process has one", threads)
finish()
