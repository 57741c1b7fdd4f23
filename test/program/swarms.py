"""swarms.py -- small real swarms for the tests that run the program itself: a corpus, an experiment, workers, logs.

Everything runs on loopback, in a folder of its own that is removed at the end, and is bounded in time. Results are
printed as TAP (test/tally.py).
"""
import atexit, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time

SHOAL = os.environ.get("SHOAL_BIN") or os.path.abspath("zig-out/bin/shoal")
PLACE = tempfile.mkdtemp(prefix="shoal-test-")
CHILDREN = []
FAILED = []


@atexit.register
def tidy():
    for child in CHILDREN:
        if child.poll() is None:
            child.kill()
            child.wait()
    if not os.environ.get("SHOAL_KEEP"):
        shutil.rmtree(PLACE, ignore_errors=True)


def ok(condition, name, detail=""):
    print("%s - %s" % ("ok" if condition else "not ok", name), flush=True)
    if not condition:
        FAILED.append(name)
        print("# " + str(detail).replace("\n", "\n# "), flush=True)
    return bool(condition)


def finish():
    sys.exit(1 if FAILED else 0)


def run(*arguments, timeout=120, program=SHOAL, **environment):
    return subprocess.run([program] + list(arguments), env=dict(os.environ, **environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=timeout, cwd=PLACE)


def corpus():
    """A text with some order in it, about 1.5 MB, prepared once; the folder's path."""
    folder = os.path.join(PLACE, "corpus")
    if not os.path.exists(folder):
        chance = random.Random(7)
        letters = "etaoinshrdlucmfwypvbgk"
        words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(2000)]
        after = [chance.sample(range(2000), 8) for _ in range(2000)]
        lines, at = [], 0
        for _ in range(24000):
            sentence = []
            for _ in range(chance.randint(5, 14)):
                at = chance.choice(after[at]) if chance.random() < 0.9 else chance.randrange(2000)
                sentence.append(words[at])
            lines.append(" ".join(sentence).capitalize() + ("." if chance.random() < 0.8 else ".\n"))
        with open(os.path.join(PLACE, "text.txt"), "w") as f:
            f.write("\n".join(lines))
        done = run("prepare", "text.txt", "-o", "corpus", "--vocab", "512")
        if done.returncode:
            print("not ok - preparing the test's corpus\n# " + done.stdout.replace("\n", "\n# "))
            sys.exit(1)
    return folder


def experiment(name="test", **changes):
    """Writes an experiment file; the path. Changes: steps, every, count, batch, epochs' worth of anything small."""
    values = dict(steps=240, every=40, count="tokens", batch=512, seed=7, layers=2, dim=64, context=64, keep=3, precision="fp32", nccl="", evaluate=4096)
    values.update(changes)
    values.update(name=name, corpus=corpus())
    path = os.path.join(PLACE, name + ".yaml")
    with open(path, "w") as f:
        f.write("""experiment: {name: %(name)s, seed: %(seed)d}
model: {layers: %(layers)d, dim: %(dim)d, heads: 2, kv_heads: 1, ffn: 128, vocab: 512, context: %(context)d}
data: {corpus: %(corpus)s, validation: 0.01}
train:
  steps: %(steps)d
  batch_tokens: %(batch)d
  precision: %(precision)s
  optimizer: {lr: 3e-3}
  schedule: {kind: cosine, warmup: 10, final: 0.1}
outer: {every: %(every)d, count: %(count)s}
swarm: {listen: "127.0.0.1:0"}
checkpoint: {dir: checkpoints, every: %(every)d, keep: %(keep)d}
evaluate: {every: %(steps)d, tokens: %(evaluate)d}
machine: {device: cpu, threads: 1, nccl: "%(nccl)s"}
""" % values)
    return path


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Worker:
    """One `shoal run` process in a folder of its own."""

    def __init__(self, name, peers):
        self.dir = os.path.join(PLACE, name)
        os.makedirs(self.dir, exist_ok=True)
        self.key = os.path.join(self.dir, "node.key")
        if not os.path.exists(self.key):
            subprocess.run([SHOAL, "keygen", "-o", self.key], check=True, stdout=subprocess.DEVNULL)
        self.id = subprocess.run([SHOAL, "keygen", "--show", self.key], check=True, stdout=subprocess.PIPE,
                                 text=True).stdout.split()[0]
        self.address = "127.0.0.1:%d" % free_port()
        self.log = os.path.join(self.dir, "log.jsonl")
        self.peers = peers
        self.process = None
        with open(peers, "a") as f:
            f.write("%s@%s\n" % (self.id, self.address))

    def start(self, experiment_path, *extra, program=SHOAL):
        output = open(os.path.join(self.dir, "output.txt"), "a")
        self.process = subprocess.Popen([program, "run", experiment_path, "--dir", self.dir, "--listen", self.address,
                                         "--peers", self.peers] + list(extra), stdout=output, stderr=output, cwd=PLACE)
        CHILDREN.append(self.process)
        return self

    def events(self, kind=None):
        try:
            lines = open(self.log, errors="replace").read().splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if kind is None or event["event"] == kind:
                found.append(event)
        return found

    def epoch(self):
        outers = self.events("outer")
        return outers[-1]["epoch"] if outers else 0

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def output(self):
        return open(os.path.join(self.dir, "output.txt"), errors="replace").read()[-3000:]


def wait_for(condition, seconds, step=0.05):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(step)
    return bool(condition())


def digests(workers):
    """What a script that shares no code with shoal reads out of the workers' last checkpoints."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos", "digests.py")
    done = subprocess.run([sys.executable, script] + [os.path.join(w.dir, "checkpoints") for w in workers],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout
