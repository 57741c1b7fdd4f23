#!/usr/bin/env python3
"""Peer lists on https servers: good ones lead into the swarm, and of all others is said in one sentence what is wrong with them; no
server, however slow, large or hostile, keeps a worker from training or from the peers that others name. All on loopback."""
import hashlib, ssl, threading

from swarms import *
from webserver import Web

path = experiment("https", steps=60000, every=60)
web = Web(os.path.join(PLACE, "web"))
os.environ["SSL_CERT_FILE"] = web.authorities
ALL = os.path.join(PLACE, "all.txt")


def key(n):
    """An ID that nobody has."""
    return hashlib.sha256(b"%d" % n).hexdigest()


ID = "ab" * 32


def linked(w):
    nets = w.events("net")
    return nets[-1]["peers"] if nets else 0


def text_of(w):
    return open(os.path.join(w.dir, "output.txt"), errors="replace").read()


def worker(name, *urls, experiment_path=path):
    w = Worker(name, ALL, listed=False)
    w.peers = urls[0]
    extra = [a for u in urls[1:] for a in ("--peers", u)]
    return w.start(experiment_path, *extra)


def gone(*workers):
    for w in workers:
        w.kill(signal.SIGTERM)
    ok(all(wait_for(lambda: w.process.poll() is not None, 30) for w in workers), "leaves: " + ", ".join(os.path.basename(w.dir) for w in workers),
       "\n".join(text_of(w)[-1000:] for w in workers))


def refused(url, *says):
    done = run("run", path, "--dir", "refused", "--peers", url)
    ok(done.returncode == 2 and all(s in done.stdout for s in says), "refused: " + url, done.stdout)


refused("http://example.org/peers.txt", "http://example.org/peers.txt: over http anybody on the way can change a list: write https://")
refused("ftp://example.org/peers.txt", "ftp://example.org/peers.txt is no URL of https")
refused("https://user:word@example.org/", "a URL with a user's name in it is not taken")
refused("https://example.org:99999/", "names no host")

first = Worker("first", ALL).start(path)
ok(wait_for(lambda: first.events("net"), 90), "a first worker runs", first.output())

# ---- one that is alone until its list changes: it is looked at at the end ----

late = [b"# nobody yet\n%s@127.0.0.1:1\n" % ID.encode()]
late_asked = []


def later(ask):
    tag = '"%d"' % len(late)
    late_asked.append(ask.fields.get("if-none-match"))
    if ask.fields.get("if-none-match") == tag:
        return ask.say(b"", "304 Not Modified", "ETag: " + tag)
    ask.say(late[-1], "200 OK", "ETag: " + tag)


alone = worker("alone", web.serve(later) + "/")

# ---- what `shoal peers` prints is a list that any server can offer ----

