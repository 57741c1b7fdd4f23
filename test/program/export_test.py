#!/usr/bin/env python3
"""`shoal export`: what transformers reads, with generate's beginning, whole or not at all, and never over anything else."""
from swarms import *

FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def path(*parts):
    return os.path.join(PLACE, *parts)


def contents(folder):
    return {n: open(path(folder, n), "rb").read() for n in sorted(os.listdir(path(folder)))}


done = run("train", experiment("alone", steps=20, every=20), "--steps", "2")
ok(done.returncode == 0, "a model is trained", done.stdout)
done = run("export", "checkpoints", "--to", "hf")
ok(done.returncode == 0 and sorted(os.listdir(path("hf"))) == FILES, "an export is four files", done.stdout)
tokenizer, config = (json.load(open(path("hf", n))) for n in ("tokenizer.json", "config.json"))
end = config["bos_token_id"]
post = tokenizer["post_processor"]
ok(post["type"] == "TemplateProcessing" and post["single"][0]["SpecialToken"]["id"] == "<|endoftext|>"
   and post["single"][1]["Sequence"]["id"] == "A" and post["special_tokens"]["<|endoftext|>"]["ids"] == [end],
   "its tokenizer puts the end of a text in front, as generate does", post)
before = json.load(open(path("corpus", "tokenizer.json")))
before["post_processor"] = post
ok(before == tokenizer, "and is the corpus's else")
done = run("prepare", "text.txt", "-o", "again", "--tokenizer", "hf/tokenizer.json")
one, two = (json.load(open(path(n, "manifest.json"))) for n in ("corpus", "again"))
ok(done.returncode == 0 and one["train"] == two["train"], "prepare takes it again, and gives the same ids", done.stdout)
try:
    import tokenizers
    ids = tokenizers.Tokenizer.from_file(path("hf", "tokenizer.json")).encode("The word").ids
    ok(ids[0] == end and end not in ids[1:], "Hugging Face's tokenizers say so too", ids)
except ImportError:
    print("ok - Hugging Face's tokenizers say so too # SKIP they are not installed (pip install tokenizers)")

first = contents("hf")
done = run("export", "checkpoints", "--to", "hf")
ok(done.returncode == 2 and "holds an export already" in done.stdout and "--overwrite" in done.stdout
   and contents("hf") == first, "an export is replaced only when that is asked for", done.stdout)
os.makedirs(path("hf.part"))
for name in ("config.json", "model.safetensors.tmp-4711", "lock"):
    open(path("hf.part", name), "w").write("of an export that was killed")
done = run("export", "checkpoints", "--to", "hf", "--overwrite")
ok(done.returncode == 0 and contents("hf") == first and not os.path.exists(path("hf.part")) and not os.path.exists(path("hf.old")),
   "then it is, and what a killed export left is gone", done.stdout)
done = run("export", "checkpoints", "--to", "hf", "--overwrite", "--data", "nowhere")
ok(done.returncode == 1 and contents("hf") == first and not os.path.exists(path("hf.part")),
   "one that fails leaves the old one and nothing else", done.stdout)

os.makedirs(path("mine"))
open(path("mine", "thesis.txt"), "w").write("precious")
open(path("hf", "README.md"), "w").write("a card that the user wrote")
os.makedirs(path("file"))
for folder, sentence in (("corpus", "which is of no export"), ("checkpoints", "which is of no export"), ("mine", "holds thesis.txt"),
                         ("hf", "holds README.md"), ("text.txt", "text.txt"), ("/", "cannot be the folder")):
    kept = contents(folder) if os.path.isdir(path(folder)) and folder != "/" else None
    for more in ([], ["--overwrite"]):
        done = run("export", "checkpoints", "--to", folder, *more)
        ok(done.returncode == 2 and sentence in done.stdout and done.stdout.count("\n") == 1 and (kept is None or contents(folder) == kept),
           "%s is not written over%s" % (folder, " even so" if more else ""), done.stdout)
shutil.copytree(path("file"), path("half"))
shutil.copy(path("hf", "tokenizer.json"), path("half"))
far = "./" * 300
for words, sentence in ((["half"], "half exists and is no export"), (["half", "--overwrite"], "half exists and is no export"),
                        ([far + "new"], "is too long"), ([far + "half"], "is too long"), (["new", "--data", far + "corpus"], "is too long")):
    done = run("export", "checkpoints", "--to", *words)
    ok(done.returncode == 2 and sentence in done.stdout and done.stdout.count("\n") == 1 and not os.path.exists(path("new")) and
       not os.path.exists(path("new.part")) and os.listdir(path("half")) == ["tokenizer.json"], "refused: " + " ".join(words)[-30:], done.stdout)
done = run("export", "checkpoints", "--to", "file")
ok(done.returncode == 0 and sorted(os.listdir(path("file"))) == FILES, "an empty folder may be used", done.stdout)
finish()
