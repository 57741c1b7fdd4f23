#!/usr/bin/env python3
"""Peer lists as people write them: what can be read is used, names are looked up while the worker trains, and each
mistake is named."""
from swarms import *

path = experiment("peers", steps=60000, every=60)
ID = "ab" * 32


def listed(name, text):
    file = os.path.join(PLACE, name)
    with open(file, "wb") as f:
        f.write(text.encode())
    return file


def refused(peers, *says):
    done = run("run", path, "--dir", "refused", "--peers", peers)
    ok(done.returncode == 2 and all(s in done.stdout for s in says), "refused: " + os.path.basename(peers), done.stdout)


refused("1.2.3.4:4433", "1.2.3.4:4433 has no ID: write ID@1.2.3.4:4433")
refused("http://example.org/peers.txt", "http://example.org/peers.txt: over http anybody on the way can change a list: write https://")
refused("nowhere.txt", "there is no file nowhere.txt, and it is not ID@host:port")
refused(listed("bad.txt", "# list\n\nhere\n%s@192.0.2.1:1\n%s@192.0.2.1\n" % (ID, ID)), "bad.txt:3: 'here'",
        "bad.txt:5: '192.0.2.1' is not an address", "2 entries of the peer lists cannot be read")

first = Worker("first", os.path.join(PLACE, "all.txt")).start(path)
second = Worker("second", os.path.join(PLACE, "all.txt"))
# Forty that are dead, one that never resolves, a comment behind the one that is there, as Windows writes it.
dead = "".join("%064x@127.0.0.1:1\r\n" % (n + 1 << 192) for n in range(40))
second.peers = listed("windows.txt", "\ufeff# peers\r\n\r\n" + dead + "%s@no-such-host.invalid:4433\r\n" % ID +
                      "%s@%s   # the first\r\n" % (first.id, first.address))
second.start(path)


def linked(w):
    nets = w.events("net")
    return nets[-1]["peers"] if nets else 0


ok(wait_for(lambda: linked(second) == 1 and linked(first) == 1, 90),
   "one that is there is met, whoever else is on the list", second.output() + first.output())
ok(wait_for(lambda: second.events("unresolved"), 30) and "looking up no-such-host.invalid" in second.output(),
   "a name that nobody knows holds nothing up, and is said", second.output())
ok(wait_for(lambda: any(e["failures"] > 1 for e in second.events("unresolved")), 60), "it is asked for again")

third = Worker("third", os.path.join(PLACE, "all.txt"))
port = first.address.rsplit(":", 1)[1]
third.peers = listed("name.txt", "%s@localhost:%s\n" % (first.id, port))
third.start(path)
ok(wait_for(lambda: linked(third) >= 1, 90), "a name is looked up and dialled", third.output())
ok(any(e["id"] == first.id and e["name"] == "localhost" and e["address"] == "127.0.0.1:" + port
       for e in third.events("resolved")), "and the log says what came of it", third.events("resolved"))

# Those it has met are remembered beside the key: it finds them again without any list.
third.kill(signal.SIGTERM)
ok(wait_for(lambda: third.process.poll() is not None, 30), "it leaves")
met = open(third.key + ".peers").read() if os.path.exists(third.key + ".peers") else ""
ok(met.startswith("# shoal: peers met in run ") and "%s@%s\n" % (first.id, first.address) in met and third.id not in met,
   "whom it met stands in a peer list beside its key", met)
before = len(third.events("start"))
third.peers = listed("empty.txt", "# nobody\n")
third.start(path)
ok(wait_for(lambda: len(third.events("start")) > before and linked(third) >= 1 and third.events("net")[-1]["t"] > third.events("start")[-1]["t"], 90),
   "and is met again by a start without a list", third.output())
third.kill(signal.SIGTERM)
ok(wait_for(lambda: third.process.poll() is not None, 30), "it leaves again")
with open(third.key + ".peers", "a") as f:
    f.write("cut of")
third.start(path)
ok(wait_for(lambda: "the peers met before are not used: " in third.output(), 60), "a damaged list is reported", third.output())

many = Worker("many", os.path.join(PLACE, "all.txt"))
many.peers = listed("many.txt", "".join("%064x@127.0.0.1:1\n" % (n + 1 << 192) for n in range(4100)) + "%064x@127.0.0.1:1\n" % (1 << 192))
many.start(path)
ok(wait_for(lambda: many.events("start"), 60) and "4 entries of the peer lists are left out: 4096 is all it takes" in many.output(),
   "a list that is too long is used as far as it goes", many.output())

for w in (first, second, third, many):
    w.kill(signal.SIGTERM)
ok(all(wait_for(lambda: w.process.poll() is not None, 30) for w in (first, second, third, many)), "all leave")
finish()
