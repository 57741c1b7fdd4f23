#!/usr/bin/env python3
"""The kernels that the CPU computes with: measured at the first start, remembered, kept in the checkpoint, named by the experiment;
the same for the precision."""
import ctypes, glob

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


def rename_kernels(checkpoint, old, new):
    """As if it were computed with others: the name in its header, and the XXH3-128 at the header's end."""
    with open(checkpoint, "r+b") as f:
        header = bytearray(f.read(4096))
        at = header.index(old.encode() + b"\0")
        header[at:at + 24] = new.encode().ljust(24, b"\0")

        class Hash(ctypes.Structure):
            _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]

        xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
        xxh3.restype, xxh3.argtypes = Hash, (ctypes.c_char_p, ctypes.c_size_t)
        digest = xxh3(bytes(header[:4080]), 4080)
        header[4080:] = digest.high.to_bytes(8, "big") + digest.low.to_bytes(8, "big")
        f.seek(0)
        f.write(header)


newest = sorted(glob.glob(os.path.join(PLACE, "checkpoints", "step-*.ckpt")))[-1]
rename_kernels(newest, again["device"], "AVX-1024")
done = run("train", path, "--steps", "4")
ok(done.returncode == 0 and done.stdout.count("the checkpoint was computed with AVX-1024, which this processor lacks: the run goes on, but with other bits") == 1,
   "a checkpoint of other kernels goes on, which is said", done.stdout)

# The precision.
def precision(start):
    return start["settings"]["train"]["precision"]


auto = ("--set", "train.precision=auto")
first = train(2, "--fresh", *auto)
ok(precision(first) in ("fp32", "bf16") and "bf16 AVX2 " in first["choice"] and "fp32 AVX2 " in first["choice"], "auto measures both precisions", first)
# Whichever it was: a checkpoint of the other one, by an experiment that names it, is gone on from with that.
other = "fp32" if precision(first) == "bf16" else "bf16"
named = train(4, "--set", "train.precision=" + other)
ok(precision(named) == other, "the experiment may name one", named)
kept = train(6, *auto)
ok(precision(kept) == other and kept["choice"] == "as in the checkpoint", "a resumed run keeps that of its checkpoint", kept)
named = train(2, "--fresh", "--set", "machine.kernels=avx2", *auto)
ok(named["device"] == "AVX2" and precision(named) in ("fp32", "bf16"), "of kernels that are named too", named)
said = run("bench", "cpu", "--precision", "auto", "--seconds", "1", "--json")
ok(said.returncode == 0 and json.loads(said.stdout)["precision"] in ("fp32", "bf16"), "bench cpu says what it came to", said.stdout)

done = run("train", path, "--set", "machine.kernels=avx3")
ok(done.returncode == 2 and "auto, avx2, avx512, avx512_bf16" in done.stdout, "an unknown name gets those that there are", done.stdout)
finish()
