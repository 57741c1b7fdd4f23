#!/usr/bin/env python3
"""peer.py -- one end of a measurement over UDP, in a node of a wan; speaks JSON on stdout.

    peer.py echo ADDRESS                  echoes every packet, until it is killed
    peer.py ping ADDRESS TO COUNT         one by one; prints [milliseconds, ...], null for a lost one
    peer.py beat ADDRESS TO               one every 20 ms, until some were lost and later ones answered again; prints the numbers
    peer.py burst ADDRESS TO COUNT BYTES [PORT]
                                          numbered packets of BYTES payload, then "end" until it is answered
    peer.py count ADDRESS [SENDERS]       the numbers received until an "end" of each sender, with times: [[number, seconds], ...]
    peer.py mtu ADDRESS TO                packets of 1500 bytes until a router says how long they may be; prints that, or null
    peer.py refused ADDRESS TO            one packet to a port where nobody listens; prints whether it is told so
    peer.py where ADDRESS                 tells each sender where it is seen, until it is killed
    peer.py steps ADDRESS SERVER          does and answers what it is told on stdin, line by line, with the help of a `where`:
                                          ["open"] takes a new socket and prints where SERVER sees it;
                                          ["send", [ADDRESS, PORT], TEXT] sends, and prints where SERVER sees it when that is on its way;
                                          ["got"] prints the texts that have come to the socket
"""
import json, socket, struct, sys, time

PORT = 5000
PATIENCE_S = 5  # for one answer
SO_TIMESTAMPNS = 35
IP_MTU_DISCOVER, IP_MTU, IPV6_MTU_DISCOVER, IPV6_MTU, DO = 10, 14, 23, 24, 2


def bound(address, port=PORT):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, int(port)))
    print(json.dumps("ready"), flush=True)
    return s


def echo(address):
    s = bound(address)
    while True:
        data, sender = s.recvfrom(65536)
        s.sendto(data, sender)


def ping(address, to, count):
    s = bound(address)
    s.settimeout(PATIENCE_S)
    found = []
    for i in range(int(count)):
        began = time.monotonic()
        s.sendto(struct.pack("<I", i), (to, PORT))
        try:
            while struct.unpack("<I", s.recv(100))[0] != i:
                pass
            found.append(1000 * (time.monotonic() - began))
        except socket.timeout:
            found.append(None)
    print(json.dumps(found))


def beat(address, to):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, PORT))
    s.settimeout(0.02)
    sent, last = 0, None
    while sent < 3000:
        s.sendto(struct.pack("<I", sent), (to, PORT))
        sent += 1
        try:
            answer = struct.unpack("<I", s.recv(100))[0]
        except socket.timeout:
            continue
        if last is None:
            print(json.dumps("ready"), flush=True)
        elif answer > last + 1:
            break
        last = answer
        time.sleep(0.02)
    print(json.dumps(sent))


def burst(address, to, count, size, port=PORT):
    s = bound(address, port)
    for i in range(int(count)):
        s.sendto(struct.pack("<I", i).ljust(int(size), b"."), (to, PORT))
        if i % 50 == 49:
            time.sleep(0.002)  # the receiver's buffer holds about 90
    s.settimeout(0.2)
    for _ in range(150):
        s.sendto(b"end", (to, PORT))
        try:
            s.recv(100)
            break
        except socket.timeout:
            pass


def count(address, senders=1):
    s = bound(address)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # when the packet arrived, not when it was read
    found, ended = [], set()
    while True:
        data, extra, _, sender = s.recvmsg(65536, 100)
        if data == b"end":
            s.sendto(b"end", sender)
            ended.add(sender)
            if len(ended) < int(senders):
                continue
            print(json.dumps(found))
            return
        seconds, nanoseconds = struct.unpack("<qq", extra[0][2])
        found.append([struct.unpack("<I", data[:4])[0], seconds + 1e-9 * nanoseconds])


def mtu(address, to):
    s = bound(address)
    six = s.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    s.setsockopt(level, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, DO)
    s.connect((to, PORT))
    found = None
    for _ in range(10):
        try:
            s.send(b"." * (1500 - 8 - (40 if six else 20)))
        except OSError:  # the kernel refuses what is too long
            found = s.getsockopt(level, IPV6_MTU if six else IP_MTU)
            break
        time.sleep(0.05)
    print(json.dumps(found))


def refused(address, to):
    s = bound(address)
    s.settimeout(PATIENCE_S)
    s.connect((to, 7))
    s.send(b"anybody?")
    try:
        s.recv(100)
        print(json.dumps(False))
    except ConnectionRefusedError:
        print(json.dumps(True))
    except socket.timeout:
        print(json.dumps(None))


def where(address):
    s = bound(address)
    while True:
        data, sender = s.recvfrom(65536)
        s.sendto(json.dumps([data.decode(), sender]).encode(), sender)


def seen(s, server, number, got):
    """Where the server sees this socket. What was sent before has then passed the NAT, and what others had sent has arrived."""
    s.settimeout(1)
    for _ in range(60):
        s.sendto(b"%d" % number, (server, PORT))
        try:
            while True:
                data, sender = s.recvfrom(65536)
                if sender != (server, PORT):
                    got.append(data.decode())
                elif json.loads(data)[0] == str(number):
                    return json.loads(data)[1]
        except socket.timeout:
            pass
    return None


def steps(address, server):
    print(json.dumps("ready"), flush=True)
    for number, line in enumerate(sys.stdin):
        what, *rest = json.loads(line)
        if what == "open":
            s, got = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
            s.bind((address, 0))
        if what == "send":
            s.sendto(rest[1].encode(), tuple(rest[0]))
        at = seen(s, server, number, got)
        print(json.dumps(got if what == "got" else at), flush=True)


{"echo": echo, "ping": ping, "beat": beat, "burst": burst, "count": count, "mtu": mtu, "refused": refused, "where": where, "steps": steps}[sys.argv[1]](*sys.argv[2:])
