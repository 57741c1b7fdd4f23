#!/usr/bin/env python3
"""What a machine does not grant is one sentence at the start: memory, files; and steps that give no number end a run."""
import resource

from swarms import *


def limited(what, bytes_max, *arguments):
    def limit():
        resource.setrlimit(what, (bytes_max, bytes_max))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return subprocess.run([SHOAL] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PLACE,
                          timeout=120, preexec_fn=limit)


def events(log, kind):
    return [e for e in map(json.loads, open(os.path.join(PLACE, log))) if e["event"] == kind]


def number(text):
    value, unit = re.search(r"([0-9.]+) (MiB|GiB)", text).groups()
    return float(value) * {"MiB": 1, "GiB": 1024}[unit]


big = experiment("big", dim=512, layers=8, batch=131072, context=512)
small = experiment("small", steps=40, every=20)
for command in ("train", "run"):
    done = limited(resource.RLIMIT_AS, 200 << 20, command, big)
    said = done.stdout.splitlines()[-1] if done.stdout else ""
    ok(done.returncode == 1 and "of memory (training" in said and number(said.split("takes")[1]) > number(said.split("ulimit -v) has")[1]),
       "%s: what does not fit is refused with numbers that do not contradict each other" % command, done.stdout)
    ok(command == "train" or "anchor, averaging and transfer 0.0" not in said, "%s: all that plan counts is counted" % command, said)
done = limited(resource.RLIMIT_AS, 200 << 20, "bench", "cpu", "--preset", "1b", "--threads", "1")
ok(done.returncode == 1 and done.stdout.startswith("shoal bench cpu: ") and "MiB of memory are needed" in done.stdout and
   done.stdout.count("\n") == 1, "bench says in one sentence that a model does not fit", done.stdout)
done = limited(resource.RLIMIT_FSIZE, 300 << 10, "train", small, "--steps", "1")
ok("warning: a checkpoint takes" in done.stdout and "ulimit -f" in done.stdout,
   "a checkpoint that cannot be written is warned of at the start", done.stdout)
done = run("train", small, "--steps", "1")
ok(done.returncode == 0 and "warning" not in done.stdout, "else nothing is said", done.stdout)

# Decay of 100 a step makes parameters 99 times larger in each: infinity within twenty.
text = open(experiment("wild", steps=1000, every=100)).read().replace("lr: 3e-3", "lr: 10, weight_decay: 10").replace("warmup: 10", "warmup: 0")
for name in ("wild-train", "wild-run"):
    with open(os.path.join(PLACE, name + ".yaml"), "w") as f:
        f.write(text.replace("dir: checkpoints", "dir: " + name))
done = run("train", "wild-train.yaml")
ok(done.returncode == 1 and "train.optimizer.lr (10)" in done.stdout and "there is no checkpoint before it" in done.stdout,
   "train: a step that gives no number is one sentence, which names a checkpoint only where there is one", done.stdout)
ok(len(events("wild-train/log.jsonl", "not_finite")) == 1, "and an event of the log")
done = run("train", "wild-train.yaml", "--set", "checkpoint.every=2", "--dir", "saved")
newest = sorted(n for n in os.listdir(os.path.join(PLACE, "saved", "checkpoints")) if n.endswith(".ckpt"))[-1]
ok(done.returncode == 1 and "the newest checkpoint before it is " in done.stdout and done.stdout.rstrip().endswith("checkpoints/" + newest),
   "and with one it is named", done.stdout)
piped = open(os.path.join(PLACE, "piped.txt"), "w")
alone = subprocess.Popen(["nice", "-n", "19", SHOAL, "train", experiment("piped", steps=100000, every=1000), "--dir", "piped"], stdout=piped, cwd=PLACE)
CHILDREN.append(alone)
done = run("run", "wild-run.yaml", "--dir", os.path.join(PLACE, "wild-run"), timeout=300)
ok(done.returncode == 1 and "6 times in a row" in done.stdout.splitlines()[-1] and "train.optimizer.lr (10)" in done.stdout,
   "run: it is tried again, later each time, and ends with a sentence", done.stdout)
alone.kill()
ok(re.search(r"^step \d+ of 100000  loss \d+\.\d+  \d+ tokens/s  .* left$", open(piped.name).read(), re.M),
   "train: meanwhile one whose output is a file has said every ten seconds where it stands", open(piped.name).read())
rows = events("wild-run/log.jsonl", "not_finite")
ok([e["in_a_row"] for e in rows] == [1, 2, 3, 4, 5, 6] and all("in %d s" % s in done.stdout for s in (1, 2, 4, 8, 16)),
   "and each try is in the log", rows)

# The nice level of the process is added to, never replaced: the network's thread keeps it.
worker = Worker("nice", os.path.join(PLACE, "peers.txt"))
output = open(os.path.join(worker.dir, "output.txt"), "w")
child = subprocess.Popen(["nice", "-n", "7", SHOAL, "run", experiment("nice", steps=100000, every=1000), "--dir", worker.dir, "--listen",
                          worker.address], stdout=output, stderr=output, cwd=PLACE)
CHILDREN.append(child)
ok(wait_for(lambda: os.path.exists(worker.log) and worker.events("step"), 120), "a worker that was started with nice trains", worker.output())


def levels():
    """Fields of proc_pid_stat(5) behind the name: the nice level is the 19th of all."""
    base = "/proc/%d/task" % child.pid
    return sorted(int(open(os.path.join(base, t, "stat")).read().rsplit(")", 1)[1].split()[16]) for t in os.listdir(base))


own = os.nice(0)
ok(set(levels()) == {min(own + 7, 19), min(own + 12, 19)}, "its threads for training have 5 more, the network's none", levels())
child.terminate()
child.wait()
finish()
