#!/usr/bin/env python3
"""Every key of the experiment has an effect: a table with a row or more for each key that `shoal plan --keys` lists.

A row runs the same twice, without the key and with another value of it, and says what must differ: losses, learning rates,
files, events, memory, a figure of the plan, or a refusal. Its claim is also tried on a repetition of the first run, where it
has to be false: what differs by itself is no effect, and neither is a value that holds anyway. Runs are kept and shared by
rows. A new key without a row fails.

What needs a GPU is shown as far as it goes without one, and said to be so (UNSEEN).
"""
import collections, contextlib, heapq, select, threading
from swarms import *

EXPERIMENT = """experiment: {name: keys}
model: {%s}
data: {corpus: ../corpus}
train: {steps: 6, batch_tokens: 512, optimizer: {lr: 3e-3}, schedule: {warmup: 2}}
outer: {every: 2, count: steps}
swarm: {listen: "127.0.0.1:0"}
evaluate: {every: 6, tokens: 2048}
machine: {device: cpu, threads: 1}
"""
SHAPE = "layers: 2, dim: 64, heads: 2, kv_heads: 1, ffn: 128, vocab: 512, context: 64"
LR, STEPS, EVERY, WARMUP, PARAMETERS = 3e-3, 6, 2, 2, 139584
FILE_BYTES = 300 << 10  # more than any log here, less than a checkpoint

# Runs what follows with files of so many bytes at most, and prints how much memory it had at its peak.
INSIDE = """import resource, signal, subprocess, sys
if sys.argv[1] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
code = subprocess.call(sys.argv[2:], restore_signals=False)
print("peak %d" % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10))
sys.exit(code)"""


# ---- what a row runs: a function of its settings, {key: value}, in which HERE stands for the run's folder ----

def folder():
    """A new one, with the experiment and the same key in each."""
    folder.count += 1
    path = os.path.join(PLACE, "%03d" % folder.count)
    os.makedirs(path)
    for name, shape in (("keys", SHAPE), ("preset", "vocab: 512, context: 64")):
        with open(os.path.join(path, name + ".yaml"), "w") as f:
            f.write(EXPERIMENT % shape)
    shutil.copy(os.path.join(PLACE, "node.key"), path)
    return path


folder.count = 0


def options(sets, here):
    return [word for key in sorted(sets) for word in ("--set", "%s=%s" % (key, sets[key].replace("HERE", here)))]


class Ran:
    """What came of one process: exit code, words, events, files left behind, memory."""

    def __init__(self, code, said, here):
        self.code, self.said, self.here = code, said.replace(os.path.realpath(here), "HERE"), here
        self.events = [json.loads(line) for line in said.splitlines() if line.startswith("{") and line.endswith("}")]
        self.files = sorted(os.path.relpath(os.path.join(at, name), here) for at, _, names in os.walk(here) for name in names)
        self.peak = int((re.findall(r"^peak (\d+)$", said, re.M) or [0])[-1])

    def all(self, event, field):
        return [e[field] for e in self.events if e.get("event") == event]

    losses = property(lambda self: self.all("step", "loss"))
    rates = property(lambda self: self.all("step", "lr"))
    norms = property(lambda self: self.all("step", "gradient_norm"))
    tested = property(lambda self: self.all("evaluate", "loss"))
    digests = property(lambda self: self.all("outer", "digest"))
    start = property(lambda self: next(e for e in self.events if e.get("event") == "start"))
    plan = property(lambda self: self.events[0])

    def saved(self, under="runs/keys/"):
        return [int(f[-17:-5]) for f in self.files if re.fullmatch(re.escape(under) + r"step-\d{12}\.ckpt", f)]


def command(name, of="keys.yaml", limit=None):
    def do(sets):
        here = folder()
        line = [name, os.path.join(here, of), "--json"] + options(sets, here)
        done = run(*line) if limit is None else run("-c", INSIDE, str(limit), SHOAL, *line, program=sys.executable)
        return Ran(done.returncode, done.stdout, here)
    return do


