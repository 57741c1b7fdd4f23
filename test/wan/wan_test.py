#!/usr/bin/env python3
"""The network made by `wan` matches its matrix: measured with real packets, with tolerances for a busy machine
(traffic_test.c tests exact numbers); and all its descendants end with it."""
import re, subprocess
from wans import *
from swarms import *

PEER = os.path.join(HERE, "peer.py")


class Peer:
    """peer.py in a node; `answer` waits for its final output."""

    def __init__(self, wan, node, role, *words, six=False):
        self.child = wan.start(node, [sys.executable, PEER, role, "::" if six else "0.0.0.0"] + [str(w) for w in words],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.child.stdout.readline()

    def answer(self):
        said = self.child.stdout.read()  # not communicate: it loses what readline has buffered
        self.child.wait()
        return json.loads(said)

    def ask(self, *words):
        """The answer to a line of `peer.py steps`."""
        self.child.stdin.write(json.dumps(words) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def end(self):
        self.child.kill()
        self.child.wait()


def round_trips(wan, a, b, count=20, six=False):
    server = Peer(wan, b, "echo", six=six)
    found = Peer(wan, a, "ping", address(b, six), count, six=six).answer()
    server.end()
    return found


def bursts(wan, a, b, count, size):
    receiver = Peer(wan, b, "count")
    Peer(wan, a, "burst", address(b), count, size).child.wait()
    return receiver.answer()


def delays():
    wan = Wan("{nodes: 3, rules: [{delay_ms: 50}, {from: 0, to: 2, delay_ms: 10}, {from: 2, to: 0, delay_ms: 30}]}")
    for a, b, expected in ((0, 1, 100), (0, 2, 40)):
        for six in (False, True):
            best = min(x or 1e9 for x in round_trips(wan, a, b, six=six))
            ok(expected <= best <= expected + 15, "%d ms round trip over IPv%d" % (expected, 6 if six else 4), best)
    wan.stop()


def rate():
    wan = Wan("{nodes: 2, rules: [{rate_mbit: 8, queue_kib: 2048}]}")
    found = bursts(wan, 0, 1, 800, 1000)
    (first, begin), (last, end) = found[0], found[-1]
    found = (last - first) * 1028 * 8 / (end - begin) / 1e6
    ok(last - first > 700 and 6 < found < 8.8, "8 Mbit/s pass where the matrix says so", (first, last, found))
    count = wan.stop()[0, 1]
    ok(count["packets"] >= 800 and count["full"] == count["lost"] == 0, "the queue held all of it", count)

    wan = Wan("{nodes: 2, rules: [{rate_mbit: 1, queue_kib: 20}]}")
    bursts(wan, 0, 1, 200, 1000)
    count = wan.stop()[0, 1]
    ok(count["full"] > 50 and count["delivered"] + count["full"] == count["packets"],
       "what does not fit the queue is dropped and counted", count)


def speed(found):
    """Mbit/s of packets of 1000 bytes between the first and the last of all these [number, seconds]."""
    times = sorted(at for one in found for _, at in one)
    return (len(times) - 1) * 1028 * 8 / (times[-1] - times[0]) / 1e6


def lines():
    """What a node's line carries is shared by its pairs: two of them have half of it each."""
    wan = Wan("{nodes: 3, rules: [{node: 0, up_mbit: 8, down_mbit: 4, line_kib: 2048}]}")
    receivers = [Peer(wan, 1, "count"), Peer(wan, 2, "count")]
    senders = [Peer(wan, 0, "burst", address(i), 400, 1000, port) for i, port in ((1, 5001), (2, 5002))]
    found = [r.answer() for r in receivers]
    ok(6 < speed(found) < 8.8 and min(map(len, found)) > 350, "two pairs share their sender's line up", (speed(found), list(map(len, found))))
    for s in senders:
        s.child.wait()
    receiver = Peer(wan, 0, "count", 2)
    senders = [Peer(wan, i, "burst", address(0), 200, 1000) for i in (1, 2)]
    found = [receiver.answer()]
    ok(3 < speed(found) < 4.4 and len(found[0]) > 350, "two pairs share their receiver's line down", (speed(found), len(found[0])))
    for s in senders:
        s.child.wait()
    count = wan.stop()
    ok(all(c["full"] == 0 for c in count.values()), "the lines' queues held all of it", count)


def loss():
    lost = []
    for _ in range(2):
        wan = Wan("{nodes: 2, rules: [{from: 0, to: 1, loss: 0.1}]}", seed=7)
        found = bursts(wan, 0, 1, 2000, 20)
        count = wan.stop()[0, 1]
        ok(140 <= count["lost"] <= 270 and count["delivered"] + count["lost"] == count["packets"] and
           len(found) <= count["delivered"], "one packet in ten is lost", count)
        lost.append(set(range(2000)) - {number for number, _ in found})
    # The receiver's own buffer may drop some more on a busy machine.
    ok(len(lost[0] & lost[1]) >= 140, "the same seed loses the same packets", [len(x) for x in lost])


def paths():
    """Doubles and packets that are too long, as a kernel sees them."""
    wan = Wan("{nodes: 3, rules: [{from: 0, to: 1, mtu: 1400, icmp: true}, {from: 0, to: 2, mtu: 1400}, {from: 2, to: 1, duplicate: 1}]}")
    for six in (False, True):
        found = Peer(wan, 0, "mtu", address(1, six), six=six).answer()
        ok(found == 1400, "a router tells a kernel over IPv%d how long a packet may be" % (6 if six else 4), found)
        found = Peer(wan, 0, "mtu", address(2, six), six=six).answer()
        ok(found is None, "a black hole tells it nothing", found)
    found = bursts(wan, 2, 1, 20, 100)
    ok(sorted(n for n, _ in found) == sorted(2 * list(range(20))), "each packet arrives twice", found)
    count = wan.stop()
    ok(count[0, 1]["too_long"] >= 2 and count[0, 2]["too_long"] == 20 and count[0, 0]["delivered"] >= 2 and
       count[2, 1]["duplicated"] >= 20, "and all of it was counted", count)


def cuts():
    one_way = "{nodes: 3, rules: [{from: 0, to: 1, cut: true}]}"
    wan = Wan(one_way)
    receiver = Peer(wan, 1, "count")
    Peer(wan, 0, "burst", address(2), 1, 20).end()  # a packet elsewhere passes; it is of no use to node 1
    sender = Peer(wan, 0, "burst", address(1), 10, 20)
    other = Peer(wan, 2, "burst", address(1), 10, 20)
    other.child.wait()
    sender.end()
    ok(len(receiver.answer()) == 10, "nothing passes a pair that is cut one way, everything passes beside it")
    receiver = Peer(wan, 0, "count")
    sender = Peer(wan, 1, "burst", address(0), 10, 20)
    ok(len(receiver.answer()) == 10, "and the way back is open")
    sender.end()
    wan.change("{nodes: 3, rules: []}")
    ok(None not in round_trips(wan, 0, 1, 3), "a matrix that is read again heals it")
    wan.change("{nodes: 3, rules: [{from: 0, to: 1, cut: true}]}")
    count = wan.stop()
    ok(count[0, 1]["cut"] >= 10 and count[0, 1]["delivered"] >= 3 and count[1, 0]["cut"] == 0, "and all of it was counted", count)


def events():
    wan = Wan("{nodes: 2}")
    server = Peer(wan, 1, "echo")
    beat = Peer(wan, 0, "beat", address(1))
    wan.change("{nodes: 2, rules: [{at_s: 0.3, cut: true}, {at_s: 1, cut: false}]}")
    sent = beat.answer()
    server.end()
    count = wan.stop()[0, 1]
    ok(sent < 3000 and count["cut"] >= 1, "a rule with at_s cuts and another heals", (sent, count))


KINDS = ("open", "full-cone", "restricted", "port-restricted", "symmetric")


def contact(first, second, kinds, peers):
    """Two nodes send to each other where a third sees them, in turn: first, second, first. Which of the three arrived, as a string; and which
    should: a packet is let in by open nodes and full cones, by others that have sent to its address, and, unless they are restricted cones,
    to its port from the port that it is for."""
    a, b = peers[first], peers[second]
    to_a, to_b = a.ask("open"), b.ask("open")
    a.ask("send", to_b, "1")
    b.ask("send", to_a, "2")
    a.ask("send", to_b, "3")
    arrived = "".join(sorted(a.ask("got") + b.ask("got")))

    def answered(by, of):
        return by == "port-restricted" and of != "symmetric" or by in KINDS[:3]

    should = ("1" if kinds[1] in KINDS[:2] else "") + ("2" if answered(*kinds) else "") + ("3" if answered(*reversed(kinds)) else "")
    return arrived, should


def nats():
    """Two nodes of each kind and a server: who reaches whom."""
    nodes = {kind: (1 + 2 * i, 2 + 2 * i) for i, kind in enumerate(KINDS)}
    rules = ["{node: %s, nat: %s}" % (list(nodes[kind]), kind) for kind in KINDS[1:]]
    text = "{nodes: 11, rules: [%s, {nat_timeout_s: 600}, {from: 0, mtu: 1400, icmp: true}, {to: 0, mtu: 1400, icmp: true}]}"
    wan = Wan(text % ", ".join(rules))
    servers = [Peer(wan, i, "where") for i in (0, 1)]
    peers = {i: Peer(wan, i, "steps", address(0)) for i in range(1, 11)}
    for kind in KINDS:
        i = nodes[kind][1]
        seen = [peers[i].ask("open") for _ in range(2)]
        ok(all(s[0] == address(i) for s in seen) and seen[0][1] != seen[1][1], "%s: others see a node at its public address" % kind, seen)
        before = peers[i].ask("open")
        peers[i].ask("send", [address(1), 5000], "a")
        (other,) = [json.loads(x) for x in peers[i].ask("got")]
        ok((other[1] != before) == (kind == "symmetric") and other[1][0] == address(i), "%s: a second server sees the port that a NAT of this kind shows" % kind,
           (before, other))
    for i, one in enumerate(KINDS):
        for other in KINDS[i:]:
            found = [contact(nodes[a][0], nodes[b][1], (a, b), peers) for a, b in ((one, other), (other, one))]
            ok(all(a == b for a, b in found), "%s and %s: who begins, and who is let in" % (one, other), found)
    for p in list(peers.values()) + servers:
        p.end()
    for i in (0, nodes["symmetric"][0], nodes["full-cone"][0]):
        found = Peer(wan, i, "mtu", address(2 if i == 0 else 0)).answer()
        ok(found == 1400, "node %d is told how long a packet may be" % i, found)
        found = Peer(wan, i, "refused", address(2 if i == 0 else 0)).answer()
        ok(found is True, "and that nobody listens", found)
    count = wan.stop()
    ok(count[nodes["open"][0], nodes["restricted"][1]]["filtered"] >= 1 and count[nodes["full-cone"][0], nodes["open"][1]]["filtered"] == 0,
       "what a NAT does not let in is counted", count)
    ok(all(c["packets"] + c["duplicated"] == sum(c[k] for k in ("delivered", "lost", "full", "cut", "too_long", "filtered")) for c in count.values()),
       "every packet has one fate", count)


def mappings():
    """They end, and are kept when the matrix is read again."""
    wan = Wan("{nodes: 2, rules: [{node: 1, nat: full-cone, nat_timeout_s: 600}]}", seed=7)
    server, peer = Peer(wan, 0, "where"), Peer(wan, 1, "steps", address(0))
    before = peer.ask("open")
    wan.change("{nodes: 2, rules: [{node: 1, nat: full-cone, nat_timeout_s: 0.1}, {cut: false}]}")
    time.sleep(0.3)
    after = peer.ask("send", [address(0), 9], "x")
    wan.change("{nodes: 2, rules: [{node: 1, nat: full-cone, nat_timeout_s: 600}]}")
    kept = [peer.ask("send", [address(0), 9], "x") for _ in range(2)]
    ok(before != after and kept[0] == kept[1], "a mapping ends when it was not used, and the next has another port", (before, after, kept))
    try:
        wan.change("{nodes: 2, rules: [{node: 0, nat: symmetric}]}")
        ok(False, "a matrix with other nodes behind NATs is refused")
    except RuntimeError:
        ok(peer.ask("send", [address(0), 9], "x") == kept[1], "a matrix with other nodes behind NATs is refused, and changes nothing")
    for p in (server, peer):
        p.end()
    wan.stop()
    code, said = commands("{nodes: 2, rules: [{node: 1, nat: symmetric}]}", ["sh", "-c", "echo $WAN_NODE has $WAN_ADDRESS and ${WAN_ADDRESS6:-none}."])
    ok(code == 0 and "0 has %s and 2001:db8::1." % address(0) in said and "1 has %s and none." % inside(1) in said,
       "a node behind a NAT knows its own address, and has no IPv6", said)


def scale():
    wan = Wan("{nodes: 2, rules: [{rate_mbit: 80, delay_ms: 30, queue_kib: 20480}]}", scale=10)
    found = bursts(wan, 0, 1, 800, 1000)
    ok(len(found) > 700 and 6 < speed([found]) < 8.8, "--scale 10 leaves a tenth of the rate", (len(found), speed([found])))
    best = min(x or 1e9 for x in round_trips(wan, 1, 0, 5))
    ok(60 <= best <= 75, "and the delay", best)
    wan.change("{nodes: 2, rules: [{rate_mbit: 40, queue_kib: 20480}]}")
    found = bursts(wan, 0, 1, 400, 1000)
    ok(len(found) > 350 and 3 < speed([found]) < 4.4, "of a matrix that is read again, too", (len(found), speed([found])))
    wan.stop()
    for wrong in ("0", "1001", "nan", "2x", ""):
        code, said = commands("{nodes: 1}", ["true"], before=["--scale", wrong])
        ok(code == 2 and "--scale '%s'" % wrong in said and said.count("\n") == 1, "--scale %s is refused in one sentence" % wrong, (code, said))


# Of the networks in files: round trips of some pairs, and what a node's packets to another pass a second, in Mbit/s after --scale.
NAMED = {
    "lan": (1, {(0, 3): 0.2}, {}),
    "10ms": (1, {(0, 3): 10}, {}),
    "100ms": (1, {(0, 3): 100}, {}),
    "three-countries": (100, {(0, 1): 30, (2, 0): 60, (3, 5): 120, (4, 1): 110}, {(3, 5): 1.27, (4, 5): 9}),
    "global-14": (100, {(0, 1): 28, (5, 6): 8, (13, 10): 332, (9, 10): 42, (12, 11): 106}, {(13, 0): 1, (0, 9): 2}),
    "home-uplinks": (10, {(0, 3): 40}, {(0, 3): 3}),
    "lossy": (10, {(0, 3): 60}, {(0, 3): 2}),
    "lossy-long": (10, {(0, 1): 200, (2, 3): 200}, {(0, 3): 5}),
    "satellite": (10, {(0, 3): 600}, {(0, 3): 2}),
    "dial-up": (1, {(0, 2): 100}, {(0, 2): 0.8}),
    "long-fat": (100, {(0, 3): 200}, {(0, 3): 10}),
    "uneven": (10, {(0, 3): 40}, {(0, 3): 4, (3, 0): 0.4}),
    "nat": (10, {(1, 0): 40, (3, 0): 40, (7, 0): 40}, {(2, 0): 3, (6, 0): 3}),
}


def named():
    """Each network in a file is what it says."""
    names = {f[:-5] for f in os.listdir(HERE) if f.endswith(".yaml")}
    ok(names == set(NAMED), "all networks in files are measured", names ^ set(NAMED))
    for name, (by, trips, rates) in NAMED.items():
        wan = Wan(matrix(name), scale=by)
        found = {p: min(x or 1e9 for x in round_trips(wan, *p, 4)) for p in trips}
        ok(all(trips[p] <= found[p] <= trips[p] + 15 for p in trips), "%s: round trips of %s ms" % (name, sorted(trips.values())), found)
        for (a, b), rate in rates.items():
            got = speed([bursts(wan, a, b, 30 + int(20 * rate), 1000)])
            ok(0.6 * rate < got < 1.1 * rate, "%s: %g Mbit/s from %d to %d, divided by %d" % (name, rate * by, a, b, by), got)
        wan.stop()


def journal():
    wan = Wan("{nodes: 3, rules: [{from: 1, to: 2, rate_mbit: 4, queue_kib: 2048}]}")
    began = 1000 * time.time()
    bursts(wan, 0, 1, 200, 1000)
    bursts(wan, 1, 2, 1000, 1000)
    def carried():
        return [r for r in wan.journal() if (r["from"], r["to"]) == (1, 2) and r["delivered_bytes"] > 20000]
    ok(wait_for(lambda: sum(r["delivered"] for r in carried()) > 990, 30), "a journal is written while the network runs", wan.journal())
    rows, count = wan.journal(), wan.stop()
    ok(2 <= len(carried()) <= 5 and all(r["delivered_bytes"] < 800000 for r in carried()),  # 4 Mbit/s are 500,000 bytes a second
       "it says how much moved in which second", rows)
    ok(all(began < r["unix_ms"] < 1000 * time.time() + 1000 for r in rows) and [r["unix_ms"] for r in rows] == sorted(r["unix_ms"] for r in rows),
       "in the order of time", rows)
    rows = wan.journal()
    ok(all(sum(r[k] for r in rows if (r["from"], r["to"]) == pair) == v for pair, c in count.items() for k, v in c.items()),
       "its sums are the report", (rows, count))
    code, said = commands("{nodes: 1}", ["true"], before=["--journal", "/dev/null/x"])
    ok(code == 1 and "/dev/null/x" in said and said.count("\n") == 1, "a journal that cannot be opened is one sentence", (code, said))


def slow():
    """A wan that gets no processor for a while says so."""
    wan = Wan("{nodes: 2, rules: [{delay_ms: 200}]}")
    receiver = Peer(wan, 1, "count")
    sender = Peer(wan, 0, "burst", address(1), 30000, 20)
    time.sleep(0.1)
    wan.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    wan.process.send_signal(signal.SIGCONT)
    found = len(receiver.answer())
    sender.child.wait()
    wan.stop()
    late = re.search("([0-9.]+) ms at most", wan.said)
    ok(late and 2000 < float(late[1]) < 10000, "it says how late packets were", wan.said)
    lost = re.search("([0-9]+) more packets were lost", wan.said)
    ok(lost and 10000 < int(lost[1]) < 30100 - found, "and how many it never saw", (found, wan.said))


def commands(text, words, number=None, before=[], **options):
    """Runs wan with a command in each node, and sends a signal when each has printed a line; (exit code, output)."""
    path = os.path.join(PLACE, "commands.yaml")
    with open(path, "w") as f:
        f.write(text)
    child = subprocess.Popen([WAN, path] + before + ["--"] + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    CHILDREN.append(child)
    said = []
    if number:
        said = [child.stdout.readline() for _ in range(3)]
        child.send_signal(number)
    said.append(child.stdout.read())
    return child.wait(), "".join(said)


def alive(marker):
    """Is there a process with this word among its arguments?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if marker.encode() in open("/proc/%s/cmdline" % pid, "rb").read():
                return True
        except OSError:
            pass
    return False


def programs():
    two = "{nodes: 2, seconds: 100}"
    code, said = commands(two, ["sh", "-c", "echo $WAN_NODE of $WAN_NODES has $WAN_ADDRESS; exit $WAN_NODE"])
    ok(code == 1 and "0 of 2 has 203.0.113.1\n" in said and "1 of 2 has 203.0.113.2\n" in said,
       "each node's command knows where it is, and the first failure is handed on", said)
    code, said = commands(two, ["sh", "-c", "trap 'echo asked; exit 0' TERM; echo here; sleep 60 & wait"], signal.SIGTERM)
    ok(code == 0 and said.count("asked") == 2, "SIGTERM is handed on to all commands", (code, said))
    marker = "4%05d" % (os.getpid() % 100000)
    code, said = commands(two, ["sh", "-c", "setsid sleep %s & echo here; exit 3" % marker])
    ok(code == 3 and not alive(marker), "what a command leaves behind ends too", (code, said))
    child = subprocess.Popen([WAN, os.path.join(PLACE, "commands.yaml"), "--", "sleep", marker], stdout=subprocess.PIPE, text=True)
    CHILDREN.append(child)
    ok(wait_for(lambda: alive(marker), 30), "a command runs")
    child.kill()
    child.communicate()
    ok(wait_for(lambda: not alive(marker), 30), "and ends with a wan that was killed")
    shell = subprocess.Popen(["sh", "-c", '"%s" commands.yaml --report %s & wait' % (WAN, marker)], stdout=subprocess.PIPE, text=True, cwd=PLACE)
    CHILDREN.append(shell)
    pid = int(shell.stdout.readline().split()[-1])
    inside = subprocess.Popen(["sh", "-c", '"%s" --enter %d 1 sleep %s & echo here; wait' % (WAN, pid, marker)], stdout=subprocess.PIPE, text=True)
    CHILDREN.append(inside)
    ok(inside.stdout.readline() == "here\n" and wait_for(lambda: alive("sleep\0" + marker), 30), "a program enters a node")
    shell.kill()
    inside.kill()
    ok(wait_for(lambda: not alive(marker), 30), "a wan and what entered it end with those who started them")
    code, said = commands("{nodes: 2, seconds: 1}", ["sleep", marker])
    ok(code == 124 and "limit" in said and not alive(marker), "the matrix's time limit ends everything", (code, said))
    code, said = commands("{nodes: 1}", ["sleep", "100"], before=["--seconds", "1"])
    ok(code == 124 and "1 s are over" in said, "so does --seconds", (code, said))
    code, said = commands("{nodes: 1}", ["true"], before=["--seconds", "0"])
    ok(code == 2 and "--seconds '0'" in said and said.count("\n") == 1, "--seconds 0 is refused in one sentence", (code, said))
    code, said = commands("{nodes: 2, frob: 1}", ["true"])
    ok(code == 2 and ":1:" in said and said.count("\n") == 1, "a mistake in the matrix is one sentence", (code, said))


def without():
    """Without permission for namespaces a user namespace is used; without TUN there is a visible skip."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        print("ok - less than root is tried # SKIP not root, or no setpriv here")
        return
    open(os.path.join(PLACE, "commands.yaml"), "w").write("{nodes: 2}")
    less = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", WAN, os.path.join(PLACE, "commands.yaml"), "--", "true"]
    done = subprocess.run(less, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode == SKIP:
        print("ok - a user namespace serves where one is not root # SKIP " + done.stdout.strip())
    else:
        ok(done.returncode == 0, "a user namespace serves where one is not root", done.stdout)
    os.chmod(PLACE, 0o755)
    none = ["setpriv", "--reuid=65534", "--clear-groups", WAN, os.path.join(PLACE, "commands.yaml"), "--", "true"]
    done = subprocess.run(none, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    ok(done.returncode in (0, SKIP) and (done.returncode == 0 or done.stdout.count("\n") == 1),
       "who may open no TUN device is told so with the code of a skip", (done.returncode, done.stdout))


delays()
rate()
lines()
loss()
paths()
cuts()
events()
nats()
mappings()
scale()
named()
journal()
slow()
programs()
without()
finish()
