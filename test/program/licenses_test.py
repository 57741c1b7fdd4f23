#!/usr/bin/env python3
"""Whoever passes the program on has to pass on the licences of what it holds: `zig build` installs the text of each library."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from swarms import *

HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TEXTS = os.environ["LICENSES_BIN"]
sources = [line.split()[1] for line in open(os.path.join(HOME, "sources.lock")) if line.startswith("source ")]
archives = [name[3:-2] for name in os.listdir(os.path.join(HOME, ".deps", "system", "lib")) if name.endswith(".a")]
held = ["shoal", "sfparse"] + sources + archives
if "CUDA" in run("version").stdout and "no CUDA" not in run("version").stdout:
    held.append("cudart")
ok(len(sources) >= 4 and len(archives) >= 3, "libraries are compiled from sources and linked from archives", held)
for name in sorted(held):
    path = os.path.join(TEXTS, name + ".txt")
    text = open(path, errors="replace").read() if os.path.exists(path) else ""
    ok(len(text) > 100 and "licen" in text.lower(), "the licence of %s is installed" % name, text[:200] or "there is no " + path)
ok("GNU GENERAL PUBLIC LICENSE" in open(os.path.join(TEXTS, "wolfssl.txt")).read(), "wolfSSL's is the GPL")
finish()
