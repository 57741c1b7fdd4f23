#!/usr/bin/env python3
"""The same run without any fault, outer.count: steps and identities from the seed, started twice, ends in the same
bits."""
from swarms import *

path = experiment("twice", steps=90, every=30, count="steps")
found = []
for i in range(2):
    done = run("swarm", path, "-n", "3", "--deterministic", "--out", "twice-%d" % i, "--json")
    if not ok(done.returncode == 0, "run %d ends well" % (i + 1), done.stdout[-3000:]):
        finish()
    found.append(json.load(open(os.path.join(PLACE, "twice-%d" % i, "summary.json"))))
ok(all(f["digests_equal"] for f in found), "all workers of a run end in the same bits", found)
ok(found[0]["digest"] == found[1]["digest"], "both runs end in the same bits",
   "%s\n%s" % (found[0]["digest"], found[1]["digest"]))
ok(found[0]["epochs"] == 3 and found[0]["inner_steps"] == 270, "each worker did exactly its steps", found[0])
finish()
