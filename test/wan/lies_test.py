#!/usr/bin/env python3
"""Two workers average while somebody tells one of them, 1000 times a second, by ICMP that its packets are too long, that nobody is
there, and that a host it never spoke with cannot be reached. Nothing of that is true: packets stay large, and the line stays full."""
from wans import *
from swarms import *

LIAR = """
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
def lie(code, mtu, of):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1480, 1, 0x4000, 64, 17, 0, socket.inet_aton("%s"), socket.inet_aton(of))
    icmp = lambda sum: struct.pack("!BBHHH", 3, code, sum, 0, mtu) + ip + struct.pack("!HHHH", %d, %d, 1460, 0)
    total = sum(struct.unpack("!%%dH" %% (len(icmp(0)) // 2), icmp(0)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    s.sendto(icmp(~total & 0xffff), ("%s", 0))
while True:
    lie(4, 576, "%s")
    lie(3, 0, "%s")
    lie(1, 0, "192.0.2.1")
    time.sleep(0.003)
""" % (address(0), PORT, PORT, address(0), address(1), address(1))


def sent(since):
    """[bytes that arrived from the first worker in a second]"""
    return [r["delivered_bytes"] for r in wan.journal() if r["unix_ms"] > since and (r["from"], r["to"]) == (0, 1)]


def sending():
    return len(sent(0)) > 2 and min(sent(0)[-2:]) > 40000


wan = Wan("{nodes: 3, seconds: 1200, rules: [{delay_ms: 20, rate_mbit: 0.4, queue_kib: 24}, {from: 2, rate_mbit: 0}]}")
wait_for(lambda: os.path.getsize(wan.journal_path))  # its first second
path = experiment("lies", steps=100000, every=40, dim=256)
peers = os.path.join(PLACE, "lies.txt")
workers = []
for i in range(2):
    w = Worker("lies-w%d" % i, peers, "%s:%d" % (address(i), PORT))
    workers.append(wan.run(i, w, path))
ok(wait_for(sending, progress=lambda: sent(0)[-1:], step=1), "a round's transfer is under way", "\n".join(w.output() for w in workers))
began = time.time() * 1000
wan.start(2, [sys.executable, "-c", LIAR], stderr=subprocess.DEVNULL)
time.sleep(12)
rates = sent(began + 1000)
ok(any(r["from"] == 2 and r["packets"] > 200 for r in wan.journal()), "lies are told")
ok(len(rates) > 8 and sum(rates) / len(rates) > 30000, "the line stays full", rates)
ok(not any(w.events("link_down") for w in workers), "and the link up", [w.events("link_down") for w in workers])
for w in workers:
    w.process.kill()
    w.process.wait()
wan.stop()
finish()
