#!/usr/bin/env python3
"""Four workers, three of which know only the first, start at the same moment: all of them meet in one mean, with round
trips of 0, 10 and 100 ms.

By default once per delay, with limits that depend on progress. `SHOAL_MEET=10 python3 test/wan/meet_test.py` does it ten
times each, with a limit of 20 seconds: for an idle machine."""
from wans import *
from swarms import *

TIMES = int(os.environ.get("SHOAL_MEET") or 0)
LIMIT_S = 20
EPOCHS_MAX = 15  # of a second each on an idle machine: a worker that has not met the others by then never will


def in_one_mean(workers):
    """Epochs whose mean had four members at each of the four workers."""
    means = [{e["epoch"] for e in w.events("applied") if e["members"] == 4} for w in workers]
    return set.intersection(*means)


def meet(path, round_trip_ms, turn):
    """Seconds until all four were in one mean, or None."""
    wan = Wan("{nodes: 4, seconds: 900, rules: [{delay_ms: %g}]}" % (round_trip_ms / 2))
    name = "meet-%d-%d" % (round_trip_ms, turn)
    peers = os.path.join(PLACE, name + ".txt")
    workers = [Worker("%s-w%d" % (name, i), peers, "%s:%d" % (address(i), PORT), listed=i == 0) for i in range(4)]
    began = time.monotonic()
    for i, w in enumerate(workers):
        wan.run(i, w, path)
    lost = lambda: any(w.process.poll() is not None or w.epoch() > (10 * EPOCHS_MAX if TIMES else EPOCHS_MAX) for w in workers)
    wait_for(lambda: in_one_mean(workers) or lost(), progress=epochs(workers))
    took = time.monotonic() - began
    met = bool(in_one_mean(workers))
    if met:
        print("# together first in epoch %d" % min(in_one_mean(workers)))
    else:
        print("# epochs %s, members of the means %s" % ([w.epoch() for w in workers],
                                                    [[e["members"] for e in w.events("applied")] for w in workers]))
    for w in workers:
        w.process.kill()
        w.process.wait()
    wan.stop()
    return took if met else None


path = experiment("meet", steps=180000, every=60 if TIMES else 200)
for round_trip_ms in (0, 10, 100):
    found = [meet(path, round_trip_ms, turn) for turn in range(TIMES or 1)]
    print("# seconds: %s" % ", ".join("%.1f" % s if s else "never" for s in found))
    name = "four workers of a list of one, started together over %d ms, are in one mean" % round_trip_ms
    if TIMES:
        ok(all(s and s <= LIMIT_S for s in found), "%s within %d s, %d times of %d" % (name, LIMIT_S, TIMES, TIMES), found)
    else:
        ok(all(found), name, found)
finish()
