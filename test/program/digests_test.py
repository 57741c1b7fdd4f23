#!/usr/bin/env python3
"""A script that shares no code with shoal agrees with `digests_equal`, and a flipped bit turns its answer."""
from swarms import *

path = experiment("digests", steps=60, every=20)
done = run("swarm", path, "-n", "3", "--out", "digests", "--json")
if not ok(done.returncode == 0, "three workers end well", done.stdout[-3000:]):
    finish()
summary = json.load(open(os.path.join(PLACE, "digests", "summary.json")))


class Folder:
    def __init__(self, i):
        self.dir = os.path.join(PLACE, "digests", "worker-%d" % i)


folders = [Folder(i) for i in range(3)]
same, said = digests(folders)
ok(summary["digests_equal"] and same, "both say that all hold the same bits", said)
ok(said.split()[0] == summary["digest"], "and name the same digest", said + summary["digest"])
place = os.path.join(folders[1].dir, "checkpoints")
newest = os.path.join(place, sorted(n for n in os.listdir(place) if n.endswith(".ckpt"))[-1])
with open(newest, "r+b") as f:
    f.seek(0, 2)
    f.seek(f.tell() - 8192)  # in the momentum, the last section
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 1]))
same, said = digests(folders)
ok(not same and said, "a flipped bit turns the answer", said)
finish()
