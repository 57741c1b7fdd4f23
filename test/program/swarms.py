"""swarms.py -- small real swarms for the tests that run the program itself: a corpus, an experiment, workers, logs.

Everything runs on loopback, in a folder of its own that is removed at the end, and is bounded in time. Results are
printed as TAP (test/tally.py).

No verdict depends on how fast the machine is: limits follow progress. `wait_for` gives up when nothing has moved for
PATIENCE_S, not after so many seconds in all; a program that `run` started is stuck when neither its output nor any log grew
for so long. What is left to chance comes from `chance()`: it prints its seed, and SHOAL_SEED gives it back.
"""
import atexit, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time

SHOAL = os.path.abspath(os.environ.get("SHOAL_BIN") or "zig-out/bin/shoal")
PLACE = tempfile.mkdtemp(prefix="shoal-test-")
os.environ["XDG_CACHE_HOME"] = os.path.join(PLACE, "cache")  # what was measured on this machine before decides nothing
PATIENCE_S = 120  # a busy machine may take long for one step of anything
CHILDREN = []
FAILED = []


signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that tidy() runs


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


def chance():
    """Dice of this run: the seed is printed, and taken from SHOAL_SEED where it is set."""
    seed = int(os.environ.get("SHOAL_SEED") or random.randrange(1 << 30))
    print("# SHOAL_SEED=%d" % seed, flush=True)
    return random.Random(seed)


def logs_size():
    """Bytes of all logs in PLACE: what grows while anything works."""
    found = 0
    for folder, _, names in os.walk(PLACE):
        for name in names:
            if name.endswith(".jsonl"):
                try:
                    found += os.path.getsize(os.path.join(folder, name))
                except OSError:
                    pass
    return found


def wait_for(condition, patience=PATIENCE_S, progress=None, step=0.05):
    """Waits until `condition` holds. False after `patience` seconds, PATIENCE_S at least, in which progress(), if given,
    did not change."""
    patience = max(patience, PATIENCE_S)
    last = time.monotonic() + 30 * patience  # what is busy for ever is not at work
    seen, end = progress and progress(), time.monotonic() + patience
    while not condition():
        if time.monotonic() >= end:
            now = progress and progress()
            if now == seen or time.monotonic() > last:
                return bool(condition())
            print("# still at work: %s" % (now,), flush=True)
            seen, end = now, time.monotonic() + patience
        time.sleep(step)
    return True


def busy(process):
    """Progress of one process, for wait_for: its processor time in seconds."""
    def seconds():
        try:
            with open("/proc/%d/stat" % process.pid) as f:
                fields = f.read().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) // os.sysconf("SC_CLK_TCK")
        except OSError:
            return None
    return seconds


def run(*arguments, timeout=PATIENCE_S, program=SHOAL, **environment):
    """Runs shoal to its end, or until neither its output nor a log grew for `timeout` seconds, PATIENCE_S at least."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        child = subprocess.Popen([program] + list(arguments), env=dict(os.environ, **environment), stdout=output, stderr=subprocess.STDOUT, cwd=PLACE)
        CHILDREN.append(child)

        def grown():
            return os.fstat(output.fileno()).st_size, logs_size()

        if not wait_for(lambda: child.poll() is not None, timeout, grown, 0.01):
            child.kill()
        code = child.wait()
        output.seek(0)
        return subprocess.CompletedProcess(child.args, code, output.read())


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
    values = dict(steps=240, every=40, count="tokens", batch=512, seed=7, layers=2, dim=64, context=64, keep=3, precision="fp32", nccl="", evaluate=4096, congestion="bbr")
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
swarm: {listen: "127.0.0.1:0", congestion: %(congestion)s}
checkpoint: {dir: checkpoints, every: %(every)d, keep: %(keep)d}
evaluate: {every: %(steps)d, tokens: %(evaluate)d}
machine: {device: cpu, threads: 1, nccl: "%(nccl)s"}
""" % values)
    return path


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def together(workers, path, said):
    """Starts the workers on this experiment, and waits for the first outer step of all."""
    for w in workers:
        w.start(path)
    ok(wait_for(lambda: all(w.epoch() >= 1 for w in workers), progress=epochs(workers)), said + " workers make a first outer step together",
       "\n".join(w.output() for w in workers))


