#!/usr/bin/env python3
"""Peer lists on https servers: good ones lead into the swarm, and of all others is said in one sentence what is wrong with them; no
server, however slow, large or hostile, keeps a worker from training or from the peers that others name. All on loopback."""
import ssl, threading

from swarms import *
from webserver import Web

path = experiment("https", steps=60000, every=60)
web = Web(os.path.join(PLACE, "web"))
os.environ["SSL_CERT_FILE"] = web.authorities
ALL = os.path.join(PLACE, "all.txt")
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

# ---- what `shoal peers` prints is a list that any server can offer ----

port = first.address
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
                  ("tls-1.2", web.serve(good, most=ssl.TLSVersion.TLSv1_2) + "/"),
                  ("redirected", web.serve(lambda ask: ask.say(b"", "302 Found", "Location: " + ("/second" if ask.path == "/" else GOOD_URL))) + "/")):
    w = worker(name, url)
    ok(wait_for(lambda: linked(w) >= 1, 90), "a worker joins through a list: " + name, text_of(w))
    lists = w.events("list")
    ok(lists and lists[0]["peers"] >= 1 and not lists[0]["unchanged"] and lists[0]["left_out"] == 0 and "secret" not in lists[0]["url"],
       "and the log says what it held", lists)
    gone(w)
gone(first)
finish()
