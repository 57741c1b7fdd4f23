#!/usr/bin/env python3
"""The program needs nothing of the machine but glibc, at most of version 2.28, and a processor that it names."""
import re, struct
from swarms import *

ALLOWED = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"}
data = open(SHOAL, "rb").read()
ok(data[:5] == b"\x7fELF\x02", "the program is a 64-bit ELF file")
at, = struct.unpack_from("<Q", data, 32)
size, count = struct.unpack_from("<HH", data, 54)
segments = [struct.unpack_from("<IIQQQQ", data, at + i * size) for i in range(count)]


def offset_of(address):
    for kind, _, offset, virtual, _, bytes_ in segments:
        if kind == 1 and virtual <= address < virtual + bytes_:
            return offset + address - virtual
    raise ValueError("address outside of the file")


(dynamic,) = [s for s in segments if s[0] == 2]
entries = [struct.unpack_from("<QQ", data, dynamic[2] + i) for i in range(0, dynamic[5], 16)]
strings = offset_of(next(value for tag, value in entries if tag == 5))
needed = {data[strings + value:data.index(b"\0", strings + value)].decode() for tag, value in entries if tag == 1}
ok("libc.so.6" in needed and needed <= ALLOWED, "it links nothing but glibc", needed)
versions = [tuple(map(int, v.decode().split("."))) for v in re.findall(rb"\0GLIBC_(\d+\.\d+)(?=\0|\.)", data)]
ok(versions and max(versions) <= (2, 28), "no symbol is newer than glibc 2.28", sorted(set(versions))[-3:])
done = run("version")
ok(done.returncode == 0 and done.stdout.startswith("shoal "), "it starts", done.stdout)
name = "a processor that is too old is told what it lacks"
if shutil.which("qemu-x86_64"):
    old = subprocess.run(["qemu-x86_64", "-cpu", "Nehalem", SHOAL, "version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, timeout=60)
    ok(old.returncode == 1 and old.stdout.count("\n") == 1 and "this processor lacks AVX2 with FMA, BMI" in old.stdout, name,
       old.stdout)
else:
    print("ok - %s # SKIP no qemu-x86_64 here (Debian's qemu-user)" % name)
finish()
