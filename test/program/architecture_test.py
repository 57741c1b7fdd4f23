"""architecture_test.py -- the files and functions that docs/architecture.md names are there, and the tests that SECURITY.md names, and the
timers and bounds that SPEC.md names are those of the code, all of them.

What the first calls `c/node/worker.c:carry_out` must be a file that defines a function, or the file alone a file. A row of the second's
"Timers" is a name, a value and a file that gives the name this value. So neither page outlives what it describes.
"""
import glob, os, re

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

# ---- SECURITY.md ----

with open(os.path.join(HOME, "SECURITY.md")) as f:
    shown = re.findall(r"`(test/[\w/.]+)(?:: (\w+))?`", f.read())
ok(len(shown) > 20, "SECURITY.md names tests", shown)
for path, name in shown:
    there = os.path.isfile(os.path.join(HOME, path))
    with open(os.path.join(HOME, path) if there else os.devnull) as f:
        there = there and (not name or re.search(r"^Test\(\w+, %s\)" % name, f.read(), re.MULTILINE))
    if not there:
        ok(False, "%s is there, with the test %s" % (path, name))

# ---- SPEC.md, "Timers" ----

UNITS = {"ms": 1, "s": 1000, "h": 3600000, "": 1, "KiB": 1 << 10, "MiB": 1 << 20}
VALUE = r"(\d+(?:, \d+)*(?:\.\d+)?(?:\^\d+)?)(?: (ms|s|h|KiB|MiB))?"
DEFINE = re.compile(r"^[ \t]*#define (\w+)[ \t]+(?:\\\n)?[ \t]*(.+)", re.MULTILINE)
# No peer notices these: of this process, or of its own notes.
LOCAL = set("""NEWS_MAX NOBODY WIRE_SIGNED_MAX NODE_PEERS_MAX FIRST_EIGHT_DIGITS REDUCE_NULL CODEC_INT8 HASH_STEP LEAVES NO_CHUNK SYNC_ENTRIES SYNC_ENTRY
SYNC_MANIFEST_HEAD WIRE_MAJOR WIRE_MINOR HELD_PAUSE GSO_PAUSE RETIRE_LOOK_MS""".split())


def source(path):
    with open(os.path.join(HOME, path)) as f:
        return re.sub(r"/\*.*?\*/", "", f.read(), flags=re.DOTALL)


headers = {n: v for h in glob.glob(HOME + "/swarm/*.h") + glob.glob(HOME + "/c/base/*.h") for n, v in DEFINE.findall(source(os.path.relpath(h, HOME)))}


def number(c, known):
    """Of a constant expression of C: milliseconds of a span, else what it is; None if it is something else."""
    for _ in range(9):
        c = re.sub(r"\b[A-Z_][A-Z_0-9]+\b", lambda m: "(%s)" % known.get(m.group(), headers.get(m.group(), m.group())), c)
    c = re.sub(r"\((?:u?int\d+_t|size_t)\)|(?<=\d)u\b|[;\s]", "", c)
    c = re.sub(r"span_ms\b", "", re.sub(r"span_s\b", "1000*", c))
    return eval(c.replace("/", "//")) if re.fullmatch(r"[\d+*/()<-]+", c) else None


def in_code(path, name):
    """Values that the file gives the name: a #define, a field, or an array; milliseconds where the name says seconds."""
    text = source(path)
    known = dict(DEFINE.findall(text))
    given = [known[name]] if name in known else re.findall(r"(?:\.|->)%s = ([^,;]+)[,;]" % name, text)
    given += [m.split(",") for m in re.findall(r"\b%s\[\] = \{([^}]*)\}" % name, text)]
    scale = 1000 if re.search(r"_S$", name) and not name.endswith("_PER_S") else 1
    return [[number(x, known) and number(x, known) * scale for x in (g if isinstance(g, list) else [g])] for g in given]


def in_spec(value):
    m = re.fullmatch(VALUE, value)
    return m and [(2 ** int(x[2:]) if x.startswith("2^") else round(float(x) * UNITS[m.group(2) or ""])) for x in m.group(1).split(", ")]


spec = source("SPEC.md")
rows = re.findall(r"^\| `(\w+)`[^|]*\| ([^|]+) \|[^|]*\| `([\w/.]+)` \|$", spec[spec.index("\n## Timers\n"):spec.index("\n## The outer step\n")], re.MULTILINE)
ok(len(rows) > 130, "SPEC.md has a table of timers and bounds", len(rows))
for name, value, path in rows:
    if not in_spec(value) or in_code(path, name) != [in_spec(value)]:
        ok(False, "%s of %s is %s as SPEC.md says" % (name, path, value), in_code(path, name))
told = {(path, name) for name, _, path in rows}
ok(len(told) == len(rows), "each row is there once")
files = [os.path.relpath(f, HOME) for d in ("swarm", "net") for f in sorted(glob.glob("%s/%s/*.[ch]" % (HOME, d)))]
for path in files:
    known = dict(DEFINE.findall(source(path)))
    for name, value in known.items():
        timer = "span_" in value or re.search(r"_M?S$", name)
        bound = path.startswith("swarm/") and number(value, known) is not None and not re.search(r"_(BYTES|TICKET|H)$", name)
        if (timer or bound) and (path, name) not in told and name not in LOCAL:
            ok(False, "SPEC.md tells of %s in %s" % (name, path), value)
major, minor = number("WIRE_MAJOR", {}), number("WIRE_MINOR", {})
ok("The version is %d.%d." % (major, minor) in spec, "SPEC.md is of the version that the code is", (major, minor))
finish()
