#!/usr/bin/env python3
"""digests.py -- do all replicas hold the same bits? Reads checkpoints without any code of shoal's.

    digests.py CHECKPOINT...          files, or folders whose newest step-*.ckpt is taken

Prints for each: SHA-256 of anchor, then momentum, as they lie in the file; the epoch; the path. Ends with code 0 when
all are equal, 1 when they are not, 2 when a file cannot be read. The layout is described in c/model/checkpoint.h.
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


def read(path):
    """(digest, epoch) of a checkpoint."""
    with open(path, "rb") as f:
        header = f.read(4096)
        magic, version, sections, _, parameters = struct.unpack_from("<8sIIQQ", header, 0)
        if magic != b"SHOALCKP" or version not in (1, 2, 3) or sections != SECTIONS:
            raise ValueError("not a checkpoint of versions 1 to 3")
        offsets = [struct.unpack_from("<Q", header, 32 + 24 * i)[0] for i in range(SECTIONS)]
        _, epoch = struct.unpack_from("<QQ", header, 32 + 24 * SECTIONS)
        hash_ = hashlib.sha256()
        for section in (ANCHOR, MOMENTUM):
            if not offsets[section]:
                raise ValueError("no anchor in it: it is of a worker alone")
            f.seek(offsets[section])
            left = 4 * parameters
            while left:
                part = f.read(min(left, 1 << 20))
                if not part:
                    raise ValueError("it is truncated")
                hash_.update(part)
                left -= len(part)
    return hash_.hexdigest(), epoch


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
