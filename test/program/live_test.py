#!/usr/bin/env python3
"""What is drawn in place: `shoal run`, `swarm` and `status` under a pseudo-terminal of several widths, resized, dumb, without UTF-8, and in a pipe."""
from swarms import *
from screen import Program

EPOCHS = 3
path = experiment("live", steps=60, every=20)
long_path = experiment("long", steps=100000, every=20)


def one_picture(text):
    """Progress is on the screen once: nothing of an earlier picture is left."""
    return len(re.findall(r"epoch \d+ of \d+  ", text + "  ")) == 1


def lines_fit(program):
    return max(map(len, program.screen.lines)) <= program.screen.columns and not program.screen.unknown


def address_of(text):
    return re.search(r"([0-9a-f]{64}@127\.0\.0\.1:\d+)", text.replace("\n", "")).group(1)


for columns in (40, 80, 120):
    run_it = Program([SHOAL, "run", long_path, "--dir", "w%d" % columns, "--listen", "127.0.0.1:0"], PLACE, columns)
    CHILDREN.append(run_it.child)
    drawn = run_it.until(lambda s: "tokens/s" in s.text() and "left" in s.text() and "alone" in s.text(), 60)
    picture = run_it.screen.text()
    ok(drawn and "loss" in picture and "step" in picture and re.search(r"epoch \d+ of 5000", picture), "run: %d columns show where it stands" % columns, picture)
    later = run_it.screen.text()
    # Between a sentence and the next picture there is none for a moment; what is left of an old one stays.
    run_it.until(lambda s: s.text() != later and one_picture(s.text()), 20)
    ok(one_picture(run_it.screen.text()) and lines_fit(run_it), "run: drawn in place at %d columns" % columns, run_it.screen.text())
    run_it.resize(50)
    before = len(run_it.raw)
    run_it.until(lambda s: run_it.raw.count("tokens/s", before) >= 2 and one_picture(s.text()), 20)
    ok(one_picture(run_it.screen.text()), "run: no stale line after a resize from %d to 50" % columns, run_it.screen.text())
    if columns == 120:
        peer = address_of(run_it.screen.text())
        for width in (40, 80, 120):
            asked = Program([SHOAL, "status", peer], PLACE, width)
            asked.child.wait(timeout=30)
            asked.read(0.2)
            ok(lines_fit(asked) and not asked.screen.wrapped and peer[:8] in asked.screen.text() and "health" in asked.screen.text(), "status fits %d columns" % width,
               asked.screen.text())
            ok("% done" in asked.screen.text() and (width < 80 or ("age" in asked.screen.text() and "address" in asked.screen.text())),
               "and says how far the run is, how old that is and where", asked.screen.text())
        watched = Program([SHOAL, "status", peer, "--watch"], PLACE, 80)
        CHILDREN.append(watched.child)
        ok(watched.until(lambda s: peer[:8] in s.text(), 30), "status --watch shows the peer", watched.screen.text())
    run_it.child.send_signal(signal.SIGTERM)
    run_it.until(lambda s: "left the swarm" in s.text(), 60)
    ok(run_it.child.wait(timeout=60) == 3 and "left the swarm" in run_it.screen.text() and "tokens/s" not in run_it.screen.text(),
       "run: the picture goes, the last words stay", run_it.screen.text())

