"""events_test.py -- docs/events.md names each event that is written, and each of its fields.

Twice over: what the sources can write is found by reading them, and what `run`, `swarm` and `train` do write is compared
line by line. A new event, note or field without a word in docs/events.md fails here.
"""
import glob, json, os, re

import swarms
from swarms import PLACE, finish, ok, run

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMON = {"t", "event"}


def documented():
    """event -> its fields, from the tables of docs/events.md; a row without an event goes on with the one before."""
    events, names = {}, []
    for line in open(os.path.join(HOME, "docs", "events.md")):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 3 or cells[0].startswith("---"):
            if not line.startswith("|"):
                names = []
            continue
        names = re.findall(r"`([\w.]+)`", cells[0]) or names
        for name in names:
            events.setdefault(name, set()).update(re.findall(r"`(\w+)`", cells[2]))
    return events


def statements(pattern):
    """The statements of our sources that match: (file, text)."""
    for path in sorted(glob.glob(HOME + "/c/*/*.c") + glob.glob(HOME + "/swarm/*.c") + glob.glob(HOME + "/net/*.c")):
        text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
        for found in re.finditer(pattern + r"[^;]*;", text):
            yield os.path.relpath(path, HOME), found[0]


def words(text):
    return re.findall(r'"([a-z][a-z_0-9.]*)"', text)


def check_sources(doc):
    fields = set().union(*doc.values())
    begun = [(f, w) for f, s in statements(r"\b(?:event_log_begin|begin_step)\(j?") for w in words(s)]
    notes = [(f, w) for f, s in statements(r"(?:\b(?:\w+_)?note(?:_\w+)?\(|ACTION_NOTE|const char \*name =)") for w in words(s)]
    events = {w for _, w in begun} & set(doc)
    ok(len(events) >= 10 and len({w for _, w in notes} & set(doc)) >= 30, "the sources are read: they write many events",
       (sorted(events), notes))
    unknown = sorted({"%s: %s" % (f, w) for f, w in begun if w not in doc})
    ok(not unknown, "each event that the sources begin is documented", unknown)
    swarm = [(f, w) for f, w in notes if f.startswith("swarm/")]
    unknown = sorted({"%s: %s" % (f, w) for f, w in swarm if w not in doc and w not in fields})
    ok(not unknown, "each note of the protocol and each of its fields is documented", unknown)
    keys = [(f, w) for f, s in statements(r"\bevent_log_(?:u64|f64|bool|text|hex|json)\(") for w in words(s)[:1]]
    unknown = sorted({"%s: %s" % (f, w) for f, w in keys if w not in fields})
    ok(len(keys) > 40 and not unknown, "each field that the sources write is documented", unknown)


def check_log(doc, path, name):
    unknown, seen = set(), {}
    for line in open(path):
        event = json.loads(line)
        seen.setdefault(event["event"], event)
        for key in set(event) - COMMON - doc.get(event["event"], set()):
            unknown.add("%s: %s" % (event["event"], key))
        if event["event"] not in doc:
            unknown.add(event["event"])
    ok(seen and not unknown, name + ": each event of the log and each of its fields is documented", sorted(unknown))
    start = seen.get("start", {})
    ok(start.get("schema") == 1 and start.get("settings", {}).get("train", {}).get("steps") and "end" in seen,
       name + ": it begins with its schema and settings, and says how it ended", (start, sorted(seen)))
    return seen


def main():
    doc = documented()
    check_sources(doc)
    path = swarms.experiment("events", steps=60, every=20)
    done = run("swarm", path, "-n", "2", "--out", "swarm", timeout=300)
    ok(done.returncode == 0, "a swarm of two runs to its end", done.stdout)
    for i in range(2):
        seen = check_log(doc, os.path.join(PLACE, "swarm", "worker-%d" % i, "log.jsonl"), "worker %d" % i)
        ok({"step", "outer", "evaluate", "checkpoint", "net", "applied", "end"} <= set(seen),
           "worker %d: it tells what it did" % i, sorted(seen))
    log = os.path.join(PLACE, "alone.jsonl")
    with open(path, "a") as f:
        f.write("metrics: {log: %s}\n" % log)
    done = run("train", path, timeout=300)
    ok(done.returncode == 0, "train runs to its end", done.stdout)
    seen = check_log(doc, log, "train")
    ok({"step", "evaluate", "checkpoint", "end"} <= set(seen), "train: it tells what it did", sorted(seen))

    os.remove(log)
    with open(log, "w") as f:
        f.write('{"t":1,"event":"st')  # the last line of one that was killed
    wild = swarms.experiment("wild", steps=60, every=20)
    text = open(wild).read().replace("lr: 3e-3", "lr: 10, weight_decay: 10").replace("checkpoints", "wild")
    with open(wild, "w") as f:
        f.write(text + "metrics: {log: %s}\n" % log)
    done = run("train", wild, timeout=300)
    events = [json.loads(line) for line in open(log).read().splitlines()[1:]]
    failed = [e for e in events if e["event"] == "step_failed"]
    ok(done.returncode == 1 and failed and failed[0]["why"] and events[-1]["event"] == "end",
       "a step that is not finite, and the end it brings, are in the log, behind a line that was cut", events[-3:])
    ok(failed and None in (failed[0]["loss"], failed[0]["gradient_norm"]), "numbers that are not finite are null", failed)
    finish()


main()
