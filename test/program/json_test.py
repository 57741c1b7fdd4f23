"""json_test.py -- --json of every command: JSON and nothing else on stdout, with its schema, as docs/events.md says.

A command that `shoal help` lists and that is not tried here fails too.
"""
import json, os, re, shutil, signal, subprocess

import swarms
from swarms import PLACE, SHOAL, Worker, finish, ok, wait_for

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRIED = set()


def documented():
    """command -> the fields of its --json."""
    found = {}
    for line in open(os.path.join(HOME, "docs", "events.md")).read().split("## --json")[1].splitlines():
        cells = line.strip().strip("|").split(" | ", 1)
        for name in re.findall(r"`shoal ([a-z ]+)`", cells[0]) if line.startswith("| `shoal") else []:
            found[name] = set(re.findall(r"`(\w+)`", cells[1]))
    return found


DOC = documented()


def run(*arguments, timeout=300):
    return subprocess.run([SHOAL] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, cwd=PLACE)


def one(name, *arguments, timeout=300):
    """Runs a command with --json; its object."""
    TRIED.add(name.split()[0])
    done = run(*name.split(), *arguments, "--json", timeout=timeout)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        said = {}
    ok(done.returncode == 0 and done.stdout.count("\n") == 1 and list(said)[:1] == ["schema"] and said["schema"] == 1,
       "%s: one object in one line, with its schema, and nothing else" % name, (done.returncode, done.stdout[:500], done.stderr[-500:]))
    ok(set(said) - {"schema"} == set(said) & DOC[name] and len(said) > 1, "%s: each field is documented" % name, set(said) - DOC[name])
    return said


def events(name, done):
    """The lines of a command that streams: events, the first a start."""
    TRIED.add(name)
    lines = done.stdout.splitlines()
    try:
        said = [json.loads(line) for line in lines]
    except ValueError as wrong:
        said = [{"event": str(wrong)}]
    ok(said and said[0].get("event") == "start" and said[0].get("schema") == 1 and said[-1].get("event") == "end" and
       any(e["event"] == "step" for e in said), "%s: the events of the log, one a line, and nothing else" % name,
       (done.returncode, done.stdout[:300], done.stdout[-300:]))
    return said


def main():
    path = swarms.experiment("json", steps=40, every=20)
    with open(os.path.join(PLACE, "small.txt"), "w") as f:
        f.write(open(os.path.join(PLACE, "text.txt")).read()[:300000])
    shutil.copy(os.path.join(PLACE, "small.txt"), os.path.join(PLACE, "small2.txt"))
    one("prepare", "small.txt", "small2.txt", "-o", "small", "--vocab", "300", "--validation", "0.4")
    plan = one("plan", path)
    ok(plan.get("experiment", {}).get("experiment", {}).get("name") == "json", "plan: the experiment is in it", plan)
    ok(one("init", "corpus", "--preset", "2m", "-o", "made.yaml").get("preset") == "2m", "init: the preset is in it")
    made = one("keygen", "-o", "json.key")
    ok(one("keygen", "--show", "json.key").get("id") == made.get("id"), "keygen: the ID is that of the key")
    owner = one("ticket key", "-o", "owner.key")
    with open(path) as f, open(os.path.join(PLACE, "ticketed.yaml"), "w") as ticketed:
        ticketed.write(f.read().replace("swarm: {", "swarm: {access: {ticket: %s}, " % owner.get("key"), 1))
    signed = one("ticket sign", "ticketed.yaml", "--id", made.get("id"), "-o", "json.ticket")
    ok(signed.get("id") == made.get("id") and one("ticket show", "json.ticket").get("serial") == signed.get("serial") == 1, "ticket show: what was signed", signed)
    revoked = one("ticket revoke", "ticketed.yaml", "--serial", "1")
    ok(one("ticket show", "owner.key.revoked").get("serials") == revoked.get("serials") == [1], "ticket show: the list", revoked)
    ok([t["state"] for t in one("ticket list").get("tickets", [])] == ["revoked"], "ticket list: the state is in it")
    one("version")
    one("bench net", "--megabytes", "5")
    one("bench cpu", "--preset", "2m", "--context", "64", "--batch", "128", "--seconds", "1", "--threads", "1", "--ops", "1")

    summary = one("swarm", path, "-n", "2", "--out", "out")
    ok(dict(summary) == json.load(open(os.path.join(PLACE, "out", "summary.json"))), "swarm: it is what summary.json holds", summary)
    ok(0 < (summary.get("planned_share") or 0) < 2, "swarm: the share of the planned tokens is in it", summary)
    checkpoints = os.path.join("out", "worker-0", "checkpoints")
    one("eval", checkpoints, "--data", "corpus", "--tokens", "2048")
    text = one("generate", checkpoints, "The ", "--tokens", "8")
    plain = run("generate", checkpoints, "The ", "--tokens", "8").stdout
    ok(plain == "The " + text.get("text", "") + "\n", "generate: the same text as without", (plain, text))
    one("export", checkpoints, "--to", "hf")
    one("report", os.path.join("out", "worker-0", "log.jsonl"), "-o", "json.html")

    alone = swarms.experiment("alone", steps=20, every=20)
    with open(alone, "a") as f:
        f.write("metrics: {log: alone.jsonl}\n")
    said = events("train", run("train", alone, "--json"))
    ok(said == [json.loads(line) for line in open(os.path.join(PLACE, "alone.jsonl"))], "train: the same lines as in its log", said[-1])

    long = swarms.experiment("long", steps=200000, every=200)
    worker = Worker("json-worker", os.path.join(PLACE, "peers.txt"))
    child = subprocess.Popen([SHOAL, "run", long, "--dir", worker.dir, "--listen", worker.address, "--json"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, cwd=PLACE)
    swarms.CHILDREN.append(child)
    wait_for(lambda: worker.events("step"), 120)
    status = one("status", worker.id + "@" + worker.address)
    ok([p.get("id") for p in status.get("peers", [])] == [worker.id], "status: the peer itself is in its list", status)
    peers = one("peers", worker.id + "@" + worker.address)
    ok(peers.get("peers") == [{"id": worker.id, "address": worker.address}], "peers: the peer itself is in its list", peers)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=120)
    events("run", subprocess.CompletedProcess([], child.returncode, out, err))

    for words in (["train", "nowhere.yaml"], ["eval", "nowhere", "--data", "corpus"], ["status", "127.0.0.1:1"], ["plan", "nowhere.yaml"]):
        done = run(*words, "--json")
        ok(done.returncode != 0 and done.stdout == "" and done.stderr.count("\n") == 1, "%s --json: an error leaves stdout empty" % words[0],
           (done.stdout, done.stderr))
    listed = set(re.findall(r"^  ([a-z]+) ", run("help").stdout, re.M))
    ok(listed and listed <= TRIED, "every command that shoal lists has been tried", listed - TRIED)
    finish()


main()
