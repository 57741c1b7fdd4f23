#!/usr/bin/env python3
"""The command line of every command: help, forms of options, and what is refused, each with one sentence."""
from swarms import *

COMMANDS = ["prepare", "init", "plan", "keygen", "ticket key", "ticket sign", "ticket revoke", "ticket list", "ticket show", "run", "swarm", "status", "peers", "train", "eval", "generate", "export",
            "version", "bench cpu", "bench gpu", "bench net"]


def say(*arguments):
    done = subprocess.run([SHOAL] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, cwd=PLACE)
    return done.returncode, done.stdout, done.stderr


for command in COMMANDS:
    code, out, err = say(*command.split(), "--help")
    ok(code == 0 and not err and out.startswith("usage: shoal %s" % command) and max(map(len, out.splitlines())) <= 80,
       "%s --help fits 80 columns" % command, out + err)
    ok(say("help", *command.split())[1] == out and say(*command.split(), "--nonsense", "-h")[1] == out, "and shoal help %s is the same" % command)
code, everything, err = say("--help")
ok(code == 0 and all("  %s " % c.split()[0] in everything for c in COMMANDS) and say("help")[1] == everything and say("-h")[1] == everything,
   "shoal --help names all commands", everything)
ok(say("--version")[1].startswith("shoal 0.") and say("version")[1].startswith(say("--version")[1]), "shoal --version is the first line of shoal version")

code, subjects, err = say("bench", "--help")
ok(code == 0 and not err and all("  %s " % s in subjects for s in ("cpu", "gpu", "net")) and say("help", "bench")[1] == subjects and
   say("bench", "-h")[1] == subjects, "shoal bench --help names its subjects", subjects + err)

code, actions, err = say("ticket", "--help")
ok(code == 0 and not err and all("  %s " % s in actions for s in ("key", "sign", "revoke", "list", "show")) and say("help", "ticket")[1] == actions and
   say("ticket", "-h")[1] == actions, "shoal ticket --help names its actions", actions + err)

with open(os.path.join(PLACE, "x.yaml"), "w") as f:
    f.write("experiment: {name: x}\nmodel: {preset: 2m}\ndata: {corpus: nowhere}\ntrain: {steps: 200, batch_tokens: 4096}\nouter: {every: 10}\n")

