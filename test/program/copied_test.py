#!/usr/bin/env python3
"""A copied folder, with the key of a worker that is in the swarm: the copy ends at its start and says why; the first
worker goes on undisturbed. The same folder after a kill is let in again."""
from swarms import *

path = experiment("copied", steps=60000, every=60)
peers = os.path.join(PLACE, "peers.txt")
first, other = Worker("first", peers), Worker("other", peers)
for w in (first, other):
    w.start(path)
ok(wait_for(lambda: min(first.epoch(), other.epoch()) >= 2, 90), "two workers average", first.output() + other.output())

copy_dir = os.path.join(PLACE, "copy")
os.makedirs(copy_dir)
for name in ("node.key", "node.key.incarnation"):
    shutil.copy(os.path.join(first.dir, name), copy_dir)
done = run("run", path, "--dir", copy_dir, "--listen", "127.0.0.1:%d" % free_port(), "--peers", peers, timeout=90)
ok(done.returncode == 1, "the copy ends with exit code 1", "%d: %s" % (done.returncode, done.stdout))
ok("another worker with this key is in the swarm, seen at " + first.address in done.stdout and "node.key" in done.stdout,
   "it says where the first one is, and which file to delete", done.stdout)
ok(any(e["event"] == "copy" for e in other.events()), "the peer's log has a copy in it")

epoch = first.epoch()
ok(wait_for(lambda: min(first.epoch(), other.epoch()) >= epoch + 2, 90), "the first one goes on", first.output())
ok(not first.events("dropped") and not first.events("clone") and not first.events("joined"),
   "and lost nothing", [e for e in first.events() if e["event"] in ("dropped", "clone", "joined")])

first.kill()
first.start(path)
back = other.epoch()
ok(wait_for(lambda: first.process.poll() is None and min(first.epoch(), other.epoch()) >= back + 2, 90),
   "after a kill the same folder is let in again", first.output())
for w in (first, other):
    w.kill(signal.SIGTERM)
    wait_for(lambda: w.process.poll() is not None, 30)
finish()
