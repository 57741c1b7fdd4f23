#!/usr/bin/env python3
"""A disk that stands still stops a worker's log, and nothing else: it trains, answers its peers and is in every average. Its
log is a pipe, which takes 64 KiB and then nothing more until somebody reads."""
from swarms import *
import fcntl, struct, termios, threading

path = experiment("log", steps=600000, every=40)
peers = os.path.join(PLACE, "peers.txt")
sound, read_late, never_read = workers = [Worker("l%d" % i, peers) for i in range(3)]
stuck = {}
for w in (read_late, never_read):
    os.mkfifo(w.log)
    stuck[w] = os.open(w.log, os.O_RDWR | os.O_CLOEXEC)
    w.events = lambda kind=None: []


def waits(w):
    """Bytes in the pipe."""
    return struct.unpack("i", fcntl.ioctl(stuck[w], termios.FIONREAD, b"\0" * 4))[0]


def resident(w):
    with open("/proc/%d/statm" % w.process.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def with_all(since):
    """Averages of all three, to which epochs after `since` lead."""
    return [e["epoch"] for e in sound.events("applied") if e["epoch"] > since and e["members"] == 3]


for w in workers:
    w.start(path, "--quiet")
full = 65536 - 4096  # the pipe's last page may lack what a whole line takes
ok(wait_for(lambda: all(waits(w) >= full for w in stuck), progress=epochs([sound])), "both disks stand still", [waits(w) for w in stuck])
reached, before = sound.epoch(), [resident(w) for w in stuck]
ok(wait_for(lambda: len(with_all(reached)) >= 20, progress=lambda: len(with_all(reached))), "and both are in the averages as before",
   "\n".join(w.output() for w in workers))
grown = [resident(w) - b for w, b in zip(stuck, before)]
ok(all(g < 8 << 20 for g in grown), "their memory does not grow", grown)
status = run("status", read_late.address)
ok(status.returncode == 0, "and they answer who asks", status.stdout)

text = []


def drain(fd):
    while True:
        part = os.read(fd, 65536)
        text.append(part)
        if b"the last of it" in part:
            return


reader = threading.Thread(target=drain, args=(stuck[read_late],), daemon=True)
reader.start()
leave(workers)
os.write(stuck[read_late], b"the last of it")
reader.join()
events = [json.loads(line) for line in b"".join(text).split(b"\n")[:-1]]
ok(events[-1]["event"] == "end", "a log that is read at last is whole", events[-1])
steps = [e["step"] for e in events if e["event"] == "step"]
gaps = [e for e in events if e["event"] == "log_gap"]
outer = [e["epoch"] for e in events if e["event"] == "outer"]
ok(gaps or outer == list(range(outer[0], outer[0] + len(outer))) and len(outer) > 20, "in order, and nothing of it is missing", outer)
ok("stands still" in never_read.output(), "what nobody read is not waited for, which is said", never_read.output())
finish()
