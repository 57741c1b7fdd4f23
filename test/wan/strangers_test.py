#!/usr/bin/env python3
"""Three workers average while strangers attack two of them in every way at once (test/attack): forged first packets and ICMP, links that never
say HELLO, links that only ask, HTTP/3 connections that never do. Rounds go on with all three, `status` answers, a newcomer that knows
one attacked worker alone gets in, and nobody's memory grows by more than 64 MiB."""
from wans import *
from swarms import *

ATTACK = os.environ.get("ATTACK_BIN") or os.path.abspath("zig-out/test/attack")
ROUNDS = 3
NEWCOMER, STRANGER = 3, 4  # nodes


def resident_mib(w):
    return gauge(w.process.pid)[0] / 1024


def place(i):
    return "%s:%d" % (address(i), PORT)


wan = Wan("{nodes: 5, seconds: 1200, rules: [{delay_ms: 5, rate_mbit: 100, queue_kib: 256}]}")
path = experiment("strangers", steps=400000, every=40, batch=512, dim=128)
peers = os.path.join(PLACE, "strangers.txt")
workers = [Worker("strangers-%d" % i, peers, place(i)) for i in range(3)]
for i, w in enumerate(workers):
    wan.run(i, w, path)
met = wait_for(lambda: all(w.epoch() >= 2 for w in workers), progress=epochs(workers))
if not ok(met, "three make two outer steps", "\n".join(w.output() for w in workers)):
    finish()
before = [resident_mib(w) for w in workers]

attacks = []
for i in range(2):
    others = [place(j) for j in range(3) if j != i]
    for kind, count in (("hellos", 32), ("icmp", 1500), ("keys", 64), ("askers", 60), ("readers", 33)):
        attacks.append(wan.start(STRANGER, [ATTACK, kind, str(count), workers[i].id, place(i)] + others, stdout=subprocess.PIPE, text=True))
ok(all(a.stdout.readline() == "attacks\n" for a in attacks), "two of them are attacked in five ways", [a.poll() for a in attacks])
began = max(w.epoch() for w in workers)
ok(wait_for(lambda: all(w.epoch() >= began + ROUNDS for w in workers), progress=epochs(workers)), "rounds go on", "\n".join(w.output() for w in workers))

one = os.path.join(PLACE, "one.txt")
with open(one, "w") as f:
    f.write("%s@%s\n" % (workers[0].id, place(0)))
newcomer = Worker("strangers-new", one, place(NEWCOMER), listed=False)
wan.run(NEWCOMER, newcomer, path)
in_it = wait_for(lambda: len(newcomer.events("up")) >= 3, progress=lambda: len(newcomer.events("net")))
if ok(in_it, "a newcomer meets all", newcomer.output()):
    start = newcomer.events("start")[0]["t"]
    took = newcomer.events("up")[2]["t"] - start
    print("# within %.1f s" % took)
asked = subprocess.run([WAN, "--enter", str(wan.process.pid), str(NEWCOMER), SHOAL, "status", place(0), "--json"], stdout=subprocess.PIPE, text=True)
answer = json.loads(asked.stdout) if asked.returncode == 0 else {}
ok(len(answer.get("peers", [])) == 4, "an attacked worker tells its status: four members, and no stranger", asked.stdout[:2000])
counts = answer.get("strangers", {})
print("# " + json.dumps(counts))
ok(counts.get("evicted", 0) > 0 and counts.get("retries", 0) > 0, "and what it has turned away", counts)

after = [resident_mib(w) for w in workers]
print("# resident MiB before %s, after %s" % (", ".join("%.0f" % m for m in before), ", ".join("%.0f" % m for m in after)))
ok(all(b < a + 64 for a, b in zip(before, after)), "nobody's memory grows by more than 64 MiB", (before, after))
ok(all(a.poll() is None for a in attacks), "the attacks went on all the time")
for a in attacks:
    a.kill()
    a.wait()
ok(not any(w.events("dead") for w in workers), "nobody took another for dead",
   [w.events("dead") for w in workers])
least = min(e["members"] for w in workers for e in w.events("agreed") if e["epoch"] > began)
ok(least >= 3, "all three were in every average", least)
ok(sum(len(w.events("link_down")) for w in workers) == 0, "no link between them ended", [w.events("link_down") for w in workers])
said = [len(w.events("strangers")) for w in workers]
ok(1 <= min(said[:2]) and max(said) < 10, "the log says it in a few lines", said)
leave(workers + [newcomer])
one_state(workers + [newcomer])
wan.stop()
finish()
