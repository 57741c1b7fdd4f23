#!/usr/bin/env python3
"""Ctrl-C twice ends at once, in the middle of a step; what was saved before is found again."""
from swarms import *

LONG = dict(steps=400, every=200, batch=3 << 18)  # a step takes some seconds: five on two fast cores


def ends(process, detail):
    """Both signals, more than a second apart: the code that it ended with."""
    process.send_signal(signal.SIGINT)
    time.sleep(1.1)  # within a second they would count once
    ok(process.poll() is None, "the first signal waits for the step's end", detail())
    process.send_signal(signal.SIGINT)
    wait_for(lambda: process.poll() is not None)
    return process.poll()


path = experiment("alone", **LONG)
output = os.path.join(PLACE, "train.txt")
child = subprocess.Popen([SHOAL, "train", path], stdout=open(output, "w"), stderr=subprocess.STDOUT, cwd=PLACE)
CHILDREN.append(child)
log = os.path.join(PLACE, "checkpoints", "log.jsonl")
ok(wait_for(lambda: os.path.exists(log) and '"step"' in open(log).read(), progress=busy(child)), "training begins", open(output).read())
time.sleep(0.5)  # that was the loss before the first step, which now begins
ok(ends(child, lambda: open(output).read()) == 130, "train: the second ends it", open(output).read())
ok("once more to end at once" in open(output).read(), "the first says what a second would do", open(output).read())

path = experiment("member", **LONG)
worker = Worker("w0", os.path.join(PLACE, "peers.txt")).start(path)
ok(wait_for(lambda: worker.events("step"), progress=busy(worker.process)), "a worker trains", worker.output())
ok(ends(worker.process, worker.output) == 130, "run: the second ends it", worker.output())
ok("since the last checkpoint is lost" in worker.output(), "and says what that costs", worker.output())
worker.start(path)
before = len(worker.events("step"))
ok(wait_for(lambda: len(worker.events("step")) > before, progress=busy(worker.process)), "the same worker can be started again", worker.output())
worker.kill()


def workers():
    """Processes of the swarm below."""
    return subprocess.run(["pgrep", "-f", "%s.*worker-" % re.escape(PLACE)], stdout=subprocess.PIPE, text=True).stdout.split()


path = experiment("together", **LONG)
swarm = subprocess.Popen([SHOAL, "swarm", path, "-n", "2", "--out", os.path.join(PLACE, "together")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, cwd=PLACE, start_new_session=True)
CHILDREN.append(swarm)
logs = [os.path.join(PLACE, "together", "worker-%d" % i, "log.jsonl") for i in range(2)]
ok(wait_for(lambda: all(os.path.exists(l) and '"step"' in open(l).read() for l in logs), 900), "a swarm trains",
   os.listdir(os.path.join(PLACE, "together")))
ok(len(workers()) == 2, "with two workers", workers())
code = ends(swarm, lambda: "")
said = swarm.communicate(timeout=PATIENCE_S)[0]
ok(code == 130, "swarm: the second ends it", "%s: %s" % (code, said))
ok(not workers(), "and no worker is left", workers())
finish()
