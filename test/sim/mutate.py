#!/usr/bin/env python3
"""mutate.py -- plants bugs in copies of swarm/ and c/, one at a time, and checks that the simulator finds them.

    mutate.py ZIG [--third N] [NAME...]      all planted bugs of mutations.py, the named ones, or every third one from the N-th (0 .. 2)

A bug with `shrinks` tests --shrink, too: a few nodes and faults must be left of its seed.

For each bug its text is replaced in a copy of the file, the copy is compiled with the rest of the simulator, and seeds
are run until one fails. A line names the seed that caught it and the invariant. It fails when a bug is missed, when a
text to be replaced does not occur exactly once, when the changed file does not compile (a bug that the compiler finds
proves nothing), or when the original code fails a seed that caught a bug.
"""
import os, re, shutil, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "test")]
import mutations, planted

OUT = os.path.join(ROOT, ".zig-cache", "mutate")
SOURCE = os.path.join(OUT, "source")  # a snapshot of swarm/ and c/ from the start, in case somebody is editing
FLAGS = ["-target", "x86_64-linux-gnu.2.28", "-mcpu=x86_64_v3+aes+pclmul", "-std=gnu17", "-O2", "-ffp-contract=off",
         "-fno-sanitize=undefined", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
         "-I" + os.path.join(SOURCE, "c"), "-I" + SOURCE, "-I.", "-I.deps/system/include"]
LIBRARIES = [".deps/system/lib/" + name for name in ("libxxhash.a", "libjansson.a")]
SEEDS = "1..200"


def sources():
    def folder(path, but=()):
        names = sorted(n for n in os.listdir(os.path.join(ROOT, path)) if n.endswith(".c"))
        return [os.path.join(path, n) for n in names if not n.endswith(but or "\0")]
    shutil.rmtree(OUT, ignore_errors=True)
    for path in ("swarm", "c"):
        shutil.copytree(os.path.join(ROOT, path), os.path.join(SOURCE, path))
    pure = [os.path.join(SOURCE, "c", f) for f in ("outer/outer.c", "outer/mean.c", "cpu/outer.c", "node/replica.c")]
    return (folder(os.path.join(SOURCE, "c/base")) + pure + folder(os.path.join(SOURCE, "swarm"))
            + folder("test/sim", ("_test.c", "oracle.c")))


def object_of(file, into):
    return os.path.join(into, os.path.relpath(file, SOURCE if file.startswith(SOURCE) else ROOT).replace("/", "_") + ".o")


def compile_all(zig, files, into, planted_in=None):
    """Compiles two at a time; returns the compiler's message for the first failure, or None. `planted_in`: the folder that
    a planted file comes from, whose headers it sees; its warnings do not matter."""
    os.makedirs(into, exist_ok=True)
    waiting, running = list(files), []
    flags = FLAGS
    if planted_in:
        flags = [f for f in FLAGS if f != "-Werror"] + ["-w", "-iquote", planted_in]
    while waiting or running:
        while waiting and len(running) < 2:
            f = waiting.pop(0)
            running.append(subprocess.Popen([zig, "cc"] + flags + ["-c", f, "-o", object_of(f, into)], cwd=ROOT,
                                            stderr=subprocess.PIPE, text=True))
        child = running.pop(0)
        said = child.communicate()[1]
        if child.returncode:
            for other in running:
                other.wait()
            return said
    return None


def link(zig, objects, target):
    done = subprocess.run([zig, "cc"] + FLAGS[:2] + objects + LIBRARIES + ["-lm", "-lpthread", "-o", target], cwd=ROOT,
                          capture_output=True, text=True)
    return done.stderr if done.returncode else None


def worlds_of(m):
    """The arguments for the worlds that a bug is planted in: these scenarios of another kind of worlds, or the ordinary ones."""
    for kind in ("far", "wrong", "lies"):
        if kind in m:
            return ("--" + kind, "--only", m[kind])
    return ()


