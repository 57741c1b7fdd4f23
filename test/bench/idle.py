#!/usr/bin/env python3
"""idle.py -- what a worker costs that has nothing to train, and how late its network thread is while it trains.

    idle.py SHOAL

Two workers of an `outer.count: steps` run: the first is fast through its steps, the second is stopped in the middle of
them, so the first waits. Prints the processor time that the waiting one takes as a share of one core, and both
workers' lag; ends with code 1 when the share is 1 % or more.
"""
import os, sys

if len(sys.argv) != 2:
    sys.exit("usage: idle.py SHOAL")
os.environ["SHOAL_BIN"] = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "program"))
from swarms import *

SECONDS = 5
EVERY = 2000  # steps of an epoch: many seconds


def cpu_s(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


path = experiment("idle", steps=2 * EVERY, every=EVERY, count="steps")
peers = os.path.join(PLACE, "peers.txt")
first, second = Worker("first", peers).start(path), Worker("second", peers).start(path)
if not wait_for(lambda: all(len(w.events("net")) >= 3 for w in (first, second)), 120, 0.01):
    sys.exit("idle.py: the workers do not train\n" + second.output())
lags = [w.events("net")[-1]["lag_p99_ms"] for w in (first, second)]
second.kill(signal.SIGSTOP)
if not wait_for(lambda: len(first.events("step")) >= EVERY and first.events("ready"), 60):
    sys.exit("idle.py: the first worker does not get through its steps\n" + first.output())
before = cpu_s(first.process.pid)
time.sleep(SECONDS)
share = (cpu_s(first.process.pid) - before) / SECONDS
waited = not first.events("outer")
second.kill(signal.SIGCONT)
print("a worker that waits takes %.2f %% of a core%s; network lag while training: %.1f ms at the 99th percentile"
      % (share * 100, "" if waited else " (it stopped waiting meanwhile)", max(lags)))
for w in (first, second):
    w.kill(signal.SIGTERM)
    w.process.wait(timeout=30)
sys.exit(0 if waited and share < 0.01 else 1)
