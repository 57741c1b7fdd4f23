#!/usr/bin/env python3
"""prepare_test.py -- `shoal prepare` as its user meets it: results, progress, wrong words, a kill, a full disk, memory."""
import gzip, json, os, pty, random, resource, shutil, signal, subprocess, sys, time

from swarms import PLACE, SHOAL, finish, ok

TEXT = os.path.join(PLACE, "text.txt")
LONG = os.path.join(PLACE, "long.txt")


def path(*parts):
    return os.path.join(PLACE, *parts)


def prepare(*arguments, **more):
    return subprocess.run([SHOAL, "prepare"] + list(arguments), capture_output=True, text=True, cwd=PLACE,
                          timeout=300, **more)


def write_texts():
    """A text of 1.3 MB of invented words, and one of 64 MB."""
    chance = random.Random(3)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(1, 9))) for _ in range(5000)]
    lines = [" ".join(chance.choices(words, k=12)) + ("\n" if i % 6 == 0 else "") for i in range(20000)]
    text = "\n".join(lines) + "\n"
    with open(TEXT, "w") as f:
        f.write(text)
    with open(LONG, "w") as f:
        while f.tell() < 64 << 20:
            f.write(text)


def results():
    done = prepare("text.txt", "-o", "corpus", "--vocab", "600", "--validation", "0.1", "--json")
    ok(done.returncode == 0, "prepare ends well", done.stderr)
    said, manifest = json.loads(done.stdout), json.load(open(path("corpus", "manifest.json")))
    ok(said["train"] == manifest["train"] and said["validation"] == manifest["validation"] and said["vocab"] == 600,
       "--json says what the manifest says", done.stdout)
    ok(said["train"]["bytes"] + said["validation"]["bytes"] == os.path.getsize(TEXT), "all of the text is counted")
    ok(sorted(os.listdir(path("corpus"))) == ["manifest.json", "tokenizer.json", "train-00000.bin", "validation-00000.bin"],
       "a corpus is four files", os.listdir(path("corpus")))
    ok("\r" not in done.stderr and "encoding" in done.stderr and done.stderr.endswith("\n"),
       "in a pipe progress is plain lines", repr(done.stderr))
    again = prepare("text.txt", "-o", "corpus", "--vocab", "600", "--validation", "0.1", "--force", "--threads", "1")
    ok(again.returncode == 0 and json.load(open(path("corpus", "manifest.json"))) == manifest,
       "the same text gives the same corpus again", again.stderr)


def live_line():
    try:
        master, slave = pty.openpty()
    except OSError as error:  # a container without /dev/pts
        print("ok - the live line of a terminal # SKIP %s" % error)
        return
    child = subprocess.Popen([SHOAL, "prepare", "long.txt", "-o", "live", "--vocab", "300"], cwd=PLACE, stderr=slave,
                             stdout=subprocess.DEVNULL)
    os.close(slave)
    seen = b""
    try:
        while part := os.read(master, 4096):
            seen += part
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(master)
    ok(child.wait() == 0 and seen.count(b"\r") > 2 and b"MB/s" in seen, "on a terminal a line shows the progress", seen[-200:])


def manifest_of(name):
    return json.load(open(path(name, "manifest.json")))


def any_text():
    """900 kB in one file, which was one document, and texts that come in other ways: one corpus of them all."""
    text = open(TEXT, "rb").read()[:900000]
    paragraphs = [p.decode() for p in text.split(b"\n\n") if p]
    os.makedirs(path("texts", "below"))
    for name, content in (("small.txt", text), ("small.gz", gzip.compress(text)), ("texts/below/b.txt", text[500000:]),
                          ("texts/a.txt", text[:500000]), ("texts/.hidden", bytes(100)),
                          ("lines.jsonl", "".join(json.dumps({"n": i, "text": p}) + "\n" for i, p in enumerate(paragraphs)).encode()),
                          ("other.json", "".join(json.dumps({"body": p}) + "\n" for p in paragraphs).encode())):
        open(path(name), "wb").write(content)
    common = ["--vocab", "300", "--force"]
    done = prepare("small.txt", "-o", "small", *common)
    small = manifest_of("small") if done.returncode == 0 else {}
    ok(done.returncode == 0 and small["validation"]["documents"] > 0 and small["train"]["documents"] > 50,
       "a file below 1 MiB has documents of both kinds", done.stderr)
    half = prepare("small.txt", "-o", "half", "--validation", "0.49", *common)
    ok(half.returncode == 0, "with half of it held out too", half.stderr)
    packed = prepare("small.gz", "-o", "other", *common)
    ok(packed.returncode == 0 and manifest_of("other") == small, "packed by gzip it gives the same corpus", packed.stderr)
    with open(path("small.gz")) as f:
        piped = prepare("-", "-o", "other", *common, stdin=f)
    ok(piped.returncode == 0 and manifest_of("other") == small, "and through standard input", piped.stderr)
    folder = prepare("texts", "-o", "other", *common)
    ok(folder.returncode == 0 and manifest_of("other")["files"] == 2, "a folder is its files", folder.stderr)
    whole = manifest_of("other")
    listed = prepare("--files-from", "-", "-o", "other", *common, input="texts/a.txt\ntexts/below/b.txt\n")
    ok(listed.returncode == 0 and manifest_of("other") == whole, "a list of the same files is the same", listed.stderr)
    lines = prepare("lines.jsonl", "-o", "other", *common)
    by_text = manifest_of("other")
    ok(lines.returncode == 0 and by_text["train"]["documents"] + by_text["validation"]["documents"] == len(paragraphs),
       "each line of JSON is a document", lines.stderr)
    field = prepare("other.json", "-o", "other", "--field", "body", *common)
    by_field = manifest_of("other")
    ok(field.returncode == 0 and by_field == by_text, "its text is in the field that --field names", field.stderr)


