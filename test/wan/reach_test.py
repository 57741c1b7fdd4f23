#!/usr/bin/env python3
"""Three workers, two of which cannot reach each other: `status` of the third shows that, until the network heals."""
from wans import *
from swarms import *



def answer(*words):
    """The output of `shoal status` on node 2."""
    child = wan.start(2, [SHOAL, "status", "%s:%d" % (address(2), PORT)] + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return child.communicate(timeout=PATIENCE_S)[0]


def pairs():
    """{(from, to): reason}, by node."""
    try:
        peers = json.loads(answer("--json"))["peers"]
    except ValueError:
        return {}
    return {(ids.index(p["id"]), ids.index(u["id"])): u["reason"] for p in peers for u in p["unreachable"]}


wan = Wan("{nodes: 3, seconds: 1200, rules: [{delay_ms: 5}, {from: 0, to: 1, both: true, cut: true}]}")
path = experiment("reach", steps=180000, every=200)
peers = os.path.join(PLACE, "peers.txt")
workers = [Worker("w%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(3)]
ids = [w.id for w in workers]
for i, w in enumerate(workers):
    wan.run(i, w, path)
cut = {(0, 1): "no answer", (1, 0): "no answer"}
ok(wait_for(lambda: pairs() == cut, progress=epochs(workers), step=1), "it is told who cannot reach whom, and why", pairs())
text = answer()
ok(all("%s cannot reach %s (no answer)" % (ids[a][:8], ids[b][:8]) in text for a, b in cut), "in words too", text)
ok(any(e["peer"] == ids[0] and e["unreachable"] == 1 for e in workers[2].events("reach")), "and it is an event of the log")
wan.change("{nodes: 3, rules: [{delay_ms: 5}]}")
ok(wait_for(lambda: pairs() == {}, progress=epochs(workers), step=1), "until they reach each other", pairs())
for w in workers:
    w.process.kill()
    w.process.wait()
wan.stop()
finish()
