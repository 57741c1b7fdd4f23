#!/usr/bin/env python3
"""Homes behind NATs. Three workers, two of them homes that know only the third, a server: both join it over links that their NATs let in
because they began them. Where the NATs keep a port for all, the homes also reach each other: each dials where the server sees the other, and so
opens its own NAT for it. Where they do not, they speak through the server. Then eight workers, all homes but one (nat.yaml): all average with all,
in each round, and what was relayed is counted. With NETWORKS=all (`./zigw build networks`) these are twenty rounds."""
import collections
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
    ok(wait_for(lambda: together(3), progress=epochs(workers)), "%s: all three average" % kind, (members(), said()))
    relayed = {w.dir[-1] for w in homes for e in w.events("relayed") if e["via"] == workers[0].id[:16]}
    ok(len(relayed) == (2 if kind == "symmetric" else 0), "%s: %s" % (kind, "through the server" if kind == "symmetric" else "by links of their own"), relayed)
    one_state(workers)
    for w in workers:
        w.process.kill()
        w.process.wait()
    wan.stop()

ROUNDS = 20 if os.environ.get("NETWORKS") == "all" else 3
EVERY = 40  # inner steps: a round lasts longer than a home needs to find out whom it does not reach
wan = Wan(matrix("nat"), seconds=3600)
path = experiment("homes", steps=EVERY * ROUNDS, every=EVERY, dim=256, batch=384, evaluate=512)
peers = os.path.join(PLACE, "homes.txt")
workers = [Worker("homes-%d" % i, peers, "%s:%d" % (address(i), PORT), listed=i == 0) for i in range(wan.nodes)]
for i, w in enumerate(workers):
    wan.run(i, w, path)
ok(wait_for(lambda: all(w.epoch() >= ROUNDS for w in workers), progress=epochs(workers)), "eight workers, seven of them homes, make %d rounds" % ROUNDS, said())
agreed = [[(e["epoch"], e["members"], e["null"]) for e in w.events("agreed")] for w in workers]
ok(all([(n, 8, 0) for n in range(1, ROUNDS + 1)] == one for one in agreed), "all are in each mean", agreed)
paths = collections.Counter(w.dir[-1] for w in workers for e in w.events("relayed"))
carried = [max((e["relayed"] for e in w.events("net")), default=0) for w in workers]
print("# relayed: paths opened by worker %s, bytes carried by worker %s" % (dict(paths), carried), flush=True)
ok(paths and sum(carried) > 0, "some of it went through relays, and was counted", (paths, carried))
one_state(workers)
for w in workers:
    w.process.kill()
    w.process.wait()
wan.stop()
finish()