done = subprocess.run([SHOAL, "peers", "%s@%s" % (first.id, first.address)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
ok(done.returncode == 0 and "%s@%s" % (first.id, first.address) in done.stdout, "shoal peers prints a list", done.stdout)
GOOD = done.stdout.encode()
asked = []


def good(ask):
    asked.append(ask.fields.get("if-none-match"))
    if ask.fields.get("if-none-match") == '"one"':
        return ask.say(b"", "304 Not Modified", 'ETag: "one"')
    ask.say(GOOD, "200 OK", 'ETag: "one"', "Content-Type: text/plain")


def chunked(ask):
    ask.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(0, len(GOOD), 7):
        part = GOOD[i:i + 7]
        ask.raw(b"%x;x=y\r\n%s\r\n" % (len(part), part))
    ask.raw(b"0\r\nTrailer: yes\r\n\r\n")


GOOD_URL = web.serve(good) + "/swarm/peers.txt?key=secret"
for name, url in (("plain", GOOD_URL), ("chunked", web.serve(chunked, "curve", "127.0.0.1") + "/"),
                  ("until-close", web.serve(lambda ask: ask.raw(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD)) + "/"),
                  ("chain", web.serve(good, "chained") + "/"),
                  ("tls-1.2", web.serve(good, most=ssl.TLSVersion.TLSv1_2) + "/"),
                  ("redirected", web.serve(lambda ask: ask.say(b"", "302 Found", "Location: " + ("/second" if ask.path == "/" else GOOD_URL))) + "/")):
    w = worker(name, url)
    ok(wait_for(lambda: linked(w) >= 1, 90), "a worker joins through a list: " + name, text_of(w))
    lists = w.events("list")
    ok(lists and lists[0]["peers"] >= 1 and not lists[0]["unchanged"] and lists[0]["left_out"] == 0 and "secret" not in lists[0]["url"],
       "and the log says what it held", lists)
    gone(w)
# ---- lists that are no good, all at once, beside one that is ----

closed = socket.create_server(("127.0.0.1", 0))
DEAD = "https://localhost:%d/" % closed.getsockname()[1]
closed.close()
DONE = threading.Event()


def drip(ask):
    ask.raw(b"HTTP/1.1 200 OK\r\n\r\n")
    while not DONE.wait(0.3):
        ask.raw(b"#")


def endless(ask):
    ask.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        ask.raw(b"8000\r\n" + b"#" * 0x8000 + b"\r\n")


def status(text, *fields):
    return lambda ask: ask.say(b"no", text, *fields)


def says(text):
    return lambda ask: ask.raw(text)


HEAD = b"HTTP/1.1 200 OK\r\n"
BAD = [  # name, URL, what is said of it
    ("dead", DEAD, "no connection: Connection refused"),
    ("silent", web.plain(lambda s: DONE.wait()) + "/", "no TLS within 10 s"),
    ("hanging", web.serve(lambda ask: DONE.wait()) + "/", "no answer within 10 s"),
    ("dripping", web.serve(drip) + "/", "no answer within 10 s"),
    ("huge", web.serve(status("200 OK", "X: y") and says(HEAD + b"Content-Length: 2000000\r\n\r\n")) + "/", "it sends more than 1024 KiB"),
    ("endless", web.serve(endless) + "/", "it sends more than 1024 KiB"),
    ("missing", web.serve(status("404 Not Found")) + "/a/b?token=secret", "it answers with status 404"),
    ("page", web.serve(says(HEAD + b"\r\n<!doctype html>\n<p>Hello\x1b[2J\n")) + "/", "it is no peer list: none of its lines is ID@host:port"),
    ("foreign", web.serve(good, "foreign") + "/", "its certificate is refused: no authority of %s has signed it" % web.authorities),
    ("forged", web.serve(good, "forged") + "/", "its certificate is refused|no TLS with it: "),
    ("elsewhere", web.serve(good, "elsewhere") + "/", "its certificate is refused: it is not for localhost"),
    ("old", web.serve(good, "old") + "/", "its certificate is refused: it has expired"),
    ("plain", web.plain(lambda s: s.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)) + "/", "no TLS with it: "),
    ("cut", web.serve(says(HEAD + b"Content-Length: 500\r\n\r\n" + GOOD)) + "/", "its answer ends in the middle"),
    ("downhill", web.serve(status("302 Found", "Location: http://localhost/peers.txt")) + "/", "it leads to http://localhost/peers.txt, which is no URL of https"),
]
MORE = [
    ("round", web.serve(status("301 Moved", "Location: /")) + "/", "it leads on and on: at most 3 times are followed"),
    ("ssh", web.serve(says(b"SSH-2.0-OpenSSH_9.2\r\n")) + "/", "its answer is not HTTP"),
    ("binary", web.serve(says(os.urandom(100000).replace(b"HTTP", b"http"))) + "/", "its answer is not HTTP|the head of its answer is too long"),
    ("packed", web.serve(says(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab")) + "/", "it sends the list compressed, unasked"),
    ("fields", web.serve(says(HEAD + b"Field: value\r\n" * 9000)) + "/", "the head of its answer is too long"),
    ("address", web.serve(good, "elsewhere", "127.0.0.1") + "/", "its certificate is refused: it is not for 127.0.0.1"),
]


def told(w, name, url, why):
    """One sentence on stderr, and the same in the log."""
    shown = url.split("?")[0]
    lines = [l for l in text_of(w).splitlines() if l.startswith("shoal: the peer list " + shown)]
    logged = [e for e in w.events("list_failed") if e["url"].split("?")[0] == shown]
    return ok(len(lines) == 1 and re.search(why if "|" in why else re.escape(why), lines[0]) and logged and logged[0]["failures"] == 1
              and logged[0]["why"] in lines[0], "of a list that is %s it is said: %s" % (name, lines[0] if lines else "nothing"),
              (lines, logged, text_of(w)[-2000:]))


for name, rows in (("first-half", BAD), ("second-half", MORE)):
    w = worker(name, *[url for _, url, _ in rows], GOOD_URL)
    ok(wait_for(lambda: linked(w) >= 1, 90), "a worker joins beside %d lists that are no good" % len(rows), text_of(w))
    up = [e["t"] for e in w.events("up")][:1]
    print("# linked %.1f s after its start" % (up[0] - w.events("start")[0]["t"] if up else -1), flush=True)
    ok(wait_for(lambda: len({e["url"] for e in w.events("list_failed")}) >= len(rows), 90), "and then all of them are given up",
       w.events("list_failed"))
    slow = [e["t"] for e in w.events("list_failed") if " within " in e["why"]]
    ok(up and all(up[0] < t for t in slow) and len(slow) == (3 if rows is BAD else 0), "it has waited for none of them", (up, slow))
    for row in rows:
        told(w, *row)
    ok("secret" not in text_of(w) + str(w.events()), "a query, which may hold a key, is not shown")
    ok("\x1b[2J" not in text_of(w), "nor what could steer a terminal")
    gone(w)

# ---- hostile lists: false addresses of a good peer, thousands of entries, garbage in between ----

mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # takes packets and never answers
mute.bind(("127.0.0.1", 0))
MUTE = mute.getsockname()[1]
false = "".join("%s@127.0.0.1:%d\n" % (first.id, p) for p in range(1, 200)).encode()
crowd = "".join("%s@127.0.0.1:%d\n" % (key(n), MUTE) for n in range(9000)).encode()
mixed = b"# list\nnonsense\x1b[2J\n\0\0\n" + b"x" * 5000 + b"\n" + GOOD + b"https://example.org/other\n"
dice = chance()
w = worker("hostile", web.serve(lambda ask: ask.say(false)) + "/", web.serve(lambda ask: ask.say(crowd)) + "/", web.serve(lambda ask: ask.say(mixed)) + "/")
ok(wait_for(lambda: linked(w) >= 1, 90, lambda: len(w.events("dial_failed"))), "a worker joins beside hostile lists", text_of(w))
print("# linked %.1f s after its start" % (w.events("up")[0]["t"] - w.events("start")[0]["t"] if w.events("up") else -1), flush=True)
ok(re.search(r"shoal: https://localhost:\d+/:2: 'nonsense\?\[2J' is not a peer.*; 4 lines are left out of this list", text_of(w)) and "\x1b[2J" not in text_of(w),
   "what is left out of a list is said", text_of(w))
gone(w)

# ---- one live entry of 256, all others silent ----

entries = ["%s@127.0.0.1:%d" % (key(n), MUTE) for n in range(255)]
entries.insert(dice.randrange(256), "%s@%s" % (first.id, first.address))
w = worker("one-of-256", web.serve(lambda ask: ask.say("\n".join(entries).encode())) + "/")
ok(wait_for(lambda: linked(w) >= 1, 90, lambda: len(w.events("dial_failed"))), "a worker finds the one of 256 entries that is there", text_of(w))
took = w.events("up")[0]["t"] - w.events("start")[0]["t"] if w.events("up") else 99
print("# linked %.1f s after its start" % took, flush=True)
ok(took < 20, "before anybody loses patience", took)  # five seconds on a machine that does nothing else
gone(w)

# ---- the one that was alone ----

late.append(GOOD)
ok(wait_for(lambda: linked(alone) >= 1, 120), "who is alone reads its list again, and joins when that has changed", (late_asked, text_of(alone)))
ok(late_asked[0] is None and all(late_asked[1:]) and 2 <= len(late_asked) <= 20, "it asks for what has changed, about once a minute", late_asked)
gone(alone)
DONE.set()
gone(first)
finish()
