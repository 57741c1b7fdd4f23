"""report_test.py -- `shoal report`: one HTML file from the event logs of any machines, read back as a browser would.

The logs are made here, as docs/events.md describes them: workers that join, crash and start again, fork, drop steps, meet
numbers that are not finite. `report_test.py --fixtures DIR [WORKERS [EPOCHS]]` leaves them in DIR, to look at a report.
"""
import html.parser, json, math, os, random, re, signal, subprocess, sys, time

T0 = 1.75e9
START = {"schema": 1, "version": "0.1.0", "command": "run", "experiment": "a <b>bold</b> & name", "run": "ab" * 16, "parameters": 951424,
         "batch_tokens": 2048, "steps": 3520, "every": 20, "threads": 1, "gpus": 0, "address": "127.0.0.1:4433", "lineage": "00" * 16,
         "settings": {"experiment": {"name": "a </script> name"}, "train": {"steps": 3520, "optimizer": {"lr": 0.003}}}}


def log(path, worker, epochs, join=0, crash=None, drop=None, every=20):
    """One worker's log of `epochs` outer steps of `every` inner ones, three seconds each."""
    chance = random.Random(worker)
    identity = "%064x" % random.Random(1000 + worker).getrandbits(256)
    sent = 0
    with open(path, "w") as f:
        def say(t, event, **fields):
            f.write(json.dumps(dict(t=round(t, 3), event=event, **fields)) + "\n")

        t = T0 + join * 3.2
        say(t, "start", **dict(START, id=identity, epoch=0))
        if join:
            say(t + 1, "joined", epoch=join, bytes=7610000, servers=3, ms=900, liars=0, lineage="00" * 16)
        for epoch in range(join, epochs):
            if crash == epoch:
                f.write('{"t":1,"event":"st\n')  # what a killed process leaves
                t += 40
                say(t, "start", **dict(START, id=identity, epoch=epoch))
                sent = 0
            for i in range(every):
                step = epoch * every + i
                t += 3 / every
                loss = 3.2 + 5 * math.exp(-step / 400) + chance.gauss(0, .08)
                say(t, "step", epoch=epoch, step=step, loss=round(loss, 5), lr=3e-3 * min(1, (step + 1) / 50) * (1 - step / (epochs * every + 1)),
                    gradient_norm=1.0, tokens=2048, tokens_per_s=13000 + 900 * worker + chance.gauss(0, 150), ms=3000 / every)
            sent += 5267456
            say(t, "net", sent=sent, received=sent, peers=3, lag_p50_ms=.1, lag_p99_ms=1, lag_max_ms=2, wakeups=9)
            if drop and epoch % drop == 1:
                say(t, "dropped", steps=every, why="the swarm's state was taken over")
            say(t + .1, "outer", epoch=epoch + 1, step=(epoch + 1) * every, digest="cd" * 32, lineage="00" * 16, paused_ms=chance.uniform(20, 160))
            t += .2
            if epoch % 5 == 4:
                say(t, "evaluate", epoch=epoch + 1, step=(epoch + 1) * every, loss=3.25 + 5 * math.exp(-(epoch + 1) * every / 400), tokens=4096, ms=90)
            if crash is not None and epoch == crash + 2:
                say(t, "fork", peer="ee" * 32, epoch=epoch, mine=5, theirs=4)
            if worker == 0 and epoch % 7 == 3:
                say(t, "dead", peer="%064x" % epoch, incarnation=1)
        if worker == 1:
            say(t, "step_failed", epoch=epochs, step=epochs * every, loss=None, lr=1e-4, gradient_norm=None, why="the loss is not finite")
        if worker != 2:
            say(t + 5, "end", epoch=epochs, step=epochs * every, why="the run is complete")
    return path


