#!/usr/bin/env python3
"""rounds.py -- how long does averaging take over a network, and how long should it?

    rounds.py NETWORK [--epochs 3] [--every 40] [--dim 256] [--layers 2] [--scale F] [--seed N] [--congestion bbr|cubic] [--check]

A worker in each node of test/wan/NETWORK.yaml, or of the file NETWORK, trains for some epochs. Prints one line of JSON: how long training
stood still for each average in the slowest worker, and the bound: ten round trips, and what the bytes take on 0.9 of the slowest link, 0.6
where losses meet 100 ms or more, when owners have the shares that their uplinks ask for (SPEC.md, "Averaging"). `bytes_s` is the same at the
full rates. `round_s` is the shortest time from one average to the next: at least 10 s and fifty round trips are meant. `overflowed` is the
part of all packets that full queues dropped. With --check it ends with 1 unless all got there with one history, every mean is that of all,
and no pause but the first is longer than 1.3 times the bound. zig-out has both programs, or WAN_BIN and SHOAL_BIN say where they are."""
import argparse, collections
from wans import *
from swarms import *


LONGEST_S = 3 * 3600  # twenty rounds over the slowest network take half an hour


def shares(up):
    """The part of the vector that each averages: the longest (1 + (g - 2) f) / up is as short as it can be."""
    g = len(up)
    if g == 2:
        return [0.5, 0.5]
    order, total, owners = sorted(range(g), key=lambda i: -up[i]), 0, []
    for k, i in enumerate(order):
        if (g - 2 + k + 1) * up[i] < total + up[i]:
            break
        total += up[i]
        owners.append(i)
    k = len(owners)
    return [((g - 2 + k) * up[i] - total) / (total * (g - 2)) if i in owners else 0 for i in range(g)]


def fastest(links, count, bits):
    """Seconds that the bits of a round need at least: on lines and between pairs."""
    rate = {pair: l["rate_mbit"] * 1e6 or float("inf") for pair, l in links.items()}
    others = lambda i: [j for j in range(count) if j != i]
    up = [min(links[i, others(i)[0]]["up_mbit"] * 1e6 or float("inf"), sum(rate[i, j] for j in others(i))) for i in range(count)]
    down = [links[others(i)[0], i]["down_mbit"] * 1e6 or float("inf") for i in range(count)]
    if min(up) == float("inf"):
        return 0
    f = shares([min(u, 1e12) for u in up])
    mine = [1 + (count - 2) * x for x in f]
    return bits * max([m / u for m, u in zip(mine, up)] + [m / d for m, d in zip(mine, down)] + [(f[i] + f[j]) / r for (i, j), r in rate.items()])


def peak(rows, side):
    """The most that one node sent ("from") or received ("to") in a second, in Mbit/s."""
    carried = collections.Counter()
    for r in rows:
        carried[r["unix_ms"], r[side]] += r["delivered_bytes"]
    return round(8e-6 * max(carried.values(), default=0), 2)


def measure(network, epochs_wanted=3, every=40, dim=256, layers=2, scale=1, seed=None, congestion="bbr"):
    """Runs it; what it prints, with `one_history`."""
    wan = Wan(open(network).read() if os.path.exists(network) else matrix(network), seed=seed, scale=scale, seconds=LONGEST_S)
    name = os.path.basename(network).removesuffix(".yaml")
    path = experiment(name, steps=every * epochs_wanted, every=every, dim=dim, layers=layers, congestion=congestion, evaluate=512)  # all begin alike
    peers = os.path.join(PLACE, name + ".txt")
    workers = [Worker("%s-%d" % (name, i), peers, "%s:%d" % (address(i), PORT)) for i in range(wan.nodes)]
    for i, w in enumerate(workers):
        wan.run(i, w, path)
    done = wait_for(lambda: all(w.epoch() >= epochs_wanted for w in workers), 240, progress=lambda: (epochs(workers)(), logs_size()))
    agreed = [e for w in workers for e in w.events("agreed")]
    outer = [e for w in workers for e in w.events("outer")]
    parameters = workers[0].events("start")[0]["parameters"]
    bits = 8 * parameters * (1 + 4 / 256)
    rtt = max(wan.links[i, j]["delay_ms"] + wan.links[j, i]["delay_ms"] for i, j in wan.links) / 1000
    lossy = any(l["loss"] > 0 for l in wan.links.values()) and rtt >= 0.1
    firsts = workers[0].events("outer")
    least = fastest(wan.links, wan.nodes, bits)
    result = {"network": name, "done": bool(done), "parameters": parameters, "workers": wan.nodes, "scale": scale,
              "members_least": min((e["members"] for e in agreed), default=0), "null_most": max((e["null"] for e in agreed), default=0),
              "one_history": all(len({(e["lineage"], e["digest"]) for e in outer if e["epoch"] == n}) == 1 for n in range(1, epochs_wanted + 1)),
              "round_s": round(min((b["t"] - a["t"] for a, b in zip(firsts, firsts[1:])), default=0), 1), "rtt_s": round(rtt, 3),
              "forks": sum(len(w.events("fork")) for w in workers),
              "paused_s": [round(max((e["paused_ms"] for e in outer if e["epoch"] == n), default=0) / 1000, 2) for n in range(1, epochs_wanted + 1)],
              "bytes_s": round(least, 2), "bound_s": round(10 * rtt + least / (0.6 if lossy else 0.9), 2),
              "sent_mbit_s": peak(wan.journal(), "from"), "received_mbit_s": peak(wan.journal(), "to")}
    if not whole(result):  # what led to it
        began = min(e["t"] for w in workers for e in w.events("start"))
        told = ("start", "ready", "committed", "agreed", "solo", "behind", "link_down", "suspect", "dead", "fork")
        why = [(round(e["t"] - began, 1), i, name, e.get("members"), e.get("peer")) for i, w in enumerate(workers) for name in told for e in w.events(name)]
        result["why"] = sorted(why, key=lambda e: e[0])
    for w in workers:
        w.process.kill()
        w.process.wait()
    counts = wan.stop().values()
    result["overflowed"] = round(sum(c["full"] for c in counts) / max(sum(c["packets"] for c in counts), 1), 4)
    return result


def whole(r):
    """Did all average with all, in one history?"""
    return r["done"] and r["one_history"] and not r["forks"] and r["members_least"] == r["workers"] and r["null_most"] == 0


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--every", type=int, default=40)
    p.add_argument("--dim", type=int, default=256)
    p.add_argument("--layers", type=int, default=2)
    p.add_argument("--scale", type=float, default=1)
    p.add_argument("--seed", type=int)
    p.add_argument("--congestion", default="bbr")
    p.add_argument("--check", action="store_true")
    o = p.parse_args()
    r = measure(o.network, o.epochs, o.every, o.dim, o.layers, o.scale, o.seed, o.congestion)
    print(json.dumps(r))
    if o.check:
        sys.exit(0 if whole(r) and max(r["paused_s"][1:]) <= 1.3 * r["bound_s"] else 1)
