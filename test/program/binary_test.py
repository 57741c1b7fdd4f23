#!/usr/bin/env python3
"""The program needs nothing of the machine but glibc, at most of version 2.28, and a processor that it names."""
import elf
from swarms import *

data = open(SHOAL, "rb").read()
ok(elf.is_elf64(data), "the program is a 64-bit ELF file")
needed, versions = elf.needed(data), elf.glibc_versions(data)
ok("libc.so.6" in needed and needed <= elf.GLIBC, "it links nothing but glibc", needed)
ok(versions and max(versions) <= (2, 28), "no symbol is newer than glibc 2.28", versions[-3:])
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
