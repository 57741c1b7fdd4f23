#!/usr/bin/env python3
"""Workers that cannot all reach each other average whole: two spokes and a hub that reaches both, round after round, with nothing dropped;
and when the hub is killed, a fourth worker that reaches both spokes takes its place. With NETWORKS=all (`./zigw build networks`) it is twenty
rounds, and the time until all three average again is checked."""
import itertools
from wans import *
from swarms import *

LONG = os.environ.get("NETWORKS") == "all"
ROUNDS = 20 if LONG else 5
EVERY = 300  # inner steps of 15 to 60 ms: who starts has met the others before the first round
BACK_S = 30
HUB, SPOKES, FOURTH = 0, (1, 2), 3
DROPPED = ("solo", "behind", "joined", "fork")

wan = Wan("{nodes: 4, seconds: 2400, rules: [{delay_ms: 20, rate_mbit: 100, queue_kib: 512}, {from: 1, to: 2, both: true, cut: true}]}")
path = experiment("hub", steps=EVERY * 10000, every=EVERY, dim=256, batch=384, evaluate=512)
peers = os.path.join(PLACE, "hub.txt")
workers = [Worker("hub-%d" % i, peers, "%s:%d" % (address(i), PORT), listed=i != FOURTH) for i in range(4)]


def output():
    return "\n".join(w.output() for w in workers if w.process)


def dropped(some):
    return [(w.dir[-1], e) for w in some for kind in DROPPED for e in w.events(kind)]


def whole(first, some):
    """The rounds from this one on that these averaged in, with all of them in every mean."""
    rounds = lambda w: {e["epoch"] for e in w.events("agreed") if e["epoch"] >= first and e["members"] == len(some) and not e["null"]}
    return set.intersection(*[rounds(w) for w in some])


three = workers[:3]
for i, w in enumerate(three):
    wan.run(i, w, path)
ok(wait_for(lambda: all(w.epoch() >= ROUNDS for w in three), progress=epochs(three)), "a hub and two spokes make %d rounds" % ROUNDS, output())
ok(len(whole(1, three)) >= ROUNDS and not dropped(three), "all three are in each mean, and nothing is dropped",
   ([[(e["epoch"], e["members"]) for e in w.events("agreed")] for w in three], dropped(three)))
ids = {w.id[:16]: i for i, w in enumerate(workers)}
paths = {(i, ids[e["peer"][:16]]): ids.get(e["via"]) for i in SPOKES for e in workers[i].events("relayed")}
ok(paths == {(1, 2): HUB, (2, 1): HUB}, "each spoke speaks to the other through the hub", paths)

four = [workers[1], workers[2], workers[FOURTH]]
workers[HUB].kill()
killed = time.time()
time.sleep(10)
last = max(w.epoch() for w in workers)
wan.run(FOURTH, workers[FOURTH], path)
started = time.time()
ok(wait_for(lambda: whole(last + 1, four), progress=epochs(four)), "a fourth takes the hub's place, and all three average again", output())
took = time.time() - started
print("# %.1f s after its start" % took, flush=True)
if LONG:
    ok(took <= BACK_S, "within %d s" % BACK_S, took)
survivors = workers[1:3]
lost = [d for d in dropped(survivors) if d[1]["event"] != "solo"]
ok(not lost, "and nothing that they learned was dropped", lost)
# What a survivor has learned since the latest mean is in the next one: its weight goes on growing until then.
for w in survivors:
    tokens = [(e["epoch"], e["tokens"]) for e in w.events("ready")]
    ok(all(b[1] >= a[1] for a, b in itertools.pairwise(tokens) if a[0] == b[0]), "each attempt of a round brings all tokens of the one before", tokens)
leave(four)
one_state(workers)
wan.stop()
finish()
