#!/usr/bin/env python3
"""A closed swarm: two workers that hold its secret average; one with another secret and one of the open experiment do not get in, and each
side is told why. What is wrong with the secret's file is said in a sentence."""
from swarms import *

peers = os.path.join(PLACE, "peers.txt")
text = open(experiment("closed", steps=60000, every=60)).read()


def secret(name, content, mode=0o600):
    path = os.path.join(PLACE, name)
    with open(path, "wb") as f:
        f.write(content)
    os.chmod(path, mode)
    return path


def starts(name, access, peers=peers):
    path = os.path.join(PLACE, name + ".yaml")
    with open(path, "w") as f:
        f.write(re.sub(r"(?m)^swarm:.*$", lambda m: m.group(0) + "\n  access: " + access if m.group(0) == "swarm:" else
                       m.group(0).replace("{", "{access: %s, " % access, 1), text))
    return Worker(name, peers).start(path)


def refusal(name, access):
    """What a worker says that ends at once."""
    w = starts("bad-" + name, access, peers=os.path.join(PLACE, name + ".txt"))
    wait_for(lambda: w.process.poll() is not None, 30)
    return w.process.poll(), w.output()


good, other = secret("good", bytes(range(32))), secret("other", bytes(range(1, 33)))
one, two = starts("one", "{psk: %s}" % good), starts("two", "{psk: %s}" % secret("copy", bytes(range(32))))
ok(wait_for(lambda: any(e["members"] == 2 for e in one.events("agreed")), progress=epochs([one, two])), "two that hold the secret average",
   one.output() + two.output())
stranger, guest = starts("stranger", "{psk: %s}" % other), starts("guest", "open")
ok(wait_for(lambda: any("holds its secret" in e["why"] for e in stranger.events("link_down")), progress=epochs([one])),
   "who holds another one is told so", stranger.output())
ok(any(w.events("not_admitted") for w in (one, two, stranger)), "and the log of whoever saw it first says so")
ok(wait_for(lambda: guest.events("other_run"), progress=epochs([one])), "who is of the open experiment is of another one", guest.output())
said = [e["why"] for e in guest.events("other_run")]
ok(said and "swarm.access" in said[0], "and told which key differs", said)
at = one.epoch()
ok(wait_for(lambda: one.epoch() >= at + 2, progress=epochs([one, two])), "the swarm goes on")
ok(all(e["members"] == 2 for w in (one, two) for e in w.events("agreed") if e["epoch"] > 1), "and averages with nobody else",
   [e["members"] for e in one.events("agreed")])
ok(not stranger.events("agreed") or all(e["members"] == 1 for e in stranger.events("agreed")), "nor does the stranger")
asked = subprocess.run([SHOAL, "status", one.address, "--json"], stdout=subprocess.PIPE, text=True)
ok(asked.returncode == 0 and len([p for p in json.loads(asked.stdout)["peers"] if p["health"] == "alive"]) == 2,
   "on its own host a member answers who is in it", asked.stdout)
for w in (one, two, stranger, guest):
    w.kill(signal.SIGTERM)
    wait_for(lambda: w.process.poll() is not None, 30)

for name, path, words in (
        ("none", os.path.join(PLACE, "nowhere"), r"there is no \S*nowhere: copy it from another member"),
        ("short", secret("short", b"password"), r"holds 8 bytes, a secret at least 16"),
        ("loose", secret("loose", bytes(32), 0o644), r"others may use \S*loose \(its mode is 0644\): run 'chmod 600"),
        ("long", secret("long", bytes(5000)), r"long"),
        ("folder", PLACE, r"folder")):
    code, output = refusal(name, "{psk: %s}" % path)
    ok(code == 1 and re.search(words, output) and "Traceback" not in output, "a secret that is no good is refused in a sentence: " + name, (code, output))
finish()