# Arguments, and what the sentence must hold: what was found, and what is allowed or was meant.
MISTAKES = [
    ("", "usage: shoal COMMAND", "help"),
    ("trian x.yaml", "'trian'", "did you mean train?"),
    ("--verison", "'--verison'", "shoal --help"),
    ("help trian", "'trian'", "did you mean train?"),
    ("bench", "name a subject", "cpu, gpu or net"),
    ("bench disk", "'disk'", "cpu, gpu and net"),
    ("train", "name an experiment", "shoal train --help"),
    ("train x.yaml y.yaml", "'y.yaml' is one too many", "shoal train --help"),
    ("train x.yaml --steps -5", "--steps '-5'", "a whole number from 1"),
    ("train x.yaml --steps=0", "--steps '0'", "a whole number from 1"),
    ("train x.yaml --steps 99999999999999999999", "'99999999999999999999'", "a whole number from 1"),
    ("train x.yaml --steps 1e6", "'1e6'", "a whole number from 1"),
    ("train x.yaml --steps", "--steps needs a value", "a whole number from 1"),
    ("train x.yaml --stpes 5", "--stpes", "did you mean --steps?"),
    ("train x.yaml --device=", "--device is empty", "DEVICE"),
    ("train x.yaml --fresh=no", "--fresh takes no value", "shoal train --help"),
    ("run x.yaml --peer", "needs a value", "PEER"),
    ("run x.yaml -z", "-z", "shoal run --help"),
    ("run x.yaml --lisen :1", "--lisen", "did you mean --listen?"),
    ("swarm x.yaml", "how many workers", "-n 4"),
    ("swarm x.yaml -n0", "-n '0'", "from 1 to 20"),
    ("swarm x.yaml --workers 21", "--workers '21'", "from 1 to 20"),
    ("swarm x.yaml -n2 --kill 999", "--kill 999", "20 epochs"),
    ("swarm x.yaml -n2 --join=20", "--join 20", "19 at most"),
    ("swarm x.yaml -n2 --join=-1", "--join '-1'", "a whole number from 1"),
    ("status", "name a peer", "ID@host:port"),
    ("status a:1 b:2", "'b:2'", "one too many"),
    ("peers", "name a peer", "ID@host:port"),
    ("plan", "name an experiment", "shoal plan --help"),
    ("plan --keys x.yaml", "--keys", "leave x.yaml out"),
    ("plan x.yaml --gpu=0", "--gpu '0'", "from 1 to 1024"),
    ("plan x.yaml --gpu 24GB", "'24GB'", "a whole number"),
    ("keygen a", "takes no argument", "'a'"),
    ("keygen -o a --show b", "--show", "give one of them"),
    ("ticket", "name an action", "key, sign, revoke, list or show"),
    ("ticket sing", "'sing'", "key, sign, revoke, list and show"),
    ("ticket sign", "name an experiment", "shoal ticket sign --help"),
    ("ticket sign x.yaml", "say who may join", "--id ID"),
    ("ticket sign x.yaml --id", "--id needs a value", "ID"),
    ("ticket sign x.yaml --id abc", "--id 'abc'", "64 hexadecimal digits"),
    ("ticket sign x.yaml --id a --days 0", "--days '0'", "from 1 to 1000000"),
    ("ticket sign x.yaml --id a --rights all", "'all'", "train or observe"),
    ("ticket revoke x.yaml", "say which", "--serial N, or --below N"),
    ("ticket revoke x.yaml --below 0", "--below '0'", "from 1"),
    ("ticket show", "name a ticket's file", "shoal ticket show --help"),
    ("ticket list a", "'a'", "takes no argument"),
    ("ticket key --out", "--out needs a value", "FILE"),
    ("eval", "name a checkpoint", "shoal eval --help"),
    ("eval c", "name the corpus", "--data"),
    ("eval c --data d --tokens -1", "--tokens '-1'", "a whole number from 1"),
    ("generate", "name a checkpoint", "shoal generate --help"),
    ("generate c", "prompt", "shoal generate --help"),
    ("generate c p --temperature warm", "'warm'", "of at least 0 and at most 100"),
    ("generate c p --temperature nan", "'nan'", "of at least 0 and at most 100"),
    ("generate c p --top-k 0", "--top-k '0'", "from 1"),
    ("generate c p --seed -1", "--seed '-1'", "from 0"),
    ("generate c -prompt", "-p", "write -- before"),
    ("export c", "--to DIR", "shoal export --help"),
    ("prepare -o c", "name at least one text", "shoal prepare"),
    ("prepare t", "-o CORPUS", "shoal prepare --help"),
    ("prepare t -o c --vocab=256", "--vocab '256'", "from 257 to 262144"),
    ("prepare t -o c --validation=0.5", "--validation '0.5'", "above 0 and below 0.5"),
    ("prepare t -o c --threads=0", "--threads '0'", "from 1 to 1024"),
    ("prepare t -o c --vocab 300 --tokenizer f", "--tokenizer", "give one of them"),
    ("bench cpu --preset 3m", "--preset '3m'", "2m, 14m, 60m, 150m or 1b"),
    ("bench cpu --precision fp16", "'fp16'", "fp32, bf16 or auto"),
    ("bench cpu --device 1", "--device", "shoal bench cpu --help"),
    ("bench net --links 17", "--links '17'", "from 1 to 16"),
    ("version now", "'now'", "takes no argument"),
]
for line, found, allowed in MISTAKES:
    code, out, err = say(*line.split())
    ok(code == 2 and not out and found in err and allowed in err and (not line or err.count("\n") == 1), "refused with a reason: shoal " + line,
       "%d: %s%s" % (code, out, err))
finish()
