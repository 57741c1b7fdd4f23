#!/usr/bin/env python3
"""`shoal plan`: what it prints is an experiment again, its figures are the ones that follow from the formulas, and bad
files end with one sentence and code 2."""
from swarms import *

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "experiments")
path = os.path.join(PLACE, "sixty.yaml")
with open(path, "w") as f:
    f.write("""experiment: {name: sixty, seed: 18446744073709551615}
model: {preset: 60m}
data: {corpus: "no \\"such\\" folder"}
train: {steps: 88000}
outer: {every: 500}
swarm: {bandwidth_mbps: 200}
""")

done = run("plan", "--no-files", path, "--json")
ok(done.returncode == 0, "--no-files: a plan without a corpus", done.stdout)
plan = json.loads(done.stdout)
ok(plan["experiment"]["experiment"] == {"name": "sixty", "seed": 18446744073709551615} and
   plan["experiment"]["data"]["corpus"] == os.path.join(os.path.realpath(PLACE), 'no "such" folder') and
   plan["experiment"]["train"]["optimizer"]["betas"] == [0.9, 0.95] and
   plan["experiment"]["train"]["micro_batch"] == "auto", "JSON holds the experiment with its defaults", plan)

parameters = plan["parameters"]
ok(parameters == 102898688 and plan["epochs"] == 176 and plan["run"] is None, "parameters and epochs are counted", plan)
memory = plan["memory_bytes"]
ok(memory["parameters"] == memory["gradients"] == 4 * parameters and memory["moments"] == 8 * parameters,
   "the vectors are of fp32", memory)
ok(memory["total"] == sum(v for k, v in memory.items() if k != "total"), "the table adds up", memory)
ok(memory["replica"] > 17 * parameters and memory["swarm"] > parameters and memory["activations"] > 1 << 28,
   "replica, averaging and activations are in it", memory)

few = os.path.join(PLACE, "few.yaml")
with open(few, "w") as f:
    f.write(open(path).read().replace("steps: 88000", "steps: 88000, micro_batch: %d, recompute: block" % plan["micro_batch"]))
block = json.loads(run("plan", "--no-files", few, "--json").stdout)["memory_bytes"]["activations"]
with open(few, "w") as f:
    f.write(open(path).read().replace("steps: 88000", "steps: 88000, micro_batch: %d, precision: bf16" % plan["micro_batch"]))
half = json.loads(run("plan", "--no-files", few, "--json").stdout)["memory_bytes"]["activations"]
ok(block < 0.65 * memory["activations"] and 0.5 < half / memory["activations"] < 0.55,
   "recomputing blocks takes less, and so does bf16", "%d %d %d" % (memory["activations"], block, half))

ok(plan["gpu_bytes"] == 16 * parameters + memory["activations"], "a GPU holds vectors and activations", plan)
with open(few, "w") as f:
    f.write(open(path).read().replace("{preset: 60m}", "{preset: 1b, context: 2048}").replace(
        "steps: 88000", "steps: 88000, micro_batch: 8, precision: bf16, recompute: block"))
big = json.loads(run("plan", "--no-files", few, "--json").stdout)["gpu_bytes"]
ok(big < 22 << 30, "1b in bf16, recomputing blocks, leaves room on a GPU of 24 GiB", big)

fits = json.loads(run("plan", "--no-files", few, "--json").stdout)["fits"]
ok([(f["gib"], f["recompute"]) for f in fits] == [(g, "block") for g in (24, 40, 80, 141)] and
   all(0 < f["bytes"] <= (f["gib"] - 1) << 30 for f in fits) and fits[0]["micro_batch"] <= fits[1]["micro_batch"],
   "each GPU is told what it has room for", fits)
with open(few) as f:
    easy = f.read().replace("recompute: block", "recompute: none").replace("micro_batch: 8", "micro_batch: auto").replace("bf16", "fp32")
with open(few, "w") as f:
    f.write(easy)
