#!/usr/bin/env python3
"""How commands end: exit codes, signals that come together, a hangup, and results that cannot be written."""
import resource
from swarms import *

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # this may run under nohup itself


def start(*arguments, ignored=(), **more):
    def before():
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen([SHOAL] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=PLACE,
                             preexec_fn=before, **more)
    CHILDREN.append(child)
    return child


def trains(log):
    return wait_for(lambda: os.path.exists(log) and '"step"' in open(log, errors="replace").read(), 60)


def checkpoints(folder):
    return [n for n in os.listdir(folder) if n.endswith(".ckpt")] if os.path.isdir(folder) else []


def ends(child, *numbers):
    for number in numbers:
        child.send_signal(number)
    said = child.communicate(timeout=60)[0]
    return child.returncode, said


LONG = dict(steps=100000, every=1000)
SHORT = dict(steps=20, every=10)
for name, numbers in (("term", [signal.SIGTERM]), ("hup", [signal.SIGHUP]), ("both", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM])):
    path = experiment("alone", **LONG)
    shutil.rmtree(os.path.join(PLACE, "checkpoints"), ignore_errors=True)
    child = start("train", path)
    ok(trains(os.path.join(PLACE, "checkpoints", "log.jsonl")), "training begins")
    code, said = ends(child, *numbers)
    ok(code == 3 and checkpoints(os.path.join(PLACE, "checkpoints")) and "once more to end at once" in said,
       "train: %s is one wish, saved, code 3" % name, "%d %s" % (code, said))

shutil.rmtree(os.path.join(PLACE, "checkpoints"), ignore_errors=True)
child = start("train", experiment("alone", **LONG), ignored=[signal.SIGHUP])
log = os.path.join(PLACE, "checkpoints", "log.jsonl")
trains(log)
child.send_signal(signal.SIGHUP)
before = open(log).read().count("\n")
ok(wait_for(lambda: open(log).read().count("\n") > before + 5, 30) and child.poll() is None, "under nohup a hangup changes nothing")
ok(ends(child, signal.SIGTERM)[0] == 3, "and SIGTERM ends it as ever")

shutil.rmtree(os.path.join(PLACE, "checkpoints"), ignore_errors=True)
done = run("train", experiment("short", **SHORT))
ok(done.returncode == 0 and "20 of 20 steps done" in done.stdout, "a run that is complete ends with code 0", done.stdout)

for name, numbers in (("one signal", [signal.SIGHUP]), ("signals that come together", [signal.SIGTERM, signal.SIGTERM, signal.SIGINT])):
    worker = Worker("w-%d" % len(numbers), os.path.join(PLACE, "peers-%d.txt" % len(numbers))).start(experiment("member", **LONG))
    ok(trains(worker.log), "a worker trains", worker.output())
    for number in numbers:
        worker.process.send_signal(number)
    wait_for(lambda: worker.process.poll() is not None, 60)
    ok(worker.process.poll() == 3 and checkpoints(os.path.join(worker.dir, "checkpoints")) and "left the swarm" in worker.output(),
       "run: %s: it leaves, saves, code 3" % name, "%s %s" % (worker.process.poll(), worker.output()))

child = start("swarm", experiment("together", **LONG), "-n2", "--out", "together")
logs = [os.path.join(PLACE, "together", "worker-%d" % i, "log.jsonl") for i in range(2)]
ok(all(trains(l) for l in logs), "a swarm trains")
code, said = ends(child, signal.SIGTERM, signal.SIGTERM)
ok(code == 3 and all(checkpoints(os.path.join(os.path.dirname(l), "checkpoints")) for l in logs) and "ended badly" not in said,
   "swarm: two signals are one wish, all save, code 3", "%d %s" % (code, said))


def small_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))


shutil.rmtree(os.path.join(PLACE, "checkpoints"), ignore_errors=True)
for name, arguments in (("train", ["train", experiment("unsaved", **SHORT)]),
                        ("run", ["run", experiment("unsaved-member", **LONG), "--dir", "unsaved", "--listen", "127.0.0.1:0"])):
    child = subprocess.Popen([SHOAL] + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PLACE, preexec_fn=small_files)
    CHILDREN.append(child)
    if name == "run":
        trains(os.path.join(PLACE, "unsaved", "log.jsonl"))
        child.send_signal(signal.SIGTERM)
    said = child.communicate(timeout=60)[0]
    ok(child.returncode == 4 and "File too large" in said, "%s: a last checkpoint that cannot be written is code 4" % name, "%d %s" % (child.returncode, said))

