#!/usr/bin/env python3
"""A worker that stands still for some rounds replays their results, a byte a parameter each, instead of downloading the state,
and keeps what it learned if they are few."""
from swarms import *

path = experiment("missed", steps=600000, every=400)
peers = os.path.join(PLACE, "peers.txt")
workers = [Worker("m%d" % i, peers) for i in range(3)]
together(workers, path, "three")
victim, others = workers[0], workers[1:]
parameters = victim.events("start")[0]["parameters"]
held = victim.epoch()
victim.kill(signal.SIGSTOP)
ok(wait_for(lambda: others[0].epoch() >= held + 2, progress=epochs(others)), "the others go on without it", others[0].output())
victim.kill(signal.SIGCONT)
ok(wait_for(lambda: victim.events("joined"), progress=epochs([victim])), "it catches up", victim.output())
joined = (victim.events("joined") or [{"epoch": 0, "replayed": 0, "bytes": 0}])[0]
behind = (victim.events("behind") or [{"epoch": 0}])[0]
missed = joined["epoch"] - behind["epoch"]
print("# it missed %d rounds and took %d bytes for %d parameters" % (missed, joined["bytes"], parameters))
if missed <= 8:
    ok(joined["replayed"] > 0 and joined["bytes"] < 1.1 * missed * parameters + 100000, "by the results of the rounds alone", joined)
    ok((missed > 2) == bool([e for e in victim.events("dropped") if e["steps"]]), "what it learned is kept after two rounds at most",
       victim.events("dropped"))
else:
    ok(joined["bytes"] >= 8 * parameters, "by the state: more than eight rounds had passed", joined)
reached = victim.epoch()
ok(wait_for(lambda: any(e["members"] == 3 and e["epoch"] > reached for e in victim.events("agreed")), progress=epochs(workers)),
   "and is in the averages again", victim.output())
leave(workers)
one_state(workers)
finish()
