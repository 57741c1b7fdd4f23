#!/usr/bin/env python3
"""A swarm with tickets: the owner of the experiment makes a key and signs tickets; whose ticket is good averages, and all others are told
why not. A ticket that is revoked, or ends, takes its holder out while the rest goes on."""
import datetime
from swarms import *

OWNER = os.path.join(PLACE, "owner.key")
peers = os.path.join(PLACE, "peers.txt")


def ticket(*arguments):
    return run("ticket", *arguments)


def utc(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- the owner ----

done = ticket("key", "-o", OWNER)
key = re.fullmatch(r"swarm: \{access: \{ticket: ([0-9a-f]{64})\}\}\n", done.stdout)
ok(done.returncode == 0 and key and os.stat(OWNER).st_mode & 0o777 == 0o600, "the owner makes a key, and is told what to write", done.stdout)
key = key.group(1) if key else ""
ok(ticket("key", "-o", OWNER).returncode == 1, "which is not overwritten")


def write(name, access, **changes):
    path = experiment(name, **dict(dict(steps=600000, every=60), **changes))
    text = open(path).read()
    with open(path, "w") as f:
        f.write(text.replace("swarm: {", "swarm: {access: %s, " % access, 1))
    return path


x = write("tickets", "{ticket: %s}" % key)


def sign(worker, *more, id=None, experiment=x, owner=OWNER):
    done = ticket("sign", experiment, "--key", owner, "--id", id or worker.id, "-o", os.path.join(worker.dir, "node.ticket"), *more)
    ok(done.returncode == 0, "a ticket is signed for " + os.path.basename(worker.dir), done.stdout)
    return int(re.search(r"serial (\d+)", done.stdout).group(1))


def held(worker):
    """The number of the list that the worker keeps."""
    return json.loads(ticket("show", os.path.join(worker.dir, "node.revoked"), "--json").stdout)["number"]


one, two, three = (Worker(name, peers) for name in ("one", "two", "three"))
serials = [sign(w) for w in (one, two, three)]
ok(serials == [1, 2, 3], "each has a serial of its own", serials)
listed = json.loads(ticket("list", "--key", OWNER, "--json").stdout)["tickets"]
ok([(t["serial"], t["id"], t["state"]) for t in listed] == [(i + 1, w.id, "good") for i, w in enumerate((one, two, three))],
   "the owner's book lists them", listed)
shown = json.loads(ticket("show", os.path.join(two.dir, "node.ticket"), "--json").stdout)
ok(shown["id"] == two.id and shown["key"] == key and shown["train"] and 29 < (shown["until"] - time.time()) / 86400 <= 30, "and a ticket shows what is in it", shown)

# ---- what a worker is told that has no good one, before it begins ----

other = os.path.join(PLACE, "other.key")
ticket("key", "-o", other)
y = write("others", "{ticket: %s}" % run("keygen", "--show", other).stdout.strip())
z = write("longer", "{ticket: %s}" % key, every=120)
fourth = Worker("fourth", os.path.join(PLACE, "nobody.txt"), listed=False)
mine = os.path.join(fourth.dir, "node.ticket")


def told(name, words, code=2):
    done = run("run", x, "--dir", fourth.dir, "--listen", "127.0.0.1:0")
    ok(done.returncode == code and re.search(words, done.stdout) and done.stdout.count("shoal run: ") == 1 and "Traceback" not in done.stdout,
       "a worker is told: " + name, (done.returncode, done.stdout[-600:]))


told("that it has none", r"there is no \S*node\.ticket: .* send the experiment's owner your ID, %s" % fourth.id, 1)
sign(fourth, id=one.id)
told("that it is another's", r"of another ID")
sign(fourth, "--from", "2020-01-01", "--until", "2020-02-01")
told("that it has ended", r"ended at 2020-02-01T00:00:00Z: .*; this machine's clock says 20")
sign(fourth, "--from", utc(3600))
told("that it is not valid yet", r"not valid before " + utc(3600)[:13])
sign(fourth, experiment=y, owner=other)
told("that another owner signed it", r"of another owner")
sign(fourth, experiment=z)
told("that it is of another run", r"of another run")
with open(mine) as f:
    lines = f.read().splitlines()
with open(mine, "w") as f:
    f.write("\n".join(lines[:3] + [lines[3][:-1] + ("0" if lines[3][-1] != "0" else "1")]).replace(lines[1], open(os.path.join(one.dir, "node.ticket")).read().splitlines()[1]))
told("that it is forged", r"not signed by the key")
with open(mine, "w") as f:
    f.write("hello\n")
told("that it is no ticket", r"neither a ticket nor a list", 1)

# ---- who has one is in ----

for w in (one, two, three):
    w.start(x)
ok(wait_for(lambda: any(e["members"] == 3 for e in one.events("agreed")), progress=epochs([one, two, three])), "three with tickets average",
   one.output() + two.output())
ok(not one.events("not_admitted") and not one.events("ticket_ends"), "nobody is turned away, and no ticket is about to end")
guest = Worker("guest", peers, listed=False).start(write("tickets", "open"))
ok(wait_for(lambda: guest.events("other_run"), progress=epochs([one])), "who is of the open experiment is of another one", guest.output())
ok(any("swarm.access" in e["why"] for e in guest.events("other_run")), "and told which key differs", guest.events("other_run"))
guest.kill(signal.SIGTERM)
x = write("tickets", "{ticket: %s}" % key)
asked = json.loads(subprocess.run([SHOAL, "status", one.address, "--json"], stdout=subprocess.PIPE, text=True).stdout)
ok(len([p for p in asked["peers"] if p["health"] == "alive"]) == 3, "on its own host a member answers who is in it", asked)

# ---- one is revoked ----

done = ticket("revoke", x, "--key", OWNER, "--serial", "3", "-o", os.path.join(one.dir, "node.revoked"))
ok(done.returncode == 0 and "list 1 of revoked tickets: 3" in done.stdout, "the owner revokes a ticket", done.stdout)
ok(wait_for(lambda: three.process.poll() is not None, progress=epochs([one, two])) and three.process.returncode == 1, "its holder ends",
   (three.process.returncode, three.output()))
ok("serial 3, was revoked" in three.output(), "and says why", three.output())
# Who is told leaves: whom its goodbye reaches before the list does sees no more than that.
ok(wait_for(lambda: one.events("ticket_over") and any(e["peer"] == three.id for e in two.events("ticket_over") + two.events("left"))), "both others see it out",
   one.output() + two.output())
ok("serial 3, was revoked" in one.events("ticket_over")[0]["why"], "for that reason")
at = max(one.epoch(), two.epoch())
ok(wait_for(lambda: min(one.epoch(), two.epoch()) >= at + 3, progress=epochs([one, two])), "they go on", one.output())
ok([e["members"] for e in one.events("agreed")][-1] == 2, "and average without it")
over = max(e["t"] for w in (one, two) for e in w.events("ticket_over") + w.events("left"))
begun = {e["epoch"] for e in one.events("ready") if e["t"] > over}
ok(begun and all(e["members"] == 2 for e in one.events("committed") if e["epoch"] in begun), "it is in no round that begins later",
   [e for e in one.events("committed") if e["members"] != 2])
ok(wait_for(lambda: os.path.exists(os.path.join(two.dir, "node.revoked"))), "who heard of the list keeps it")
three.start(x)
ok(wait_for(lambda: three.process.poll() is not None) and three.process.returncode == 2 and
   "shoal run: swarm.ticket: the ticket, serial 3, was revoked" in three.output(),
   "its holder does not start again", three.output())
os.remove(os.path.join(three.dir, "node.revoked"))
three.start(x)
ok(wait_for(lambda: any("was revoked" in e["why"] for e in three.events("link_down")), progress=epochs([one])),
   "nor is it let in where it has forgotten the list", three.output())
three.kill(signal.SIGTERM)
ok(all(e["members"] <= 2 for w in (one, two) for e in w.events("agreed")[-3:]), "the others average without it still")

# ---- the list grows; an older one is none ----

shutil.copy(os.path.join(two.dir, "node.revoked"), os.path.join(PLACE, "older"))
ok(ticket("revoke", x, "--key", OWNER, "--serial", "4", "--serial", "5", "-o", os.path.join(two.dir, "node.revoked")).returncode == 0, "the list grows")
ok(wait_for(lambda: any(e["number"] == 2 and e["serials"] == 3 for e in one.events("revoked"))), "and the other worker hears of it", one.output())
ok(wait_for(lambda: held(one) == 2), "and keeps it")
shutil.copy(os.path.join(PLACE, "older"), os.path.join(one.dir, "node.revoked"))
ok(wait_for(lambda: any("is older than the list" in e["why"] for e in one.events("warning"))), "an older one is not taken", one.output())
ok(wait_for(lambda: held(one) == 2), "but replaced")
done = ticket("revoke", x, "--key", OWNER, *[a for i in range(60) for a in ("--serial", str(i % 7 + 1))], "--below", "8")
ok(done.returncode == 0 and done.stdout.endswith("all below 8\n"), "and a list can be shortened", done.stdout)

# ---- one ends ----

five = Worker("five", peers, listed=False)
sign(five, "--until", utc(40))
five.start(x)
ok(wait_for(lambda: five.events("ticket_ends")), "a worker says that its ticket ends soon", five.output())
ok(wait_for(lambda: any(e["members"] == 3 for e in five.events("agreed")) or five.process.poll() is not None, progress=epochs([one, five])) and
   five.events("agreed"), "it averages until then", five.output())
ok(wait_for(lambda: five.process.poll() is not None) and five.process.returncode == 1 and "shoal run: the ticket ended at" in five.output(),
   "and leaves when it has ended", five.output())
ok(wait_for(lambda: any(e["peer"] == five.id for e in one.events("left"))), "politely", one.output())

# ---- the command line ----

for line, code, words in (
        (["sign", x, "--key", OWNER, "--id", "abc"], 2, r"--id 'abc': needs the 64"),
        (["sign", x, "--key", OWNER, "--id", one.id, "--until", "2020-01-01"], 2, r"not after the ticket's beginning"),
        (["sign", x, "--key", OWNER, "--id", one.id, "--until", "2027-02-31"], 2, r"needs a time as"),
        (["sign", x, "--key", OWNER, "--id", one.id, "--until", "tomorrow"], 2, r"'tomorrow': needs a time as"),
        (["sign", x, "--key", OWNER, "--id", one.id, "--rights", "observe"], 1, r"not built yet"),
        (["sign", x, "--key", other, "--id", one.id], 2, r"names another key"),
        (["sign", experiment("plain"), "--key", OWNER, "--id", one.id], 2, r"asks for no tickets"),
        (["sign", x, "--key", os.path.join(PLACE, "no.key"), "--id", one.id], 1, r"there is no identity"),
        (["sign", x, "--key", OWNER, "--id", one.id, "--set", "data.corpus=nowhere"], 1, r"data\.corpus, whose tokenizer"),
        (["revoke", x, "--key", OWNER], 2, r"say which"),
        (["revoke", x, "--key", OWNER, "--serial", "x"], 2, r"--serial 'x'"),
        (["revoke", x, "--key", OWNER, "--serial", "99"], 2, r"knows no such ticket"),
        (["revoke", x, "--key", OWNER, "--below", "99"], 2, r"the next ticket's serial will be"),
        (["show", x], 1, r"neither a ticket"),
        (["list", "--key", os.path.join(PLACE, "no.key")], 1, r"there is no key")):
    done = ticket(*line)
    ok(done.returncode == code and re.search(words, done.stdout) and done.stdout.count("\n") == 1, "refused in a sentence: %s %s" % (line[0], words),
       (done.returncode, done.stdout))
done = run("swarm", x, "-n", "2", "--out", "fleet")
ok(done.returncode == 2 and "leave swarm.access out" in done.stdout and not os.path.exists(os.path.join(PLACE, "fleet")), "shoal swarm is for swarms without",
   done.stdout)
leave([one, two])
finish()
