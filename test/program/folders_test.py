#!/usr/bin/env python3
"""Whatever a folder holds and whichever command is let loose on it: nothing that was earned there is lost.

A table, all commands by all states of a folder; each cell has an exit code, a message, and what becomes of the bytes:

    none    no file is changed, added or removed
    kept    each file is still there, byte for byte; others may be added, and a log or lock written
    aside   the same, but checkpoints may have moved into before-1
    ours    what the command is for: it goes on with its own run; all that is not a checkpoint of that is kept

The run is that of test/golden/checkpoint.py, so these are also checkpoints that version 1 wrote.
"""
import hashlib, importlib.util, resource
from swarms import *

GOLDEN = os.path.abspath("test/golden")
spec = importlib.util.spec_from_file_location("golden", GOLDEN + "/checkpoint.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)

F = os.path.join(PLACE, "F")
LEFT = "checkpoints of a swarm, up to epoch 3: nothing was done; name another folder with --dir, and --from F"
OTHER = r"is of another run .*which keys differ is not known; name another folder, or --from"
BOTH = ("log.jsonl",)  # what a worker writes beside its checkpoints


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())


def read(path):
    with open(path, "rb") as f:
        return f.read()


def prepare_all():
    """The corpus, two experiments (the second of another learning rate), and something to export."""
    names = []
    for n, text in enumerate(golden.TEXTS):
        names.append("%d.txt" % n)
        write(os.path.join(PLACE, names[-1]), text)
    done = run("prepare", *names, "-o", "corpus", "--tokenizer", GOLDEN + "/checkpoint_1_tokenizer.json", "--validation", "0.1")
    if not ok(done.returncode == 0, "a corpus for the tokenizer of version 1", done.stdout):
        finish()
    here = golden.EXPERIMENT.replace("keep: 1", "keep: 3, dir: F")
    write(PLACE + "/e.yaml", here)
    write(PLACE + "/other.yaml", here.replace("2e-3", "3e-3"))
    write(PLACE + "/good/step-000000000006.ckpt", read(GOLDEN + "/checkpoint_1_swarm.ckpt"))
    run("train", "e.yaml", "--dir", "L")
    twice = [run("report", "L/log.jsonl").returncode for _ in range(2)]
    ok(twice == [0, 0], "a report replaces a report", twice)
    os.chmod(PLACE, 0o755)


SWARM = read(GOLDEN + "/checkpoint_1_swarm.ckpt")
ALONE = read(GOLDEN + "/checkpoint_1_alone.ckpt")


def fill(state):
    """Makes the folder F anew; returns what to clean up."""
    shutil.rmtree(F, ignore_errors=True)
    os.makedirs(F)
    if state in ("anchor", "damaged", "other run", "locked", "read-only", "killed"):
        write(F + "/step-000000000006.ckpt", SWARM)
    if state == "alone":
        write(F + "/step-000000000004.ckpt", ALONE)
    if state == "damaged":
        write(F + "/step-000000000008.ckpt", SWARM[:50000])
    if state == "killed":
        write(F + "/step-000000000008.ckpt.tmp-77", SWARM[:50000])
    if state == "corpus":
        shutil.rmtree(F)
        shutil.copytree(PLACE + "/corpus", F)
    if state == "foreign":
        write(F + "/config.json", "{}")
        write(F + "/notes.txt", "mine")
        write(F + "/step-7.ckpt", "mine too")
        write(F + "/node.key", "not a key")
    if state == "locked":
        import fcntl
        lock = open(F + "/lock", "w+")
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock
    return None


def bytes_of(place):
    """Of all files but locks, which hold a process ID."""
    found = {}
    for folder, _, names in os.walk(place):
        for n in names:
            path = os.path.join(folder, n)
            if n == "lock":
                continue
            found[os.path.relpath(path, place)] = hashlib.sha256(read(path)).hexdigest()
    return found


def run(*words, **more):
    """Runs the program; what it says has paths from PLACE on."""
    done = subprocess.run([more.pop("program", SHOAL)] + list(words), cwd=PLACE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=120, **more)
    done.stdout = done.stdout.replace(PLACE + "/", "")
    return done


def nobody():
    os.setgid(65534)
    os.setuid(65534)


def call(command, state):
    words = [w.replace("E", "other.yaml" if state == "other run" else "e.yaml") if w == "E" else w for w in command.split()]
    as_nobody = state == "read-only" and os.getuid() == 0
    program = SHOAL
    if as_nobody:
        program = PLACE + "/shoal"
        if not os.path.exists(program):
            shutil.copy(SHOAL, program)
            os.chmod(program, 0o755)
    return run(*words, program=program, preexec_fn=nobody if as_nobody else None)


