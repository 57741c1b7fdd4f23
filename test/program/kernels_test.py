#!/usr/bin/env python3
"""The kernels that the CPU computes with: measured at the first start, remembered, kept in the checkpoint, named by the experiment."""
from swarms import *

path = experiment("kernels", steps=40, every=10)
log = os.path.join(PLACE, "checkpoints", "log.jsonl")


def train(steps, *more):
    """What `start` says of a run of train up to that step."""
    done = run("train", path, "--steps", str(steps), *more)
    if not ok(done.returncode == 0, "trains to step %d %s" % (steps, " ".join(more)), done.stdout):
        finish()
    with open(log) as f:
        return [e for e in map(json.loads, f) if e["event"] == "start"][-1]


first = train(2)
ok(first["device"] in ("AVX2", "AVX-512", "AVX-512 BF16", "AMX"), "the log names the kernels", first)
alone = first["choice"] == "the only ones here"
ok(alone or first["choice"].startswith("measured: AVX2 ") and first["device"] + " " in first["choice"], "and how they were chosen", first)
fresh = train(2, "--fresh")
ok(fresh["device"] == first["device"] and (alone or fresh["choice"] == "the fastest when it was measured"),
   "another run measures nothing and takes the same", fresh)
more = train(4)
ok(more["device"] == first["device"] and more["choice"] == "as in the checkpoint", "a resumed run takes those of its checkpoint", more)
named = train(6, "--set", "machine.kernels=avx2")
ok(named["device"] == "AVX2" and "choice" not in named, "or those that the experiment names", named)
kept = train(8)
ok(kept["device"] == "AVX2" and kept["choice"] == "as in the checkpoint", "which are in the checkpoint then", kept)
again = train(2, "--fresh")
ok(again["device"] == first["device"], "--fresh chooses anew", again)

lacking = [n for n, flag in (("amx", "amx_bf16"), ("avx512_bf16", "avx512_bf16"), ("avx512", "avx512f"))
           if flag not in open("/proc/cpuinfo").read().split()]
for name in lacking[:1]:
    done = run("train", path, "--set", "machine.kernels=" + name)
    ok(done.returncode == 1 and "machine.kernels" in done.stdout and "this processor lacks" in done.stdout and done.stdout.count("\n") == 1,
       "what the processor lacks is refused in one sentence", done.stdout)
done = run("train", path, "--set", "machine.kernels=avx3")
ok(done.returncode == 2 and "auto, avx2, avx512, avx512_bf16" in done.stdout, "an unknown name gets those that there are", done.stdout)
finish()
