#!/usr/bin/env python3
"""`bytes_sent` of a swarm agrees within 5 % with the interface counters of a network namespace in which it ran."""
import ctypes, fcntl, struct
from swarms import *

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP: what the interface counts on top of the UDP payload, a packet


def enter_namespace():
    """Moves this process into a new network namespace and switches its loopback on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        print("ok - bytes_sent agrees with the interface's counters # SKIP needs root to make a network namespace")
        sys.exit(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def counters():
    for line in open("/proc/net/dev"):
        if line.strip().startswith("lo:"):
            fields = line.split(":")[1].split()
            return int(fields[8]), int(fields[9])  # bytes and packets sent


path = experiment("traffic", steps=120, every=40)
enter_namespace()
bytes_before, packets_before = counters()
done = run("swarm", path, "-n", "3", "--out", "traffic", "--json")
bytes_after, packets_after = counters()
ok(done.returncode == 0, "three workers finish in a network namespace of their own", done.stdout[-3000:])
summary = json.load(open(os.path.join(PLACE, "traffic", "summary.json")))
seen = bytes_after - bytes_before - HEADERS * (packets_after - packets_before)
ok(seen > 0 and abs(summary["bytes_sent"] - seen) <= 0.05 * seen,
   "bytes_sent agrees with the interface's counters within 5 %", "%d said, %d seen" % (summary["bytes_sent"], seen))
finish()
