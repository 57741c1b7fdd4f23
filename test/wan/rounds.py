#!/usr/bin/env python3
"""rounds.py -- how long does averaging take over a network?

    rounds.py NETWORK [--epochs 3] [--every 40] [--dim 256] [--layers 2] [--scale F] [--seed N] [--seconds 600]

A worker in each node of test/wan/NETWORK.yaml, or of the file NETWORK, trains for some epochs. Prints one line of JSON: whether all of
them got there, how many were in the smallest mean, how long the slowest worker's averaging took in each epoch, and the most that any
node sent or received in one second of the network's journal, in Mbit/s. zig-out has both programs, or WAN_BIN and SHOAL_BIN say where
they are."""
import argparse, collections
from wans import *
from swarms import *

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("network")
p.add_argument("--epochs", type=int, default=3)
p.add_argument("--every", type=int, default=40)
p.add_argument("--dim", type=int, default=256)
p.add_argument("--layers", type=int, default=2)
p.add_argument("--scale", type=float, default=1)
p.add_argument("--seed", type=int)
p.add_argument("--seconds", type=float, default=600)
o = p.parse_args()
PORT = 4433


def peak(rows, side):
    """The most that one node sent ("from") or received ("to") in a second, in Mbit/s."""
    carried = collections.Counter()
    for r in rows:
        carried[r["unix_ms"], r[side]] += r["delivered_bytes"]
    return round(8e-6 * max(carried.values(), default=0), 2)


wan = Wan(open(o.network).read() if os.path.exists(o.network) else matrix(o.network), seed=o.seed, scale=o.scale)
path = experiment("rounds", steps=o.every * o.epochs, every=o.every, dim=o.dim, layers=o.layers)
peers = os.path.join(PLACE, "rounds.txt")
workers = [Worker("rounds-%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(wan.nodes)]
for i, w in enumerate(workers):
    w.start(path, listen="0.0.0.0:%d" % PORT, launch=lambda words, **options: wan.start(i, words, **options))
done = wait_for(lambda: all(w.epoch() >= o.epochs for w in workers), o.seconds, progress=epochs(workers))
agreed = [e for w in workers for e in w.events("agreed")]
print(json.dumps({"done": bool(done), "parameters": workers[0].events("start")[0]["parameters"], "workers": len(workers),
                  "members_least": min((e["members"] for e in agreed), default=0),
                  "averaging_s": [max((e["ms"] for e in agreed if e["epoch"] == n), default=0) / 1000 for n in range(1, o.epochs + 1)],
                  "sent_mbit_s": peak(wan.journal(), "from"), "received_mbit_s": peak(wan.journal(), "to")}))
for w in workers:
    w.process.kill()
    w.process.wait()
wan.stop()
