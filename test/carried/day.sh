#!/bin/sh
# A GPU for nine minutes: what of shoal's kernels is right, how fast they are, and which of them takes the time.
#
#     ./day.sh FOLDER [SECONDS]    results go to FOLDER, day.tar.gz and day.txt, whole after each stage; default 540 seconds
#
# `./zigw build test-gpu` made the folder that this lies in (zig-out/gpu); all of it has to be carried. Correctness comes
# first, timings while nothing else runs, sanitizers last. Seconds are the most that a stage may take; what does not fit into
# the rest of the time is skipped and said. Code 0: all passed, 1: something failed or was not run in time, 77: there is no GPU.
set -u
out=${1:?usage: ./day.sh FOLDER [SECONDS]}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
cd "$(dirname "$0")" || exit 1
. ./stages.sh
find_gpu
begin_stages "${2:-540}"
find_libraries
jobs=$(nproc)
if [ "$jobs" -gt 12 ]; then jobs=12; fi

facts='nvidia-smi
    nvidia-smi -q -d CLOCK,POWER,MEMORY,PERFORMANCE,TEMPERATURE
    ./test-gpu shoal version
    echo "libraries: $LD_LIBRARY_PATH"
    for tool in nvcc ncu compute-sanitizer python3; do echo "$tool: $($tool --version 2>&1 | tail -n 1)"; done
    uname -a
    lscpu
    free -g
    df -h /tmp
    true'

# The tests measure algorithms while they share the GPU: what they choose is not for the benches.
export XDG_CACHE_HOME="$work/cache-of-tests"
stage facts 20 sh -c "$facts"
stage ops 60 ./test-gpu --filter=ops/ --jobs="$jobs" --timeout=30
stage tests 130 ./test-gpu --but=ops/ --jobs="$jobs" --timeout=60

export XDG_CACHE_HOME="$work/cache"
one_b="./test-gpu shoal bench gpu --preset 1b --context 2048"
stage 150m 25 ./test-gpu shoal bench gpu --preset 150m --context 1024 --batch 65536 --seconds 10 --ops 0 --json && believe 150m
stage 1b-8192 25 $one_b --batch 8192 --seconds 8 --ops 0 --json && believe 1b-8192
stage 1b 45 $one_b --batch 131072 --seconds 10 --json && believe 1b

# ncu needs a permission that a lent machine may not give: then shoal's own events serve.
seen=false
if command -v ncu >/dev/null; then
    before=$failed
    stage kernels 70 ncu --metrics gpu__time_duration.sum --csv --launch-skip 2000 --launch-count 1400 \
        $one_b --batch 131072 --seconds 1 --ops 0 && seen=true
    failed=$before
else
    skip kernels "there is no ncu here"
fi
if ! $seen; then stage trace 70 $one_b --batch 131072 --seconds 1 --ops 0 --trace --json; fi

python=$(python_with_torch)
if [ "$python" ]; then
    stage pytorch 130 "$python" test/bench/gpu_vs_pytorch.py --python "$python" --shoal ./shoal --shape 1b --variant autocast \
        --rounds 1 --seconds 5
else
    skip pytorch "no Python here has PyTorch with CUDA"
fi

export XDG_CACHE_HOME="$work/cache-of-tests"
if command -v compute-sanitizer >/dev/null; then
    sanitizer="compute-sanitizer --error-exitcode 9 --tool"
    at_once memcheck 100 $sanitizer memcheck ./test-gpu --one=model/with_attention_on_tensor_cores_too
    at_once racecheck 100 $sanitizer racecheck ./test-gpu --one=attention/sharp_softmaxes_neither_overflow_nor_vanish
    at_once synccheck 100 $sanitizer synccheck ./test-gpu --one=tensor/a_product_has_the_same_bits_whichever_tile_makes_it
    at_once initcheck 100 $sanitizer initcheck ./test-gpu --one=outer/a_whole_vector_has_the_bits_of_the_cpu
    together
else
    skip sanitizers "there is no compute-sanitizer here"
fi
if $seen; then
    stage attention 30 ncu --set full --kernel-name regex:attention --launch-skip 100 --launch-count 4 \
        $one_b --batch 8192 --seconds 1 --ops 0
fi
end_stages
