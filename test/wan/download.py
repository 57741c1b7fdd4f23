#!/usr/bin/env python3
"""download.py -- how fast does a newcomer get the state over a line?

    download.py [--rate 50] [--rtt 100] [--loss 0.01] [--servers 1] [--dim 1024] [--layers 2] [--every 40] [--kill S]

Some workers train for ten epochs, so that replay from the beginning is no way; then one joins, over lines of that rate (Mbit/s, each
pair), round trip (ms) and loss (a packet); with --kill the last server is killed so many seconds after the download began. Prints one
line of JSON: bytes of the download, how long it took, and its share of one line's rate. zig-out has both programs, or WAN_BIN and SHOAL_BIN say
where they are."""
import argparse, json
from wans import *
from swarms import *

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--rate", type=float, default=50)
p.add_argument("--rtt", type=float, default=100)
p.add_argument("--loss", type=float, default=0.01)
p.add_argument("--servers", type=int, default=1)
p.add_argument("--dim", type=int, default=1024)
p.add_argument("--layers", type=int, default=2)
p.add_argument("--every", type=int, default=40)
p.add_argument("--kill", type=float)
o = p.parse_args()
queue = max(64, int(o.rate * o.rtt / 8))  # KiB: one product of rate and round trip
line = "{nodes: %d, seconds: 3000, rules: [{delay_ms: %g, rate_mbit: %g, queue_kib: %d, loss: %g}]}"
wan = Wan(line % (o.servers + 1, o.rtt / 2, o.rate, queue, o.loss))
path = experiment("download", steps=o.every * 1000, every=o.every, dim=o.dim, batch=64, layers=o.layers)
peers = os.path.join(PLACE, "download.txt")
workers = [Worker("download-%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(o.servers + 1)]


def start(i):
    wan.run(i, workers[i], path)


for i in range(o.servers):
    start(i)
wait_for(lambda: workers[0].epoch() >= 10, progress=epochs(workers[:1]))
start(o.servers)
joiner = workers[-1]
if o.kill:
    wait_for(lambda: joiner.events("behind"), progress=logs_size)
    time.sleep(o.kill)
    workers[o.servers - 1].kill()
wait_for(lambda: joiner.events("joined"), progress=lambda: [e["received"] for e in joiner.events("net")[-1:]])
joined = joiner.events("joined")[0]
share = joined["bytes"] * 8 / (joined["ms"] / 1000) / (o.rate * 1e6)
print(json.dumps({"parameters": joiner.events("start")[0]["parameters"], "bytes": joined["bytes"], "seconds": joined["ms"] / 1000,
                  "share": round(share, 3), "replayed": joined["replayed"], "servers": joined["servers"], "rate_mbit": o.rate,
                  "rtt_ms": o.rtt, "loss": o.loss}))
for w in workers:
    if w.process:
        w.process.kill()
        w.process.wait()
wan.stop()
