#!/usr/bin/env python3
"""bits.py -- digests of what a program computes, to tell whether a change that ought to change nothing has changed a bit.

    SHOAL_BIN=BEFORE test/golden/bits.py > FILE
    SHOAL_BIN=AFTER  test/golden/bits.py FILE       ends with code 1 when a digest is another

A swarm that can be repeated (its outer state), fifty steps alone, and the same steps with a stop in the middle (the parameters),
in fp32 and bf16, on one thread of the CPU. Digests belong to the processor: compare on one machine. The protocol's messages are
compared by `zig build sim -- 1..1000 --golden test/golden/sim.txt`.
"""
import hashlib, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "program"))
from swarms import *


def good(done):
    if done.returncode:
        sys.exit("%s: %s" % (" ".join(done.args), done.stdout[-2000:]))


def parameters(folder):
    """SHA-256 of the exported parameters."""
    to = folder + "-hf"
    good(run("export", folder, "--to", to))
    with open(os.path.join(PLACE, to, "model.safetensors"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def outer(path, name):
    good(run("swarm", path, "-n", "3", "--deterministic", "--out", name))
    with open(os.path.join(PLACE, name, "summary.json")) as f:
        return json.load(f)["digest"]


def alone(path, name):
    good(run("train", path, "--dir", name))
    return parameters(name)


def stopped(path, name):
    """Stopped once it has got somewhere, then to the end."""
    log = os.path.join(PLACE, name, "log.jsonl")
    child = subprocess.Popen([SHOAL, "train", path, "--dir", name], cwd=PLACE, stdout=subprocess.DEVNULL)
    CHILDREN.append(child)
    wait_for(lambda: child.poll() is not None or (os.path.exists(log) and open(log).read().count('"event":"step"') >= 10), step=0.001)
    child.terminate()
    if child.wait() not in (0, 3):
        sys.exit("%s ended with %d" % (name, child.returncode))
    return alone(path, name)


found = {}
for precision in ("fp32", "bf16"):
    path = experiment("steps-" + precision, steps=50, every=50, batch=2048, precision=precision)
    found["fifty steps, " + precision] = alone(path, "alone-" + precision)
    found["with a stop, " + precision] = stopped(path, "stopped-" + precision)
    path = experiment("swarm-" + precision, steps=90, every=30, count="steps", precision=precision)
    found["a swarm of three, " + precision] = outer(path, "swarm-" + precision)
text = "".join("%s  %s\n" % (digest, name) for name, digest in sorted(found.items()))
print(text, end="")
if len(sys.argv) > 1:
    with open(sys.argv[1]) as f:
        before = f.read()
    if text != before:
        sys.exit("other bits than %s:\n%s" % (sys.argv[1], before))