# The same of a swarm's worker, and one that is killed.
together = experiment("together-short", steps=2000, every=200, count="steps")
child = subprocess.Popen([SHOAL, "swarm", together, "-n1", "--out", "unsaved-swarm"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PLACE,
                         preexec_fn=small_files)
CHILDREN.append(child)
trains(os.path.join(PLACE, "unsaved-swarm", "worker-0", "log.jsonl"))
code, said = ends(child, signal.SIGTERM)
ok(code == 4 and "worker 0 could not write its last checkpoint; see unsaved-swarm/worker-0/output.txt" in said, "swarm: so it is with a worker", "%d %s" % (code, said))
child = start("swarm", together, "-n1", "--out", "killed")
worker = os.path.join(PLACE, "killed", "worker-0")
ok(wait_for(lambda: checkpoints(os.path.join(worker, "checkpoints")), 60), "a swarm's only worker has saved once")
os.kill(int(open(os.path.join(worker, "checkpoints", "lock")).read()), signal.SIGKILL)
said = child.communicate(timeout=120)[0]
ok(child.returncode == 1 and "worker 0 ended badly; see killed/worker-0/output.txt" in said and
   re.search(r"the run ended at epoch \d of 10; see killed/worker-\*/output.txt", said), "swarm: one that is killed is told, code 1", "%d %s" % (child.returncode, said))
os.makedirs(os.path.join(PLACE, "taken"))
open(os.path.join(PLACE, "taken", "worker-1"), "w").close()
done = run("swarm", experiment("joined", **LONG), "-n1", "--join", "1", "--set", "outer.every=10", "--out", "taken")
ok(done.returncode == 1 and done.stdout.endswith("shoal swarm: taken/worker-1 exists and is not a folder\n") and
   wait_for(lambda: '"event":"end"' in open(os.path.join(PLACE, "taken", "worker-0", "log.jsonl")).read()),
   "swarm: where the one that joins has no place, the others leave", done.stdout)

done = run("train", experiment("good", **SHORT))
full = open("/dev/full", "w")
for arguments in (["--help"], ["--version"], ["version"], ["help", "run"], ["run", "--help"], ["plan", "--keys"], ["plan", "good.yaml"],
                  ["plan", "good.yaml", "--json"], ["eval", "checkpoints", "--data", "corpus"], ["generate", "checkpoints", "The", "--tokens", "3"],
                  ["export", "checkpoints", "--to", "out"], ["keygen", "-o", "full.key"], ["train", "good.yaml"], ["swarm", "good.yaml", "-n1"],
                  ["version", "--json"], ["keygen", "-o", "json.key", "--json"], ["prepare", "text.txt", "-o", "full", "--json"],
                  ["swarm", "good.yaml", "-n1", "--json", "--out", "s"]):
    done = subprocess.run([SHOAL] + arguments, stdout=full, stderr=subprocess.PIPE, text=True, cwd=PLACE, timeout=60)
    ok(done.returncode == 1 and "not all of the output could be written" in done.stderr, "to a full disk: shoal " + " ".join(arguments),
       "%d %s" % (done.returncode, done.stderr))
done = subprocess.run([SHOAL, "train", "unsaved.yaml", "--fresh"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=PLACE, preexec_fn=small_files)
ok(done.returncode == 4 and "not all of the output" in done.stderr and "File too large" in done.stderr, "what went wrong before decides the code", done.stderr)

# A worker whose first step takes seconds is asked; --watch in a pipe, as JSON, to a full disk.
slow = Worker("slow", os.path.join(PLACE, "slow-peers.txt")).start(experiment("slow", steps=400, every=200, batch=3 << 18))
peer = slow.id + "@" + slow.address
ok(wait_for(lambda: run("status", peer).returncode == 0), "a worker answers", slow.output())
said = run("status", peer).stdout
ok(re.search(r"^%s alive +0 .* train +0 " % slow.id[:8], said, re.M) and ", 0 tokens/s  0.0 % done\n" in said and " left" not in said,
   "how long it takes is not told before its first step", said)
watching = [start("status", "--watch", peer), start("status", "--watch", peer, "--json")]
for child, lines in zip(watching, (8, 2)):
    seen = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    ok(sum(slow.id[:8] in s for s in seen) == 2, "status --watch asks again and again", seen)
for arguments in (["status", peer, "--json"], ["status", "--watch", peer], ["status", "--watch", peer, "--json"], ["peers", peer], ["peers", peer, "--json"]):
    done = subprocess.run([SHOAL] + arguments, stdout=full, stderr=subprocess.PIPE, text=True, cwd=PLACE, timeout=60)
    ok(done.returncode == 1 and re.search("No space left on device", done.stderr), "to a full disk: shoal " + " ".join(arguments), "%d %s" % (done.returncode, done.stderr))
slow.kill()
child = start("status", "--watch", "no-such-host.invalid:1")
seen = [child.stdout.readline() for _ in range(2)]
ok(all("looking up no-such-host.invalid" in s for s in seen) and child.poll() is None, "one that cannot be asked may be there later", seen)
child.kill()
done = run("status", "--watch", "nowhere")
ok(done.returncode == 2 and "'nowhere' is not an address" in done.stdout, "an address that is none will not be", done.stdout)
done = subprocess.run([SHOAL, "version"], stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.close(1))
ok(done.returncode == 1 and "not all of the output" in done.stderr, "a closed output is told", done.stderr)
finish()
