#!/usr/bin/env python3
"""gpu_vs_pytorch.py -- how fast does shoal train on this machine's GPU, and how fast PyTorch the same model?

    gpu_vs_pytorch.py [--shape 150m|1b] [--variant NAME]... [--seconds 20] [--rounds 3] [--shoal zig-out/bin/shoal]
                      [--python PYTHON]

PyTorch (bf16, compiled, the fastest of the VARIANTS or of those that are named) and shoal (bf16) train in turns; between them PyTorch multiplies large
matrices in bf16: the ceiling. PyTorch comes from pip into out/torch, or with PYTHON, an interpreter that has it. Prints one
line of JSON a shape: shoal_bf16 and torch_compiled_bf16 in tokens/s, the medians of the rounds; torch_compiled_bf16_kind;
their ratio; best: the best of the rounds; matmul_flops, the ceiling; shoal_mfu by the device's data sheet; shoal_of_matmul and
torch_of_matmul, floating-point operations of training as a share of the ceiling.
"""
import argparse
from rounds import *

SHAPES = {
    "150m": dict(dim=1024, layers=12, heads=16, kv_heads=16, ffn=2688, vocab=32000, context=1024, batch=32),
    "1b": dict(dim=2048, layers=22, heads=32, kv_heads=4, ffn=5632, vocab=32000, context=2048, batch=4),
}
VARIANTS = {"autocast": dict(weights="fp32", compile="default"), "copies": dict(weights="bf16", compile="default"),
            "copies, max-autotune": dict(weights="bf16", compile="max-autotune-no-cudagraphs")}


def measure(name, options, python):
    shape = dict(SHAPES[name], device="cuda", threads=CORES, precision="bf16")
    ours = Shoal(options.shoal, name=name, more=("--ops", "0"), **shape)
    found, ceiling = {}, 0
    kinds = options.variant or list(VARIANTS)
    for kind in kinds:
        settings = VARIANTS[kind]
        side = Torch(python, **shape, **settings)
        turns = take_turns({("torch", kind): side, ("shoal", ""): ours}, options.rounds, options.seconds, 0)
        ceiling = max(ceiling, side.ask("ceiling")["flops"])
        side.close()
        for key, results in turns.items():
            found.setdefault(key, []).extend(results)
    ours.close()
    kind = max(kinds, key=lambda k: speeds(found["torch", k])[0])
    shoal, torch = (speeds(found[key]) for key in (("shoal", ""), ("torch", kind)))
    said = found["shoal", ""][0]
    return {"shape": name, "gpu": said["backend"], "torch": side.ready["ready"], "shoal_bf16": round(shoal[0], 1),
            "torch_compiled_bf16": round(torch[0], 1), "torch_compiled_bf16_kind": kind, "ratio": round(shoal[0] / torch[0], 3),
            "best": {"shoal_bf16": round(shoal[1], 1), "torch_compiled_bf16": round(torch[1], 1)}, "matmul_flops": ceiling,
            "shoal_mfu": round(shoal[0] * said["flops_per_token"] / said["peak_flops"], 4) if said["peak_flops"] else None,
            "shoal_of_matmul": round(shoal[0] * said["flops_per_token"] / ceiling, 4),
            "torch_of_matmul": round(torch[0] * said["flops_per_token"] / ceiling, 4)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", choices=SHAPES, action="append", help="default: both, one after the other")
    p.add_argument("--variant", choices=VARIANTS, action="append", help="how PyTorch is set up; default: all, and the fastest counts")
    p.add_argument("--seconds", type=float, default=20, help="of a turn; three steps at least")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--shoal", default=os.path.join(HOME, "zig-out", "bin", "shoal"))
    p.add_argument("--python", help="an interpreter that has PyTorch, instead of one of our own")
    options = p.parse_args()
    if not os.path.exists("/dev/nvidiactl"):
        stop("this machine has no NVIDIA GPU, or no driver for it: there is nothing to measure")
    options.shoal = executable(options.shoal)
    python = options.python or python_with_torch()
    if subprocess.run([python, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]).returncode:
        stop("PyTorch cannot use this machine's GPU: there is nothing to compare with")
    for name in options.shape or SHAPES:
        note("%s:" % name)
        print(json.dumps(measure(name, options, python)), flush=True)


main()
