#!/usr/bin/env python3
"""seeds_test.py -- some seeds of the simulated swarm as TAP, one test a seed; `zig build sim` runs all 200.

The environment's SIM_BIN is the simulator.
"""
import os, re, subprocess, sys

SEEDS = "1..40"

ran = subprocess.run([os.environ["SIM_BIN"], SEEDS], stdout=subprocess.PIPE, text=True)
for line in ran.stdout.splitlines():
    verdict = re.match(r"seed (\d+): (ok|FAILED)(.*)", line)
    if verdict:
        print("%s - simulated swarm, seed %s%s" % ("ok" if verdict[2] == "ok" else "not ok", verdict[1], verdict[3]))
    else:
        print("# " + line)
sys.exit(ran.returncode)