fits = json.loads(run("plan", "--no-files", few, "--json").stdout)["fits"]
ok([f["recompute"] for f in fits][-1] == "none" and fits[0]["recompute"] != "none", "a large one need not recompute", fits)
done = run("plan", "--no-files", few, "--gpu", "16")
ok(done.returncode == 1 and done.stdout.count("\n") == 1 and "a GPU of 16 GiB has room for 15.0 GiB, whatever" in done.stdout,
   "a GPU that is too small is refused", done.stdout)
with open(few, "w") as f:
    f.write(easy.replace("micro_batch: auto", "micro_batch: 8"))
done = run("plan", "--no-files", few, "--gpu", "24")
advised = re.search("set train.recompute to (none|block) and train.micro_batch to ([0-9]+), which take", done.stdout)
if ok(done.returncode == 1 and advised, "what does not fit is refused with settings that do", done.stdout):
    with open(few, "w") as f:
        f.write(easy.replace("recompute: none", "recompute: " + advised[1]).replace("micro_batch: auto", "micro_batch: " + advised[2]))
    done = run("plan", "--no-files", few, "--gpu", "24")
    ok(done.returncode == 0, "and these do", done.stdout)
done = run("plan", "--no-files", few, "--gpu", "x")
ok(done.returncode == 2 and "from 1 to 1024" in done.stdout, "a size that is none is refused", done.stdout)