class Worker:
    """One `shoal run` process in a folder of its own."""

    def __init__(self, name, peers, address=None, listed=True):
        """`peers`: the file of its list, which others may share; it is written there too where `listed`. Without an
        address it gets a free port of loopback."""
        self.dir = os.path.join(PLACE, name)
        os.makedirs(self.dir, exist_ok=True)
        self.key = os.path.join(self.dir, "node.key")
        if not os.path.exists(self.key):
            subprocess.run([SHOAL, "keygen", "-o", self.key], check=True, stdout=subprocess.DEVNULL)
        self.id = subprocess.run([SHOAL, "keygen", "--show", self.key], check=True, stdout=subprocess.PIPE,
                                 text=True).stdout.split()[0]
        self.address = address or "127.0.0.1:%d" % free_port()
        self.log = os.path.join(self.dir, "log.jsonl")
        self.at, self.seen = 0, []  # how much of the log was read, and its events
        self.peers = peers
        self.process = None
        if listed:
            with open(peers, "a") as f:
                f.write("%s@%s\n" % (self.id, self.address))

    def start(self, experiment_path, *extra, program=SHOAL, listen=None, launch=subprocess.Popen):
        """`launch` starts the process; test/wan/wans.py starts it in a namespace."""
        output = open(os.path.join(self.dir, "output.txt"), "a")
        self.process = launch([program, "run", experiment_path, "--dir", self.dir, "--listen", listen or self.address,
                               "--peers", self.peers] + list(extra), stdout=output, stderr=output, cwd=PLACE)
        CHILDREN.append(self.process)
        return self

    def events(self, kind=None):
        """What is new in the log is read; a last line that is not whole yet is left for later."""
        if os.path.exists(self.log):
            with open(self.log, "rb") as f:
                f.seek(self.at)
                text = f.read()
            text = text[:text.rfind(b"\n") + 1]
            self.at += len(text)
            for line in text.decode(errors="replace").splitlines():
                try:
                    self.seen.append(json.loads(line))
                except ValueError:
                    continue
        return [e for e in self.seen if kind is None or e["event"] == kind]

    def epoch(self):
        outers = self.events("outer")
        return outers[-1]["epoch"] if outers else 0

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def output(self):
        return open(os.path.join(self.dir, "output.txt"), errors="replace").read()[-3000:]


def gauge(pid):
    """Resident kB, descriptors and threads of a process."""
    with open("/proc/%d/status" % pid) as f:
        said = dict(line.split(":", 1) for line in f)
    return int(said["VmRSS"].split()[0]), len(os.listdir("/proc/%d/fd" % pid)), int(said["Threads"])


def epochs(workers):
    """Progress of a swarm, for wait_for: how far each is, and who has ended."""
    return lambda: [(w.epoch(), w.process.poll()) for w in workers]


def all_end(workers, code=0):
    """Waits for their end; true when all ended with this code."""
    return wait_for(lambda: all(w.process.poll() is not None for w in workers), progress=epochs(workers)) and \
        all(w.process.returncode == code for w in workers)


def leave(workers):
    """Asks them to leave, and waits until they have."""
    for w in workers:
        w.kill(signal.SIGTERM)
    ok(all_end(workers, 3), "all leave politely when asked", "\n".join(w.output() for w in workers))


def one_state(workers):
    """Have all that ever held an epoch of one history held the same bits?"""
    held = {}
    for w in workers:
        for e in w.events("outer"):
            held.setdefault((e["epoch"], e["lineage"]), set()).add(e["digest"])
    ok(all(len(d) == 1 for d in held.values()), "one lineage, one digest", {k: d for k, d in held.items() if len(d) > 1})


def digests(workers):
    """What a script that shares no code with shoal reads out of the workers' last checkpoints."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos", "digests.py")
    done = subprocess.run([sys.executable, script] + [os.path.join(w.dir, "checkpoints") for w in workers],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout
