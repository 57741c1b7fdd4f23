#!/usr/bin/env python3
"""`shoal train` alone: a signal saves, a checkpoint folder has one owner; `shoal export` hands on the same bits."""
import struct
from swarms import *

path = experiment("alone", steps=100000, every=1000)


def start():
    child = subprocess.Popen([SHOAL, "train", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PLACE)
    CHILDREN.append(child)
    return child


child = start()
log = os.path.join(PLACE, "checkpoints", "log.jsonl")
ok(wait_for(lambda: os.path.exists(log) and open(log).read().count("\n") > 5), "training begins")
second = run("train", path)
ok(second.returncode == 1 and second.stdout.count("\n") == 1 and "lock" in second.stdout,
   "a second worker in the same checkpoint folder is refused", second.stdout)
ok(child.poll() is None, "and the first goes on")
child.send_signal(signal.SIGTERM)
said = child.communicate(timeout=PATIENCE_S)[0]
saved = sorted(n for n in os.listdir(os.path.join(PLACE, "checkpoints")) if n.endswith(".ckpt"))
ok(child.returncode == 3 and len(saved) >= 1 and "%d of 100000 steps done" % int(saved[-1][5:17]) in said,
   "SIGTERM saves after the present step and ends with code 3", "%s %s" % (said, saved))

done = run("export", "checkpoints", "--to", "exported")
if not ok(done.returncode == 0, "the model is exported", done.stdout):
    finish()
place = os.path.join(PLACE, "exported")
config = json.load(open(os.path.join(place, "config.json")))
ok(config["architectures"] == ["LlamaForCausalLM"] and config["hidden_size"] == 64 and config["vocab_size"] == 512 and
   config["num_key_value_heads"] == 1, "config.json says its shape", config)
json.load(open(os.path.join(place, "tokenizer_config.json")))
vocabularies = [json.load(open(os.path.join(f, "tokenizer.json")))["model"] for f in (place, corpus())]
ok(vocabularies[0] == vocabularies[1], "the tokenizer is the corpus's")
data = open(os.path.join(place, "model.safetensors"), "rb").read()
length, = struct.unpack_from("<Q", data)
tensors = json.loads(data[8:8 + length])
tensors.pop("__metadata__")
end, whole = 0, True
for t in sorted(tensors.values(), key=lambda t: t["data_offsets"]):
    count = 4
    for n in t["shape"]:
        count *= n
    whole = whole and t["dtype"] == "F32" and t["data_offsets"] == [end, end + count]
    end += count
ok(whole and len(data) == 8 + length + end and length % 8 == 0, "tensors lie without gaps and are all of the file", tensors)
ok(tensors["model.layers.1.self_attn.k_proj.weight"]["shape"] == [32, 64] and tensors["model.norm.weight"]["shape"] == [64] and
   ("lm_head.weight" in tensors) != config["tie_word_embeddings"], "names and shapes are Hugging Face's", tensors)
with open(os.path.join(PLACE, "checkpoints", saved[-1]), "rb") as f:
    f.seek(4096)
    ok(f.read(end) == data[8 + length:], "the numbers are the checkpoint's, bit for bit")
done = run("export", "checkpoints")
ok(done.returncode == 2 and done.stdout.count("\n") == 1, "without a folder it asks for one", done.stdout)
finish()