def not_utf8():
    """What is no UTF-8 is counted, and told."""
    with open(path("latin.txt"), "wb") as f:
        f.write("\n\n".join("some words of a text, %d times" % n for n in range(300)).encode() + " d\u00e9j\u00e0 vu".encode("latin-1"))
    done = prepare("latin.txt", "-o", "latin", "--vocab", "300")
    ok(done.returncode == 0 and "2 sequences of bytes were not UTF-8 and became U+FFFD\n" in done.stdout and
       manifest_of("latin")["invalid_utf8"] == 2, "bytes that are no UTF-8 are told", done.stdout + done.stderr)


def stopped():
    """Ctrl-C, SIGTERM or a lost terminal: nothing is left, and the exit code says so. Standard input that never comes too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child = subprocess.Popen([SHOAL, "prepare", "long.txt", "-o", "stop", "--tokenizer", "corpus/tokenizer.json"],
                                 cwd=PLACE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        shown = child.stderr.readline()  # the folder is there when the first stage begins
        left = os.path.exists(path("stop.part"))
        child.send_signal(number)
        said = child.communicate()[1]
        ok(left and child.returncode == 130 and "stopped: nothing was written" in said and not os.path.exists(path("stop"))
           and not os.path.exists(path("stop.part")), "signal %d leaves nothing" % number, (child.returncode, shown, said))
    child = subprocess.Popen([SHOAL, "prepare", "-", "-o", "stop"], cwd=PLACE, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not os.path.exists(path("stop.part", "lock")) and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    ok(child.wait() == 130 and not os.path.exists(path("stop.part")), "nor does it while it waits for its input", child.stderr.read())
    child.stdin.close()


def quickstart():
    """A text that cannot be used is answered in sentences, without a traceback."""
    script = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "quickstart", "quickstart.py"))
    home = path("home")
    os.makedirs(os.path.join(home, "deploy", "quickstart"))
    shutil.copy(script, os.path.join(home, "deploy", "quickstart"))
    done = subprocess.run([sys.executable, os.path.join(home, "deploy", "quickstart", "quickstart.py"), SHOAL, path("utf16.txt")],
                          capture_output=True, text=True, timeout=300)
    ok(done.returncode == 1 and "is UTF-16" in done.stderr and "quickstart: there is no corpus" in done.stderr
       and "Traceback" not in done.stderr, "the quickstart answers a bad text in sentences", done.stderr)


def wrong_words():
    os.mkdir(path("folder"))
    os.mkfifo(path("pipe"))
    text = open(TEXT, "rb").read()
    for name, content in (("a.parquet", b"PAR1" + bytes(100)), ("utf16.txt", text.decode().encode("utf-16")),
                          ("cut.gz", gzip.compress(text)[:-5000]), ("list", b"text.txt\nmissing.txt\n"),
                          ("bad.jsonl", b'{"text": "some words of a text"}\n' * 1000 + b'{"text": "cut off')):
        open(path(name), "wb").write(content)
    for arguments, sentence in (
            (["text.txt"], "-o CORPUS"),
            (["-o", "new"], "name at least one text"),
            (["text.txt", "-o", "new", "--field", "body"], "none of these files is JSON lines"),
            (["text.txt", "-o", "new", "--validation", "0.49", "--vocab", "100000"], "a vocabulary of at most"),
            (["folder", "-o", "new"], "the folder folder holds no files"),
            (["text.txt", "-o"], "-o needs a value"),
            (["text.txt", "-o", "new", "--vocab"], "--vocab needs a value"),
            (["text.txt", "-o", "new", "--vocab", "256"], "from 257 to 262144"),
            (["text.txt", "-o", "new", "--vocab", "many"], "from 257 to 262144"),
            (["text.txt", "-o", "new", "--vocab", "-5"], "from 257 to 262144"),
            (["text.txt", "-o", "new", "--vocab", "99999999999999999999"], "from 257 to 262144"),
            (["text.txt", "-o", "new", "--threads", "0"], "from 1 to 1024"),
            (["text.txt", "-o", "new", "--validation", "0"], "above 0 and below 0.5"),
            (["text.txt", "-o", "new", "--validation", "half"], "above 0 and below 0.5"),
            (["text.txt", "-o", "new", "--vocab", "300", "--tokenizer", "corpus/tokenizer.json"], "give one of them"),
            (["text.txt", "-o", "new", "--wonder"], "there is no option --wonder"),
            (["text.txt", "-o", "new", "-x"], "there is no option -x"),
            (["text.txt", "-o", "new", "--vocab", "250000"], "a vocabulary of at most"),
            (["text.txt", "-o", "corpus"], "--force"),
            (["text.txt", "-o", "/"], "name a new one")):
        done = prepare(*arguments)
        last = done.stderr.splitlines()[-1] if done.stderr else ""
        ok(done.returncode == 2 and not done.stdout and last.startswith("shoal prepare: ") and sentence in last,
           "'%s' is answered" % " ".join(arguments), (done.returncode, done.stderr))
    for arguments, sentence in ((["missing.txt", "-o", "new"], "missing.txt: No such file"),
                                (["/dev/null", "-o", "new"], "/dev/null is a device, no regular file"),
                                (["pipe", "-o", "new"], "pipe is a pipe, no regular file"),
                                (["a.parquet", "-o", "new"], "a.parquet is a Parquet file"),
                                (["utf16.txt", "-o", "new"], "utf16.txt is UTF-16, no text: convert it first, as in: iconv"),
                                ([SHOAL, "-o", "new"], "is a program, no text"),
                                (["cut.gz", "-o", "new", "--vocab", "300"], "cut.gz breaks off after"),
                                (["bad.jsonl", "-o", "new", "--vocab", "300"], "bad.jsonl:1001: not JSON"),
                                (["--files-from", "list", "-o", "new"], "list:2: opening missing.txt: No such file"),
                                (["text.txt", "-o", "new", "--tokenizer", "text.txt"], "is not JSON"),
                                (["text.txt", "-o", "text.txt/new"], "text.txt")):
        done = prepare(*arguments)
        ok(done.returncode == 1 and sentence in done.stderr and not os.path.exists(path("new")),
           "'%s' is answered" % " ".join(arguments), (done.returncode, done.stderr))
    done = prepare("--help")
    ok(done.returncode == 0 and done.stdout.startswith("usage: shoal prepare") and not done.stderr, "--help helps")


def killed():
    part = path("kill.part", "train-00000.bin")
    child = subprocess.Popen([SHOAL, "prepare", "long.txt", "-o", "kill", "--tokenizer", "corpus/tokenizer.json"],
                             cwd=PLACE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not os.path.exists(part) and time.monotonic() < until and child.poll() is None:
        time.sleep(0.002)
    child.kill()
    ok(child.wait() == -signal.SIGKILL and os.path.exists(part), "it was killed while it wrote shards")
    ok(not os.path.exists(path("kill")) and not os.path.exists(path("kill.part", "manifest.json")),
       "what a killed run leaves does not look whole")
    done = prepare("text.txt", "-o", "kill", "--vocab", "300", "--validation", "0.1")
    ok(done.returncode == 0 and not os.path.exists(path("kill.part")), "the next run clears it away", done.stderr)


def full_disk():
    before = open(path("corpus", "manifest.json")).read()

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    done = prepare("long.txt", "-o", "corpus", "--vocab", "300", "--force", preexec_fn=limit)
    ok(done.returncode == 1 and "train-00000.bin: File too large" in done.stderr, "a write that fails is told", done.stderr)
    ok(open(path("corpus", "manifest.json")).read() == before and not os.path.exists(path("corpus.part")),
       "and leaves the old corpus and nothing else")


def memory():
    """Most memory of two runs, in MiB: four times the text must not need more of it."""
    peaks = []
    with open(LONG, "r+") as f:
        for megabytes in (64, 16):
            f.truncate(megabytes << 20)
            child = subprocess.Popen([SHOAL, "prepare", "long.txt", "-o", "memory", "--vocab", "300", "--force",
                                      "--threads", "2"], cwd=PLACE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            peaks.append(usage.ru_maxrss / 1024 if status == 0 else 1e9)
    ok(peaks[0] < peaks[1] * 1.25 and peaks[0] < 200, "memory does not grow with the text", peaks)


write_texts()
results()
any_text()
not_utf8()
wrong_words()
quickstart()
stopped()
killed()
full_disk()
live_line()
memory()
finish()
