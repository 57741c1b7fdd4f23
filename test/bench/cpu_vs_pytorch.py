#!/usr/bin/env python3
"""cpu_vs_pytorch.py -- how fast does shoal train on this machine's CPU, and how fast PyTorch the same model?

    cpu_vs_pytorch.py [--shape tiny|small|150m] [--seconds 5] [--rounds 3] [--runs 1] [--patience 600]
                      [--unlock-mkl] [--slow-bf16] [--shoal zig-out/bin/shoal]

Each PyTorch variant trains in turns with shoal in the same precision (rounds.py), on all cores. PyTorch comes from pip into
out/torch. Prints one line of JSON a shape, and after several runs one more a shape with the worst ratios of them all:

    cpu                  vendor, family and model of the processor: its name says less
    shoal_fp32, shoal_bf16, torch_fp32, torch_bf16, torch_compiled_fp32, torch_compiled_bf16
                         tokens/s, the median of the rounds. PyTorch's are the fastest of the variants in VARIANTS below;
                         torch_..._kind names it. null: not there. A processor without instructions for bf16 has PyTorch's
                         bf16 columns with --slow-bf16 alone: they are far slower than its fp32 then (80 tokens/s beside 2,000
                         on tiny), and 150m would take hours
    torch_..._unlocked   with --unlock-mkl: the same with Intel's MKL, which PyTorch multiplies fp32 with, told that this processor
                         is Intel's. On others it leaves AVX-512 unused. No supported way to run PyTorch, so no ratio counts it
    best                 the same, each the best of its rounds
    *_roofline           tokens/s that multiply-adds in registers alone would come to, all processors undisturbed (the highest
                         peak that the rounds measured): what no program reaches
    *_bytes              peak resident memory (VmHWM) of the process; torch_import_bytes of it are there after `import torch`
    fp32_ratio           shoal_fp32 / the faster of torch_fp32 and torch_compiled_fp32
    best_ratio           the fastest shoal / the fastest PyTorch
    *_memory_ratio       shoal's peak / the smaller of PyTorch's two in the same precision; *_beyond_import: without what
                         importing took
    elsewhere            the largest share of the processors that other programs took in a round that counts
"""
import argparse
from rounds import *

SHAPES = {
    "tiny": dict(dim=256, layers=6, heads=8, kv_heads=8, ffn=688, vocab=4096, context=256, batch=8),
    "small": dict(dim=512, layers=8, heads=8, kv_heads=8, ffn=1376, vocab=8192, context=512, batch=4),
    "150m": dict(dim=1024, layers=12, heads=16, kv_heads=16, ffn=2688, vocab=32000, context=1024, batch=1),
}


# What was tried on a Zen 5 with PyTorch 2.15 and did not help: THP_MEM_ALLOC_ENABLE, MKL_CBWR=AVX512, max-autotune in fp32,
# set_float32_matmul_precision("medium").
VARIANTS = {
    "torch_fp32": {"eager": dict(precision="fp32", weights="fp32", compile=None)},
    "torch_compiled_fp32": {"default": dict(precision="fp32", weights="fp32", compile="default")},
    "torch_bf16": {"autocast": dict(precision="bf16", weights="fp32", compile=None),
                   "copies": dict(precision="bf16", weights="bf16", compile=None)},
    "torch_compiled_bf16": {"autocast": dict(precision="bf16", weights="fp32", compile="default"),
                            "copies": dict(precision="bf16", weights="bf16", compile="default"),
                            "autocast, max-autotune": dict(precision="bf16", weights="fp32", compile="max-autotune")},
}

# glibc keeps what PyTorch frees, on huge pages, instead of giving it back to the kernel at each step: a tenth faster.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
               "MALLOC_TRIM_THRESHOLD_": str(16 << 30), "MALLOC_TOP_PAD_": str(256 << 20)}


UNLOCK = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


def unlocked(folder):
    """ENVIRONMENT with the answer to MKL's question put before its own."""
    source, library = os.path.join(folder, "unlock.c"), os.path.join(folder, "unlock.so")
    with open(source, "w") as f:
        f.write(UNLOCK)
    if subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source]).returncode:
        stop("--unlock-mkl needs a C compiler")
    return dict(ENVIRONMENT, LD_PRELOAD=library)


def processor():
    """What /proc/cpuinfo says of the first processor: name -> text."""
    with open("/proc/cpuinfo") as f:
        lines = f.read().split("\n\n")[0].splitlines()
    return {name.strip(): text.strip() for name, text in (line.split(":", 1) for line in lines if ":" in line)}


def multiplies_bf16():
    """Has this processor instructions that multiply bf16?"""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(processor().get("flags", "").split())


def ratio(a, b):
    return round(a / b, 3) if a and b else None


def fastest(*values):
    return max((v for v in values if v), default=None)


def least(*values):
    return min((v for v in values if v), default=None)


