#!/usr/bin/env python3
"""Checkpoints carry a run over a stop bit for bit; eval and generate work from them."""
from swarms import *

path = experiment("alone", steps=20, every=20)
text = open(path).read()
for name in ("straight", "stopped"):
    with open(os.path.join(PLACE, name + ".yaml"), "w") as f:
        f.write(text.replace("dir: checkpoints", "dir: " + name))


def newest(folder):
    place = os.path.join(PLACE, folder)
    return os.path.join(place, sorted(n for n in os.listdir(place) if n.endswith(".ckpt"))[-1])


done = run("train", "straight.yaml")
ok(done.returncode == 0, "a worker alone trains to the end", done.stdout)
first = run("train", "stopped.yaml", "--steps", "7")
second = run("train", "stopped.yaml")
ok(first.returncode == 0 and second.returncode == 0 and "goes on from" in second.stdout,
   "one that was stopped after 7 steps goes on", first.stdout + second.stdout)
ok(open(newest("straight"), "rb").read() == open(newest("stopped"), "rb").read(),
   "both end in the same checkpoint, bit for bit")
with open(os.path.join(PLACE, "other.yaml"), "w") as f:
    f.write(text.replace("dir: checkpoints", "dir: stopped").replace("seed: 7", "seed: 8"))
done = run("train", "other.yaml")
ok(done.returncode == 1 and "is of another run" in done.stdout, "a foreign checkpoint is refused with the reason",
   done.stdout)

damaged = newest("stopped")
with open(damaged, "r+b") as f:
    f.truncate(os.path.getsize(damaged) - 1000)
done = run("train", "stopped.yaml")
ok(done.returncode == 0 and "truncated" in done.stdout and "taking the one before" in done.stdout and
   "step-000000000007.ckpt" in done.stdout, "a truncated one is named, and the one before it is taken", done.stdout)

said = json.loads(run("eval", "straight", "--data", "corpus", "--tokens", "4096", "--json").stdout)
events = [json.loads(line) for line in open(os.path.join(PLACE, "straight", "log.jsonl"))]
trained = [e["loss"] for e in events if e["event"] == "evaluate"][-1]
ok(abs(said["loss"] - trained) < 1e-5, "eval finds the loss that training found", (said, trained))
one, two, other = (run("generate", "straight", "The", "--tokens", "20", "--seed", seed) for seed in ("1", "1", "2"))
ok(one.returncode == 0 and one.stdout.startswith("The") and len(one.stdout) > 10, "generate goes on with the prompt",
   one.stdout)
ok(one.stdout == two.stdout != other.stdout, "the same seed gives the same text, another another", one.stdout)

done = run("train", experiment("young", steps=40, context=256), "--steps", "1")
ok(done.returncode == 0, "a model is saved after its first step", done.stdout)
valid = 0
for seed in range(30):  # all tokens equally likely: bytes come in every order
    said = subprocess.run([SHOAL, "generate", "checkpoints", "a", "--temperature", "100", "--top-k", "512", "--tokens", "250",
                           "--seed", str(seed)], stdout=subprocess.PIPE, cwd=PLACE, timeout=PATIENCE_S)
    try:
        valid += said.returncode == 0 and len(said.stdout.decode("utf-8")) > 1
    except UnicodeDecodeError as error:
        print("# seed %d: %s" % (seed, error))
ok(valid == 30, "whatever the model says, the text is valid UTF-8", valid)
prompt = "word " * 500
done = run("generate", "straight", prompt, "--tokens", "5", "--temperature", "0")
tail = run("generate", "straight", prompt[-2000:], "--tokens", "5", "--temperature", "0")
ok(done.returncode == 0 and done.stdout.count("the model sees 64") == 1 and "word " * 500 in done.stdout,
   "a prompt that is too long is cropped, and that is said once", done.stdout)
ok(done.stdout.splitlines()[-1][len(prompt):] == tail.stdout.splitlines()[-1][2000:] and len(tail.stdout) > 100,
   "only its end matters then", (done.stdout[-80:], tail.stdout[-80:]))
texts = [run("generate", "straight", "The", "--tokens", "400", "--seed", str(s)).stdout for s in range(4)]
ok(max(map(len, texts)) > 64 * 6, "text goes on past the context of 64 tokens", [len(t) for t in texts])
greedy = run("generate", "straight", "The", "--temperature", "0", "--tokens", "30").stdout
ok(run("generate", "straight", "The", "--top-p", "0", "--tokens", "30").stdout == greedy, "--top-p 0 leaves the likeliest alone", greedy)
ok(run("generate", "straight", "The", "--top-p", "1", "--tokens", "30").stdout == run("generate", "straight", "The", "--tokens", "30").stdout,
   "--top-p 1 leaves all")
done = run("generate", "straight", "The", "--top-p", "1.5")
ok(done.returncode == 2 and "--top-p" in done.stdout and "at most 1" in done.stdout, "a top-p above 1 is refused", done.stdout)
done = run("eval", "straight", "--data", "corpus", "--tokens", "4096")
ok("after step 20" in done.stdout and "epoch" not in done.stdout, "eval of a worker alone says after which step", done.stdout)
done = run("eval", "straight", "--data", "corpus", "--tokens", "1")
ok(done.returncode == 0 and "on 64 tokens" in done.stdout, "it takes one context at least", done.stdout)
with open(os.path.join(PLACE, "few.txt"), "w") as f:
    f.write("\n\n".join("a few words" for _ in range(40)))
done = run("prepare", "few.txt", "-o", "few", "--tokenizer", "corpus/tokenizer.json")
ok(done.returncode == 0, "a corpus that holds out little", done.stdout)
done = run("eval", "straight", "--data", "few")
ok(done.returncode == 2 and "few holds out less text than the model's context of 64 tokens" in done.stdout and done.stdout.count("\n") == 1,
   "which is less than a context: eval says so", done.stdout)
done = run("generate", "straight", "The", "--data", "nowhere")
ok(done.returncode == 1 and "nowhere/tokenizer.json" in done.stdout and "--data" not in done.stdout, "a corpus that is not there is named", done.stdout)
os.rename(os.path.join(PLACE, "corpus"), os.path.join(PLACE, "moved"))
done = run("generate", "straight", "The")
ok(done.returncode == 1 and "finding the tokenizer (name its corpus with --data)" in done.stdout and "corpus/tokenizer.json" in done.stdout,
   "one that was moved too, with what helps", done.stdout)
done = run("generate", "straight", "The", "--data", "moved", "--tokens", "3")
ok(done.returncode == 0, "and that does help", done.stdout)
done = run("eval", "nowhere", "--data", "moved")
ok(done.returncode == 1 and done.stdout.count("\n") == 1, "a checkpoint that is not there is one sentence", done.stdout)
finish()
