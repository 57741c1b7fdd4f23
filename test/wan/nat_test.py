#!/usr/bin/env python3
"""Three workers, two of them homes behind NATs that know only the third, a server: both join it and average with it, over links that their
NATs let in because they began them. Where the NATs keep a port for all, both homes also reach each other: each dials where the server sees
the other, and so opens its own NAT for it. Where they do not, the server's status shows the homes all the same."""
from wans import *
from swarms import *


def status():
    """The peers in the server's status, as one of the homes gets it, by ID."""
    child = wan.start(1, [SHOAL, "status", "%s:%d" % (address(0), PORT), "--json"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return {p["id"]: p for p in json.loads(child.communicate(timeout=PATIENCE_S)[0])["peers"]}
    except ValueError:
        return {}


def linked():
    """Has the server a link to both homes, where their NATs show them?"""
    found = status()
    seen = [found[w.id] for w in homes if w.id in found]
    return len(seen) == 2 and all(p["linked"] and p["address"].split(":")[0] == address(1 + i) and p["address"] != workers[1 + i].address
                                  for i, p in enumerate(seen))


def together(count):
    """Has each home made an outer step with the mean of so many workers, or more?"""
    return all(any(n >= count for n in one) for one in members()[1:])


def said():
    return "\n".join(w.output() for w in workers)


def members():
    """Of each worker's outer steps, how many workers' mean they had."""
    return [[e["members"] for e in w.events("applied")] for w in workers]


path = experiment("nat", steps=180000, every=200)
for kind in ("port-restricted", "symmetric"):
    wan = Wan("{nodes: 3, seconds: 1200, rules: [{delay_ms: 10}, {node: [1, 2], nat: %s}]}" % kind)
    peers = os.path.join(PLACE, kind + ".txt")
    workers = [Worker("%s-%d" % (kind, i), peers, "%s:%d" % (address(i), PORT), listed=i == 0) for i in range(3)]
    homes = workers[1:]
    for i, w in enumerate(workers):
        wan.run(i, w, path)
    ok(wait_for(linked, progress=epochs(workers), step=1), "%s: the server has links to both homes, where it sees them" % kind, (status(), said()))
    ok(wait_for(lambda: together(2), progress=epochs(workers)), "%s: both homes average" % kind, (members(), said()))
    if kind == "port-restricted":
        ok(wait_for(lambda: together(3), progress=epochs(workers)), "%s: with each other, too" % kind, (members(), said()))
    one_state(workers)
    for w in workers:
        w.process.kill()
        w.process.wait()
    wan.stop()
finish()