def verdict(kind, before, after):
    """What is wrong with what became of the bytes; empty: nothing."""
    if kind == "none":
        return "" if before == after else "changed: %s" % sorted(set(before.items()) ^ set(after.items()))
    where = {digest: path for path, digest in after.items()}
    for path, digest in before.items():
        if path in BOTH:
            continue
        if after.get(path) == digest or (kind == "aside" and where.get(digest) == "before-1/" + path):
            continue
        if kind == "ours" and path.startswith("step-00000000000") and path.endswith((".ckpt", ".tmp-77")):
            continue
        return "%s is lost" % path
    return ""


STATES = ("empty", "corpus", "anchor", "alone", "damaged", "other run", "foreign", "read-only", "locked", "killed")
RUN = "run E --listen 127.0.0.1:0"
HELD = r"lock is held by process 4711"
DENIED = r"Permission denied|Read-only"
DONE = r"the run is complete"
# command: {state: (exit code, message, what becomes of the bytes)}; "*": all the others.
TABLE = {
    RUN: {"*": (0, DONE, "kept"), "anchor": (0, r"goes on from F/step-000000000006", "kept"),
          "alone": (1, r"written by a worker alone.*--from", "kept"),
          "damaged": (0, r"truncated.*; taking the one before(.|\n)*goes on from F/step-000000000006", "kept"),
          "other run": (1, OTHER, "kept"), "read-only": (1, DENIED, "none"), "locked": (1, HELD, "none"),
          "killed": (0, r"removed 1 unfinished(.|\n)*goes on from", "ours")},
    RUN + " --fresh": {"*": (0, DONE, "kept"), "anchor": (0, r"--fresh: 1 checkpoints are in F/before-1 now", "aside"),
                       "alone": (0, r"F/before-1 now", "aside"), "damaged": (0, r"2 checkpoints are in F/before-1", "aside"),
                       "other run": (0, r"F/before-1 now", "aside"), "read-only": (1, DENIED, "none"), "locked": (1, HELD, "none"),
                       "killed": (0, r"F/before-1 now(.|\n)*" + DONE, "ours")},
    RUN + " --from good": {"*": (0, DONE, "kept"), "anchor": (1, OTHER, "kept"), "alone": (1, r"is of another run", "kept"),
                           "damaged": (1, r"truncated", "kept"), "other run": (1, OTHER, "kept"),
                           "read-only": (1, DENIED, "none"), "locked": (1, HELD, "none"), "killed": (1, OTHER, "ours")},
    "train E": {"*": (0, r"6 of 6 steps done", "kept"), "anchor": (2, LEFT, "none"), "damaged": (2, LEFT, "none"),
                "other run": (2, LEFT, "none"), "alone": (0, r"goes on from F/step-000000000004(.|\n)*6 of 6 steps done", "kept"),
                "read-only": (2, LEFT, "none"), "locked": (2, LEFT, "none"), "killed": (2, LEFT, "none")},
    "train E --fresh": {"*": (0, r"6 of 6 steps done", "kept"), "anchor": (2, LEFT, "none"), "damaged": (2, LEFT, "none"),
                        "other run": (2, LEFT, "none"), "alone": (0, r"--fresh: 1 checkpoints are in F/before-1", "aside"),
                        "read-only": (2, LEFT, "none"), "locked": (2, LEFT, "none"), "killed": (2, LEFT, "none")},
    "train E --dir T --from F": {"*": (1, r"there is no checkpoint in F", "none"), "anchor": (0, r"6 of 6 steps done", "none"),
                                 "damaged": (0, r"truncated.*; taking the one before(.|\n)*6 of 6", "none"),
                                 "other run": (0, r"6 of 6 steps done", "none"), "alone": (0, r"6 of 6 steps done", "none"),
                                 "locked": (0, r"6 of 6 steps done", "none"), "killed": (0, r"6 of 6", "none"),
                                 "read-only": (1, DENIED, "none")},
    "swarm E -n 1 --out F": {"*": (0, r"3 epochs", "kept"), "read-only": (1, DENIED, "none"), "locked": (1, HELD, "none")},
    "swarm E -n 1 --out F --fresh": {"*": (0, r"3 epochs", "kept"), "read-only": (1, DENIED, "none"), "locked": (1, HELD, "none")},
    "eval F --data corpus": {"*": (1, r"there is no checkpoint in F", "none"), "anchor": (0, r"after epoch 3", "none"),
                             "alone": (0, r"after step 4", "none"), "damaged": (0, r"taking the one before(.|\n)*epoch 3", "none"),
                             "other run": (0, r"epoch 3", "none"), "read-only": (0, r"epoch 3", "none"),
                             "locked": (0, r"epoch 3", "none"), "killed": (0, r"epoch 3", "none")},
    "export F --to X": {"*": (1, r"there is no checkpoint in F", "none"), "anchor": (0, r"wrote F", "none"),
                        "alone": (0, r"wrote F", "none"), "damaged": (0, r"wrote F", "none"), "other run": (0, r"wrote F", "none"),
                        "read-only": (1, DENIED, "none"), "locked": (0, r"wrote F", "none"), "killed": (0, r"wrote F", "none")},
    "export good --to F": {"*": (2, r"F (holds|exists)", "none"), "empty": (0, r"wrote good", "kept"),
                           "read-only": (2, r"F (holds|exists)", "none")},
    "export good --to F --overwrite": {"*": (2, r"F (holds|exists)", "none"), "empty": (0, r"wrote good", "kept"),
                                       "read-only": (2, r"F (holds|exists)", "none")},
    "prepare 0.txt 1.txt -o F --force --vocab 300": {"*": (2, r"F", "none"), "empty": (None, r"", "kept"), "corpus": (0, r"", None),
                                         "read-only": (None, r"F", "none")},
    "prepare 0.txt 1.txt -o F": {"*": (2, r"F", "none"), "empty": (None, r"", "kept"), "read-only": (None, r"F", "none")},
    "keygen -o F/node.key": {"*": (0, r"^[0-9a-f]{64}$", "kept"), "foreign": (None, r"exists", "none"),
                             "read-only": (1, DENIED, "none")},
    "report L/log.jsonl --out F/notes.txt": {"*": (0, r"F/notes.txt", "kept"), "foreign": (2, r"is no report", "none"),
                                             "read-only": (1, DENIED, "none")},
    "init corpus -o F/notes.txt --force --preset 2m": {
        "*": (0, r"next: shoal plan F/notes.txt", "kept"), "foreign": (2, r"is no experiment", "none"), "read-only": (1, DENIED, "none")},
    "plan E": {"*": (0, r"parameters", "none")},
}