def simulate(program, seeds, where):
    """None when all seeds pass, otherwise (seed, violated invariant). `where`: worlds_of."""
    done = subprocess.run([program, seeds, "--quiet", "--stop", *where], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    failed = re.search(r"seed (\d+): FAILED(?: at [^:]*)?: (.*)", done.stdout)
    if not failed:
        sys.exit("mutate: the simulator ended with code %d and said:\n%s%s"
                 % (done.returncode, done.stdout[-2000:], done.stderr[-2000:]))
    said = failed[2]
    if "process died" in said:
        assertion = re.search(r"Assertion.*", done.stderr)
        said = "assert: " + (assertion[0] if assertion else done.stderr.strip().splitlines()[-1])
    return int(failed[1]), said


def shrink(program, seed, invariant, most):
    """What is wrong with the world that --shrink leaves of a seed, or None: it is small, and its repeat line fails like the whole one."""
    done = subprocess.run([program, str(seed), "--shrink"], cwd=ROOT, capture_output=True, text=True)
    nodes = re.search(r"^  nodes: ([0-9, ]+)", done.stdout, re.M)
    again = re.search(r"^  repeat: zig build sim -- (.*?) --trace", done.stdout, re.M)
    faults = len(re.findall(r"^  fault \d+: ", done.stdout, re.M))
    if not nodes or not again:
        return "--shrink says:\n" + done.stdout + done.stderr
    if len(nodes[1].split(",")) > most[0] or faults > most[1]:
        return "--shrink leaves nodes %s and %d faults, more than %d and %d" % (nodes[1], faults, *most)
    said = subprocess.run([program] + again[1].split(), cwd=ROOT, capture_output=True, text=True).stdout
    alike = re.search(r"FAILED at [^:]*: " + re.escape(invariant.split(":")[0]) + ":", said)
    return None if alike else "what --shrink tells to repeat does not fail like the whole world:\n" + said


def plant(m):
    """The mutated copy of a file."""
    folder = os.path.join(OUT, m["name"].replace(" ", "-"))
    os.makedirs(folder, exist_ok=True)
    text = open(os.path.join(SOURCE, m["file"])).read()
    if text.count(m["old"]) != 1:
        return None
    path = os.path.join(folder, os.path.basename(m["file"]))
    with open(path, "w") as f:
        f.write(text.replace(m["old"], m["new"]))
    return path


def try_one(zig, m, files, control):
    """(caught, line to print, seed)."""
    path = plant(m)
    if path is None:
        return False, "its text is not in %s exactly once: bring mutations.py up to date" % m["file"], None
    folder, original = os.path.dirname(path), os.path.join(SOURCE, m["file"])
    said = compile_all(zig, [path], folder, planted_in=os.path.dirname(original))
    if said:
        return False, "does not compile:\n" + said, None
    objects = [object_of(path, folder) if f == original else object_of(f, control) for f in files]
    program = os.path.join(folder, "sim")
    said = link(zig, objects, program)
    if said:
        return False, "does not link:\n" + said, None
    found = simulate(program, m.get("seeds", SEEDS), worlds_of(m))
    if found is None:
        return False, "MISSED: seeds %s pass" % m.get("seeds", SEEDS), None
    if found[1].startswith("proved nothing"):
        return False, "MISSED: seed %d only says: %s" % found, None
    wrong = m.get("shrinks") and shrink(program, *found, m["shrinks"])
    if wrong:
        return False, "seed %d: %s" % (found[0], wrong), None
    return True, "caught by seed %d: %s" % found, found[0]


def main():
    zig, (chosen, which) = sys.argv[1], planted.choose(mutations.MUTATIONS, lambda m: m["name"], sys.argv[2:])
    files, control = sources(), os.path.join(OUT, "control")
    said = compile_all(zig, files, control) or link(zig, [object_of(f, control) for f in files], os.path.join(control, "sim"))
    if said:
        sys.exit("mutate: the code without a bug does not build:\n" + said)
    good, seeds = True, set()
    for m in chosen:
        caught, line, seed = try_one(zig, m, files, control)
        print("%-8s %s: %s" % ("caught" if caught else "NOT OK", m["name"], line), flush=True)
        good = good and caught
        if seed is not None:
            seeds.add((seed, worlds_of(m)))
    for seed, where in sorted(seeds):
        found = simulate(os.path.join(control, "sim"), str(seed), where)
        if found:
            print("NOT OK   the code without a bug fails seed %d too: %s" % found)
            good = False
    print("%s, %s" % (which, "each caught; without them the same seeds pass" if good else "NOT all well"))
    sys.exit(0 if good and chosen else 1)


if __name__ == "__main__":
    main()
