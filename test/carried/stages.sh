# stages.sh -- what run.sh and day.sh share. Results go to the folder $out, in one archive that grows after each stage.
#
#     begin_stages SECONDS    sets the clock: what does not fit into what is left is skipped, in sight
#     find_gpu                code 77 after one sentence where there is none
#     find_libraries          for cuBLASLt, NCCL and CUDA's tools, wherever they are installed
#     stage NAME SECONDS COMMAND...    runs it for so long at most; what it says is NAME.txt in the archive
#     at_once NAME SECONDS COMMAND...  the same beside others, until `together`
#     believe NAME            fails where the products that a bench has timed were not cuBLASLt's
#     skip NAME REASON
#     end_stages              code 0: all that could be run passed

failed=0
late=0 # something was not run for lack of time
me=$(basename "$0" .sh)

begin_stages() {
    began=$(date +%s)
    ends=$((began + $1))
    mkdir -p "$out" && work=$(mktemp -d) || exit 1
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/$me"
    trap 'exit 1' HUP INT TERM
}

tell() {
    echo "$*"
    echo "$(($(date +%s) - began)) s: $*" >>"$work/$me/summary.txt"
}

# Whole or not at all: it may be fetched at any time.
archive() {
    tar -C "$work" -czf "$out/$me.tar.gz.part" "$me" && mv "$out/$me.tar.gz.part" "$out/$me.tar.gz"
    cp "$work/$me/summary.txt" "$out/$me.txt"
}

# Only what the look-up of devices says counts: a kernel that is wrong is to be seen by the tests.
find_gpu() {
    said=$(timeout 60 ./test-gpu --one=ops/memory_is_zero_when_it_is_taken_and_when_it_is_zeroed 2>&1)
    if [ $? = 77 ] && [ "$said" = "skipped: no GPU" ]; then
        said=$(timeout 60 ./test-gpu shoal bench gpu --preset 2m --seconds 1 --ops 0 2>&1 >/dev/null)
        echo "$me: no GPU, nothing was run: ${said#shoal bench gpu: }"
        exit 77
    fi
}

# The folders where pip has put NVIDIA's libraries for the Pythons of this machine.
pip_folders() {
    for python in python3 python /opt/*/bin/python3 /venv/bin/python3 "$HOME"/.venv/bin/python3 "$HOME"/venv/bin/python3; do
        place=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null) || continue
        for folder in "$place"/nvidia/*/lib; do echo "$folder"; done
    done
}

first_with() { # FILE: the folder of those on standard input
    while read -r folder; do
        if [ -e "$folder/$1" ]; then
            echo "$folder"
            return
        fi
    done
}

find_libraries() {
    folders=$(for folder in /usr/local/cuda/lib64 /usr/local/cuda-*/lib64 /opt/cuda/lib64; do echo "$folder"; done; pip_folders)
    for name in libcublasLt.so.13 libcublasLt.so.12 libnccl.so.2; do
        folder=$(echo "$folders" | first_with $name)
        if [ "$folder" ]; then LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder; fi
    done
    for folder in /usr/local/cuda/bin /usr/local/cuda-*/bin /usr/local/cuda/compute-sanitizer /opt/nvidia/nsight-compute/*; do
        if [ -d "$folder" ]; then PATH=$PATH:$folder; fi
    done
    export PATH LD_LIBRARY_PATH="${LD_LIBRARY_PATH-}"
}

# What a Python that has PyTorch is called, or nothing.
python_with_torch() {
    for python in python3 python /opt/*/bin/python3 /venv/bin/python3 "$HOME"/.venv/bin/python3 "$HOME"/venv/bin/python3; do
        if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
}

judge() { # NAME CODE SECONDS
    case $2 in
    0) tell "passed  $1, $3 s" ;;
    124 | 137) tell "FAILED  $1: it took longer than its $3 s" && failed=1 ;;
    *) tell "FAILED  $1 (code $2), $3 s: $(tail -n 1 "$work/$me/$1.txt" | cut -c 1-300)" && failed=1 ;;
    esac
}

# Sets `limit`; false when there is no time.
time_for() { # NAME SECONDS
    limit=$((ends - $(date +%s) - 3))
    if [ $limit -gt "$2" ]; then limit=$2; fi
    if [ $limit -ge 5 ]; then return 0; fi
    skip "$1" "there is no time left"
    late=1
    return 1
}

skip() {
    tell "skipped $1: $2"
}

run_for() { # NAME SECONDS COMMAND...
    name=$1 seconds=$2
    shift 2
    at=$(date +%s)
    timeout -k 3 "$seconds" "$@" >"$work/$me/$name.txt" 2>"$work/$me/$name.err"
    code=$?
    sed 's/^/stderr: /' "$work/$me/$name.err" >>"$work/$me/$name.txt"
    rm "$work/$me/$name.err"
    judge "$name" $code $(($(date +%s) - at))
    return $code
}

stage() {
    time_for "$1" "$2" || return 1
    name=$1
    shift 2
    run_for "$name" $limit "$@"
    code=$?
    archive
    return $code
}

at_once() {
    time_for "$1" "$2" || return 0
    name=$1
    shift 2
    (failed=0; run_for "$name" $limit "$@") || touch "$work/failed" &
    children="${children-} $!"
}

together() {
    for child in ${children-}; do wait "$child"; done
    children=
    if [ -e "$work/failed" ]; then failed=1; fi
    archive
}

end_stages() {
    if [ $failed = 1 ]; then tell "something failed"; elif [ $late = 1 ]; then tell "not all was run"; else tell "all passed"; fi
    archive
    exit $((failed | late))
}

believe() {
    if grep -q '"backend":"[^"]*cuBLASLt' "$work/$me/$1.txt"; then return; fi
    tell "FAILED  $1: its products were not cuBLASLt's, so its number says little: $(grep -m 1 'own matrix products' "$work/$me/$1.txt")"
    failed=1
    archive
}
