#!/usr/bin/env python3
"""Two workers of experiments that differ in one key: neither takes the other in, and both logs name the key."""
from swarms import *

peers = os.path.join(PLACE, "peers.txt")
one, two = Worker("one", peers), Worker("two", peers)
text = open(experiment("one", steps=60000, every=60)).read()
for name, worker, lr in (("one", one, "3e-3"), ("two", two, "2e-3")):
    path = os.path.join(PLACE, name + ".yaml")
    open(path, "w").write(text.replace("lr: 3e-3", "lr: " + lr))
    worker.start(path)
ok(wait_for(lambda: one.events("other_run") and two.events("other_run"), 60), "both note that the other is of another experiment",
   one.output() + two.output())
for worker, here, there in ((one, "0.003", "0.002"), (two, "0.002", "0.003")):
    said = [e["why"] for e in worker.events("other_run")]
    ok(said and said[0] == "train.optimizer.lr is %s here and %s there" % (here, there), "with the key and both values", said)
    worker.kill(signal.SIGTERM)
    wait_for(lambda: worker.process.poll() is not None, 30)
finish()
