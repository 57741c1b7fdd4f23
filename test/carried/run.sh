#!/bin/sh
# What this folder holds runs on another machine: the tests of the kernels and shoal with its benchmarks, in one program that
# needs an NVIDIA driver and glibc. `./zigw build test-gpu` made the folder (zig-out/gpu); carry all of it, then
#
#     ./run.sh [FOLDER]     runs tests, compute-sanitizer where it is there, and benchmarks; what they say goes to FOLDER (results)
#
# Code 0: all passed. 77: there is no GPU to run on, said in one sentence.
set -u
cd "$(dirname "$0")" || exit 1
out=${1:-results}
mkdir -p "$out"
failed=0

said=$(./test-gpu shoal bench gpu --preset 2m --seconds 1 --ops 0 --json 2>&1 >"$out/first.json") || {
    echo "run.sh: nothing was run: ${said#shoal bench gpu: }"
    exit 77
}
nvidia-smi >"$out/nvidia-smi.txt" 2>&1

try() { # NAME COMMAND...: what it says goes to NAME.txt
    name=$1
    shift
    if "$@" >"$out/$name.txt" 2>&1; then echo "passed  $name: $*"; else
        echo "FAILED  $name (code $?): $*"
        failed=1
    fi
}

try tests ./test-gpu --tap="$out/tests.tap"
try 150m ./test-gpu shoal bench gpu --preset 150m --context 1024 --batch 65536 --seconds 20 --ops 0 --json
try 1b ./test-gpu shoal bench gpu --preset 1b --context 2048 --batch 131072 --seconds 20 --json
PATH=$PATH:/usr/local/cuda/bin
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        try $tool timeout 3600 compute-sanitizer --tool $tool --target-processes all --error-exitcode 9 \
            ./test-gpu --timeout=1800 --tap="$out/$tool.tap"
    done
else
    echo "skipped compute-sanitizer: it is not on this machine"
fi
exit $failed
