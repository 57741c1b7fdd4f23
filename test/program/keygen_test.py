#!/usr/bin/env python3
"""shoal keygen makes identities and never touches one that is there; shoal bench net carries what it was told to."""
import json, os, re, resource, subprocess

from swarms import PLACE, SHOAL, finish, ok


def run(*arguments, **more):
    done = subprocess.run([SHOAL] + list(arguments), cwd=PLACE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, **more)
    return done.returncode, done.stdout, done.stderr


def read(name):
    with open(os.path.join(PLACE, name)) as f:
        return f.read()


code, out, err = run("keygen")
ok(code == 0 and re.fullmatch("[0-9a-f]{64}\n", out) and err == "", "keygen prints an ID", (code, out, err))
ok(os.stat(os.path.join(PLACE, "node.key")).st_mode & 0o777 == 0o600, "its file is its owner's alone")
ok("id " + out in read("node.key"), "the file holds the ID that was printed")
before = read("node.key")
code, _, err = run("keygen")
ok(code == 1 and "never overwritten" in err and err.count("\n") == 1, "a file that exists is refused", err)
ok(read("node.key") == before, "and is left as it was")
code, other, _ = run("keygen", "-o", "other.key")
ok(code == 0 and other != out, "another file gets another key", (other, out))
code, _, err = run("keygen", "-o", "nowhere/node.key")
ok(code == 1 and "nowhere" in err, "a folder that is not there is named", err)
ok(sorted(os.listdir(PLACE)) == ["node.key", "other.key"], "nothing else is left behind", os.listdir(PLACE))
code, _, err = run("keygen", "mine.key")
ok(code == 2 and "takes no argument" in err and "mine.key" in err, "what it does not take is said", err)

for arguments in ([], ["--links", "3", "--cubic"], ["--no-gso", "--parcel", "2000"]):
    code, out, err = run("bench", "net", "--megabytes", "20", "--json", *arguments)
    found = json.loads(out) if code == 0 else {}
    ok(code == 0 and 0.02 <= found["gigabytes"] < 0.023 and found["seconds"] > 0 and
       abs(found["gbit_per_s"] * found["seconds"] - 8 * found["gigabytes"]) < 0.01 * 8 * found["gigabytes"] + 0.01 and
       found["sender_cpu_s_per_gb"] > 0 and found["receiver_cpu_s_per_gb"] > 0,
       " ".join(["bench net"] + arguments) + " carries 20 MB", (out, err))
for arguments, says in ((["--links", "40"], "from 1 to 16"), (["--parcel"], "from 1 to 2048"), (["--fast"], "--fast")):
    code, _, err = run("bench", "net", *arguments)
    ok(code == 2 and says in err, "bench net refuses " + " ".join(arguments), err)
code, out, err = run("bench", "net", "--megabytes", "5")
ok(code == 0 and re.fullmatch(r"[\d.]+ Gbit/s: [\d.]+ s for 0\.01 GB; CPU seconds a gigabyte: sender [\d.]+, receiver [\d.]+\n", out) and not err,
   "without --json it is one line", out + err)
told = []
for files in range(4, 11):
    code, out, err = run("bench", "net", "--megabytes", "1", "--links", "3", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    told.append(err)
    if code != (1 if err else 0) or err.count("\n") > 1:
        ok(False, "with %d files at most bench net ends with one sentence" % files, (code, err))
ok("opening a pipe: Too many open files" in told[0] and any("the receiving process did not start" in t for t in told) and
   any("listening on 127.0.0.1:0: Too many open files" in t for t in told), "with too few files it says what could not be opened", told)
finish()
