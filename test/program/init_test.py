#!/usr/bin/env python3
"""`shoal init`: what it writes is planned and trained as it is; nothing is overwritten; each mistake gets a sentence."""
from swarms import *

corpus()
os.makedirs(os.path.join(PLACE, "runs", "today"))


def read(path):
    with open(os.path.join(PLACE, path)) as f:
        return f.read()


def init(*words):
    done = run("init", *words)
    return done.returncode, done.stdout


code, said = init("corpus", "-o", "mine.yaml")
first = read("mine.yaml")
ok(code == 0 and said.count("\n") == 1 and "next: shoal plan mine.yaml" in said, "an experiment is written", said)
ok(re.search(r"^  name: mine +# ", first, re.M) and re.search(r"^  corpus: corpus +# ", first, re.M) and
   re.search(r"^  vocab: 512 +# ", first, re.M) and "preset: \"14m\"" in first, "of the file's name, the corpus and its vocabulary", first)
ok(all("#" in line or line.endswith(":") or not line for line in first.splitlines()) and max(map(len, first.splitlines())) <= 130,
   "each line has its comment", first)
done = run("plan", "mine.yaml", "--json")
plan = json.loads(done.stdout) if ok(done.returncode == 0, "shoal plan takes it as it is", done.stdout) else {}
ok(4 <= plan.get("passes", 0) < 5 and plan.get("epochs", 0) >= 10, "four passes over the text", plan)
ok(plan["experiment"]["data"]["corpus"] == os.path.join(os.path.realpath(PLACE), "corpus"), "and finds the corpus", plan)

code, said = init("corpus", "-o", "mine.yaml", "--preset", "2m")
ok(code == 2 and "mine.yaml exists" in said and "--force" in said and read("mine.yaml") == first, "it is not overwritten", said)
code, said = init("corpus", "-o", "mine.yaml", "--preset", "2m", "--force")
ok(code == 0 and 'preset: "2m"' in read("mine.yaml"), "but with --force", said)
for path in ("text.txt", "runs", "corpus/tokenizer.json"):
    code, said = init("corpus", "-o", path, "--force")
    ok(code == 2 and ("is no experiment" in said or "is a folder" in said), "which replaces nothing else: " + path, said)

# In another folder, under a name of its own, with settings; then a run of a few steps, alone and in a swarm.
code, said = init("corpus/", "-o", "runs/today/small.yaml", "--name", "small", "--preset", "2m", "--set", "train.steps=6",
                  "--set", "train.batch_tokens=512", "--set", "machine.threads=1", "--set", "machine.device=cpu",
                  "--set", "evaluate.tokens=1024", "--set", "checkpoint.dir=saved", "--set", "swarm.listen=127.0.0.1:0")
text = read("runs/today/small.yaml")
ok(code == 0 and "corpus: ../../corpus " in text.replace('"', "") and "dir: ../../saved " in text.replace('"', ""),
   "paths start from the experiment's folder", said + text)
ok(re.search(r"steps: 6 ", text) and re.search(r"threads: 1 ", text), "what --set gives is in it", text)
done = run("plan", "runs/today/small.yaml")
ok(done.returncode == 0, "shoal plan takes that too", done.stdout)
done = run("train", "runs/today/small.yaml", "--set", "train.steps=3", "--set", "outer.every=1", "--dir", "alone")
ok(done.returncode == 0 and "3 of 3 steps done" in done.stdout, "shoal train takes it", done.stdout)
done = run("run", "runs/today/small.yaml")
ok(done.returncode == 0 and os.path.exists(PLACE + "/saved") and os.path.exists(PLACE + "/runs/today/node.key"),
   "shoal run takes it as it is, to the end", done.stdout)

code, said = init(os.path.join(PLACE, "corpus"))
ok(code == 0 and "corpus: \"%s/corpus\"" % PLACE in read("corpus.yaml"), "an absolute path stays absolute; the name is the corpus'", said)
os.makedirs(os.path.join(PLACE, "odd"))
os.rename(os.path.join(PLACE, "corpus"), os.path.join(PLACE, "odd", "it's # $(one): \"x\""))
code, said = init("odd/it's # $(one): \"x\"", "-o", "odd.yaml", "--preset", "60m", "--passes", "0.5")
done = run("plan", "odd.yaml", "--json")
ok(code == 0 and done.returncode == 0 and 0.5 <= json.loads(done.stdout)["passes"] < 1.5, "any name of a corpus", said + done.stdout)

for words, wanted in (("", "name a corpus"), ("nowhere", "no corpus nowhere.*shoal prepare"), ("text.txt", "text.txt is a file"),
                      ("runs", "opening corpus runs"), ("C --preset 3m", "no preset '3m'.*2m, 14m, 60m, 150m or 1b"),
                      ("C --name my/run", "--name needs letters"), ("C --set model.vocab=300", "has 512 tokens"),
                      ("C --set data.corpus=x", "CORPUS is it already"), ("C --set stesp=3", "no such key"),
                      ("C --set train.steps=7 --set outer.every=2", "6 or 8"), ("C --set swarm.peers=none.txt", "no file .*none.txt"),
                      ("C --passes 0", "--passes '0'"), ("C -o %s" % ("x" * 600), "the name of the file is longer than 511 bytes"),
                      ("FAR", "the path of the corpus is longer than 511 bytes"), ("C -o no/such/x.yaml", "no/such"), ("C --set outer.wire=int4", "write int8")):
    before = sorted(os.listdir(PLACE))
    names = {"C": "odd/it's # $(one): \"x\"", "FAR": "./" * 300 + "odd/it's # $(one): \"x\""}
    code, said = init(*[names.get(w, w) for w in words.split()] +
                      ([] if "-o" in words or not words else ["-o", "never.yaml"]))
    ok(code in (1, 2) and said.count("\n") == 1 and re.search(wanted, said) and sorted(os.listdir(PLACE)) == before,
       "one sentence and no file: init " + words[:40], said)
finish()
