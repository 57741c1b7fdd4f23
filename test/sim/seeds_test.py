#!/usr/bin/env python3
"""seeds_test.py -- some seeds of the simulated swarm as TAP, one test per seed; `zig build sim` runs all 200.

The environment's SIM_BIN is the simulator.
"""
import os, re, subprocess, sys

SEEDS = "1..40"
FAR = ["--far", "1..40"]
WRONG = ["--wrong", "1..40"]
LIES = ["--lies", "1..40"]
COUNTED = ("10", "30")  # no fault, `count: steps`

failed = False


def tell(good, name):
    global failed
    failed = failed or not good
    print("%s - simulated swarm, %s" % ("ok" if good else "not ok", name), flush=True)


def sim(*arguments):
    return subprocess.run([os.environ["SIM_BIN"]] + list(arguments), stdout=subprocess.PIPE, text=True).stdout


def number(name, *arguments):
    found = re.search(name + r" ([0-9a-f]{16})", sim(*arguments))
    return found[1] if found else "nothing"


for arguments in ([SEEDS], FAR, WRONG, LIES):
    for line in sim(*arguments).splitlines():
        verdict = re.match(r"seed (\d+): (ok|FAILED)(.*)", line)
        if verdict:
            tell(verdict[2] == "ok", "seed %s%s" % (verdict[1], verdict[3]))
        else:
            print("# " + line)
hashes = [number("hash", "4"), number("hash", "4"), number("hash", "4", "--salt", "1")]
tell(hashes[0] == hashes[1] != "nothing", "a seed gives the same events each time: %s, %s" % tuple(hashes[:2]))
tell(hashes[0] != hashes[2], "and others with other dice: %s" % hashes[2])
for seed in COUNTED:
    bits = [number("bits", seed, "--salt", str(salt)) for salt in range(3)]
    tell(bits[0] == bits[1] == bits[2] != "nothing",
         "a counted run without a fault ends in the same bits whatever the network did: seed %s, %s"
         % (seed, ", ".join(bits)))
sys.exit(1 if failed else 0)