def fixtures(folder, workers=5, epochs=60):
    paths = []
    for i in range(workers):
        os.makedirs(os.path.join(folder, "worker-%d" % i), exist_ok=True)
        paths.append(log(os.path.join(folder, "worker-%d" % i, "log.jsonl"), i, epochs - (20 if i == 2 else 0), join=epochs // 3 if i == workers - 1 and i else 0,
                         crash=epochs // 2 if i == 1 else None, drop=9 if i == 3 else None))
    return paths


class Page(html.parser.HTMLParser):
    """Tags with their attributes, the text of the elements that matter, and whether all that must be closed is."""
    CLOSED = {"html", "head", "body", "script", "style", "title", "header", "main", "table", "dl", "details", "pre", "h1", "div"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.wrong, self.texts = [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in self.CLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.CLOSED and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)

    def handle_data(self, text):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(text)


def outside(page, text):
    """What would make a browser ask somebody: attributes with URLs, and URLs in style and script that load."""
    found = [(tag, k, v) for tag, attributes in page.tags for k, v in attributes.items()
             if k in ("src", "href", "srcset", "action", "poster", "data", "manifest") and not v.startswith("data:,")]
    found += re.findall(r"url\([^)]*\)|@import[^;]*|sourceMappingURL=\S*", text)
    found += re.findall(r"\b(?:fetch|XMLHttpRequest|WebSocket|importScripts|EventSource)\(", "".join(page.texts["script"][-1:]))
    return found


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id=data>(.*?)</script>', text, re.S)[1])


def check_page(swarms, folder):
    ok, run, paths = swarms.ok, swarms.run, fixtures(folder)
    done = run("report", *paths, "-o", "page.html")
    ok(done.returncode == 0 and "page.html" in done.stdout, "a report is built from five logs", done.stdout)
    text = open(os.path.join(swarms.PLACE, "page.html")).read()
    page = Page(text)
    ok(not page.open and not page.wrong, "its HTML is closed as it was opened", (page.open, page.wrong))
    ok(not outside(page, text), "it loads nothing from outside", outside(page, text))
    ok(any(t == "meta" and a.get("name") == "viewport" for t, a in page.tags) and "prefers-color-scheme: dark" in text, "it knows phones and the dark")
    ok("a &lt;b>bold&lt;/b> &amp; name" in text and "<b>bold" not in text and "Permission is hereby granted" in text,
       "names are escaped, and the license of dygraphs stands in it")
    for wanted in ("% of the planned tokens", "validation loss", "bit-identical", "ab" * 16, "shoal 0.1.0", "train.optimizer.lr", "2025-06-15"):
        ok(wanted in text, "it says: " + wanted)
    data = data_of(text)
    ok([w["name"] for w in data["workers"]] == ["worker-%d" % i for i in range(5)], "each worker has its name", [w["name"] for w in data["workers"]])
    kinds = {m["kind"] for w in data["workers"] for m in w["marks"]}
    ok(kinds == {"start", "join", "crash", "death", "fork", "dropped steps", "failure", "end"}, "each kind of event is marked", kinds)
    crashes = [[m["t"] for m in w["marks"] if m["kind"] == "crash"] for w in data["workers"]]
    ok([len(c) for c in crashes] == [0, 1, 1, 0, 0], "a start without an end before it is a crash, and so is silence", crashes)
    steps = data["workers"][0]["steps"]
    ok(len(steps["t"]) == 1200 and abs(steps["loss"][0] - 8.2) < .5 and steps["tokens"][-1] == 1200 * 2048, "its curves are the log's",
       (len(steps["t"]), steps["loss"][:2], steps["tokens"][-1]))
    share = float(re.search(r"([\d.]+) % of the planned tokens", text)[1])
    ok(97 < share < 100, "dropped steps are no part of what was planned and done", share)


def check_size(swarms, folder):
    """Long logs: a bounded file in a time that follows the bytes; 20 workers at once."""
    os.makedirs(folder)
    paths = [log(os.path.join(folder, "m%d.jsonl" % i), i, 300, every=100) for i in range(2)]
    began = time.monotonic()
    done = swarms.run("report", *paths, "-o", "long.html")
    took, read = time.monotonic() - began, sum(map(os.path.getsize, paths))
    text = open(os.path.join(swarms.PLACE, "long.html")).read()
    data = data_of(text)
    counts = [len(column) for w in data["workers"] for part in ("steps", "net", "outers", "evaluations") for column in w[part].values()]
    swarms.ok(done.returncode == 0 and max(counts) <= 2001 and len(data["workers"][0]["steps"]["t"]) >= 1000, "a long curve has at most 2,000 points",
              max(counts))
    loss = data["workers"][0]["steps"]["loss"]
    swarms.ok(abs(loss[0] - 8.2) < .3 and abs(loss[-1] - 3.2) < .1, "and keeps its shape", (loss[0], loss[-1]))
    swarms.ok(len(text) < 1500000, "two logs of %.0f MB make a file of %.1f MB (in %.1f s)" % (read / 1e6, len(text) / 1e6, took), len(text))
    many = fixtures(os.path.join(folder, "many"), 20, 20)
    done = swarms.run("report", *many, "-o", "many.html")
    swarms.ok(done.returncode == 0 and len(data_of(open(os.path.join(swarms.PLACE, "many.html")).read())["workers"]) == 20, "20 workers fit", done.stdout)


def check_mistakes(swarms, folder):
    for arguments, wanted in ((("report",), "name"), (("report", "nowhere.jsonl"), "nowhere.jsonl"), (("report", folder + "/worker-0/log.jsonl", "-o", "no/such/place.html"), "no/such")):
        done = swarms.run(*arguments)
        swarms.ok(done.returncode != 0 and wanted in done.stdout and done.stdout.count("\n") == 1, "%s: one sentence" % " ".join(map(os.path.basename, arguments)), done.stdout)
    empty = os.path.join(swarms.PLACE, "empty.jsonl")
    open(empty, "w").close()
    done = swarms.run("report", empty, "-o", "empty.html")
    swarms.ok(done.returncode == 0 and "noscript" in open(os.path.join(swarms.PLACE, "empty.html")).read(), "an empty log makes an empty report", done.stdout)


def check_watch(swarms, folder):
    path = os.path.join(folder, "worker-0", "log.jsonl")
    lines = open(path).read().splitlines(True)
    growing, page = os.path.join(swarms.PLACE, "growing.jsonl"), os.path.join(swarms.PLACE, "live.html")
    with open(growing, "w") as f:
        f.writelines(lines[:100])
    child = subprocess.Popen([swarms.SHOAL, "report", growing, "-o", page, "--watch"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    swarms.CHILDREN.append(child)
    count = lambda: len(data_of(open(page).read())["workers"][0]["steps"]["t"]) if os.path.exists(page) else 0
    first = swarms.wait_for(lambda: count() > 0, 60) and count()
    with open(growing, "a") as f:
        f.writelines(lines[100:500])
    swarms.ok(swarms.wait_for(lambda: count() > first, 60), "--watch writes a new report when the log has grown", (first, count()))
    swarms.ok('"live":true' in open(page).read(), "an open page of --watch looks for the newer one")
    child.send_signal(signal.SIGINT)
    swarms.ok(child.wait(timeout=60) == 0, "Ctrl-C ends --watch")
    place = os.path.join(swarms.PLACE, "pages")
    os.makedirs(place)
    child = subprocess.Popen([swarms.SHOAL, "report", growing, "-o", place + "/live.html", "--watch"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    swarms.CHILDREN.append(child)
    swarms.wait_for(lambda: os.path.exists(place + "/live.html"), 60)
    os.rename(place, place + "-gone")
    with open(growing, "a") as f:
        f.writelines(lines[500:600])
    said = child.communicate(timeout=60)[0]
    swarms.ok(child.returncode == 1 and "No such file" in said and said.count("\n") == 3,
              "--watch ends with a sentence where its page can no longer be written", said)


def main():
    if sys.argv[1:2] == ["--fixtures"]:
        fixtures(sys.argv[2], *map(int, sys.argv[3:]))
        return
    import swarms
    folder = os.path.join(swarms.PLACE, "logs")
    check_page(swarms, folder)
    check_size(swarms, os.path.join(swarms.PLACE, "long"))
    check_mistakes(swarms, folder)
    check_watch(swarms, folder)
    swarms.finish()


main()
