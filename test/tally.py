#!/usr/bin/env python3
"""tally.py -- runs test programs and adds up what they say.

    tally.py [SHOAL_BIN=PATH] [SIM_BIN=PATH] PROGRAM...

A PROGRAM is a Criterion executable, or one that prints TAP itself (a *.py, or a sanitizer build): "ok - name", "not ok - name",
"ok - name # SKIP reason". Programs run two at a time; one that says nothing for SILENCE_S is stopped. The last line is
"N passed, N failed, N skipped"; a program that ends badly without having reported a failure counts as one, and so
does a program that reports no test at all. Each NAME_BIN=PATH is put into their environment: programs under test.
"""
import concurrent.futures, os, re, signal, subprocess, sys, tempfile, threading, time

# Of a script, which says a line for each test; Criterion, which is silent, stops a test that takes longer than its own limit.
SILENCE_S, SILENCE_CRITERION_S = 600, 1800


def listen(child, limit_s):
    """All that it says until its end, and whether it was stopped because it had said nothing for so long."""
    said, heard = [], [time.monotonic()]

    def read():
        for line in child.stdout:
            said.append(line)
            heard[0] = time.monotonic()

    reader = threading.Thread(target=read)
    reader.start()
    late = False
    while reader.is_alive():
        reader.join(1)
        if not late and time.monotonic() - heard[0] > limit_s:
            late = True
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return "".join(said), late


def run(program):
    name = os.path.basename(program)
    with tempfile.NamedTemporaryFile("r", suffix=".tap") as tap:
        script = program.endswith(".py") or "/sanitize/" in program
        if script:
            command = ["python3", program] if program.endswith(".py") else [program]
        else:
            command = [program, "--quiet", "--timeout=120", "--tap=" + tap.name]
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                 errors="replace", text=True)
        limit_s = SILENCE_S if script else SILENCE_CRITERION_S
        output, late = listen(child, limit_s)
        report = output if script else tap.read()
    passed, failed, skipped = [], [], []
    for line in report.splitlines():
        match = re.match(r"\s*(not ok|ok)\b(?:\s+\d+)?\s*-?\s*(.*)", line)
        if not match:
            continue
        if "# SKIP" in line.upper():
            skipped.append(match[2])
        elif match[1] == "ok":
            passed.append(match[2])
        else:
            failed.append(match[2])
    if late:
        failed.append("%s was stopped after %d s of silence" % (name, limit_s))
    elif child.returncode != 0 and not failed:
        failed.append("%s ended with code %d" % (name, child.returncode))
    elif not passed and not failed and not skipped:
        failed.append("%s reported no test" % name)
    if child.returncode == 0 and failed and not late:
        failed.append("%s reported failures and ended with code 0" % name)
    return name, time.monotonic() - began, passed, failed, skipped, output + ("" if script else report)


def main():
    programs = []
    for word in sys.argv[1:]:
        named = re.match(r"([A-Z]+_BIN)=(.*)", word)
        if named:
            os.environ[named[1]] = os.path.abspath(named[2])
        else:
            programs.append(word)
    totals = [0, 0, 0]
    bad = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for name, took, passed, failed, skipped, output in pool.map(run, programs):
            print("%-24s %4d passed %3d failed %3d skipped  %6.1f s"
                  % (name, len(passed), len(failed), len(skipped), took), flush=True)
            for reason in skipped:
                print("    skipped: " + reason)
            if failed:
                bad.append((name, failed, output))
            for i, group in enumerate((passed, failed, skipped)):
                totals[i] += len(group)
    for name, failed, output in bad:
        print("\n---- %s failed:" % name)
        for line in failed:
            print("    " + line)
        print("\n".join("  | " + line for line in output.splitlines()[-120:]))
    for name, failed, _ in bad:  # again: who keeps but the end of this has the names
        print("\n".join("failed: %s: %s" % (name, line) for line in failed))
    print("%d passed, %d failed, %d skipped" % tuple(totals))
    sys.exit(1 if bad else 0)


main()
