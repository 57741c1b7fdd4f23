#!/usr/bin/env python3
"""mutate.py -- plants bugs in copies of cu/, one at a time, and sees whether a test finds them on fibers (fiber.h).

    mutate.py ZIG OBJECT ARCHIVE... NAME_BIN=PATH... -- [--third N] [NAME...]

All planted bugs of mutations.py, those whose name has a NAME in it, or each third one from the N-th (0 .. 2).

OBJECT holds the tests, the ARCHIVEs all they call but the kernels (build/gpu.zig), the PATHs are what stands in for
cuBLASLt and NCCL. For each bug: its text is replaced in a copy of the file, that is compiled and linked with the other
kernels, and the tests of the loader of libraries, the operations, the outer step, joined GPUs, tensor cores, cuBLASLt and
the model are run in three orders of threads until one fails. Caught means that an assertion or a sentence of fiber.h
said so: a time-out, or a crash without a word, is a miss. It fails when a bug is missed, when a text to be replaced is not
there exactly once, when the changed file does not compile, or when the code without a bug fails.
"""
import concurrent.futures, os, re, shutil, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "test")]
import mutations, planted

OUT = os.path.join(ROOT, ".zig-cache", "mutate-cuda")
SOURCE = os.path.join(OUT, "source")  # cu/ as it was when we began, should somebody be editing
TARGET = ["-target", "x86_64-linux-gnu.2.28", "-mcpu=x86_64_v3+aes+pclmul"]
# build/gpu.zig's fiber_flags. Without UBSan: its trap is a crash without a word.
FLAGS = TARGET + ["-std=c++20", "-O2", "-w", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti",
                  "-fno-threadsafe-statics", "-fno-sanitize=undefined", "-DSHOAL_FIBER", "-Ic", "-Itest/cuda"]
LIBRARIES = [".deps/system/lib/" + name for name in ("libcriterion.so", "libjansson.a", "libxxhash.a", "libpcre2-8.a", "libz.a", "libzstd.a")]
ORDERS = ["threads", "warps", "reverse"]
# and seconds for each run; of the model's tests those that matter set the order themselves
SUITES = [("library", 60, ["threads"]), ("device", 60, ["threads"]), ("ops", 60, ORDERS), ("outer", 60, ORDERS), ("group", 60, ["threads"]),
          ("tensor", 60, ["threads"]), ("cublaslt", 120, ["threads"]), ("attention", 120, ["threads"]), ("model", 300, ["threads"])]
# Whose tests are likely to catch a bug of this file: they are run first.
FIRST = {"library.cu": "library", "outer.cu": "outer", "outer_step.cu": "outer", "group.cu": "group", "nccl_api.cu": "group",
         "product_bf16.cu": "tensor", "cublaslt.cu": "cublaslt", "choices.cu": "cublaslt", "attention_bf16.cu": "attention"}


def call(command):
    """What the compiler said if it failed, or None."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return (done.stderr or "no word") if done.returncode else None


def object_of(path, into):
    return os.path.join(into, os.path.basename(path).rsplit(".", 1)[0] + ".o")


def compile_one(zig, path, into):
    return call([zig, "c++"] + FLAGS + ["-I" + os.path.dirname(path), "-x", "c++", "-c", path, "-o", object_of(path, into)])


def link(zig, objects, libraries, target):
    return call([zig, "cc"] + TARGET + objects + libraries + LIBRARIES
                + ["-rdynamic", "-Wl,-rpath,/usr/lib/x86_64-linux-gnu", "-lm", "-lpthread", "-o", target])


def run_suite(program, suite, limit, order):
    """(whether all passed, what a failed assertion or fiber.h said: None for neither)."""
    tap = "%s.%s-%s.tap" % (program, suite, order)
    if os.path.exists(tap):
        os.remove(tap)
    command = [program, "--quiet", "-j1", "--fail-fast", "--filter", suite + "/*", "--timeout=%d" % limit, "--tap=" + tap]
    try:
        done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, FIBER_SCHEDULE=order), timeout=limit,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        return False, None
    report = open(tap).read() if os.path.exists(tap) else ""
    passed = [t for t in re.findall(r"^ok - (\S+)", report, re.M) if t.startswith(suite + "::")]
    if done.returncode == 0 and passed:
        return True, None
    sentence = re.search(r"^fiber: .*", done.stderr, re.M)
    if sentence:
        return False, sentence[0]
    failed = re.search(r"^not ok - (\S+).*\n(?:  .*\n)*?  - \S+\.[ch]:(\d+): .*\n\s+Assertion failed: (.*)", report, re.M)
    if failed:
        return False, "%s, line %s: %s" % (failed[1], failed[2], failed[3])
    return False, None


def run_tests(program, file=None, run=map):
    """None when all pass, else (whether it is caught, line to print). `file`: where the bug is; `run`: map, or a pool's."""
    suites = sorted(SUITES, key=lambda s: s[0] != FIRST.get(file))
    tries = [(suite, limit, order) for suite, limit, orders in suites for order in orders]
    for (suite, _, order), (good, said) in zip(tries, run(lambda t: run_suite(program, *t), tries)):
        if not good:
            where = "%s tests, order %s" % (suite, order)
            return bool(said), "%s: %s" % (where, said or "a crash without a word, or a time-out")
    return None


