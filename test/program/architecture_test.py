"""architecture_test.py -- the files and functions that docs/architecture.md names are there.

What it calls `c/node/worker.c:carry_out` must be a file that defines a function, or the file alone a file. So the page does
not outlive what it describes.
"""
import os, re

from swarms import finish, ok

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def defines(path, function):
    """Does the file hold the definition of this function? Its name begins what follows type or line, before a bracket."""
    with open(os.path.join(HOME, path)) as f:
        return re.search(r"^(?:[A-Za-z_].*[ *])?%s\([^;]*?\)\s*\{" % function, f.read(), re.MULTILINE) is not None


with open(os.path.join(HOME, "docs", "architecture.md")) as f:
    named = sorted(set(re.findall(r"`((?:c|cu|net|swarm|test|docs)/[\w/]+\.\w+)(?::(\w+))?`", f.read())))
ok(len(named) > 60, "docs/architecture.md names files and functions", named)
for path, function in named:
    if not os.path.isfile(os.path.join(HOME, path)):
        ok(False, "%s is a file" % path)
    elif function and not defines(path, function):
        ok(False, "%s defines %s" % (path, function))
ok(not defines("c/node/worker.c", "exchange_tell"), "a call is no definition")
finish()
