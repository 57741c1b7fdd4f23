"""elf.py -- what a program needs of the machine it runs on."""
import re, struct

GLIBC = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"}


def is_elf64(data):
    return data[:5] == b"\x7fELF\x02"


def needed(data):
    """Names of the shared libraries that it asks for."""
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
    return {data[strings + value:data.index(b"\0", strings + value)].decode() for tag, value in entries if tag == 1}


def glibc_versions(data):
    """Of all symbols that it takes from glibc."""
    return sorted({tuple(map(int, v.decode().split("."))) for v in re.findall(rb"\0GLIBC_(\d+\.\d+)(?=\0|\.)", data)})
