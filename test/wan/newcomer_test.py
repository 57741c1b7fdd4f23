#!/usr/bin/env python3
"""Follows README.md, "On real machines", as a new user would, from texts to a run on two machines 100 ms apart and its results: types
its commands literally, in their order. Only the first machine's address and ID replace those of the README, and vocabulary and
model are smaller. What the user must provide is here: texts, an experiment longer.yaml, the logs of both machines in one folder. There is no
web server here: https_test.py runs with one. The owner's commands are typed for an experiment with the line that the first of them prints."""
from wans import *
from swarms import *

README = os.path.join(HERE, "..", "..", "README.md")
SECTION = "## On real machines"
EXPERIMENT = """experiment: {name: %(name)s, seed: 7}
model: {layers: 2, dim: 64, heads: 2, kv_heads: 1, ffn: 128, vocab: 512, context: 64}
data: {corpus: corpora/mine}
train: {steps: %(steps)d, batch_tokens: 512, optimizer: {lr: 3e-3}, schedule: {warmup: 10}}
outer: {every: 200}
checkpoint: {dir: runs/%(name)s, every: 200}
evaluate: {every: %(steps)d, tokens: 2048}
machine: {device: cpu, threads: 1}
"""
# Additional options of `shoal init`: the model of EXPERIMENT, and few enough steps for a test.
SMALLER = "".join(" --set " + key for key in (
    "experiment.seed=7", "model.layers=2", "model.dim=64", "model.heads=2", "model.kv_heads=1", "model.ffn=128", "model.context=64",
    "train.steps=2000", "train.batch_tokens=512", "train.optimizer.lr=3e-3", "train.schedule.warmup=10", "outer.every=200",
    "evaluate.every=2000", "evaluate.tokens=2048", "machine.device=cpu", "machine.threads=1"))


def shown():
    """The commands of the section: lines of code blocks that begin with shoal, without comments; then those in its text."""
    with open(README) as f:
        text = f.read().split("\n" + SECTION + "\n")[1].split("\n## ")[0]
    blocks = [line[4:].split("    #")[0].strip() for line in text.splitlines() if line.startswith("    shoal ")]
    return blocks, re.findall(r"`(shoal [^`]*)`", text)


class Typed:
    """A command that was typed, run as by a shell."""

    def __init__(self, machine, line):
        self.line = line
        self.said = tempfile.TemporaryFile("w+", errors="replace")
        path = os.path.join(machine.home, "bin") + ":" + os.environ["PATH"]
        self.process = wan.start(machine.node, ["sh", "-c", "exec " + line], stdout=self.said, stderr=subprocess.STDOUT,
                                 stdin=subprocess.DEVNULL, cwd=machine.home, env=dict(os.environ, PATH=path, HOME=machine.home))

    def heard(self):
        self.said.seek(0)
        return self.said.read()

    def end(self):
        """Waits for its end: (exit code, output)."""
        wait_for(lambda: self.process.poll() is not None, progress=lambda: (self.heard(), logs_size(), busy(self.process)()))
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait(), self.heard()


class Machine:
    """A node of the network, with a home folder of its own."""

    def __init__(self, node):
        self.node, self.home, self.worker = node, os.path.join(PLACE, "machine-%d" % node), None
        os.makedirs(os.path.join(self.home, "bin"))
        os.symlink(os.path.abspath(SHOAL), os.path.join(self.home, "bin", "shoal"))
        with open(os.path.join(self.home, "longer.yaml"), "w") as f:
            f.write(EXPERIMENT % dict(name="longer", steps=400))

    def type(self, line):
        code, said = Typed(self, line).end()
        ok(code == 0 and (said.strip() or ">" in line), line, (code, said))
        return said


def sign_tickets(machine, line, first_id):
    """A command of the owner of a swarm with tickets."""
    path = os.path.join(machine.home, "tickets.yaml")
    said = machine.type(line.replace("mine.yaml", "tickets.yaml").replace("--id ID", "--id " + first_id).replace("--serial 2", "--serial 1"))
    if not os.path.exists(path):
        with open(path, "w") as f:
            f.write(EXPERIMENT % dict(name="tickets", steps=400) + re.search(r"swarm: \{access: \{ticket: [0-9a-f]{64}\}\}", said)[0] + "\n")


def put_in(line, first_id):
    """The command, with the first machine's ID and address inserted."""
    line = line.replace("first.example.org", address(0)).replace("--vocab 32000", "--vocab 512")
    return line.replace("ID@", first_id + "@") + (SMALLER if line.startswith("shoal init") else "")


def start_worker(machine, line):
    """Starts a worker; returns the ID that it prints at its start."""
    machine.worker = Typed(machine, line)
    found = lambda: re.search("([0-9a-f]{64})@", machine.worker.heard().replace(line, ""))
    ok(wait_for(lambda: found() or machine.worker.process.poll() is not None) and found(), line, machine.worker.heard())
    return found()[1] if found() else "0" * 64


def runs_end():
    """Both machines' runs end with the same bits, after means of both."""
    ended = [m.worker.end() for m in (first, second)]
    ok(all(code == 0 for code, _ in ended), "both workers come to the end of the run", ended)
    folders = [os.path.join(m.home, "runs", "mine") for m in (first, second)]
    for i, folder in enumerate(folders):
        shutil.copy(os.path.join(folder, "log.jsonl"), os.path.join(first.home, "machine-%d.jsonl" % i))
    logs = [open(os.path.join(folder, "log.jsonl")).read() for folder in folders]
    members = [[e.get("members") for e in map(json.loads, log.splitlines()) if e["event"] == "applied"] for log in logs]
    ok(all(2 in m for m in members), "they averaged with each other", members)
    done = subprocess.run([sys.executable, os.path.join(HERE, "..", "chaos", "digests.py")] + folders, stdout=subprocess.PIPE, text=True)
    ok(done.returncode == 0, "and hold the same bits", done.stdout)


wan = Wan("{nodes: 2, seconds: 3600, rules: [{delay_ms: 50, rate_mbit: 100, queue_kib: 1024}]}")
first, second, first_id = Machine(0), Machine(1), ""
corpus()  # for its text
os.makedirs(os.path.join(first.home, "texts"))
shutil.copy(os.path.join(PLACE, "text.txt"), os.path.join(first.home, "texts"))
blocks, told = shown()
kinds = [line.split()[1] for line in blocks]
ok({"prepare", "init", "plan", "run", "status", "peers", "eval", "generate", "export", "train"} <= set(kinds), "the README shows the whole way", kinds)
for kind, line in zip(kinds, blocks):
    line = put_in(line, first_id)
    if "https://" in line:
        continue
    if kind == "ticket":
        sign_tickets(first, line, first_id)
    elif kind == "run" and not first_id:
        first_id = start_worker(first, line)
    elif kind == "run" and "--peers" in line:
        shutil.copytree(os.path.join(first.home, "corpora"), os.path.join(second.home, "corpora"))
        shutil.copy(os.path.join(first.home, "mine.yaml"), second.home)
        if "shoal keygen" in told:
            ok(re.fullmatch("[0-9a-f]{64}\\s*", second.type("shoal keygen")), "it prints an ID")
        start_worker(second, line)
    elif kind in ("status", "peers"):
        said = second.type(line)
        ok(first_id in said or first_id[:8] in said or ">" in line, "%s names the first machine" % kind, said)
    else:
        if first.worker and second.worker:
            runs_end()
            first.worker = second.worker = None
        first.type(line)
wan.stop()
finish()
