#!/usr/bin/env python3
"""speed.py -- how much does `wan` forward in all on this machine?

    speed.py [--pairs 2] [--udp MBIT] [--delay 5] [--mtu 1500] [--seconds 5] [--matrix FILE]

Each node with an even number sends to the next one, as fast as TCP can, or by UDP at that rate for each pair, in packets of the
mtu; with --matrix through that network. Prints one line of JSON: Mbit/s of IP packets delivered in all, packets a second, the share
of packets that was lost or found a queue full, and how many cores `wan` took. What the machine is too slow for is said in a line
before. Nobody reads what came over UDP: it is the network that is measured. zig-out has the program, or WAN_BIN says where it is."""
import argparse, json, resource, socket, sys, time

PORT = 5000
UDP_SEGMENT = 103
BURST = 40  # packets a call of a sender over UDP


def sink(address):
    listener = socket.create_server((address, PORT))
    drop = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    drop.bind((address, PORT))
    print("ready", flush=True)
    link, _ = listener.accept()
    room = bytearray(1 << 20)
    while link.recv_into(room):
        pass


def source(address, to, seconds, mbit, mtu):
    end = time.monotonic() + float(seconds)
    link = socket.create_connection((to, PORT))
    if not float(mbit):
        data = bytes(1 << 20)
        while time.monotonic() < end:
            link.sendall(data)
        return
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, int(mtu) - 28)
    s.connect((to, PORT))
    data = bytes(BURST * (int(mtu) - 28))
    due = time.monotonic()
    while due < end:
        s.send(data)
        due += BURST * int(mtu) * 8 / (1e6 * float(mbit))
        time.sleep(max(0, due - time.monotonic()))


def used(pid):
    """CPU seconds of a process so far."""
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / 100


def measure(o):
    text = open(o.matrix).read() if o.matrix else "{nodes: %d, mtu: %d, rules: [{delay_ms: %g}]}" % (2 * o.pairs, o.mtu, o.delay)
    wan = Wan(text)
    me = [sys.executable, os.path.abspath(__file__)]
    sinks = [wan.start(2 * i + 1, me + ["--sink", address(2 * i + 1)], stdout=subprocess.PIPE, text=True) for i in range(o.pairs)]
    for s in sinks:
        s.stdout.readline()
    cpu, began = used(wan.process.pid), time.monotonic()
    sources = [wan.start(2 * i, me + ["--source", address(2 * i), address(2 * i + 1), str(o.seconds), str(o.udp), str(o.mtu)]) for i in range(o.pairs)]
    for s in sources:
        s.wait()
    cpu, took = used(wan.process.pid) - cpu, time.monotonic() - began
    for s in sinks:
        s.kill()
        s.wait()
    count = wan.stop().values()
    total = {k: sum(c[k] for c in count) for k in ("packets", "delivered", "delivered_bytes", "lost", "full")}
    print(json.dumps({"mbit_s": round(8e-6 * total["delivered_bytes"] / took), "packets_s": round(total["delivered"] / took),
                      "dropped": round((total["lost"] + total["full"]) / total["packets"], 4), "cores": round(cpu / took, 2)}))


if sys.argv[1:2] == ["--sink"]:
    sink(*sys.argv[2:])
elif sys.argv[1:2] == ["--source"]:
    source(*sys.argv[2:])
else:
    from wans import *
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", type=int, default=2)
    p.add_argument("--udp", type=float, default=0)
    p.add_argument("--delay", type=float, default=5)
    p.add_argument("--mtu", type=int, default=1500)
    p.add_argument("--seconds", type=float, default=5)
    p.add_argument("--matrix")
    measure(p.parse_args())