def cell(command, state, wanted):
    code, message, kind = wanted
    for other in ("T", "X"):
        shutil.rmtree(os.path.join(PLACE, other), ignore_errors=True)
    lock = fill(state)
    before = bytes_of(F)
    if state == "read-only":
        os.chmod(F, 0o555)
    done = call(command, state)
    os.chmod(F, 0o755)
    after = bytes_of(F)
    if lock:
        lock.close()
    wrong = verdict(kind, before, after) if kind else ""
    if code is not None and done.returncode != code:
        wrong += " code %d, not %d" % (done.returncode, code)
    if not re.search(message, done.stdout, re.M):
        wrong += " no /%s/" % message
    if done.returncode < 0 or done.returncode > 4:
        wrong += " it ended with %d" % done.returncode
    ok(not wrong, "%s: %s" % (state, command), "%s\n%s" % (wrong, done.stdout))


def after_version_1():
    """What version 1 saved goes on; what is saved from then on is of version 3, holds the values, and ends as version 1 would."""
    fill("alone")
    run("train", "e.yaml")
    made = read(F + "/step-000000000006.ckpt")
    ok(made[8:12] == b"\3\0\0\0" and b"train.optimizer.lr: 0.002\n" in made[:4096], "the next checkpoint is of version 3")
    said = run("train", "other.yaml").stdout
    ok("train.optimizer.lr is 0.003 here and 0.002 there" in said and said.count("train.optimizer.lr") == 1,
       "and with another learning rate the key is named, once", said)
    before, file = bytes_of(F), os.stat(F + "/step-000000000006.ckpt").st_ino
    said = run("train", "e.yaml")
    after = bytes_of(F)
    ok(os.stat(F + "/step-000000000006.ckpt").st_ino == file, "not even by the same bytes")
    ok(said.returncode == 0 and "nothing to train, and nothing was written" in said.stdout and
       all(before[p] == after[p] for p in before if p not in BOTH) and set(before) == set(after),
       "a run that is done is not written again", said.stdout)