def measure(name, options, python, compiler, folder):
    shape = dict(SHAPES[name], device="cpu", threads=CORES)
    found = {}  # (column, kind) -> its results
    ours = {}  # precision -> our side, where there is one
    for precision in ("fp32", "bf16"):
        side = Shoal(options.shoal, name=name, precision=precision, **shape)
        try:
            side.turn(1)
            ours[precision] = side
        except RuntimeError as e:
            note("shoal_%s: null, as %s" % (precision, e))
            side.close()
    runs = [(column, kind, settings, ENVIRONMENT) for column, kinds in VARIANTS.items() for kind, settings in kinds.items()
            if (compiler or not settings["compile"]) and (options.bf16 or settings["precision"] == "fp32")]
    if options.unlock_mkl:
        runs += [(column + "_unlocked", kind, settings, unlocked(folder)) for column, kind, settings, _ in runs
                 if settings["precision"] == "fp32"]
    if not options.bf16 and "bf16" in ours:
        found.update(take_turns({("shoal_bf16", ""): ours["bf16"]}, options.rounds, options.seconds, options.patience))
    for column, kind, settings, environment in runs:
        side = Torch(python, environment, **shape, **settings)
        sides = {(column, kind): side}
        if settings["precision"] in ours:
            sides["shoal_" + settings["precision"], ""] = ours[settings["precision"]]
        for key, results in take_turns(sides, options.rounds, options.seconds, options.patience).items():
            found.setdefault(key, []).extend(results)
        side.close()
    for precision in ours:
        ours[precision].close()
    return summary(name, found, side.ready)


def summary(name, found, ready):
    """The line of JSON of a shape."""
    imported = ready["import_bytes"]
    cpu = processor()
    line = {"shape": name, "cpu": " ".join(cpu.get(k, "?") for k in ("vendor_id", "cpu family", "model")), "processors": CORES,
            "torch": ready["ready"]}
    best, sizes = {}, {}
    for column in ("shoal_fp32", "shoal_bf16", *VARIANTS):
        kinds = [key for key in found if key[0] == column]
        line[column] = best[column] = sizes[column] = None
        if kinds:
            key = max(kinds, key=lambda k: speeds(found[k])[0])
            line[column], best[column] = (round(s, 1) for s in speeds(found[key]))
            sizes[column] = max(r["peak_bytes"] for r in found[key])
            if key[1]:
                line[column + "_kind"] = key[1]
    line["best"] = best
    for key, results in found.items():
        if key[0].endswith("_unlocked"):
            line[key[0]] = round(speeds(results)[0], 1)
    for column, size in sizes.items():
        line[column + "_bytes"] = size
    for precision in ("fp32", "bf16"):
        rounds = found.get(("shoal_" + precision, ""), [])
        line[precision + "_roofline"] = max((round(r["tokens_per_second"] / r["share"], 1) for r in rounds), default=None)
    line["torch_import_bytes"] = imported
    line["fp32_ratio"] = ratio(line["shoal_fp32"], fastest(line["torch_fp32"], line["torch_compiled_fp32"]))
    line["best_ratio"] = ratio(fastest(line["shoal_fp32"], line["shoal_bf16"]),
                               fastest(*(line[c] for c in sizes if c.startswith("torch"))))
    for precision in ("fp32", "bf16"):
        ours, theirs = sizes["shoal_" + precision], least(sizes["torch_" + precision], sizes["torch_compiled_" + precision])
        line[precision + "_memory_ratio"] = ratio(ours, theirs)
        line[precision + "_memory_ratio_beyond_import"] = ratio(ours, theirs and theirs - imported)
    line["elsewhere"] = round(max(r["elsewhere"] for results in found.values() for r in results), 3)
    return line


def worst(lines):
    """Of the lines of one shape, the smallest ratio of speeds and the largest of memory."""
    line = {"shape": lines[0]["shape"], "runs": len(lines)}
    for key, of in (("fp32_ratio", min), ("best_ratio", min), ("fp32_memory_ratio", max), ("bf16_memory_ratio", max),
                    ("elsewhere", max)):
        line["worst_" + key] = of((l[key] for l in lines if l[key] is not None), default=None)
    return line


def count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("it must be a whole number from 1 on, and is %s" % text)
    return int(text)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", choices=SHAPES, action="append", help="default: all three, one after the other")
    p.add_argument("--seconds", type=float, default=5, help="of a turn; three steps at least")
    p.add_argument("--rounds", type=count, default=3)
    p.add_argument("--runs", type=count, default=1, help="everything so many times")
    p.add_argument("--patience", type=float, default=600, help="seconds to wait in all, for each variant, until other programs are quiet")
    p.add_argument("--unlock-mkl", action="store_true", help="measure PyTorch with MKL told that this processor is Intel's, too")
    p.add_argument("--slow-bf16", action="store_true", help="measure bf16 in PyTorch on a processor without instructions for it, too")
    p.add_argument("--shoal", default=os.path.join(HOME, "zig-out", "bin", "shoal"))
    options = p.parse_args()
    options.shoal = executable(options.shoal)
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        note("torch.compile needs a C++ compiler, and there is none: install g++; the compiled columns are null")
    options.bf16 = options.slow_bf16 or multiplies_bf16()
    if not options.bf16:
        note("this processor has no instructions for bf16: PyTorch's bf16 columns are null (--slow-bf16 measures them)")
    python = python_with_torch()
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        lines = {name: [] for name in options.shape or SHAPES}
        for run in range(options.runs):
            for name in lines:
                note("%s, %d processors:" % (name, CORES) + (" run %d of %d" % (run + 1, options.runs)) * (options.runs > 1))
                lines[name].append(measure(name, options, python, compiler, folder))
                print(json.dumps(lines[name][-1]), flush=True)
    for runs in lines.values():
        if len(runs) > 1:
            print(json.dumps(worst(runs)))


main()