def plant(bug, folder):
    """A copy of cu/ with the bug; which file to compile, or None."""
    name, file, old, new, *compiled = bug
    shutil.copytree(SOURCE, folder)
    path = os.path.join(folder, file)
    text = open(path).read()
    if text.count(old) != 1:
        return None
    with open(path, "w") as f:
        f.write(text.replace(old, new))
    return os.path.join(folder, (compiled or [file])[0])


def try_one(zig, bug, libraries):
    """(verdict, line to print)."""
    folder = os.path.join(OUT, re.sub(r"\W+", "-", bug[0]))
    path = plant(bug, folder)
    if path is None:
        return "NOT OK", "its text is not in %s exactly once: bring mutations.py up to date" % bug[1]
    said = compile_one(zig, path, folder)
    if said:
        return "NOT OK", "does not compile:\n" + said
    mine, program = object_of(path, folder), os.path.join(folder, "test-cuda")
    # Ours first: of an inline function that two files hold the linker takes the first.
    others = [o for o in control_objects() if os.path.basename(o) != os.path.basename(mine)]
    said = link(zig, [mine] + others, libraries, program)
    if said:
        return "NOT OK", "does not link:\n" + said
    found = run_tests(program, bug[1])
    shutil.rmtree(folder)
    if found is None:
        return "MISSED", "all tests pass"
    return ("caught" if found[0] else "MISSED"), found[1]


def control_sources():
    kernels = sorted(n for n in os.listdir(SOURCE) if n.endswith(".cu"))
    return [os.path.join(SOURCE, n) for n in kernels] + [os.path.join(HERE, n) for n in ("fiber.cc", "runtime.cc")]


def control_objects():
    return [object_of(path, OUT) for path in control_sources()]


def main():
    dashes = sys.argv.index("--")
    zig, libraries = sys.argv[1], [a for a in sys.argv[2:dashes] if "=" not in a]
    chosen, which = planted.choose(mutations.MUTATIONS, lambda bug: bug[0], sys.argv[dashes + 1:])
    for name, path in [a.split("=", 1) for a in sys.argv[2:dashes] if "=" in a]:
        os.environ[name] = os.path.abspath(path)
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "cu"), SOURCE)
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        said = [s for s in pool.map(lambda path: compile_one(zig, path, OUT), control_sources()) if s]
        program = os.path.join(OUT, "test-cuda")
        said = said[0] if said else link(zig, control_objects(), libraries, program)
        if said:
            sys.exit("mutate: the code without a bug does not build:\n" + said)
        found = run_tests(program, run=pool.map)
        if found:
            sys.exit("mutate: the code without a bug fails: " + found[1])
        print("passed   the code without a bug, in all orders", flush=True)
        good = True
        for bug, (verdict, line) in zip(chosen, pool.map(lambda bug: try_one(zig, bug, libraries), chosen)):
            print("%-8s %s: %s" % (verdict, bug[0], line), flush=True)
            good = good and verdict == "caught"
    print("%s, %s" % (which, "each caught" if good else "NOT all caught"))
    sys.exit(0 if good and chosen else 1)


if __name__ == "__main__":
    main()
