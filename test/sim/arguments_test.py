#!/usr/bin/env python3
"""arguments_test.py -- what `sim` does with worlds that leave something out, and with arguments that are wrong, as TAP.

The environment's SIM_BIN is the simulator. That --shrink finds a small world is tested with planted bugs: `shrinks` of mutations.py.
"""
import os, re, subprocess

failed = False
# Arguments, and what the sentence must say.
WRONG = (
    (["1..3", "--shrink"], "--shrink is for one seed"),
    (["1..3", "--without", "1"], "name one, not a range"),
    (["8", "--without", "63"], "this world's planned faults are 0 to "),
    (["10", "--without", "0"], "no fault is planned in this world"),
    (["8", "--without", "1,,2"], "--without needs numbers of planned faults"),
    (["8", "--without"], "--without needs numbers of planned faults"),
    (["8", "--without", "64"], "--without needs numbers of planned faults"),
    (["8", "--absent", "7"], "this world's nodes are 0 to 6"),
    (["8", "--absent", "0,1,2,3,4,5,6"], "leave a node to the world"),
    (["8", "--absent", "x"], "--absent needs numbers of nodes"),
    (["8", "--calm", "0"], "--calm needs seconds"),
    (["8", "--nodes", "21"], "--nodes needs a number from 1 to 20"),
    (["8", "--salt", "-1"], "--salt needs a whole number"),
    (["8", "--html"], "--html needs a file"),
    (["8", "--shrink"], "the seed passes: there is nothing to shrink"),
    (["8", "--shrunk"], "usage: "),
)


def tell(good, name, why=""):
    global failed
    failed = failed or not good
    print("%s - arguments of sim, %s%s" % ("ok" if good else "not ok", name, "" if good else ": %s" % (why,)), flush=True)


def sim(*arguments):
    done = subprocess.run([os.environ["SIM_BIN"]] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


for arguments, wanted in WRONG:
    code, out, said = sim(*arguments)
    tell(code == 2 and wanted in said and not out, " ".join(arguments) + ": " + wanted, (code, out, said))
_, whole, _ = sim("8")
planned = int(re.search(r"0 to (\d+)", sim("8", "--without", "63")[2])[1])
code, less, _ = sim("8", "--without", ",".join(map(str, range(planned + 1))), "--absent", "2,6", "--no-loss", "--no-duplicates", "--no-damage")
tell(code == 0 and "ok, everything, 7 nodes" in less, "a world with less passes, and need not prove anything", less)
for word in ("loss", "duplicate", "crash", "restart", "pause", "partition", "one-way", "leave", "join"):
    tell(", %s " % word in whole and ", %s " % word not in less, "what is left out does not happen: %s" % word, less)
code, early, _ = sim("8", "--calm", "1")
tell(code == 0 and "crash 2" in early and "partition 1, one-way 1, pause 2" in early, "an early calm waits for the faults", early)
raise SystemExit(1 if failed else 0)
