#!/usr/bin/env python3
"""attacked.py -- what strangers cost a worker that trains.

    attacked.py SHOAL WAN ATTACK [ROUNDS]        default 5

Three workers average on an emulated network (test/wan) while strangers send all they have (test/attack: forged first packets and ICMP, links that say
nothing or only ask, HTTP/3 connections that never do), in turns for as long to two of the workers and to a port of the same machines where nobody
listens. The workers have the first core of this machine to themselves, the strangers and the network the second: what strangers do themselves is not counted.
Prints one line of JSON: the medians of the rates at which the attacked workers trained, in tokens/s, their ratio, and the processor time of all workers' network
threads as a share of the core. Ends with code 1 when the ratio is less than 0.95.
"""
import os, sys

if len(sys.argv) not in (4, 5):
    sys.exit("usage: attacked.py SHOAL WAN ATTACK [ROUNDS]")
os.environ["SHOAL_BIN"], os.environ["WAN_BIN"], ATTACK = (os.path.abspath(a) for a in sys.argv[1:4])
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "wan"), os.path.join(HERE, "..", "program")]
import statistics
from wans import *
from swarms import *

ROUNDS = int(sys.argv[4]) if len(sys.argv) == 5 else 5
SECONDS, BATCH = 10, 512
STRANGER, CLOSED = 3, 9  # a node; a port where nobody listens
KINDS = (("hellos", 32), ("icmp", 1500), ("keys", 64), ("askers", 60), ("readers", 33))


def attack(port):
    """All kinds at both workers' machines; they send as long as it takes, and what comes back is not looked at."""
    going = []
    for i in range(2):
        others = ["%s:%d" % (address(j), PORT) for j in range(3) if j != i]
        for kind, count in KINDS:
            words = [ATTACK, kind, str(count), workers[i].id, "%s:%d" % (address(i), port)] + others
            going.append(wan.start(STRANGER, words, stdout=subprocess.PIPE, text=True))
    if not all(a.stdout.readline() == "attacks\n" for a in going):
        sys.exit("attacked.py: an attack does not begin")
    return going


def tasks(w):
    return [int(t) for t in os.listdir("/proc/%d/task" % w.process.pid)]


def network_s():
    """Processor seconds of the workers' network threads so far: of all threads but those that train, which take the most."""
    total = 0
    for w in workers:
        used = []
        for t in tasks(w):
            fields = open("/proc/%d/task/%d/stat" % (w.process.pid, t)).read().rsplit(")", 1)[1].split()
            used.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        total += sum(used) - max(used)
    return total


def rate():
    """Tokens/s of the attacked workers, and the share of the network threads, from now on."""
    before, used, began = [len(w.events("step")) for w in workers[:2]], network_s(), time.monotonic()
    time.sleep(SECONDS)
    took = time.monotonic() - began
    return sum(len(w.events("step")) - b for w, b in zip(workers, before)) * BATCH / took, (network_s() - used) / took


if os.cpu_count() < 2:
    sys.exit("attacked.py: it takes two cores")
os.sched_setaffinity(0, {1})
wan = Wan("{nodes: 4, seconds: 1200, rules: [{delay_ms: 5, rate_mbit: 100, queue_kib: 256}]}")
path = experiment("attacked", steps=400 * 10**6, every=400, batch=BATCH, dim=128)
peers = os.path.join(PLACE, "attacked.txt")
workers = [Worker("attacked-%d" % i, peers, "%s:%d" % (address(i), PORT)) for i in range(3)]
for i, w in enumerate(workers):
    wan.run(i, w, path)
if not wait_for(lambda: all(w.events("start") for w in workers)):
    sys.exit("attacked.py: the workers do not start")
for w in workers:
    for t in tasks(w):
        os.sched_setaffinity(t, {0})
if not wait_for(lambda: all(w.epoch() >= 1 for w in workers), progress=epochs(workers)):
    sys.exit("attacked.py: the workers do not average\n" + "\n".join(w.output() for w in workers))
rates = {"closed": [], "attacked": []}
for n in range(ROUNDS):
    for name, port in (("closed", CLOSED), ("attacked", PORT)) if n % 2 == 0 else (("attacked", PORT), ("closed", CLOSED)):
        going = attack(port)
        time.sleep(2)
        rates[name].append(rate())
        for a in going:
            a.kill()
            a.wait()
counts = [w.events("strangers") for w in workers[:2]]
medians = {name: [statistics.median(column) for column in zip(*rates[name])] for name in rates}
ratio = medians["attacked"][0] / medians["closed"][0]
print(json.dumps({"closed": round(medians["closed"][0]), "attacked": round(medians["attacked"][0]), "ratio": round(ratio, 3),
                  "network_closed": round(medians["closed"][1], 3), "network_attacked": round(medians["attacked"][1], 3), "rounds": ROUNDS,
                  "epochs": min(w.epoch() for w in workers), "all": {k: [round(r[0]) for r in v] for k, v in rates.items()}}))
if not all(counts):
    sys.exit("attacked.py: the attacks did not arrive")
for w in workers:
    w.process.kill()
wan.stop()
sys.exit(0 if ratio >= 0.95 else 1)
