#!/usr/bin/env python3
"""Three workers over lines so slow that the bytes of a round take more than half a minute, and nobody was told: all of them
are in every mean, and end with the same bits.

Nothing bounds a transfer that moves. Where limits followed from configured rates, such lines forked the swarm."""
from wans import *
from swarms import *

KBIT_S = 60  # between two workers, each way
EPOCHS = 2

wan = Wan("{nodes: 3, seconds: 1200, rules: [{delay_ms: 40, rate_mbit: %g, queue_kib: 64}]}" % (KBIT_S / 1000))
path = experiment("slow", steps=40 * EPOCHS, every=40, dim=128)
peers = os.path.join(PLACE, "slow.txt")
workers = [Worker("slow-w%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(3)]
for i, w in enumerate(workers):
    wan.run(i, w, path)


def moved(w):
    return sum(e["sent"] + e["received"] for e in w.events("net")[-1:])


done = wait_for(lambda: all(w.epoch() >= EPOCHS for w in workers), progress=lambda: (epochs(workers)(), [moved(w) for w in workers]))
took = [e["ms"] / 1000 for w in workers for e in w.events("agreed")]
print("# averaging took %s s" % ", ".join("%.0f" % s for s in took))
ok(done, "three workers over %d kbit/s end %d epochs" % (KBIT_S, EPOCHS), "\n".join(w.output() for w in workers))
ok(took and max(took) > 20, "a round takes longer than the silence that means a death", took)
ok(all(e["members"] == 3 and e["null"] == 0 for w in workers for e in w.events("agreed")), "every mean is that of all three, of all chunks")
lineages = [{e["epoch"]: e["lineage"] for e in w.events("agreed")} for w in workers]
ok(len({str(sorted(l.items())) for l in lineages}) == 1 and not any(w.events("fork") for w in workers), "they agree on each, and nobody sees a fork", lineages)
for w in workers:
    w.process.kill()
    w.process.wait()
wan.stop()
finish()