blocks = -(-parameters // 256)
wire = parameters + 4 * blocks
for row in plan["traffic"]:
    g = row["workers"]
    share = 2 * (g - 1) / g
    ok(abs(row["bytes_epoch"] - share * wire) <= 1 and row["bytes_run"] == 176 * row["bytes_epoch"] and
       abs(row["bytes_data_parallel"] / (share * 4 * parameters * 88000) - 1) < 1e-9 and
       abs(row["seconds_epoch"] - row["bytes_epoch"] * 8 / 200e6) < 1e-6,
       "%d workers: traffic and time follow from the formula" % g, row)
ok([row["workers"] for row in plan["traffic"]] == [2, 4, 8, 16], "groups of 2, 4, 8 and 16", plan["traffic"])

for name in ("tiny", "gcide-60m", "quickstart"):
    first = run("plan", "--no-files", os.path.join(SHIPPED, name + ".yaml"))
    again = os.path.join(PLACE, name + ".yaml")
    with open(again, "w") as f:
        f.write(first.stdout)
    second = run("plan", "--no-files", again)
    ok(first.returncode == 0 and first.stdout == second.stdout and "# " in first.stdout,
       "the plan of %s is an experiment with the same plan" % name, first.stdout + second.stdout)

with open(os.path.join(PLACE, "bad.yaml"), "w") as f:
    f.write("experiment: {name: bad}\ntrain: {stesp: 5}\n")
done = run("plan", "bad.yaml")
ok(done.returncode == 2 and "shoal plan: bad.yaml:2:9: train has no key 'stesp': did you mean train.steps?\n" in done.stdout,
   "a bad file ends with its sentences and code 2", done.stdout)
with open(os.path.join(PLACE, "bad.yaml"), "w") as f:
    f.write("experiment: {name: bad}\ntrain: {stesp: 5}\nmachine: {device: gpu}\nouter: {every:0}\n")
done = run("plan", "bad.yaml")
lines = done.stdout.splitlines()
ok(done.returncode == 2 and len(lines) == 6 and all(line.startswith("shoal plan: bad.yaml:") for line in lines) and
   "bad.yaml:2:9: train has no key 'stesp'" in done.stdout and "a GPU is called cuda" in done.stdout and
   "bad.yaml:4:14: 'every:0' needs a space" in done.stdout and "outer.every: found '0'" in done.stdout and
   "data.corpus is missing" in done.stdout and "model.layers is missing" in done.stdout,
   "several mistakes are all named, each with its place", done.stdout)
done = run("plan", "missing.yaml")
ok(done.returncode == 1 and done.stdout.count("\n") == 1 and "missing.yaml" in done.stdout,
   "a missing file is named", done.stdout)

keys = run("plan", "--keys").stdout
ok(re.search(r"14m +6 +128 +4 +4 +512 +32000 +[0-9]{7}", keys) and "folder of its file" in keys.split("experiment.name")[0],
   "with the presets' shapes and where paths start", keys)
for key, mark in (("outer.wire", ": anything but int8"), ("metrics.listen", "")):
    ok(re.search(r"^%s .*\n.*default.*\n +not built yet%s$" % (re.escape(key), mark), keys, re.M), "and not built is said: " + key, keys)
ok("train.optimizer.lr" in keys and "default: 4e-4" in keys and "outer.every" in keys, "the format's manual is printed", keys)

named = experiment("named", steps=2000)
prepared = run("plan", named)
ok("1.02e+06 tokens over the corpus'" in prepared.stdout and re.search(r"are 1\.\d+ passes", prepared.stdout), "passes over the corpus are counted",
   prepared.stdout)
said = json.loads(run("plan", named, "--json", "--measure").stdout)
ok(said["corpus_tokens"] > 500000 and abs(said["passes"] - 1024000 / said["corpus_tokens"]) < 1e-6 and
   said["disk"]["checkpoint_bytes"] == 20 * said["parameters"] and 8 < said["disk"]["past_bytes"] / said["parameters"] < 9 and
   said["disk"]["bytes"] == 80 * said["parameters"] + said["disk"]["past_bytes"] and
   said["disk"]["free"] > 0 and said["tokens_per_second"] > 0 and
   abs(said["seconds_run"] * said["tokens_per_second"] / 1024000 - 1) < 1e-6, "JSON has passes, disk and the measured speed", said)
there = run("plan", named, "--measure", "--set", "train.batch_tokens=8192", "--set", "train.micro_batch=100", "--set", "machine.threads=auto")
ok(there.returncode == 0 and re.search(r"^# this machine trains \d+ tokens/s: [\d.]+ (s|min|h) an inner step, [\d.]+ (s|min|h|days) the whole run$",
                                       there.stdout, re.M), "a large batch is measured by a part of it", there.stdout)
done = run("plan", named, "--measure", "--set", "machine.device=cuda", CUDA_VISIBLE_DEVICES="")
ok(done.returncode == 1 and "measuring this machine's speed: " in done.stdout and done.stdout.count("\n") == 1,
   "what cannot be measured is said", done.stdout)
done = run("plan", "--no-files", path, "--gpu", "80", "--set", "machine.device=cuda:0,1", "--set", "train.steps=30000", "--set", "train.precision=auto")
ok(done.returncode == 0 and "of it on each of 2 GPUs, which share a batch" in done.stdout and re.search(r"at 1 TFLOP/s [\d.]+ min, [\d.]+ days the whole run", done.stdout),
   "several GPUs share a batch", done.stdout)
done = run("plan", "--no-files", few, "--set", "model.layers=256", "--set", "train.steps=1", "--set", "outer.every=1", "--set", "checkpoint.dir=/proc/none")
ok(done.returncode == 0 and re.search("24 GiB  not this model", done.stdout) and "what is free is not known" in done.stdout and
   re.search(r"at 1 TFLOP/s [\d.]+ h, [\d.]+ h the whole run", done.stdout), "a model that no GPU holds is planned as well", done.stdout)
for change, words in ((("model.vocab=300",), ["model.vocab", "has 512 tokens", "at least 512"]),
                      (("data.validation=0.2",), ["data.validation", "--validation 0.01", "leave this key out"]),
                      (("data.corpus=nowhere",), ["data.corpus", "nowhere", "shoal prepare"]),
                      (("swarm.peers=1.2.3.4:4433",), ["swarm.peers", "1.2.3.4:4433", "write its ID"]),
                      (("model.context=32768", "train.batch_tokens=32768", "evaluate.tokens=32768"),
                       ["validation tokens", "a sequence of context 32768", "prepare more text or lower model.context"])):
    for command in ("plan", "run", "train"):
        done = run(command, named, *["--set=" + c for c in change])
        ok(done.returncode == 2 and all(word in done.stdout for word in words), "%s refuses %s" % (command, change[0]), done.stdout)
ids = [line for line in prepared.stdout.splitlines() if line.startswith("# run ")]
ok(len(ids) == 1 and len(ids[0]) == 6 + 32, "with a corpus the run has a name", ids)
finish()
