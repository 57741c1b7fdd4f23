#!/usr/bin/env python3
"""digests.py -- do all replicas hold the same bits? Reads checkpoints without any code of shoal's.

    digests.py CHECKPOINT...          files, or folders whose newest step-*.ckpt is taken

Prints for each: the digest of its state (SPEC.md, "The outer step"); the epoch; the path. Ends with code 0 when all are
equal, 1 when they are not, 2 when a file cannot be read. The layout is described in c/model/checkpoint.h.
"""
import hashlib, os, re, struct, sys

ANCHOR, MOMENTUM, SECTIONS = 3, 4, 5


def newest(path):
    if not os.path.isdir(path):
        return path
    names = sorted(n for n in os.listdir(path) if re.fullmatch(r"step-\d{12}\.ckpt", n))
    if not names:
        raise ValueError("no step-*.ckpt in it")
    return os.path.join(path, names[-1])


def chunk_elements(parameters):
    """2^k, 2^12 .. 2^18: the largest with at least 64 chunks where there is one."""
    fitting = [1 << k for k in range(12, 19) if -(-parameters >> k) >= 64]
    return max(fitting, default=1 << 12)


def read(path):
    """(digest, epoch) of a checkpoint."""
    with open(path, "rb") as f:
        header = f.read(4096)
        magic, version, sections, _, parameters = struct.unpack_from("<8sIIQQ", header, 0)
        if magic != b"SHOALCKP" or version not in (1, 2, 3) or sections != SECTIONS:
            raise ValueError("not a checkpoint of versions 1 to 3")
        offsets = [struct.unpack_from("<Q", header, 32 + 24 * i)[0] for i in range(SECTIONS)]
        _, epoch = struct.unpack_from("<QQ", header, 32 + 24 * SECTIONS)
        if not offsets[ANCHOR] or not offsets[MOMENTUM]:
            raise ValueError("no anchor in it: it is of a worker alone")
        leaves = hashlib.sha256()
        step = chunk_elements(parameters)
        for at in range(0, parameters, step):
            leaf = hashlib.sha256()
            count = 4 * min(step, parameters - at)
            for section in (ANCHOR, MOMENTUM):
                f.seek(offsets[section] + 4 * at)
                part = f.read(count)
                if len(part) < count:
                    raise ValueError("it is truncated")
                leaf.update(part)
            leaves.update(leaf.digest()[:16])
    return leaves.hexdigest(), epoch


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: digests.py CHECKPOINT...")
    found = set()
    for path in sys.argv[1:]:
        try:
            path = newest(path)
            digest, epoch = read(path)
        except (OSError, ValueError, struct.error) as error:
            print("digests.py: %s: %s" % (path, error), file=sys.stderr)
            sys.exit(2)
        print(digest, epoch, path)
        found.add((digest, epoch))
    sys.exit(0 if len(found) == 1 else 1)


main()
