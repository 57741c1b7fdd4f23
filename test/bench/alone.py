#!/usr/bin/env python3
"""alone.py -- is a swarm better than one worker alone? Same start, same number of inner steps for each worker.

    alone.py SHOAL [SEED...]         default seeds 1 2 3

Trains the quickstart's model on its corpus (out/quickstart/corpus; ./zigw build quickstart makes it), four workers
against one, and prints both validation losses. Ends with code 1 when the swarm does not win on every seed.
"""
import json, os, re, subprocess, sys

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def machine():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return "%s, %d cores" % (line.split(":")[1].strip(), os.cpu_count())
    return "unknown"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: alone.py SHOAL [SEED...]")
    shoal = os.path.abspath(sys.argv[1])
    seeds = [int(s) for s in sys.argv[2:]] or [1, 2, 3]
    os.chdir(HOME)
    if not os.path.exists("out/quickstart/corpus/manifest.json"):
        sys.exit("alone.py: there is no out/quickstart/corpus; run ./zigw build quickstart first")
    text = open("deploy/experiments/quickstart.yaml").read()
    print("on %s" % machine())
    won = 0
    for seed in seeds:
        place = "out/bench/alone-%d" % seed
        os.makedirs(place, exist_ok=True)
        path = os.path.join(place, "experiment.yaml")
        changed = re.sub(r"seed: \d+", "seed: %d" % seed, text)
        here = os.path.abspath(place)
        changed = changed.replace("../../out", os.path.abspath("out"))
        changed = changed.replace(os.path.abspath("out/quickstart/checkpoints"), here + "/alone")
        changed = changed.replace("count: tokens", "count: steps")
        with open(path, "w") as f:
            f.write(changed + "metrics: {log: %s/alone.jsonl}\n" % here)
        if os.path.exists(place + "/alone.jsonl"):
            os.remove(place + "/alone.jsonl")
        subprocess.run([shoal, "train", path, "--fresh"], check=True, stdout=subprocess.DEVNULL)
        events = [json.loads(line) for line in open(place + "/alone.jsonl")]
        alone = [e for e in events if e["event"] == "evaluate"][-1]["loss"]
        subprocess.run([shoal, "swarm", path, "-n", "4", "--out", place + "/swarm", "--fresh"], check=True,
                       stdout=subprocess.DEVNULL)
        swarm = json.load(open(place + "/swarm/summary.json"))
        print("seed %d: one worker alone %.4f, four in a swarm %.4f nats a token (%d inner steps each)"
              % (seed, alone, swarm["validation_loss"], swarm["inner_steps"] / 4), flush=True)
        won += swarm["validation_loss"] < alone
    print("the swarm wins on %d of %d seeds" % (won, len(seeds)))
    sys.exit(0 if won == len(seeds) else 1)


main()
