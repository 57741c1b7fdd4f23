#!/usr/bin/env python3
"""Five workers, and a fault in each round: a random one is killed and started again, stopped for a while, or cut off from all others.

The others go on: no two of them ever hold different states of one history, only one history has averages, and when the faults
end, all meet in it. With NETWORKS=all (`./zigw build networks`) it is a hundred rounds, and in the first worker, which is stopped and cut
off but never killed, memory does not grow by more than 5 % from the twentieth round to the last, descriptors and threads not at all."""
import collections, statistics
from wans import *
from swarms import *

WORKERS = 5
DOWN_MOST = 2  # at a time: of five, three are a majority
ROUNDS = 100 if os.environ.get("NETWORKS") == "all" else 6
SETTLED = 20   # rounds until what is allocated once is allocated
GAUGED = 8     # rounds at each end of what is compared
KINDS = ["kill", "stop", "cut"]
CALM = "nodes: %d\nrules:\n  - {delay_ms: 20, rate_mbit: 100, queue_kib: 512}\n" % WORKERS
dice = chance()


class Faults:
    """Who is down, how, and until when."""

    def __init__(self, wan, workers, path):
        self.wan, self.workers, self.path = wan, workers, path
        self.until = {}  # worker: (kind, when it ends)
        self.count = collections.Counter()

    def tell_network(self):
        cut = [i for i, (kind, _) in self.until.items() if kind == "cut"]
        self.wan.change(CALM + "".join("  - {from: %d, to: [%s], both: true, cut: true}\n" % (i, ", ".join(str(j) for j in range(WORKERS) if j != i)) for i in cut))

    def begin(self):
        able = [i for i in range(WORKERS) if i not in self.until]
        if len(self.until) >= DOWN_MOST:
            return
        i = dice.choice(able)
        kind = dice.choice(KINDS[1:] if i == 0 else KINDS)
        # Long enough for a death in half of the cases, which takes fifteen seconds; a start takes some by itself.
        self.until[i] = kind, time.monotonic() + dice.uniform(0, 5 if kind == "kill" else 25)
        self.count[kind] += 1
        if kind == "cut":
            self.tell_network()
        else:
            self.workers[i].kill(signal.SIGKILL if kind == "kill" else signal.SIGSTOP)

    def end(self, all_of_them=False):
        for i, (kind, when) in list(self.until.items()):
            if not all_of_them and time.monotonic() < when:
                continue
            del self.until[i]
            if kind == "cut":
                self.tell_network()
            elif kind == "stop":
                self.workers[i].kill(signal.SIGCONT)
            else:
                self.wan.run(i, self.workers[i], self.path)


wan = Wan(CALM, seconds=3 * 3600)
path = experiment("faults", steps=1600000, every=80, batch=512, dim=128)
peers = os.path.join(PLACE, "faults.txt")
workers = [Worker("faults-%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(WORKERS)]
for i, w in enumerate(workers):
    wan.run(i, w, path)
first = workers[0]
met = wait_for(lambda: all(w.epoch() >= 1 or w.process.poll() is not None for w in workers), progress=epochs(workers))
if not ok(met and all(w.epoch() >= 1 for w in workers), "five make a first outer step together", first.output()):
    finish()

faults, gauges, longest, stuck = Faults(wan, workers, path), [], 0, False
began = last = time.monotonic()
at = max(w.epoch() for w in workers)
for n in range(ROUNDS):
    begin_at = time.monotonic() + dice.uniform(0, 6)
    faulty = False

    def over():
        global faulty
        faults.end()
        if not faulty and time.monotonic() >= begin_at:
            faulty = True
            faults.begin()
        return faulty and max(w.epoch() for w in workers) > at

    if not wait_for(over, progress=epochs(workers)):
        stuck = True
        break
    at = max(w.epoch() for w in workers)
    longest, last = max(longest, time.monotonic() - last), time.monotonic()
    gauges.append(gauge(first.process.pid))
print("# %d rounds in %.0f s, the longest %.1f s; %s" % (len(gauges), last - began, longest, dict(faults.count)), flush=True)
ok(not stuck, "each of %d rounds ends, whoever is killed, stopped or cut off in it" % ROUNDS, "\n".join(w.output() for w in workers))

faults.end(all_of_them=True)
calm = max(w.epoch() for w in workers)
ok(wait_for(lambda: all(any(e["members"] == WORKERS and e["epoch"] > calm for e in w.events("agreed")) for w in workers), progress=epochs(workers)),
   "when the faults end, all are in one average again", "\n".join(w.output() for w in workers))
leave(workers)

one_state(workers)
averaged = collections.defaultdict(set)
for w in workers:
    for e in w.events("agreed"):
        if e["members"] > 1:  # who is cut off until it counts nobody else goes on by itself
            averaged[e["epoch"]].add(e["lineage"])
ok(all(len(l) == 1 for l in averaged.values()), "one history has averages", {k: l for k, l in averaged.items() if len(l) > 1})
if ROUNDS > SETTLED + 2 * GAUGED:
    early, late = gauges[SETTLED:SETTLED + GAUGED], gauges[-GAUGED:]
    names = ["kB resident", "descriptors", "threads"]
    middle = [[int(statistics.median(g[k] for g in part)) for k in range(3)] for part in (early, late)]
    print("# " + ", ".join("%s %d, %d" % (names[k], middle[0][k], middle[1][k]) for k in range(3)), flush=True)
    ok(middle[1][0] <= 1.05 * middle[0][0], "memory stays within 5 %% from round %d to %d" % (SETTLED, ROUNDS), middle)
    ok(middle[1][1] <= middle[0][1] and middle[1][2] == middle[0][2], "so do descriptors and threads", middle)
wan.stop()
finish()