ok(watched.until(lambda s: "asking again" in s.text(), 40) and watched.child.poll() is None, "status --watch survives its peer's end", watched.screen.text())
again = subprocess.Popen([SHOAL, "run", long_path, "--dir", "w120", "--listen", peer.split("@")[1]], cwd=PLACE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
CHILDREN.append(again)
ok(watched.until(lambda s: "asking again" not in s.text() and peer[:8] in s.text(), 60), "and shows it when it is back", watched.screen.text())
watched.child.send_signal(signal.SIGINT)
ok(watched.child.wait(timeout=10) == 0, "Ctrl-C ends it")
again.kill()

for name, environment in (("TERM=dumb", dict(TERM="dumb")), ("no TERM", dict(TERM=""))):
    plain = Program([SHOAL, "swarm", path, "-n", "2", "--out", "plain"], PLACE, 80, **environment)
    CHILDREN.append(plain.child)
    plain.until(lambda s: "validation loss" in s.text(), 120)
    shutil.rmtree(os.path.join(PLACE, "plain"), ignore_errors=True)
    ok(plain.screen.escapes == 0 and "training paused for" in plain.raw, "%s: plain lines, no escape sequence" % name, plain.raw[-2000:])

for columns in (40, 80):
    swarm = Program([SHOAL, "swarm", path, "-n", "3", "--out", "s%d" % columns, "--kill", "1", "--join", "2"], PLACE, columns, LANG="C")
    CHILDREN.append(swarm.child)
    ok(swarm.until(lambda s: "worker" in s.text() and re.search(r"epoch [1-9] of %d" % EPOCHS, s.text()), 90), "swarm: %d columns show epochs of all" % columns, swarm.screen.text())
    ok(one_picture(swarm.screen.text()) and lines_fit(swarm) and len(re.findall(r"^worker +state", swarm.screen.text(), re.M)) == 1,
       "swarm: one table at %d columns" % columns, swarm.screen.text())
    if columns == 80:
        swarm.resize(44)
        swarm.read(1.5)
        ok(len(re.findall(r"^worker +state", swarm.screen.text(), re.M)) == 1, "swarm: no stale header after a resize", swarm.screen.text())
    swarm.until(lambda s: "report.html" in s.text(), 120)
    said = swarm.screen.text().replace("\n", "")
    ok(all(w in said for w in ("is killed in the middle", "starts with an empty folder", "joined at epoch")), "swarm: kill, start and join are told", said)
    ok(all(ord(c) < 128 for c in swarm.raw), "swarm: only ASCII without UTF-8")

alone = Program([SHOAL, "train", long_path], PLACE, 40)
CHILDREN.append(alone.child)
ok(alone.until(lambda s: "step " in s.text() and "left" in s.text(), 60), "train shows where it is", alone.screen.text())
alone.read(1)
ok(len(re.findall("tokens/s", alone.screen.text())) == 1 and lines_fit(alone), "in place at 40 columns", alone.screen.text())
alone.child.send_signal(signal.SIGTERM)
alone.until(lambda s: "steps done" in s.text(), 60)
ok(alone.child.wait(timeout=60) == 3 and "tokens/s" not in alone.screen.text(), "and its picture goes", alone.screen.text())

text = os.path.join(PLACE, "much.txt")
with open(text, "w") as f:
    f.write(open(os.path.join(PLACE, "text.txt")).read() * 8)
prepare = Program([SHOAL, "prepare", text, "-o", "much", "--vocab", "400"], PLACE, 40)
CHILDREN.append(prepare.child)
ok(prepare.until(lambda s: "MB/s" in s.text(), 60), "prepare shows where it is", prepare.screen.text())
ok(len(re.findall("MB/s", prepare.screen.text())) == 1 and lines_fit(prepare), "in place at 40 columns", prepare.screen.text())
prepare.until(lambda s: "held out" in s.text(), 120)
ok("MB/s  " not in prepare.screen.text() and prepare.child.wait(timeout=10) == 0, "and its picture goes in the end", prepare.screen.text())

worker = Worker("piped", os.path.join(PLACE, "peers.txt"))
other = Worker("other", os.path.join(PLACE, "peers.txt"))
open(os.path.join(PLACE, "peers.txt"), "a").write("%s@127.0.0.1:%d\n" % ("ab" * 32, free_port()))
worker.start(long_path)
other.start(long_path, "--quiet")
whole = lambda: open(os.path.join(worker.dir, "output.txt"), errors="replace").read()
ok(wait_for(lambda: all(w in whole() for w in ("met " + other.id[:8], "round begun", "averaging with " + other.id[:8], "averaged with " + other.id[:8], "cannot reach")), 60),
   "in a pipe each event is a line: met, cannot reach and why, round, average", whole()[:3000])
ok(wait_for(lambda: re.search(r"^epoch \d+ of 5000, step .* tokens/s, peers: 1 met, .*1 unreachable.* left$", worker.output(), re.M), 60), "and where it stands every ten seconds",
   worker.output())
ok("\x1b" not in worker.output(), "without escape sequences")
other.kill()
ok(wait_for(lambda: other.id[:8] + " does not answer" in worker.output(), 60), "a peer that dies is told", worker.output())
ok(other.output().count("\n") == 1, "--quiet: nothing behind the first line", other.output())
worker.kill()

silent = Worker("silent", os.path.join(PLACE, "peers.txt"))
silent.start(long_path, "--set", "metrics.log=")
ok(wait_for(lambda: re.search(r"^epoch \d+ of 5000, step .* tokens/s", silent.output(), re.M), 60), "a worker without a log speaks as well", silent.output())
silent.process.send_signal(signal.SIGTERM)
ok(silent.process.wait(timeout=60) == 3 and not os.path.exists(silent.log) and silent.output().rstrip().splitlines()[-1].startswith("shoal: epoch "), "and ends as others do", silent.output())
finish()