def tokenizers():
    """A tokenizer of the same size that is another one is refused by all who would use it."""
    names = ["other-%d.txt" % n for n in range(40)]
    for n, name in enumerate(names):
        write(os.path.join(PLACE, name), "".join("zqzqzqzq%d " % (n * i) for i in range(200)))
    run("prepare", *names, "-o", "wrong", "--vocab", "258", "--validation", "0.1")
    text = read(PLACE + "/wrong/tokenizer.json")
    ok(text != read(PLACE + "/corpus/tokenizer.json"), "another tokenizer of the same size")
    fill("alone")
    run("train", "e.yaml")
    refused = r"is not the tokenizer that F/step-000000000006.ckpt was trained with: its SHA-256 begins with %s, not %s" % (
        hashlib.sha256(text).hexdigest()[:8], hashlib.sha256(read(PLACE + "/corpus/tokenizer.json")).hexdigest()[:8])
    for command in ("eval F --data wrong", "generate F Line --data wrong", "export F --to X --data wrong",
                    "train wrong.yaml --dir T --from F", "run wrong.yaml --listen 127.0.0.1:0 --dir T --from F"):
        shutil.rmtree(PLACE + "/T", ignore_errors=True)
        write(PLACE + "/wrong.yaml", read(PLACE + "/e.yaml").replace(b"corpus: corpus", b"corpus: wrong"))
        done = run(*command.split())
        ok(done.returncode == 2 and re.search(refused, done.stdout), "a wrong tokenizer of the same size: " + command, done.stdout)
    run("prepare", "0.txt", "1.txt", "-o", "larger", "--vocab", "300", "--validation", "0.1")
    for command, sentence in (("eval good --data larger", "vocabulary of 300, the model one of 258"),
                              ("generate good Line --data larger", "larger/tokenizer.json is not the tokenizer that this model"),
                              ("export good --to X --data larger", "larger/tokenizer.json has 300 tokens, the model 258")):
        done = run(*command.split())
        ok(done.returncode == 2 and sentence in done.stdout and done.stdout.count("\n") == 1 and not os.path.exists(PLACE + "/X"),
           "of a checkpoint of version 1, which does not name its tokenizer, the size decides: " + command, done.stdout)
    done = run("train", "wrong.yaml")
    ok(done.returncode == 1 and re.search("tokenizer is [0-9a-f]{8}... here and [0-9a-f]{8}... there", done.stdout),
       "and by what goes on", done.stdout)


def starts():
    """--from makes a new run, whose ID is the digest that SPEC.md says."""
    fill("anchor")
    shutil.rmtree(PLACE + "/T", ignore_errors=True)
    done = run("train", "other.yaml", "--dir", "T", "--from", "F")
    newest = PLACE + "/T/checkpoints/step-000000000006.ckpt"
    if not ok(done.returncode == 0 and os.path.exists(newest), "another learning rate, from a swarm's checkpoint", done.stdout):
        return
    head = read(newest)[:4096]
    at = head.index(b"experiment.seed: ")
    values = head[at:at + int.from_bytes(head[at - 2:at], "little")].decode()
    start = hashlib.sha256(SWARM[4096 + 3 * 24576:][:5968 * 4]).hexdigest()[:32]
    ok(values.endswith("start: %s\n" % start), "the shared values end in the digest of the anchor", values)
    defaults = {"experiment.seed": "1", "model.context": "1024", "model.rope_theta": "10000", "model.rms_eps": "1e-5",
                "model.tied": "false", "train.batch_tokens": "524288", "train.optimizer.lr": "0.0004",
                "train.optimizer.betas": "[0.9, 0.95]", "train.optimizer.eps": "1e-8", "train.optimizer.weight_decay": "0.1",
                "train.optimizer.clip": "1", "train.schedule.kind": "cosine", "train.schedule.final": "0.1",
                "train.schedule.decay": "0.1", "outer.count": "tokens", "outer.optimizer.lr": "0.7",
                "outer.optimizer.momentum": "0.9", "outer.optimizer.nesterov": "true", "outer.wire": "int8",
                "outer.overlap": "0", "outer.fragments": "1", "outer.robust": "false"}
    kept = [line for line in values.splitlines() if defaults.get(line.split(": ")[0]) != line.split(": ")[1]]
    run_id = hashlib.sha256(("shoal run 2\n" + "\n".join(kept) + "\n").encode()).digest()[:16]
    ok(run_id in head, "and the run's ID is layout 2's of them")
    done = run("train", "other.yaml", "--dir", "T")
    ok(done.returncode == 0 and "goes on from T/checkpoints" in done.stdout, "it is resumed without --from", done.stdout)
    done = run("train", "other.yaml", "--dir", "T", "--from", "good/../T")
    ok(done.returncode == 1 and "start is" in done.stdout, "but not by a run with another start", done.stdout)
    done = run("swarm", "other.yaml", "-n", "2", "--out", "S", "--from", "F")
    heads = [read(PLACE + "/S/worker-%d/checkpoints/step-000000000006.ckpt" % i)[:4096] for i in range(2)]
    ok(done.returncode == 0 and "bit-identical" in done.stdout and all(("start: %s\n" % start).encode() in h for h in heads),
       "a swarm begins with it too, all members alike", done.stdout)
    big = read(PLACE + "/e.yaml").replace(b"ffn: 16", b"ffn: 32")
    write(PLACE + "/big.yaml", big)
    done = run("train", "big.yaml", "--dir", "T2", "--from", "F")
    ok(done.returncode == 2 and "model.ffn is 32 in big.yaml and 16 in the checkpoint" in done.stdout,
       "a model of another shape is refused", done.stdout)


