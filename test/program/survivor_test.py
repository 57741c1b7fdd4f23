#!/usr/bin/env python3
"""Of five workers four are killed one after the other at random moments; the last still finishes, and restarted ones
come back in and end with the same bits."""
from swarms import *

dice = chance()
path = experiment("survivor", steps=480, every=40, batch=2048)
peers = os.path.join(PLACE, "peers.txt")
workers = [Worker("w%d" % i, peers) for i in range(5)]
together(workers, path, "five")
victims = dice.sample(workers, 4)
for v in victims:
    time.sleep(dice.uniform(0.2, 2.0))
    v.kill()
last = next(w for w in workers if w not in victims)
before = last.epoch()
back = victims[:2]
ok(wait_for(lambda: last.epoch() > before or last.process.poll() is not None),
   "the last of five goes on alone after four were killed", last.output())
for v in back:
    v.start(path)
ok(all_end([last]), "the last of five finishes the run", last.output())
ok(last.epoch() == 12, "it reached the last epoch", last.epoch())
ok(all_end(back), "restarted workers come back and finish", "\n".join(v.output() for v in back))
same, said = digests([last] + back)
ok(same, "all who finished hold the same bits", said)
finish()
