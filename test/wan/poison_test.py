#!/usr/bin/env python3
"""One of eight workers contributes something else than it has learned, in every round of a whole run (test/attack/liar.c): with
`outer.robust` the others end with a validation loss within 2 % of that of a run in which nobody lies. With NETWORKS=all (`./zigw build
networks`) that is tried with each kind of lie, and what happens without `robust` is printed beside it. Otherwise it is the worst kind
and a run too short for 2 %: its loss still falls steeply, and differs by as much with the workers' keys alone. There `robust` has to
take away most of the harm that the same lies do without it."""
from wans import *
from swarms import *

LIAR = os.environ.get("LIAR_BIN") or os.path.abspath("zig-out/test/liar")
LONG = os.environ.get("NETWORKS") == "all"
KINDS = ["random", "times10", "minus10", "stale"] if LONG else ["minus10"]
WORKERS, EVERY, ROUNDS = 8, 20, 40 if LONG else 12
WORSE = 1.02


def losses(name, kind, robust):
    """The honest workers' validation losses at the end of a run in which the last worker lies."""
    # A run that is repeated: everybody does the same number of steps, so that two runs differ by the lies alone.
    path = experiment(name, steps=EVERY * ROUNDS, every=EVERY, count="steps", batch=1024, evaluate=8192)
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        # For rounds as short as these a smaller momentum is the better one, and then each lie does harm.
        f.write(text.replace("outer: {", "outer: {optimizer: {lr: 0.7, momentum: 0.3}, robust: %s, " % ("true" if robust else "false")))
    peers = os.path.join(PLACE, name + ".txt")
    for i in range(WORKERS if name != "clean" else 0):  # the same keys: what each trains on follows from them
        os.makedirs(os.path.join(PLACE, "%s-%d" % (name, i)))
        shutil.copy(os.path.join(PLACE, "clean-%d" % i, "node.key"), os.path.join(PLACE, "%s-%d" % (name, i)))
    workers = [Worker("%s-%d" % (name, i), peers) for i in range(WORKERS)]
    for w in workers[:-1]:
        w.start(path)
    workers[-1].start(path, program=LIAR, launch=lambda words, **o: subprocess.Popen(words, env=dict(os.environ, LIAR=kind), **o))
    ok(all_end(workers), "%s: the run ends" % name, "\n".join(w.output() for w in workers))
    last = [w.events("evaluate")[-1] for w in workers[:-1]]
    ok(all(e["epoch"] == ROUNDS for e in last), "%s: with an evaluation of its last state" % name, last)
    ok(all(e["members"] == WORKERS for w in workers for e in w.events("agreed")), "%s: all are in each mean" % name)
    clipped = sum(len(w.events("clipped")) for w in workers)
    print("# %s: loss %s, %d notes of clipped contributions" % (name, last[0]["loss"], clipped), flush=True)
    return last[0]["loss"]


clean = losses("clean", "nothing", False)
for kind in KINDS:
    loss = losses(kind + "-robust", kind, True)
    plain = losses(kind + "-plain", kind, False)
    if LONG:
        ok(loss <= WORSE * clean, "%s: the loss is within 2 %% of the clean run's" % kind, (loss, clean))
    else:
        ok(loss - clean < (plain - clean) / 3, "%s: most of the harm is taken away" % kind, (loss, clean, plain))
finish()
