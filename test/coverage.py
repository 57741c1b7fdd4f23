#!/usr/bin/env python3
"""coverage.py -- which code of the program no test reaches, by the counters of the system's clang.

    coverage.py [--only NAME,...] [NAME_BIN=PATH...] [FOLDER...] ARCHIVE...

Compiles c/bin and each FOLDER of our sources (default: c/bin) with counters, links them with the archives that Zig built,
ours and third parties', and runs the program tests on that program, two at a time (test/tally.py, which stops one that is
silent for too long and gets the NAME_BIN), or only those of --only: "keygen,json". Of a FOLDER other than c/bin the unit tests
run too. Then it prints for each source the functions that were never entered and, of the others, each piece of code that was
never executed: its lines and how it begins. Takes seven minutes on two cores.

Each process counts into a file that it maps, so one that is killed or ends by _exit() counts too; by default the counts are
written at exit, and a SIGKILL loses them. A test that fails is named, and counts all the same. What to know of the result:

    the program with fibers for a GPU (test/cuda) is run without counters, so what only a GPU reaches is reported;
    the test `binary` fails: this program is not linked as Zig links it;
    the file with the counts takes the number of a standard output that is closed: that test of `stop` fails;
    behind a fork() both processes count into one file, and what follows a child's _exit() is reported.
"""
import glob, json, os, shutil, subprocess, sys

import sanitize

PLACE = os.path.join(".zig-cache", "sanitize", "coverage")  # tally.py takes programs in it for such that print TAP
FLAGS = ["-fprofile-instr-generate", "-fcoverage-mapping", "-mllvm", "-runtime-counter-relocation", "-O2"]
SHOWN = 80  # characters of a piece of code


def build(folders, archives):
    """The program, then the unit tests of each folder that has some."""
    compiled = sanitize.compiler(sanitize.clang(), PLACE, FLAGS)

    def link(name, sources):
        # An archive's member whose functions are there already is left out: those with counters come first.
        program = os.path.join(PLACE, name)
        sanitize.call([sanitize.clang()] + FLAGS[:2] + [compiled(source) for source in sources] +
                      ["-Wl,--start-group"] + archives + ["-Wl,--end-group", "-Wl,--as-needed"] + sanitize.SYSTEM +
                      ["-o", program, "-lpthread", "-lm", "-ldl"])
        return program

    counted = [source for folder in folders for source in sorted(glob.glob(folder + "/*.c"))]
    programs = [link("shoal", sorted(set(counted + glob.glob("c/bin/*.c"))))]
    for folder in folders:
        tests = sorted(glob.glob("test/%s/*_test.c" % os.path.basename(folder)))
        if tests:
            programs.append(link("test-" + os.path.basename(folder), tests + ["test/sanitize/runner.c"] +
                                 [source for source in counted if not source.startswith("c/bin/")]))
    return programs


def run(programs, more, only):
    """Runs the tests; what they counted, as llvm-cov exports it."""
    counts, together = os.path.join(PLACE, "counts"), os.path.join(PLACE, "counts.profdata")
    shutil.rmtree(counts, ignore_errors=True)
    os.makedirs(counts)
    os.environ["LLVM_PROFILE_FILE"] = os.path.abspath(counts) + "/%c%p.profraw"
    scripts = sorted(glob.glob("test/program/*_test.py"))
    scripts = [s for s in scripts if not only or os.path.basename(s)[:-len("_test.py")] in only]
    subprocess.call(["python3", "test/tally.py", "SHOAL_BIN=" + programs[0]] + more + programs[1:] + scripts)
    with open(os.path.join(PLACE, "counts.txt"), "w") as names:
        names.writelines(path + "\n" for path in sorted(glob.glob(counts + "/*.profraw")))
    sanitize.call(["llvm-profdata-14", "merge", "-sparse", "-failure-mode=all", "-f", names.name, "-o", together])
    objects = [word for program in programs[1:] for word in ("-object", program)]
    done = subprocess.run(["llvm-cov-14", "export", "-instr-profile", together, programs[0]] + objects,
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["data"][0]["functions"]


def tally(functions):
    """By source and then by (line, name) of a function: {piece of code: how often it was executed}. A piece is (line, column,
    end line, end column), the function's whole body the first. One of a header is in several objects: counts are added."""
    found = {}
    for f in functions:
        whole = [r for r in f["regions"] if r[5] == 0 and r[7] == 0]  # no macro's inside, no gap between two pieces
        name = f["name"].rpartition(":")[2]
        pieces = found.setdefault(os.path.relpath(f["filenames"][0]), {}).setdefault((whole[0][0], name), {})
        for line, column, last, end, count, *_ in whole:
            at = (line, column, last, end)
            pieces[at] = pieces.get(at, 0) + count
    return found


def missed(pieces):
    """Those never executed that are not within another such."""
    until = (0, 0)
    for at, count in sorted(pieces.items(), key=lambda item: (item[0][:2], [-n for n in item[0][2:]])):
        if not count and at[2:] > until:
            until = at[2:]
            yield at


def report(source, functions):
    """Prints what of this source was not reached; how many pieces of code those are."""
    with open(source) as f:
        text = f.read().splitlines()
    lines = []
    for (first, name), pieces in sorted(functions.items()):
        for line, column, last, end in missed(pieces):
            begins = text[line - 1][column - 1:end - 1 if line == last else None].strip()
            if (line, column, last, end) == next(iter(pieces)):
                begins = "the function " + name
            lines.append("  %s  %s" % ("%d" % line if line == last else "%d-%d" % (line, last), begins[:SHOWN]))
    print("%s: %d of %d pieces of code never executed" % (source, len(lines), sum(map(len, functions.values()))))
    print("".join(line + "\n" for line in lines), end="")
    return len(lines)


def main():
    folders, archives, more, only = [], [], [], None
    words = iter(sys.argv[1:])
    for word in words:
        if word == "--only":
            only = next(words, "").split(",")
        elif word.startswith("-"):
            sys.exit("coverage.py: there is no option " + word)
        else:
            (more if "_BIN=" in word else archives if word.endswith(".a") else folders).append(word.rstrip("/"))
    os.makedirs(PLACE, exist_ok=True)
    folders = folders or ["c/bin"]
    found = tally(run(build(folders, archives), more, only))
    count = sum(report(source, found[source]) for source in sorted(found) if os.path.dirname(source) in folders)
    print("%d pieces of code never executed" % count)


main()
