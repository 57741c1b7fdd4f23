#!/usr/bin/env python3
"""sanitize.py -- the unit tests once more, or the fuzz targets, built by the system's clang with a sanitizer.

    sanitize.py address|thread|fuzz [--only NAME,...] [--seconds N] ARCHIVE...

`address` is AddressSanitizer with UBSan, `thread` is ThreadSanitizer, `fuzz` runs each test/fuzz/*_fuzz.c under
libFuzzer with the first two for N seconds (default 10), from test/fuzz/corpus/NAME where there is one. The archives are the third-party libraries as
Zig built them. Zig's own compiler lacks AddressSanitizer's runtime and drops the flag silently, so clang-14 is called
here, and each build first proves itself on a planted bug (test/sanitize/planted.c). Objects are kept under
.zig-cache/sanitize and rebuilt when a source or header is newer.
"""
import concurrent.futures, glob, os, subprocess, sys

FLAGS = {"address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "thread": ["-fsanitize=thread"],
         "fuzz": ["-fsanitize=address,undefined,fuzzer-no-link", "-fno-sanitize-recover=all"]}
PLANTED = {"address": ["address", "undefined"], "thread": ["thread"], "fuzz": ["address", "undefined"]}


def unpacked():
    """Where each source of sources.lock lies, by its name."""
    lines = [line.split() for line in open("sources.lock")]
    return {words[1]: ".deps/" + words[4] for words in lines if words and words[0] == "source"}


AT = unpacked()
INCLUDES = ["-Ic", "-I.", "-Inet/wolfssl", "-I" + AT["wolfssl"], "-I%s/lib/includes" % AT["ngtcp2"],
            "-I%s/crypto/includes" % AT["ngtcp2"], "-I%s/lib/includes" % AT["nghttp3"],
            "-I%s/include" % AT["libyaml"], "-I.deps/system/include",
            "-DWOLFSSL_USER_SETTINGS", "-DNGTCP2_STATICLIB", "-DNGHTTP3_STATICLIB"] + \
    ['-DDYGRAPHS_%s="%s/share/%s"' % (name, AT["dygraphs"], file) for name, file in (
        ("SCRIPT", "javascript/dygraphs/dygraph.min.js"), ("STYLE", "javascript/dygraphs/dygraph.min.css"),
        ("LICENSE", "doc/libjs-dygraphs/copyright"))]
COMPILE = ["-std=gnu17", "-g", "-O1", "-fno-omit-frame-pointer", "-march=x86-64-v3", "-maes", "-mpclmul",
           "-ffp-contract=off", "-D_GNU_SOURCE", "-w"]
SYSTEM = [".deps/system/lib/" + n for n in
          ("libjansson.a", "libxxhash.a", "libpcre2-8.a", "libz.a", "libzstd.a", "libcriterion.so")]


def clang():
    for name in ("clang-14", "clang"):
        if subprocess.call(["sh", "-c", "command -v " + name], stdout=subprocess.DEVNULL) == 0:
            return name
    sys.exit("sanitize.py: clang-14 is missing: apt-get install clang-14 libclang-rt-14-dev")


