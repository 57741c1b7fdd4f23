#!/usr/bin/env python3
"""timeline_test.py -- `sim SEED --html FILE` as TAP: the page is read back, and what it shows is compared with what the run reported.

The environment's SIM_BIN is the simulator. Where there is node.js the page's script is run, too (timeline_dom.js).
"""
import html.parser, json, os, re, shutil, subprocess, tempfile

SIM = os.environ["SIM_BIN"]
HERE = os.path.dirname(os.path.abspath(__file__))
# Ordinary worlds with every kind of fault, with forks, with one node; and far ones.
RUNS = (["8"], ["14"], ["17"], ["5"], ["8", "--nodes", "3", "--salt", "2"], ["8", "--without", "0,3", "--absent", "2,6", "--no-loss", "--calm", "100"], ["--far", "3"], ["--far", "10"], ["--far", "11"])
failed = False


def tell(good, name, why=""):
    global failed
    failed = failed or not good
    print("%s - page of a run, %s%s" % ("ok" if good else "not ok", name, "" if good else ": %s" % (why,)), flush=True)


class Page(html.parser.HTMLParser):
    """Whether all that must be closed is, and the attributes and texts."""
    CLOSED = {"html", "head", "body", "script", "style", "title", "header", "main", "h1", "div"}

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.attributes, self.scripts, self.title = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.attributes += [k for k, _ in attributes]
        if tag in self.CLOSED:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        if tag in self.CLOSED and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)

    def handle_data(self, text):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += text
        if self.open and self.open[-1] == "title":
            self.title += text


