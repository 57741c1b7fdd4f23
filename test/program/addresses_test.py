#!/usr/bin/env python3
"""Workers of both families on one socket: they meet, are asked at any of the host's addresses, and never show a
wildcard as an address; who cannot be dialled from a socket of one family is named in the log."""
from swarms import *

path = experiment("addresses", steps=60000, every=60)


def have_ipv6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            return False
    return True


def worker(name, listen, peers=None):
    """A worker that listens on `listen`, and whose line of a peer list is not written yet."""
    w = Worker(name, peers or os.path.join(PLACE, name + "-own.txt"))
    w.port = int(w.address.rsplit(":", 1)[1])
    w.address = "%s:%d" % (listen, w.port)
    return w


def lists(name, *lines):
    file = os.path.join(PLACE, name)
    with open(file, "w") as f:
        f.write("".join(line + "\n" for line in lines))
    return file


def linked(w):
    nets = w.events("net")
    return nets[-1]["peers"] if nets else 0


if not have_ipv6():
    print("ok - workers of both families # SKIP no IPv6 on this machine")
    finish()

# The first listens on a wildcard of IPv4, two others on one family each, a fourth on a wildcard of IPv6.
first = worker("first", "0.0.0.0")
six = worker("six", "[::1]")
four = worker("four", "127.0.0.1")
wild = worker("wild", "[::]")
first.peers = lists("first.txt", "%s@[::1]:%d" % (six.id, six.port))
six.peers = lists("none.txt", "# nobody")
four.peers = lists("four.txt", "%s@[::1]:%d" % (six.id, six.port))
wild.peers = lists("wild.txt", "%s@127.0.0.1:%d" % (four.id, four.port), "%s@[::1]:%d" % (first.id, first.port))
everybody = [first, six, four, wild]
for w in everybody:
    w.start(path)
ok(wait_for(lambda: linked(first) >= 2 and linked(wild) >= 2 and linked(six) >= 1 and linked(four) >= 1, 60),
   "a worker on 0.0.0.0 dials IPv6, one on [::] dials IPv4, and both are dialled over the other family",
   "\n".join("%s %d %s" % (w.dir, linked(w), w.output()) for w in everybody))

for w in (first, wild):
    starts = w.events("start")
    shown = re.search(r"shoal: %s@(\S+), epoch" % w.id, w.output())
    ok(shown and starts and shown.group(1) == starts[0]["address"] and
       not shown.group(1).startswith(("0.0.0.0", "[::]")), "the first line shows an address that can be dialled", w.output())

# Asked at any address of the host, it answers from there.
for host in ("127.0.0.1", "127.0.0.2", "[::1]"):
    said = run("peers", "%s@%s:%d" % (first.id, host, first.port))
    ok(said.returncode == 0 and first.id in said.stdout, "it answers at %s" % host, said.stdout)
    ok(not re.search(r"@0\.0\.0\.0:|@\[::\]:|::ffff:", said.stdout), "/peers shows no wildcard", said.stdout)
said = run("status", "127.0.0.2:%d" % wild.port, "--json")
ok(said.returncode == 0 and not re.search(r'"(0\.0\.0\.0|\[::\]|\[::ffff:)', said.stdout), "nor does /status", said.stdout)

# Who speaks one family alone says whom it cannot dial.
ok(wait_for(lambda: any(e["id"] == six.id and "is of IPv4 alone" in e["why"] for e in four.events("dial_failed")), 30),
   "a worker of one family logs whom it cannot dial, and why", four.events("dial_failed"))



def tells(w, pattern):
    """Does its status say so, now or soon?"""
    return wait_for(lambda: re.search(pattern, run("status", "%s@127.0.0.1:%d" % (w.id, w.port)).stdout, re.M), 30)


ok(tells(four, r"^it cannot reach %s at \[::1\]:%d: .*IPv4 alone" % (six.id[:8], six.port)), "shoal status of it says so")
ok(tells(wild, r"^%s cannot reach %s \(" % (four.id[:8], six.id[:8])), "and of any other member")
six.kill(signal.SIGTERM)
ok(wait_for(lambda: six.process.poll() is not None, 30) and tells(wild, "^%s +left " % six.id[:8]) and tells(wild, " 3 alive"),
   "one that has left is not counted")
for w in everybody:
    w.kill(signal.SIGTERM)
ok(all(wait_for(lambda: w.process.poll() is not None, 30) for w in everybody), "all leave")
any_host = worker("star", "*")
any_host.peers = lists("none2.txt", "# nobody")
any_host.start(path)
ok(wait_for(lambda: any_host.events("start"), 30) and run("peers", "127.0.0.2:%d" % any_host.port).returncode == 0,
   "*:PORT listens on every address", any_host.output())
any_host.kill(signal.SIGTERM)
wait_for(lambda: any_host.process.poll() is not None, 30)
finish()
