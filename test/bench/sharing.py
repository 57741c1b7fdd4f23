#!/usr/bin/env python3
"""sharing.py -- do four workers on one machine share its cores without fighting?

    sharing.py SHOAL [ROUNDS]        default 3

Trains the quickstart's model on a made-up text: one worker alone with all cores, one with a single thread, and a swarm of
four with a thread each, in turns. Prints one line of JSON, the medians of the rounds:

    swarm, alone_all_cores, alone_one_thread    tokens/s from the begin of the first inner step to the end of the last, so with
                         averaging, waiting and checkpoints
    swarm_steps, ...     tokens by the time within inner steps alone, summed over the workers
    ratio                swarm / the faster of the two alone; ratio_steps: the same of ..._steps
"""
import os, sys

if len(sys.argv) not in (2, 3):
    sys.exit("usage: sharing.py SHOAL [ROUNDS]")
os.environ["SHOAL_BIN"] = os.path.abspath(sys.argv[1])
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "program")]
import glob, statistics
from swarms import *

STEPS = 400  # of a worker


def experiment_file(name, threads):
    text = open(os.path.join(HERE, "..", "..", "deploy", "experiments", "quickstart.yaml")).read()
    for old, new in (("corpus: ../../out/quickstart/corpus", "corpus: " + corpus()), ("steps: 800", "steps: %d" % STEPS),
                     ("evaluate: {every: 100,", "evaluate: {every: %d," % STEPS), ("dir: ../../out/quickstart/checkpoints", "dir: %s/checkpoints" % name),
                     ("threads: 1", "threads: %s" % threads)):
        if text.count(old) != 1:
            sys.exit("sharing.py: quickstart.yaml has no '%s' any more: bring this script up to date" % old)
        text = text.replace(old, new)
    path = os.path.join(PLACE, name + ".yaml")
    with open(path, "w") as f:
        f.write(text + "metrics: {log: %s/log.jsonl}\n" % name)
    return path


def speeds_of(logs, batch=1280):
    """(tokens/s by the wall, tokens/s by inner steps) of workers that ran at the same time."""
    workers = [[e for e in map(json.loads, open(log)) if e["event"] == "step"] for log in logs]
    first = min(steps[0]["t"] - steps[0]["ms"] / 1e3 for steps in workers)
    last = max(steps[-1]["t"] for steps in workers)
    by_steps = sum(len(steps) * batch * 1e3 / sum(e["ms"] for e in steps) for steps in workers)
    return sum(map(len, workers)) * batch / (last - first), by_steps


def go(name, *words):
    shutil.rmtree(os.path.join(PLACE, name), ignore_errors=True)
    os.makedirs(os.path.join(PLACE, name))
    done = run(*words, timeout=900)
    if done.returncode:
        sys.exit("sharing.py: shoal %s failed:\n%s" % (" ".join(words), done.stdout))


def alone(name, threads):
    go(name, "train", experiment_file(name, threads), "--fresh")
    return speeds_of([os.path.join(PLACE, name, "log.jsonl")])


def swarm():
    go("swarm", "swarm", experiment_file("swarm", 1), "-n", "4", "--fresh", "--out", "swarm")
    logs = glob.glob(os.path.join(PLACE, "swarm", "*", "log.jsonl"))
    if len(logs) != 4:
        sys.exit("sharing.py: there are %d logs of four workers" % len(logs))
    return speeds_of(logs)


took = {"swarm": [], "alone_all_cores": [], "alone_one_thread": []}
for _ in range(int(sys.argv[2]) if len(sys.argv) == 3 else 3):
    took["alone_all_cores"].append(alone("alone-all", "auto"))
    took["alone_one_thread"].append(alone("alone-one", 1))
    took["swarm"].append(swarm())
    print("  " + ", ".join("%s %.0f" % (name, rounds[-1][0]) for name, rounds in took.items()), file=sys.stderr, flush=True)
line = {"workers": 4, "processors": len(os.sched_getaffinity(0))}
for i, ending in enumerate(("", "_steps")):
    medians = {name: statistics.median(r[i] for r in rounds) for name, rounds in took.items()}
    line.update({name + ending: round(v, 1) for name, v in medians.items()})
    line["ratio" + ending] = round(medians["swarm"] / max(medians["alone_all_cores"], medians["alone_one_thread"]), 3)
print(json.dumps(line))
