#!/usr/bin/env python3
"""The day on a GPU (test/carried/day.sh) without one: it stops where there is none; with shoal on fibers, a stand-in for the tests and
stand-ins for NVIDIA's tools its stages run in order, what goes wrong in one is said and stops no other, and its clock is kept."""
import tarfile
from swarms import *

FIBER, CUBLASLT = os.environ["FIBER_BIN"], os.environ["CUBLASLT_BIN"]
CARRIED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "carried")
GPU, TOOLS, OUT = (os.path.join(PLACE, name) for name in ("gpu", "tools", "out"))
os.makedirs(TOOLS)
os.makedirs(os.path.join(GPU, "test", "bench"))
for name in "run.sh", "day.sh", "stages.sh", "shoal":
    shutil.copy(os.path.join(CARRIED, name), GPU)


def script(path, text):
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


TINY = os.path.join(PLACE, "tiny.yaml")
with open(TINY, "w") as f:
    f.write("experiment: {name: tiny}\nmodel: {layers: 1, dim: 32, heads: 1, kv_heads: 1, ffn: 64, vocab: 257, context: 16}\n"
            "data: {corpus: none}\ntrain: {steps: 1, batch_tokens: 16, precision: bf16}\nouter: {every: 1}\n")

# The presets are too large for fibers, and the tests of the kernels are run as test-cuda.
script(os.path.join(GPU, "test-gpu"), """
case $1 in
shoal)
    shift
    if [ "$1" != bench ]; then exec %s "$@"; fi
    case "$*" in *--trace*) trace=--trace ;; esac
    exec %s bench gpu %s --seconds 1 --ops 0 --json ${trace-}
    ;;
--one=*) if [ "${FIBER_DEVICES-1}" = 0 ] || [ "${FIBER_DRIVER-1}" = 0 ]; then echo 'skipped: no GPU' >&2; exit 77; fi ;;
--filter=ops/) echo "not ok - ops::wrong"; echo "ops/wrong: Assertion failed" >&2; exit ${WRONG-0} ;;
esac
echo "ok - $*"
""" % (FIBER, FIBER, TINY))
for tool in "nvidia-smi", "compute-sanitizer":
    script(os.path.join(TOOLS, tool), 'echo "%s $*"' % tool)


def day(*arguments, name="day", libraries=os.path.dirname(CUBLASLT), **environment):
    shutil.rmtree(OUT, ignore_errors=True)
    return run(OUT, *arguments, program=os.path.join(GPU, name + ".sh"), LD_LIBRARY_PATH=libraries,
               PATH=TOOLS + ":/usr/bin:/bin", HOME=PLACE, **environment)


def result(name):
    """What a stage said, from the archive."""
    try:
        with tarfile.open(os.path.join(OUT, "day.tar.gz")) as tar:
            return tar.extractfile("day/%s.txt" % name).read().decode()
    except (OSError, KeyError) as error:
        return str(error)


for name in "day", "run":
    for sentence, environment in [("there is no GPU 0: this machine has none", dict(FIBER_DEVICES="0")),
                                  ("this machine has no NVIDIA driver", dict(FIBER_DRIVER="0"))]:
        done = day(name=name, **environment)
        ok(done.returncode == 77 and done.stdout.count("\n") == 1 and
           done.stdout.startswith("%s: no GPU, nothing was run: %s" % (name, sentence)),
           "%s.sh ends with one sentence where %s" % (name, sentence), done.stdout)

done = day()
said = done.stdout.splitlines()
stages = [line.split()[1].strip(",:") for line in said if line.split()[0] in ("passed", "FAILED")]
ok(stages[:7] == ["facts", "ops", "tests", "150m", "1b-8192", "1b", "trace"] and
   sorted(stages[7:]) == ["initcheck", "memcheck", "racecheck", "synccheck"], "the stages come in order", done.stdout)
ok(done.returncode == 0 and said[-1] == "all passed", "all of them pass", done.stdout)
ok("skipped kernels: there is no ncu here" in said and "skipped pytorch: no Python here has PyTorch with CUDA" in said,
   "what is not here is skipped in sight", done.stdout)
ok(len(os.listdir(OUT)) <= 8 and {"day.tar.gz", "day.txt"} <= set(os.listdir(OUT)) and not any(n.endswith(".part") for n in os.listdir(OUT)),
   "few files are left", os.listdir(OUT))
ok("cuBLASLt 13.1" in result("1b") and "nvidia-smi -q" in result("facts") and "--tool racecheck" in result("racecheck"),
   "the archive holds what each stage said", [result(name) for name in ("1b", "facts", "racecheck")])
try:
    traced = json.loads(result("trace").splitlines()[0])["trace"]
except (ValueError, KeyError) as error:
    traced = {"ops": [], "error": str(error)}
ops = {op["op"]: op for op in traced["ops"]}
ok({"linear", "linear_weight", "attention", "attention_backward", "adamw", "norm2", "embed_backward"} <= set(ops) and
   all(op["calls"] > 0 and op["seconds"] > 0 for op in ops.values()) and
   sum(op["seconds"] for op in ops.values()) <= 1.05 * traced["step_seconds"], "a trace has the time of each operation", result("trace"))

done = day(WRONG="1")
ok(done.returncode == 1 and "FAILED  ops (code 1)" in done.stdout and "passed  1b," in done.stdout and done.stdout.endswith("something failed\n"),
   "a test that fails stops nothing else", done.stdout)
done = day(libraries="")
ok(done.returncode == 1 and done.stdout.count("its products were not cuBLASLt's") == 3, "a number without cuBLASLt is not believed", done.stdout)
script(os.path.join(TOOLS, "ncu"), 'echo "==ERROR== ERR_NVGPUCTRPERM"; exit 1')
done = day("5")
ok(done.returncode == 1 and "skipped ops: there is no time left" in done.stdout and "passed" not in done.stdout and
   os.path.exists(os.path.join(OUT, "day.tar.gz")), "what does not fit into the time is skipped in sight", done.stdout)
done = day()
ok(done.returncode == 0 and "passed  trace" in done.stdout, "where ncu may not look, the trace serves", done.stdout)
finish()
