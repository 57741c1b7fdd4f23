#!/usr/bin/env python3
"""What ./zigw build test-gpu puts into zig-out/gpu can be carried to another machine: it is small, needs nothing but glibc,
and finds its files where it lies. CARRIED_BIN names the folder."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "program"))
import elf
from swarms import finish, ok

HOME = os.environ["CARRIED_BIN"]

files = [os.path.join(folder, name) for folder, _, names in os.walk(HOME) for name in names]
size = sum(map(os.path.getsize, files))
ok(1e6 < size < 40e6, "all of it is smaller than 40 MB", "%.1f MB: %s" % (size / 1e6, files))
data = open(os.path.join(HOME, "test-gpu"), "rb").read()
needed, versions = elf.needed(data), elf.glibc_versions(data)
ok("libc.so.6" in needed and needed <= elf.GLIBC, "the program links nothing but glibc", needed)
ok(versions and max(versions) <= (2, 28), "and no symbol newer than glibc 2.28", versions[-3:])

with tempfile.TemporaryDirectory() as place:
    there = os.path.join(place, "gpu")
    shutil.copytree(HOME, there)

    def run(*command):
        return subprocess.run(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)

    done = run(there + "/test-gpu", "shoal", "version")
    ok(done.returncode == 0 and done.stdout.startswith("shoal ") and "CUDA" in done.stdout, "shoal is in it", done.stdout)
    done = run(there + "/test-gpu", "--filter=model/with_a_tied_head_too")
    ok(done.returncode == 0 and " 0 failed" in done.stdout, "a test finds its golden file beside the program", done.stdout)
    os.remove(there + "/test/golden/model_tied.bin")
    done = run(there + "/test-gpu", "--filter=model/with_a_tied_head_too")
    ok(done.returncode == 1 and " 1 failed" in done.stdout and "model_tied.bin" in done.stdout, "and fails without it", done.stdout)
    done = run(there + "/test-gpu", "--filter=nothing/at_all")
    ok(done.returncode == 1 and "0 passed" in done.stdout, "no test at all is a failure", done.stdout)
    done = run(there + "/test-gpu", "--filter=large/", "--jobs=8")
    ok(done.returncode == 0 and done.stdout.count("# SKIP ") == 8 or " 0 failed" in done.stdout, "what is too large for this GPU is skipped in sight",
       done.stdout)
    done = run(there + "/shoal", "version")
    ok(done.returncode == 0 and done.stdout.startswith("shoal "), "shoal has a name of its own", done.stdout)
    done = run(sys.executable, there + "/test/bench/gpu_vs_pytorch.py", "--help")
    ok(done.returncode == 0 and "--variant" in done.stdout, "the comparison with PyTorch is complete", done.stdout)
    if "no NVIDIA driver" in run(there + "/test-gpu", "shoal", "bench", "gpu").stdout:
        for script in "run", "day":
            done = run("%s/%s.sh" % (there, script), os.path.join(place, "results"))
            ok(done.returncode == 77 and done.stdout.count("\n") == 1 and
               done.stdout.startswith("%s: no GPU, nothing was run: this machine has no NVIDIA driver" % script),
               "without a GPU %s.sh says so in one sentence" % script, done.stdout)
finish()
