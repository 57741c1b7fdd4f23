#!/usr/bin/env python3
"""quickstart.py -- lets four workers train together on real English text and prints the results.

    quickstart.py SHOAL [TEXT...]

SHOAL is the program. Without TEXT the corpus is the GNU Collaborative International Dictionary of English (Webster's
of 1913 and more; Debian's package dict-gcide, unpacked, not installed; GPL). Writes out/quickstart: the corpus, the
workers' folders, summary.json and report.html.
"""
import glob, gzip, json, os, shutil, signal, subprocess, sys

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join("out", "quickstart")
STOPPED, AT_ONCE = 3, 130  # exit codes of shoal swarm
EXPERIMENT = os.path.join("deploy", "experiments", "quickstart.yaml")


def stop(text):
    sys.exit("quickstart: " + text)


def dictionary():
    """The text of the dictionary, one file."""
    text = os.path.join(OUT, "text", "gcide.txt")
    if not os.path.exists(text):
        package = subprocess.run([os.path.join(HOME, "zigw"), "--fetch", "gcide"], stdout=subprocess.PIPE, text=True)
        if package.returncode:
            sys.exit(package.returncode)
        aside = os.path.join(OUT, "package")
        shutil.rmtree(aside, ignore_errors=True)
        os.makedirs(os.path.dirname(text), exist_ok=True)
        if not shutil.which("dpkg-deb") or subprocess.call(["dpkg-deb", "-x", package.stdout.strip(), aside]):
            stop("dpkg-deb could not unpack the dictionary: name a text of yours with -Dtext=FILE")
        (packed,) = glob.glob(os.path.join(aside, "usr/share/dictd/gcide.dict.dz"))
        with gzip.open(packed) as f, open(text + ".part", "wb") as to:
            shutil.copyfileobj(f, to)
        os.rename(text + ".part", text)
        shutil.rmtree(aside)
    return text


def main():
    if len(sys.argv) < 2:
        stop("usage: quickstart.py SHOAL [TEXT...]")
    shoal, texts = os.path.abspath(sys.argv[1]), [os.path.abspath(t) for t in sys.argv[2:]]
    os.chdir(HOME)
    os.makedirs(OUT, exist_ok=True)
    corpus = os.path.join(OUT, "corpus")
    print("quickstart: preparing the corpus", flush=True)
    # Ctrl-C also reaches shoal, which saves its state; its exit code tells how it ended (shoal --help).
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    code = subprocess.call([shoal, "prepare"] + (texts or [dictionary()]) + ["-o", corpus, "--vocab", "1024", "--force"])
    if code:
        print("quickstart: there is no corpus, as shoal says above" + (": name another text with -Dtext=FILE" if texts else ""), file=sys.stderr)
        sys.exit(code if code > 0 else 1)
    shutil.rmtree(os.path.join(OUT, "swarm"), ignore_errors=True)
    print("quickstart: four workers start; one is killed on the way, a new one joins", flush=True)
    swarm = subprocess.call([shoal, "swarm", EXPERIMENT, "-n", "4", "--kill", "4", "--join", "6",
                             "--out", os.path.join(OUT, "swarm")])
    if swarm in (STOPPED, AT_ONCE):
        print("quickstart: stopped; its workers are in %s/swarm" % OUT)
        sys.exit(swarm)
    if swarm:
        stop("the swarm did not end well; the workers' logs are in %s/swarm" % OUT)
    for name in ("summary.json", "report.html"):
        shutil.copy(os.path.join(OUT, "swarm", name), os.path.join(OUT, name))
    summary = json.load(open(os.path.join(OUT, "summary.json")))
    print(json.dumps(summary, indent=2))
    print("quickstart: see %s/report.html" % OUT)


main()
