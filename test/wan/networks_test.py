#!/usr/bin/env python3
"""Workers over networks as they are met (test/wan/*.yaml): all of them are in every mean, of every chunk, and end with the same bits.

How long training stands still is measured by rounds.py; with NETWORKS=all (`./zigw build networks`) that is checked, too: twenty rounds on
every network, beside its bound. A round lasts ten seconds and fifty round trips there, or longer. Where two cores cannot do in time what four
machines would, all rates are divided: delays stay."""
import rounds
from swarms import *

# Network: model, inner steps a round, and what its rates are divided by so that two cores carry it.
SHORT = {"dial-up": dict(dim=128, every=60), "home-uplinks": dict(dim=384, every=20), "satellite": dict(dim=256, every=40),
         "three-countries": dict(dim=256, every=20, scale=4), "uneven": dict(dim=256, every=20)}
LONG = {"lan": dict(dim=512, every=60, scale=100, congestion="cubic"), "three-countries": dict(dim=512, every=60, scale=8), "global-14": dict(dim=256, every=60, scale=40),
        "home-uplinks": dict(dim=768, every=40, scale=4), "lossy": dict(dim=512, every=60), "lossy-long": dict(dim=512, every=80),
        "satellite": dict(dim=512, every=160), "dial-up": dict(dim=384, every=60, congestion="cubic"), "long-fat": dict(dim=768, every=60, scale=8), "uneven": dict(dim=512, every=60)}
long = os.environ.get("NETWORKS") == "all"
for name, o in (LONG if long else SHORT).items():
    r = rounds.measure(name, 20 if long else 3, o["every"], o["dim"], scale=o.get("scale", 1), congestion=o.get("congestion", "bbr"))
    print("# " + json.dumps(r), flush=True)
    ok(rounds.whole(r), "%s: %d workers average with all in each round, in one history" % (name, r["workers"]), r)
    if long:
        ok(max(r["paused_s"][1:]) <= 1.3 * r["bound_s"],
           "%s: training stands still for at most 1.3 times %.2f s" % (name, r["bound_s"]), r["paused_s"])
finish()