def sim(*arguments):
    done = subprocess.run([SIM] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def reported(line):
    """What the run's own line says."""
    numbers = {name: int(n) for name, n in re.findall(r", ([a-z-]+) (\d+)", line.split(" events")[1].split(";")[0])}
    rounds, grouped = re.search(r"(\d+) rounds \((\d+) in groups\)", line).groups()
    forks = re.search(r"(\d+) forks seen, (\d+) adoptions", line)
    return numbers, int(rounds), int(grouped), int(forks[2]) if forks else 0, re.search(r"hash (\w+)", line)[1]


def gaps(data):
    """Moments at which a node's spans do not meet."""
    wrong = []
    for node in range(data["world"]["nodes"]):
        at = 0.0
        for _, what, a, b, epoch in sorted((s for s in data["spans"] if s[0] == node), key=lambda s: (s[2], s[3])):
            if abs(a - at) > .0011 or b < a:
                wrong.append((node, at, a))
            at = b
        if abs(at - data["world"]["end"]) > .0011:
            wrong.append((node, at, "the end"))
    return wrong


def other_epochs(data):
    """Outer steps after which the node's span does not have the epoch that they led to."""
    wrong = []
    for t, node, history, _ in data["outer"]:
        epoch = data["histories"][history]["epoch"]
        if not any(s[0] == node and s[4] == epoch and s[2] - .0011 <= t <= s[3] + .0011 for s in data["spans"]) and t < data["world"]["end"] - .0011:
            wrong.append((node, t, epoch))
    return wrong


def check_data(name, data, line):
    faults, rounds, grouped, adoptions, _ = reported(line)
    won = [h for h in data["histories"] if h["won"] and h["epoch"] > 0]
    tell(sorted(h["epoch"] for h in won) == list(range(1, rounds + 1)), "%s: as many outer steps as the run reports rounds" % name, (len(won), rounds))
    many = [h for h in data["histories"] if len(h["members"]) > 1]
    tell(len(many) == grouped, "%s: as many of them in groups" % name, (len(many), grouped))
    taken = [o for o in data["outer"] if o[3]]
    tell(len(taken) == adoptions, "%s: as many adoptions" % name, (len(taken), adoptions))
    applied = {o[2] for o in data["outer"] if not o[3]}
    tell(applied == {i for i, h in enumerate(data["histories"]) if h["epoch"] > 0}, "%s: somebody made each outer step" % name)
    for kind in ("pause", "partition", "one-way", "deaf", "hang", "leave", "jump"):
        shown = [f for f in data["faults"] if f["kind"] == kind]
        tell(len(shown) == faults.get(kind, 0), "%s: each %s is marked" % (name, kind), (len(shown), faults.get(kind, 0)))
    crashes = [n for n in data["notes"] if n[2] == "crashes"]
    tell(len(crashes) == faults.get("crash", 0), "%s: each crash is noted" % name, (len(crashes), faults.get("crash", 0)))
    paused = sum(data["doing"][s[1]] == "paused" for s in data["spans"])
    tell(paused >= faults.get("pause", 0) and bool(paused) == bool(faults.get("pause")), "%s: a paused node is shown as paused" % name, paused)
    tell(not other_epochs(data), "%s: spans have the epoch that the latest outer step led to" % name, other_epochs(data)[:3])
    gone = [i for i, w in enumerate(data["workers"]) if w["absent"]]
    tell(gone == ([2, 6] if "--absent" in name else []) and not any(s[0] in gone and data["doing"][s[1]] != "down" for s in data["spans"]),
         "%s: who is left out does nothing" % name, gone)
    tell(not gaps(data), "%s: each node does something at every moment" % name, gaps(data))


def check_drawing(name, path, data):
    """What the script makes of it."""
    done = subprocess.run(["node", os.path.join(HERE, "timeline_dom.js"), path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        tell(False, "%s: its script runs" % name, done.stderr[-800:])
        return
    drawn = json.loads(done.stdout)
    bad = [k for k, v in drawn.items() if re.search(r"NaN|undefined|Infinity|\[object", str(v))]
    tell(not bad, "%s: its script runs, and draws numbers and words" % name, bad)
    nodes = data["world"]["nodes"]
    tell(len(re.findall(r'class="lane', drawn["whole"])) == nodes, "%s: a lane for each node" % name)
    steps = re.findall(r'<circle class="outer([^"]*)"', drawn["whole"])
    tell(len(steps) == len(data["outer"]) and sum("taken" in s for s in steps) == sum(o[3] for o in data["outer"]),
         "%s: every outer step and adoption is drawn" % name, (len(steps), len(data["outer"])))
    tell(bool("forked" in " ".join(steps)) == any(not data["histories"][o[2]]["won"] for o in data["outer"]), "%s: a fork has its own colour" % name)
    tell(len(re.findall("class=fault", drawn["whole"])) == len(data["faults"]), "%s: every fault is drawn" % name)
    tell(len(re.findall("<circle", drawn["near"])) < len(steps), "%s: the wheel zooms in" % name)
    tell("agreed" in drawn["whole"] and "m-agreed" not in drawn["without"], "%s: a kind of mark can be left out" % name)
    at = re.search(r"around ([0-9.]+) s", drawn["around"])
    near = [float(t) for t in re.findall(r'data-at="([0-9.]+)"', drawn["rows"])]
    tell(bool(at) and len(near) > 5 and near == sorted(near) and min(near) <= float(at[1]) <= max(near), "%s: a click lists the events around" % name,
         (drawn["around"], near[:3]))


def check(arguments, folder):
    name, path = "seed " + " ".join(arguments), os.path.join(folder, "page.html")
    code, line, said = sim(*arguments, "--html", path)
    tell(code == 0 and reported(line)[4] == reported(sim(*arguments)[1])[4], "%s: the same events with the page and without" % name, line + said)
    text = open(path).read()
    page = Page(text)
    tell(not page.open and not page.wrong and len(page.scripts) == 2, "%s: its HTML is closed as it was opened" % name, (page.open, page.wrong))
    loads = [a for a in page.attributes if a in ("src", "href", "srcset", "action", "data")] + \
        re.findall(r"url\([^#)][^)]*\)|@import|\b(?:fetch|XMLHttpRequest|WebSocket|importScripts|EventSource)\(|https?:", text)
    tell(not loads, "%s: it loads nothing from outside" % name, loads)
    data = json.loads(page.scripts[0])
    tell("simulated swarm: " in page.title and data["world"]["scenario"] in page.title, "%s: its title names the run" % name, page.title)
    tell(data["world"]["repeat"] == "zig build sim -- " + " ".join(arguments), "%s: it tells how to repeat it" % name, data["world"]["repeat"])
    check_data(name, data, line)
    if shutil.which("node"):
        check_drawing(name, path, data)
    else:
        print("ok - page of a run, %s: what its script draws # SKIP no node.js" % name)


def refusals(folder):
    path = os.path.join(folder, "none.html")
    code, _, said = sim("1..3", "--html", path)
    tell(code == 2 and "one seed" in said and not os.path.exists(path), "a range of seeds is refused", said)
    code, _, said = sim("1", "--html", os.path.join(folder, "no", "page.html"))
    tell(code == 2 and "page.html: No such file" in said, "a place where no file can be is told before the run", said)
    if os.path.exists("/dev/full"):
        code, _, said = sim("1", "--html", "/dev/full")
        tell(code == 1 and "/dev/full: No space" in said, "a full disk is told", (code, said))


def main():
    with tempfile.TemporaryDirectory() as folder:
        for arguments in RUNS:
            check(arguments, folder)
        refusals(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
