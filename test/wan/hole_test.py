#!/usr/bin/env python3
"""Two workers on a path that from one moment on loses all packets above 1300 bytes and tells nobody: a black hole, as after a
change of route into a tunnel. A transfer under way goes on within seconds, with smaller packets and on the same link, and with
large ones again when the path takes them. A third worker joins by a path that was a black hole from the start."""
from wans import *
from swarms import *

PAUSE_S = 5  # the longest that a transfer may stand still: a few round trips of half a second, with a queue that is full
NARROW = 1300
COUNTER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
while True:
    if len(s.recv(65536)) > %d:
        print("large", flush=True)
""" % NARROW
PATH = "delay_ms: 20, rate_mbit: 0.4, queue_kib: 24"
TO_THIRD = "{from: 2, to: [0, 1], both: true, mtu: %d, rate_mbit: 4}" % NARROW
WIDE = "{nodes: 3, seconds: 1200, rules: [{%s}, %s]}" % (PATH, TO_THIRD)
HOLE = "{nodes: 3, seconds: 1200, rules: [{%s, mtu: %d}, %s]}" % (PATH, NARROW, TO_THIRD)


def carried(since=0, nodes=(0, 1)):
    """By seconds, [(second, counts of the pairs between these nodes)]."""
    rows = {}
    for r in wan.journal():
        if r["unix_ms"] > since and r["from"] in nodes and r["to"] in nodes:
            at = rows.setdefault(r["unix_ms"] // 1000, {})
            for k in r:
                at[k] = at.get(k, 0) + r[k]
    return sorted(rows.items())


def longest_pause(rows):
    """Seconds in a row in which hardly anything arrived."""
    busy = [rows[0][0] - 1] + [s for s, c in rows if c["delivered_bytes"] > 5000]
    return max([b - a for a, b in zip(busy, busy[1:])] + [rows[-1][0] - busy[-1]])


def sending():
    """Is a round's transfer under way? Then all of the line is in use."""
    rows = carried()[-2:]
    return len(rows) == 2 and all(c["delivered_bytes"] > 40000 for _, c in rows)


def large():
    """How many packets that are too long for the black hole have come to the second node so far."""
    with open(counted) as f:
        return len(f.readlines())


def start(i):
    w = Worker("hole-w%d" % i, peers, "%s:%d" % (address(i), PORT))
    return wan.run(i, w, path)


def ends(workers):
    return [e for w in workers for e in w.events("link_down")]


wan = Wan(WIDE)
wait_for(lambda: os.path.getsize(wan.journal_path))  # its first second
counted = os.path.join(PLACE, "counted.txt")
wan.start(1, [sys.executable, "-c", COUNTER], stdout=open(counted, "w"))
path = experiment("hole", steps=100000, every=40, dim=256)
peers = os.path.join(PLACE, "hole.txt")
workers = [start(i) for i in range(2)]
ok(wait_for(sending, progress=lambda: carried()[-1:], step=1), "a round's transfer is under way", "\n".join(w.output() for w in workers))
began = time.time() * 1000
wan.change(HOLE)
time.sleep(25)
rows = carried(began + 1000)
ok(any(c["too_long"] for _, c in rows), "the path begins to lose large packets", rows)
ok(longest_pause(rows) <= PAUSE_S and not ends(workers), "the transfer goes on within %d s, on the same link" % PAUSE_S, (rows, ends(workers)))
last = carried(time.time() * 1000 - 5000)
ok(sum(c["too_long"] for _, c in last) < 0.1 * sum(c["packets"] for _, c in last), "with packets that the path carries", last)
wan.change(WIDE)
before = large()
ok(wait_for(lambda: large() > before + 30, progress=lambda: carried()[-1:], step=1), "they are large again when the path carries these", large() - before)

workers.append(start(2))
ok(wait_for(lambda: any(e["members"] == 3 for e in workers[2].events("agreed")), progress=lambda: carried(nodes=(0, 1, 2))[-1:], step=1),
   "a third worker joins over a path that never carried them", "\n".join(w.output() for w in workers))
ok(not ends(workers), "and no link went down in all that", ends(workers))
for w in workers:
    w.process.kill()
    w.process.wait()
wan.stop()
finish()