def swarm_folders():
    """A swarm's own folder: gone on with, refused for another experiment, moved aside by --fresh, left to who is alive in it."""
    shutil.rmtree(PLACE + "/out", ignore_errors=True)
    first = run("swarm", "e.yaml", "-n", "2", "--out", "out")
    before = bytes_of(PLACE + "/out")
    other = run("swarm", "other.yaml", "-n", "2", "--out", "out")
    after = bytes_of(PLACE + "/out")
    ok(first.returncode == 0 and other.returncode == 2 and before == after and
       "train.optimizer.lr is 0.003 here and 0.002 there" in other.stdout, "a swarm's folder is not for another experiment",
       first.stdout + other.stdout)
    fresh = run("swarm", "other.yaml", "-n", "2", "--out", "out", "--fresh")
    after = bytes_of(PLACE + "/out")
    lost = [p for p, d in before.items() if p.endswith((".ckpt", ".jsonl", ".json", ".html", ".yaml")) and after.get("before-1/" + p) != d]
    ok(fresh.returncode == 0 and not lost and "is in out/before-1 now" in fresh.stdout, "--fresh keeps all of it in before-1",
       fresh.stdout + str(lost))
    import fcntl
    lock = open(PLACE + "/out/worker-1/checkpoints/lock", "r+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    before = bytes_of(PLACE + "/out")
    held = run("swarm", "other.yaml", "-n", "1", "--out", "out", "--fresh")
    ok(held.returncode == 1 and "worker-1/checkpoints/lock is held by process" in held.stdout and
       before == bytes_of(PLACE + "/out"), "a worker that outlived its swarm is left alone", held.stdout)
    lock.close()


def small_files():
    """As on a full disk: files of more than 20 kB cannot be written."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))


def saves():
    """Each state is saved once, as often as checkpoint.every asks, and one that could not be saved is no success."""
    fill("empty")
    often = read(PLACE + "/e.yaml").replace(b"keep: 3", b"keep: 9, every: 1")
    write(PLACE + "/often.yaml", often)
    for name, experiment, wanted in (("once an epoch", "e.yaml", [2, 4, 6]), ("each step", "often.yaml", [1, 2, 3, 4, 5, 6])):
        for command in ("run", "train"):
            fill("empty")
            listen = ["--listen", "127.0.0.1:0"] if command == "run" else []
            done = run(command, experiment, *listen)
            found = sorted(int(n[5:17]) for n in os.listdir(F) if n.endswith(".ckpt"))
            kept = wanted if "often" in experiment else wanted[-3:]
            events = [json.loads(line) for line in open(F + "/log.jsonl")]
            steps = [e["step"] for e in events if e["event"] == "checkpoint"]
            ok(done.returncode == 0 and found == kept and (command == "train" or sorted(steps) == wanted),
               "%s saves %s, and nothing twice" % (command, name), "%s %s %s" % (done.stdout, found, steps))
    for command in (["run", "e.yaml", "--listen", "127.0.0.1:0"], ["train", "e.yaml"]):
        fill("empty")
        done = run(*command, preexec_fn=small_files)
        ok(done.returncode == 4 and "File too large" in done.stdout and not [n for n in os.listdir(F) if "ckpt" in n],
           "%s: a last checkpoint that could not be written is exit code 4" % command[0], done.stdout)


prepare_all()
for command, states in TABLE.items():
    for state in STATES:
        cell(command, state, states.get(state, states["*"]))
after_version_1()
tokenizers()
starts()
swarm_folders()
saves()
finish()