def call(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit("sanitize.py: %s\n%s" % (" ".join(command), done.stdout))


def compiler(cc, place, flags):
    """A function that returns the object of a source, compiled into `place` where a source or header is newer."""
    headers = glob.glob("c/**/*.h", recursive=True) + glob.glob("swarm/*.h") + glob.glob("net/*.h") + \
        glob.glob("test/**/*.h", recursive=True)
    newest = max(map(os.path.getmtime, headers + [__file__]))

    def compiled(source, more=[]):
        target = os.path.join(place, source.replace("/", "-") + ".o")
        if not os.path.exists(target) or os.path.getmtime(target) < max(newest, os.path.getmtime(source)):
            call([cc] + COMPILE + flags + more + INCLUDES + ["-c", source, "-o", target])
        return target

    return compiled


def prove(kind, cc, place):
    """Each sanitizer must find its planted bug, or the whole run proves nothing."""
    program = os.path.join(place, "planted")
    call([cc, "-g", "-O1"] + FLAGS[kind] + ["test/sanitize/planted.c", "-o", program, "-lpthread"])
    for bug in PLANTED[kind]:
        done = subprocess.run([program, bug], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0 and "Sanitizer" not in done.stdout and "runtime error" not in done.stdout:
            sys.exit("sanitize.py: the planted %s bug was not found: this build proves nothing" % bug)
    print("sanitize %s: the planted bugs are found" % kind, flush=True)


def fuzz_one(program, seconds):
    """(whether nothing was found in some hundred runs, lines to print)."""
    name = os.path.basename(program)
    found = os.path.join(".zig-cache", "sanitize", "fuzz", name + "-corpus")
    os.makedirs(found, exist_ok=True)
    kept = os.path.join("test", "fuzz", "corpus", name)
    command = [program, "-max_total_time=%d" % seconds, "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0",
               "-print_final_stats=1", "-artifact_prefix=" + found + "/", found]
    done = subprocess.run(command + ([kept] if os.path.isdir(kept) else []), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors="replace", text=True)
    runs = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    good = done.returncode == 0 and runs and int(runs[0]) > 100
    lines = ["%s - fuzz %s: %s runs in %d s" % ("ok" if good else "not ok", name, runs[0] if runs else "no", seconds)]
    return good, lines + ([] if good else ["  | " + line for line in done.stdout.splitlines()[-60:]])


def fuzz(programs, seconds):
    """Runs each fuzz target for a while, two side by side; prints TAP's kind of sum."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for good, lines in pool.map(lambda program: fuzz_one(program, seconds), programs):
            failed += not good
            print("\n".join(lines), flush=True)
    print("%d passed, %d failed, 0 skipped" % (len(programs) - failed, failed))
    sys.exit(1 if failed or not programs else 0)


def main():
    kind, rest = sys.argv[1], sys.argv[2:]
    only, seconds = None, 10
    while rest and rest[0].startswith("--"):
        if rest[0] == "--only":
            only = rest[1].split(",")
        elif rest[0] == "--seconds":
            seconds = int(rest[1])
        else:
            sys.exit("sanitize.py: there is no option " + rest[0])
        rest = rest[2:]
    cc = clang()
    place = os.path.join(".zig-cache", "sanitize", kind)
    os.makedirs(place, exist_ok=True)
    prove(kind, cc, place)

    compiled = compiler(cc, place, FLAGS[kind])

    def build(source):
        # The kernels for AVX-512 in C, lane by lane: on any processor, and a mask that lets too much through is seen.
        return compiled(source, ["-DAVX512_IN_C"] if kind == "address" and source.startswith("c/cpu/") else [])

    ours = sorted(p for p in glob.glob("c/*/*.c") + glob.glob("swarm/*.c") + glob.glob("net/*.c")
                  if not p.startswith("c/bin/"))
    tests = {}
    if kind == "fuzz":
        for source in sorted(glob.glob("test/fuzz/*_fuzz.c")):
            tests[os.path.basename(source)[:-len("_fuzz.c")]] = [source]
    else:
        for source in sorted(glob.glob("test/*/*_test.c")):
            if source.startswith("test/cuda/"):
                continue  # fibers: the sanitizers do not know their stacks
            tests.setdefault(source.split("/")[1], []).append(source)
        for files in tests.values():
            files.append("test/sanitize/runner.c")
        tests["wan"] += [p for p in sorted(glob.glob("test/wan/*.c")) if not p.endswith(("wan.c", "space.c", "_test.c"))]
        tests["sim"] += [p for p in sorted(glob.glob("test/sim/*.c")) if not p.endswith(("main.c", "_test.c"))]
    if only:
        tests = {k: v for k, v in tests.items() if k in only}
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        objects = list(pool.map(build, ours))
        programs = []
        for name, files in tests.items():
            linked = objects
            if name == "sim":  # oracle.c plays the nodes
                linked = [o for o, source in zip(objects, ours) if source.startswith("c/base/") or source in
                          ("c/outer/outer.c", "c/outer/mean.c", "c/cpu/outer.c", "c/node/replica.c", "swarm/lineage.c", "swarm/owners.c", "swarm/parcel.c", "swarm/reduce_made.c", "swarm/relay_wire.c", "swarm/ticket.c", "swarm/wire.c")]
            program = os.path.join(place, name if kind == "fuzz" else "test-" + name)
            link = ["-fsanitize=address,undefined,fuzzer"] if kind == "fuzz" else FLAGS[kind]
            call([cc] + link + list(pool.map(build, files)) + linked + rest + SYSTEM +
                 ["-o", program, "-lpthread", "-lm", "-ldl"])
            programs.append(program)
    os.environ["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=1"
    if kind == "fuzz":
        fuzz(programs, seconds)
    os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1"
    os.environ["TSAN_OPTIONS"] = "halt_on_error=1:abort_on_error=1"
    sys.exit(subprocess.call(["python3", "test/tally.py"] + programs))


if __name__ == "__main__":
    main()