PLAN = command("plan")
TRAIN = command("train")  # one worker, no network
ALONE = command("run")  # the only member of a swarm: outer steps without peers
PRESET = command("train", of="preset.yaml")
CRAMPED, CRAMPED_RUN = (command(name, limit=FILE_BYTES) for name in ("train", "run"))


def measured(sets):
    ran = command("train", limit=0)(sets)
    ran.planned = PLAN(sets).plan["memory_bytes"]["activations"]
    return ran


ENDLESS = {"train.steps": "1000000", "outer.every": "1000000"}


@contextlib.contextmanager
def going(sets, until, here=None):
    """A worker that trains on; what it has said once `until` stands there, or at its end."""
    here = here or folder()
    path = os.path.join(here, "output.txt")
    with open(path, "w") as output:
        child = subprocess.Popen([SHOAL, "run", os.path.join(here, "keys.yaml"), "--json"] + options(sets, here), stdout=output,
                                 stderr=output, cwd=PLACE)
    CHILDREN.append(child)
    try:
        wait_for(lambda: until in open(path).read() or child.poll() is not None)
        yield Ran(child.poll(), open(path).read(), here)
    finally:
        child.kill()
        child.wait()


def asked(sets):
    """A worker, and what `shoal peers` hears at the address it listens on."""
    with going(dict(ENDLESS, **sets), '"step"') as ran:
        ran.host = ran.start["address"].split(":")[0]
        said = run("peers", "%s@%s" % (ran.start["id"], ran.start["address"]), "--json")
        ran.peers = [p["address"] for p in json.loads(said.stdout)["peers"]] if said.returncode == 0 else []
        return ran


def beside(sets):
    """A worker beside another one, which THERE in its settings stands for. Without it, it trains to its end."""
    with going(ENDLESS, '"step"') as first:
        there = "%s@%s" % (first.start["id"], first.start["address"])
        here = folder()
        os.remove(os.path.join(here, "node.key"))
        mine = {key: value.replace("THERE", there) for key, value in sets.items()}
        with going(dict(ENDLESS, **mine) if mine != sets else mine, '"up"', here) as ran:
            ran.up, ran.first = ran.all("up", "peer"), first.start["id"]
            return ran


KEY = "ab" * 32  # the ID of nobody


def ticketed(sets):
    """The only member of a swarm with tickets, whose ticket is revoked by the list HERE/mine."""
    here = folder()
    path, owner = os.path.join(here, "keys.yaml"), os.path.join(here, "owner.key")
    run("ticket", "key", "-o", owner)
    sets = dict(sets, **{"swarm.access.ticket": run("keygen", "--show", owner).stdout.strip()})
    mine = run("keygen", "--show", os.path.join(here, "node.key")).stdout.strip()
    run("ticket", "sign", path, "--key", owner, "--id", mine, "-o", os.path.join(here, "node.ticket"), *options(sets, here))
    run("ticket", "revoke", path, "--key", owner, "--serial", "1", "-o", os.path.join(here, "mine"), *options(sets, here))
    done = run("run", path, "--json", *options(sets, here))
    return Ran(done.returncode, done.stdout, here)


def together(count, sets, first={}, until=lambda w: False):
    """Workers that know one another, to their end or until that is true of all. The first has settings of its own besides."""
    here = folder()
    name = os.path.basename(here)
    them = [Worker("%s/%d" % (name, i), os.path.join(here, "peers.txt")) for i in range(count)]
    for i, w in enumerate(them):
        w.start(os.path.join(here, "keys.yaml"), *options(sets if i else dict(sets, **first), here))

    def over():
        for w in them:
            w.events()
        return all(w.process.poll() is not None or until(w) for w in them)

    wait_for(over, progress=lambda: [len(w.events("step")) + len(w.events("outer")) for w in them])
    for w in them:
        if w.process.poll() is None:
            w.kill()
        w.events()
    return them


def two(sets):
    """To their end, or until each has looked for a group twice in vain, and has trained on meanwhile if it may."""
    on = sets.get("outer.count") == "tokens"
    return together(2, sets, until=lambda w: len(w.events("solo")) >= 2 and (len(w.events("step")) > EVERY or not on))


