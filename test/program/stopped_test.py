#!/usr/bin/env python3
"""A worker stopped by SIGSTOP in the middle of a round holds nobody up longer than the round's bound, and rejoins."""
from swarms import *

BOUND_S = 45  # SPEC.md, "Timers": matchmaking 15 s, T_STILL twice, T_SILENT
# Ten thousand epochs of some 0.3 s: the others must still be at work when the stopped worker wakes.
path = experiment("stopped", steps=600000, every=60)
peers = os.path.join(PLACE, "peers.txt")
workers = [Worker("s%d" % i, peers) for i in range(3)]
together(workers, path, "three")
victim, others = workers[0], workers[1:]


def in_a_round(w):
    marks = [e for e in w.events() if e["event"] in ("ready", "committed", "applied", "solo")]
    return bool(marks) and marks[-1]["event"] in ("ready", "committed")


ok(wait_for(lambda: in_a_round(victim), step=0.005), "its log shows a worker in the middle of a round")
victim.kill(signal.SIGSTOP)
began = time.monotonic()
before = [w.epoch() for w in others]
ok(wait_for(lambda: all(w.epoch() >= b + 1 for w, b in zip(others, before))),
   "the others finish that round without it", "\n".join(w.output() for w in others))
print("# after %.1f s; on an idle machine %d s are the bound" % (time.monotonic() - began, BOUND_S))
ok(wait_for(lambda: all(w.epoch() >= b + 2 for w, b in zip(others, before))),
   "and go on to the next", "\n".join(w.output() for w in others))
time.sleep(max(0, 60 - (time.monotonic() - began)))
victim.kill(signal.SIGCONT)
woke = victim.epoch()
ok(wait_for(lambda: victim.epoch() > woke and abs(victim.epoch() - others[0].epoch()) <= 1, progress=epochs([victim])),
   "the stopped worker rejoins after a minute", victim.output())
leave(workers)
finish()
