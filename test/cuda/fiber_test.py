#!/usr/bin/env python3
"""fiber_test.py -- are bugs of CUDA kernels seen on fibers (fiber.h), and correct kernels passed? As TAP.

The environment's PLANTED_BIN is planted.cc, whose kernels have one bug each. Every bug must end the program with its
sentence in each order of threads, or in those named; the same kernel without the bug must pass in all three.
"""
import os, re, subprocess, sys

ORDERS = ("threads", "warps", "reverse")
PLANTED = [
    ("two_barriers", "it waits at the barrier of line [0-9]+, others at that of line [0-9]+"),
    ("unreached_barrier", "it waits for threads that wait elsewhere"),
    ("half_a_shuffle", "it ends, and other lanes of its warp wait in __shfl_xor_sync"
                       "|__shfl_xor_sync, and other lanes of its warp have ended"),
    ("ended_lane", "__shfl_xor_sync, and other lanes of its warp have ended"
                   "|it ends, and other lanes of its warp wait in __shfl_xor_sync"),
    ("two_operations", "it waits in __(shfl_xor|ballot)_sync, other lanes of its warp in __(shfl_xor|ballot)_sync"),
    ("partial_mask", "__shfl_xor_sync with mask 0x7fffffff: only whole warps are known here"),
    ("unwritten", r"out\[58\] is -?nan"),
    ("no_barrier", r"out\[0\] is -?nan", "warps"),
    ("no_warp_barrier", r"out\[1\] is -?nan", "reverse"),
    ("no_barrier_before_reuse", r"out\[\d+\] is"),
    ("past_the_end", "a thread of its grid wrote past the end of 256 bytes of memory"),
    ("before_the_start", "a thread of its grid wrote before the start of 256 bytes of memory"),
    ("odd_block", "a block of 65 threads: launch whole warps, at most 1024"),
    ("large_block", "a block of 1056 threads: launch whole warps, at most 1024"),
    ("empty_grid", r"a grid of \(0, 1, 1\) blocks"),
    ("much_shared", "102400 bytes of shared memory, and 102400 are allowed"),
    ("unallowed_shared", "61440 bytes of shared memory, and 0 are allowed"),
    ("another_device", "it runs on device 1, and is given memory of device 0"),
    ("another_device_is_current", "it is launched on a stream of device 0, and 1 is the current one"),
    ("another_device_fills", "a fill on a stream of device 1 touches memory of device 0"),
    ("nccl_missing", "fiber: nccl: a rank is missing in a group, rank 1"),
    ("nccl_count", "fiber: nccl: another count than rank 0's, rank 1"),
    ("nccl_type", "fiber: nccl: a type that is not fp32, rank 1"),
    ("nccl_memory", "fiber: nccl: memory that is not its device's, rank 1"),
    ("nccl_stream", "fiber: nccl: a stream of another device, rank 1"),
    ("nccl_alone", "fiber: nccl: a call outside a group waits for the other ranks, rank 0"),
    ("nccl_twice", "fiber: nccl: it is called twice in a group, rank 0"),
    ("wild_pointer", "it touches memory that is nobody's"),
]

failed = False


def tell(good, name):
    global failed
    failed = failed or not good
    print("%s - fibers, %s" % ("ok" if good else "not ok", name), flush=True)


def planted(order, *arguments):
    """(code, what it said)."""
    done = subprocess.run([os.environ["PLANTED_BIN"]] + list(arguments), env=dict(os.environ, FIBER_SCHEDULE=order, FIBER_DEVICES="2"),
                          stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stderr.strip()


for name, sentence, *only in PLANTED:
    for order in ORDERS:
        code, said = planted(order, name)
        if only and order not in only:
            # Which is why there are three orders: should this one see it too, the kernel proves less than it says.
            tell(code == 0, "%s is right by luck in order %s: %d, %s" % (name, order, code, said))
        else:
            tell(code != 0 and re.search(sentence, said), "%s is seen in order %s: %d, %s" % (name, order, code, said))
        code, said = planted(order, name, "right")
        tell(code == 0 and not said, "%s without its bug passes in order %s: %d, %s" % (name, order, code, said))
tell(planted("threads", "nothing")[0] == 2, "planted.cc knows its kernels")
sys.exit(1 if failed else 0)