def three(sets):
    return together(3, sets)


LARGE = {"model.vocab": "4096", "train.steps": "2", "train.schedule.warmup": "0"}  # what is averaged outweighs what is gossiped


def uplinks(sets):
    """Bytes that each of three has sent. A bandwidth is the first one's alone."""
    mine = {key: value for key, value in sets.items() if key == "swarm.bandwidth_mbps"}
    them = together(3, {key: value for key, value in sets.items() if key not in mine}, mine)
    return [max([e["sent"] for e in w.events("net")] or [0]) for w in them]


class Relay(threading.Thread):
    """Between two workers, a port for each to dial the other at: what is said takes 20 ms, and one in ten long packets of the
    first is lost. `sent` of them came in, in `flights`: between two of the second's words."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for s in self.sockets:
            s.bind(("127.0.0.1", 0))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.ports = [s.getsockname()[1] for s in self.sockets]
        self.sent = self.flights = self.count = 0
        self.over, self.queue = False, []

    def hear(self, side):
        try:
            packet = self.sockets[side].recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        self.count += 1
        if side == 0 and len(packet) > 1000:
            self.sent += 1
            self.flying = True
            if self.sent > 20 and self.sent % 10 == 0:
                return True
        heapq.heappush(self.queue, (time.monotonic() + 0.02, self.count, side, packet))
        return True

    def run(self):
        self.flying = False
        while not self.over:
            wait = self.queue[0][0] - time.monotonic() if self.queue else 0.05
            for s in select.select(self.sockets, [], [], min(max(wait, 0), 0.05))[0]:
                while self.hear(self.sockets.index(s)):
                    pass
            while self.queue and self.queue[0][0] <= time.monotonic():
                _, _, side, packet = heapq.heappop(self.queue)
                self.flights += side == 1 and self.flying
                self.flying = self.flying and side == 0
                self.sockets[1 - side].sendto(packet, self.to[side])


def at_once(sets):
    """How many packets the first of two has on their way on average, where packets get lost."""
    here, relay = folder(), Relay()
    name = os.path.basename(here)
    them = [Worker("%s/%d" % (name, i), os.path.join(here, "peers-%d" % i), listed=False) for i in range(2)]
    relay.to = [("127.0.0.1", int(w.address.split(":")[1])) for w in reversed(them)]
    relay.start()
    for i, w in enumerate(them):
        with open(w.peers, "w") as f:
            f.write("%s@127.0.0.1:%d\n" % (them[1 - i].id, relay.ports[i]))
        w.start(os.path.join(here, "keys.yaml"), *options(dict(sets, **{"swarm.advertise": "127.0.0.1:%d" % relay.ports[1 - i]}), here))
    good = all_end(them)
    relay.over = True
    relay.join()
    return [relay.sent / relay.flights if good and relay.flights else 0]


# ---- the table ----

Row = collections.namedtuple("Row", "key value do says proof also", defaults=({},))


def refused(code, pattern):
    """The value is refused with this exit code and these words; without it all is well."""
    return lambda b, a: b.code == 0 and a.code == code and re.search(pattern, a.said)


def unbuilt(key, value, pattern):
    return Row(key, value, PLAN, "is refused: it is not built yet", refused(1, pattern))


def learns_otherwise(b, a):
    """The same first step, others later."""
    return a.code == 0 and len(a.losses) == STEPS and a.losses[0] == b.losses[0] and a.norms[0] == b.norms[0] and a.losses[-1] != b.losses[-1]


def shape(parameters):
    """A model of so many parameters, which computes something else."""
    return lambda b, a: a.start["parameters"] == parameters and a.tested[0] != b.tested[0] and b.start["parameters"] == PARAMETERS


def computes_otherwise(b, a):
    """The same parameters, other losses before the first step."""
    return a.start["parameters"] == b.start["parameters"] and a.tested[0] != b.tested[0]


def groups(w):
    """Of how many each was that a worker averaged with."""
    return [e["members"] for e in w.events("committed")]


def averages_otherwise(b, a):
    """The same steps up to the first outer one, whose result is different."""
    return len(a.digests) == STEPS // EVERY and a.losses[:EVERY] == b.losses[:EVERY] and a.digests[0] != b.digests[0]


def close(a, b):
    return all(abs(x - y) <= 0.02 * abs(y) for x, y in zip(a, b)) and len(a) == len(b)


def takes_less(b, a):
    """Less memory in truth, at least half of what the plan says; and the same is learned."""
    return b.peak - a.peak > (b.planned - a.planned) / 2 > 16 << 20 and close(a.losses, b.losses)


BIG = {"train.batch_tokens": "8192", "train.micro_batch": "128", "train.steps": "1", "train.schedule.warmup": "0", "outer.every": "1", "model.layers": "4"}
KEPT, MOVED = "runs/keys/", "elsewhere/"

ROWS = [
    Row("experiment.name", "other", TRAIN, "names the folder", lambda b, a: a.saved("runs/other/") == b.saved() != [] == a.saved()),
    Row("experiment.seed", "8", TRAIN, "begins with other parameters", computes_otherwise),

    Row("model.preset", "14m", PRESET, "is another shape", lambda b, a: (b.start["parameters"], a.start["parameters"]) == (196928, 1705600),
        {"model.preset": "2m", "train.steps": "2", "train.schedule.warmup": "0"}),
    Row("model.layers", "3", TRAIN, "adds a block", shape(PARAMETERS + 36992)),
    Row("model.dim", "32", TRAIN, "makes it narrower", shape(63648)),
    Row("model.heads", "4", TRAIN, "makes keys and values narrower, as heads are", shape(PARAMETERS - 2 * 2 * 64 * 16)),
    Row("model.kv_heads", "2", TRAIN, "makes keys and values as wide as queries", shape(PARAMETERS + 2 * 2 * 64 * 32)),
    Row("model.ffn", "256", TRAIN, "widens the layers between", shape(PARAMETERS + 2 * 3 * 64 * 128)),
    Row("model.vocab", "600", TRAIN, "adds rows to embedding and head", shape(PARAMETERS + 2 * 64 * 88)),
    Row("model.context", "32", TRAIN, "cuts sequences", lambda b, a: computes_otherwise(b, a) and a.losses[0] != b.losses[0]),
    Row("model.rope_theta", "100", TRAIN, "turns otherwise", computes_otherwise),
    Row("model.rms_eps", "1e-2", TRAIN, "norms otherwise", computes_otherwise),
    Row("model.tied", "true", TRAIN, "leaves the head out", shape(PARAMETERS - 64 * 512)),

    Row("data.corpus", "second", TRAIN, "is the text", lambda b, a: b.losses[0] != a.losses[0] and b.tested != a.tested),
    Row("data.validation", "0.2", PLAN, "is refused where the corpus was made with another",
        refused(2, r"data\.validation: 0\.2, but the corpus .* --validation 0\.01")),

    Row("train.steps", "8", TRAIN, "is how many there are", lambda b, a: (len(b.losses), len(a.losses), max(a.saved())) == (6, 8, 8)),
    Row("train.batch_tokens", "256", TRAIN, "are those of a step", lambda b, a: (set(b.all("step", "tokens")), set(a.all("step", "tokens"))) == ({512}, {256})),
    Row("train.micro_batch", "128", measured, "takes more memory than 8 at once", lambda b, a: takes_less(a, b) and a.planned > 10 * b.planned, dict(BIG, **{"train.micro_batch": "8"})),
    Row("train.optimizer.lr", "6e-3", TRAIN, "doubles each rate", lambda b, a: learns_otherwise(b, a) and all(abs(y / x - 2) < 1e-6 for x, y in zip(b.rates, a.rates))),
    Row("train.optimizer.betas", "[0.5, 0.95]", TRAIN, "changes the first moment", learns_otherwise),
    Row("train.optimizer.betas", "[0.9, 0.5]", TRAIN, "changes the second", learns_otherwise),
    Row("train.optimizer.eps", "1e-2", TRAIN, "shortens steps", lambda b, a: learns_otherwise(b, a) and a.losses[-1] > b.losses[-1]),
    Row("train.optimizer.weight_decay", "10", TRAIN, "pulls parameters in", learns_otherwise),
    Row("train.optimizer.clip", "1e-4", TRAIN, "shortens gradients, after their norm was taken", learns_otherwise),
    Row("train.schedule.kind", "constant", TRAIN, "holds the rate", lambda b, a: min(b.rates[WARMUP:]) < LR and set(a.rates[WARMUP:]) == {LR}),
    Row("train.schedule.kind", "wsd", TRAIN, "holds it at first", lambda b, a: b.rates[3] < LR == a.rates[3] == a.rates[4] > a.rates[5],
        {"train.schedule.decay": "0.3"}),
    Row("train.schedule.warmup", "3", TRAIN, "takes longer to rise", lambda b, a: (b.rates[0], b.rates[1]) == (LR / 2, LR) and a.rates[1] < LR == a.rates[2]),
    Row("train.schedule.final", "1", TRAIN, "is what is left at the end", lambda b, a: b.rates[-1] < LR / 2 and a.rates[-1] == LR),
    Row("train.schedule.decay", "0.6", TRAIN, "begins to fall sooner", lambda b, a: b.rates[3] == LR > a.rates[3],
        {"train.schedule.kind": "wsd", "train.schedule.decay": "0.3"}),
    Row("train.precision", "bf16", TRAIN, "rounds", lambda b, a: a.tested != b.tested and a.losses != b.losses and close(a.losses, b.losses)),
    Row("train.recompute", "block", measured, "takes less memory for the same bits", lambda b, a: takes_less(b, a) and a.losses == b.losses and a.tested == b.tested, BIG),

    Row("outer.every", "3", ALONE, "makes fewer epochs", lambda b, a: (b.all("outer", "step"), a.all("outer", "step")) == ([2, 4, 6], [3, 6])),
    Row("outer.count", "tokens", two, "lets a worker train on while it finds no group; with steps it stops",
        lambda b, a: all(len(w.events("step")) == EVERY for w in b) and all(len(w.events("step")) > EVERY for w in a), {"swarm.group.min": "3"}),
    Row("outer.optimizer.lr", "0.35", ALONE, "scales the outer step", averages_otherwise),
    Row("outer.optimizer.momentum", "0.5", ALONE, "changes the outer step", averages_otherwise),
    Row("outer.optimizer.nesterov", "false", ALONE, "changes the outer step", averages_otherwise),
    unbuilt("outer.wire", "bf16", r"outer\.wire: bf16 is not built yet"),
    unbuilt("outer.overlap", "1", r"outer\.overlap: .* is not built yet"),
    unbuilt("outer.fragments", "2", r"outer\.fragments: .* is not built yet"),
    Row("outer.robust", "true", ALONE, "is another run", lambda b, a: b.start["run"] != a.start["run"] and b.losses == a.losses),
    unbuilt("swarm.group.max", "2", r"swarm\.group\.max: .* not built yet"),

    Row("swarm.listen", "127.0.0.2:0", asked, "is where it answers", lambda b, a: (b.host, a.host) == ("127.0.0.1", "127.0.0.2") and b.peers and a.peers),
    Row("swarm.advertise", "127.0.0.7:777", asked, "is what peers are told", lambda b, a: b.peers == [b.start["address"]] and a.peers == ["127.0.0.7:777"]),
    Row("swarm.peers", "[\"THERE\"]", beside, "are met", lambda b, a: b.code == 0 and b.up == [] and a.up == [a.first]),
    Row("swarm.identity", "HERE/mine.key", ALONE, "is a key of its own", lambda b, a: "mine.key" in a.files and a.start["id"] != b.start["id"] and a.losses != b.losses),
    Row("swarm.access", "closed", PLAN, "is refused, as all but open is", refused(2, r"swarm\.access: found 'closed', needs open")),
    Row("swarm.access.psk", "HERE/none", command("run"), "is a file that must be there", refused(1, r"swarm\.access\.psk: there is no \S*/none: copy it")),
    Row("swarm.access.ticket", KEY, command("run"), "asks for a ticket", refused(1, r"swarm\.ticket: there is no \S*/node\.ticket: this swarm takes who has")),
    Row("swarm.ticket", "HERE/mine", command("run"), "is the ticket's file", lambda b, a: (b.code, a.code) == (1, 1) and "no HERE/node.ticket: " in b.said and "no HERE/mine: " in a.said,
        {"swarm.access.ticket": KEY}),
    Row("swarm.revoked", "HERE/mine", ticketed, "is where revoked tickets are looked up", lambda b, a: b.code == 0 and a.code == 2 and "was revoked" in a.said),
    Row("swarm.group.min", "3", two, "keeps two from averaging",
        lambda b, a: all(2 in groups(w) for w in b) and all(w.events("solo") and not groups(w) for w in a)),
    Row("swarm.bandwidth_mbps", "200", PLAN, "halves the plan's time of an average",
        lambda b, a: [t["seconds_epoch"] / 2 for t in b.plan["traffic"]] == [t["seconds_epoch"] for t in a.plan["traffic"]]),
    Row("swarm.bandwidth_mbps", "1", uplinks, "takes work off a slow member of three", lambda b, a: min(b) > 0.9 * max(b) and a[0] < 0.8 * min(a[1:]), LARGE),
    Row("swarm.congestion", "cubic", at_once, "sends less at once where one packet in ten is lost", lambda b, a: b[0] > 2 * a[0] > 0, LARGE),

    Row("checkpoint.dir", "HERE/elsewhere", TRAIN, "is the folder", lambda b, a: a.saved(MOVED) == b.saved(KEPT) == [2, 4, 6] and not a.saved(KEPT)),
    Row("checkpoint.dir", "HERE/elsewhere", ALONE, "and of run", lambda b, a: a.saved(MOVED) == b.saved(KEPT) == [2, 4, 6] and not a.saved(KEPT)),
    Row("checkpoint.every", "3", TRAIN, "is when one is written", lambda b, a: (b.all("checkpoint", "step"), a.all("checkpoint", "step")) == ([2, 4, 6], [3, 6])),
    Row("checkpoint.every", "4", ALONE, "and of run, after the outer step", lambda b, a: (b.all("checkpoint", "step"), a.all("checkpoint", "step")) == ([2, 4, 6], [4, 6])),
    Row("checkpoint.keep", "1", TRAIN, "is how many stay", lambda b, a: (b.saved(), a.saved()) == ([2, 4, 6], [6])),
    Row("checkpoint.keep", "2", ALONE, "and of run", lambda b, a: (b.saved(), a.saved()) == ([2, 4, 6], [4, 6])),
    Row("checkpoint.required", "true", CRAMPED, "ends the run at the first that cannot be written",
        lambda b, a: (len(b.losses), len(a.losses)) == (6, 2) and not any(b.all("checkpoint", "written") + a.all("checkpoint", "written"))),
    Row("checkpoint.required", "true", CRAMPED_RUN, "and of run",
        lambda b, a: (len(b.losses), len(a.losses)) == (6, 2) and not any(b.all("checkpoint", "written") + a.all("checkpoint", "written"))),

    Row("evaluate.every", "2", TRAIN, "is when", lambda b, a: (b.all("evaluate", "step"), a.all("evaluate", "step")) == ([0, 6], [0, 2, 4, 6])),
    Row("evaluate.every", "4", ALONE, "and of run", lambda b, a: (b.all("evaluate", "step"), a.all("evaluate", "step")) == ([0, 6], [0, 4, 6])),
    Row("evaluate.tokens", "1024", TRAIN, "is on how many", lambda b, a: (b.all("evaluate", "tokens"), a.all("evaluate", "tokens")) == ([2048] * 2, [1024] * 2) and a.tested != b.tested),
    Row("evaluate.tokens", "1024", ALONE, "and of run", lambda b, a: (b.all("evaluate", "tokens"), a.all("evaluate", "tokens")) == ([2048] * 2, [1024] * 2) and a.tested != b.tested),

    unbuilt("metrics.listen", "127.0.0.1:0", r"metrics\.listen: the metrics endpoint is not built yet"),
    Row("metrics.log", "HERE/log.else", TRAIN, "is the file", lambda b, a: "log.else" in a.files and KEPT + "log.jsonl" in b.files and KEPT + "log.jsonl" not in a.files),
    Row("metrics.log", "", ALONE, "is none when empty", lambda b, a: KEPT + "log.jsonl" in b.files and a.saved() == b.saved() and not any("log" in f for f in a.files)),

    Row("machine.device", "cuda", TRAIN, "asks for a GPU, or says that there is none",
        lambda b, a: b.start["gpus"] == 0 and (a.start["gpus"] > 0 if a.code == 0 else a.code == 1 and re.search("CUDA|GPU|driver", a.said))),
    Row("machine.cublaslt", "HERE/none.so", PLAN, "is a file that must be there", refused(2, r"machine\.cublaslt: there is no file HERE/none\.so")),
    Row("machine.nccl", "HERE/none.so", PLAN, "is a file that must be there", refused(2, r"machine\.nccl: there is no file HERE/none\.so")),
    Row("machine.kernels", "avx2", TRAIN, "compute", lambda b, a: a.start["device"] == "AVX2" and a.start["settings"]["machine"]["kernels"] == "avx2" and "choice" not in a.start),
    Row("machine.threads", "2", TRAIN, "compute", lambda b, a: (b.start["threads"], a.start["threads"]) == (1, 2)),
]

# Keys whose real effect is out of this test's reach, why, and where it is looked at.
UNSEEN = {
    "machine.cublaslt": "only a build with CUDA loads it: test/program/gpu_test.py, and test-gpu on a GPU",
    "machine.nccl": "only a build with CUDA and two GPUs loads it: test/program/gpu_test.py",
}


# ---- the test ----

KEPT_RUNS = {}


def result(do, sets, turn=0):
    key = (do, tuple(sorted(sets.items())), turn)
    if key not in KEPT_RUNS:
        KEPT_RUNS[key] = do(sets)
    return KEPT_RUNS[key]


def shown(r):
    if isinstance(r, Ran):
        return "code %s, losses %s, lr %s, steps %s, files %s, peak %d: %s" % (
            r.code, r.losses, r.rates, r.all("checkpoint", "step"), r.files, r.peak, r.said[-600:])
    return str([w if isinstance(w, (int, float)) else [(e["event"], e.get("members")) for e in w.events() if e["event"] in ("solo", "committed", "end")]
                for w in r])


def holds(row, before, after):
    try:
        return bool(row.proof(before, after))
    except (IndexError, KeyError, StopIteration, ValueError) as e:  # a run that did not come so far
        return print("# %s: %r" % (row.key, e))


corpus()
text = open(os.path.join(PLACE, "text.txt")).read()
with open(os.path.join(PLACE, "second.txt"), "w") as f:
    f.write("\n".join(reversed(text.split("\n"))))
run("prepare", "second.txt", "-o", "second", "--tokenizer", "corpus/tokenizer.json")
run("keygen", "-o", "node.key")

keys = re.findall(r"^([a-z_]+\.[a-z_.]+)(?=  )", run("plan", "--keys").stdout, re.M)
ok(len(keys) > 50 and len(set(keys)) == len(keys), "shoal plan --keys lists the keys", keys)
rows = {row.key for row in ROWS}
ok(set(keys) <= rows, "each key has a row here", sorted(set(keys) - rows))
ok(rows <= set(keys) and set(UNSEEN) <= rows, "and each row a key", sorted((rows | set(UNSEEN)) - set(keys)))

for row in ROWS:
    before = result(row.do, row.also)
    after = result(row.do, dict(row.also, **{row.key: row.value}))
    name = "%s: %s: %s" % (row.key, row.value, row.says)
    if ok(holds(row, before, after), name, "%s\nagainst\n%s" % (shown(before), shown(after))) and \
            holds(row, before, result(row.do, row.also, 1)):
        ok(False, name + ": that differs without the key, too", shown(before))
for key, why in sorted(UNSEEN.items()):
    print("# %s: %s" % (key, why))
finish()
