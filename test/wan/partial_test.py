#!/usr/bin/env python3
"""A newcomer is killed in the middle of its download, twice: when it is started again it goes on from there, although the others have gone on, and
ends with their bits."""
from wans import *
from swarms import *

RATE_MBIT = 8  # of the newcomer's line: some ten seconds for the state
EVERY = 150    # steps of 15 to 60 ms: the results of a round must come in less time than the round takes

wan = Wan("{nodes: 3, seconds: 1200, rules: [{delay_ms: 10, rate_mbit: 200, queue_kib: 512}, {node: 2, up_mbit: %g, down_mbit: %g, line_kib: 128}]}" %
          (RATE_MBIT, RATE_MBIT))
path = experiment("partial", steps=EVERY * 10000, every=EVERY, dim=256, batch=384)
peers = os.path.join(PLACE, "partial.txt")
workers = [Worker("partial-%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(3)]
newcomer = workers[2]
for i in range(2):
    wan.run(i, workers[i], path)
ok(wait_for(lambda: all(w.epoch() >= 10 for w in workers[:2]), progress=epochs(workers[:2])), "two train so far that no rounds lead there from the beginning",
   workers[0].output())
state = 8 * workers[0].events("start")[0]["parameters"]
taken = []  # bytes that came to the newcomer in each of its lives
for life in range(3):
    before = len(newcomer.events())
    wan.run(2, newcomer, path)
    received = lambda: max([e["received"] for e in newcomer.events()[before:] if e["event"] == "net"], default=0)
    if life == 2:
        break
    ok(wait_for(lambda: received() > state / 3, progress=received), "life %d of the newcomer gets a third of the state" % (life + 1), newcomer.output())
    newcomer.kill()
    taken.append(received())
    ok(not newcomer.events("joined"), "and is killed in the middle")
ok(wait_for(lambda: newcomer.events("joined"), progress=received), "its third life has the whole", newcomer.output())
joined, partial = newcomer.events("joined")[0], newcomer.events("partial")
print("# %d bytes of %d, after %s in its earlier lives; %s" % (joined["bytes"], state, taken, partial), flush=True)
ok(len(partial) == 2 and 0 < partial[0]["chunks"] < partial[1]["chunks"], "each life goes on from the one before", partial)
mean = state / partial[0]["of"] / 8 * (1 + 4 / 256)  # of one chunk in one round: a replay
ok(joined["bytes"] - joined["replayed"] * mean < 0.6 * state, "which saved the bytes", joined)
passed = joined["epoch"] - newcomer.events("behind")[0]["target"]  # a byte a parameter each
ok(sum(taken) + joined["bytes"] < 1.15 * state + 1.1 * passed * state / 8, "all lives together take little more than the state and the rounds that passed",
   (taken, joined["bytes"], passed))
there = newcomer.epoch()
ok(wait_for(lambda: any(e["members"] == 3 and e["epoch"] > there for e in newcomer.events("agreed")), progress=epochs(workers)), "it is in the averages then", newcomer.output())
ok(not os.path.exists(os.path.join(newcomer.dir, "checkpoints", "partial")), "and what was kept of the download is gone")
leave(workers)
one_state(workers)
wan.stop()
finish()
