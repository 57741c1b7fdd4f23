#!/bin/sh
# What this folder holds runs on another machine: the tests of the kernels and shoal with its benchmarks, in programs that need
# an NVIDIA driver and glibc. `./zigw build test-gpu` made the folder (zig-out/gpu); carry all of it, then
#
#     ./run.sh [FOLDER]     tests, compute-sanitizer on chosen tests where it is there, benchmarks: some 20 minutes
#     ./day.sh FOLDER       the same and more of it in nine minutes by its own clock
#
# What they say goes to FOLDER (results), in one archive. Code 0: all passed. 77: there is no GPU to run on, said in one sentence.
set -u
out=${1:-results}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
cd "$(dirname "$0")" || exit 1
. ./stages.sh
find_gpu
begin_stages 3600
find_libraries

export XDG_CACHE_HOME="$work/cache-of-tests" # its choices are made while tests share the GPU
stage facts 20 nvidia-smi
stage tests 600 ./test-gpu --jobs="$(nproc)" --timeout=60
export XDG_CACHE_HOME="$work/cache"
stage 150m 120 ./test-gpu shoal bench gpu --preset 150m --context 1024 --batch 65536 --seconds 20 --ops 0 --json && believe 150m
stage 1b 180 ./test-gpu shoal bench gpu --preset 1b --context 2048 --batch 131072 --seconds 20 --json && believe 1b
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        for test in ops/linear_is_right_where_matrices_are_cut_into_tiles outer/a_whole_vector_has_the_bits_of_the_cpu \
            attention/sharp_softmaxes_neither_overflow_nor_vanish model/with_attention_on_tensor_cores_too; do
            stage "$tool-${test%%/*}" 120 compute-sanitizer --tool $tool --error-exitcode 9 ./test-gpu --one=$test
        done
    done
else
    skip sanitizers "there is no compute-sanitizer here"
fi
end_stages
