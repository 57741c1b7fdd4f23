#!/usr/bin/env python3
"""model.py -- what PyTorch in float64 says about each op, a whole model and fifty steps of training.

    pip install torch==2.9.1 numpy==2.4.6 [transformers==4.57.1]
    python3 test/golden/model.py          writes test/golden/model_*.bin

Run by hand, when a definition changes; the files are committed and test/model/ compares with them. With transformers
installed, this script's model is first compared with Hugging Face's Llama: same names, same pairing of rotary halves.
A file is a list of tensors: u32 length of the name, name, u8 kind (0: float32, 1: uint32), u32 count, values, all
little-endian. Inputs are drawn as float32, so both sides start from the same numbers; results are rounded to it.
"""
import math, os, struct
import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
random = np.random.default_rng(20251125)


class File:
    def __init__(self, name):
        self.path = os.path.join(HERE, name)
        self.parts = []

    def put(self, name, values):
        if torch.is_tensor(values):
            values = values.detach().numpy()
        values = np.asarray(values)
        kind = 1 if values.dtype.kind in "iu" else 0
        raw = values.astype("<u4" if kind else "<f4").tobytes()
        label = name.encode()
        self.parts.append(struct.pack("<I", len(label)) + label + struct.pack("<BI", kind, values.size) + raw)

    def close(self):
        data = b"".join(self.parts)
        assert len(data) < 300_000, (self.path, len(data))
        with open(self.path, "wb") as f:
            f.write(data)
        print("%s: %d tensors, %d bytes" % (os.path.basename(self.path), len(self.parts), len(data)))


def draw(*shape, scale=1.0):
    """float32 values as a float64 tensor that wants a gradient."""
    return torch.tensor((random.standard_normal(shape) * scale).astype(np.float32).astype(np.float64)).requires_grad_()


# --- The formulas of c/backend.h, in PyTorch.

def rms_norm(x, gain, eps):
    return gain * x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)


def rotary(x, positions, theta):
    """x [..., length, heads, head_dim]; halves are pairs."""
    half = x.shape[-1] // 2
    angle = positions[:, None] * theta ** (-torch.arange(half) / half)
    cosine, sine = torch.cos(angle)[:, None, :], torch.sin(angle)[:, None, :]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)


def attention(q, k, v):
    """q [sequences, length, heads, head_dim], k and v with kv_heads."""
    group = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(group, 2), v.repeat_interleave(group, 2)
    scores = torch.einsum("sqhd,skhd->shqk", q, k) / math.sqrt(q.shape[-1])
    length = q.shape[1]
    scores = scores.masked_fill(torch.triu(torch.ones(length, length, dtype=torch.bool), 1), -math.inf)
    out = torch.einsum("shqk,skhd->sqhd", torch.softmax(scores, -1), v)
    return out, torch.logsumexp(scores, -1)


def model_loss(p, shape, tokens):
    """Sum of the losses of tokens [sequences, length + 1]; p: Hugging Face's name -> tensor."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    sequences, length = inputs.shape
    dim, heads, kv = shape["dim"], shape["heads"], shape["kv_heads"]
    positions = torch.arange(length, dtype=torch.float64)
    x = p["model.embed_tokens.weight"][inputs]
    for l in range(shape["layers"]):
        at = "model.layers.%d." % l
        n = rms_norm(x, p[at + "input_layernorm.weight"], shape["eps"])
        q, k, v = (
            (n @ p[at + "self_attn.%s_proj.weight" % c].T).view(sequences, length, h, dim // heads)
            for c, h in (("q", heads), ("k", kv), ("v", kv)))
        out, _ = attention(rotary(q, positions, shape["theta"]), rotary(k, positions, shape["theta"]), v)
        x = x + out.reshape(sequences, length, dim) @ p[at + "self_attn.o_proj.weight"].T
        n = rms_norm(x, p[at + "post_attention_layernorm.weight"], shape["eps"])
        gated = F.silu(n @ p[at + "mlp.gate_proj.weight"].T) * (n @ p[at + "mlp.up_proj.weight"].T)
        x = x + gated @ p[at + "mlp.down_proj.weight"].T
    head = p["model.embed_tokens.weight"] if shape["tied"] else p["lm_head.weight"]
    logits = rms_norm(x, p["model.norm.weight"], shape["eps"]) @ head.T
    return F.cross_entropy(logits.reshape(-1, shape["vocab"]), targets.reshape(-1), reduction="sum"), logits


def tensors_of(shape):
    """(name, rows, columns) in the order of c/model/layout.h; rows 0 for a gain."""
    dim, hd = shape["dim"], shape["dim"] // shape["heads"]
    found = [("model.embed_tokens.weight", shape["vocab"], dim)]
    for l in range(shape["layers"]):
        at = "model.layers.%d." % l
        found += [(at + "self_attn.q_proj.weight", shape["heads"] * hd, dim),
                  (at + "self_attn.k_proj.weight", shape["kv_heads"] * hd, dim),
                  (at + "self_attn.v_proj.weight", shape["kv_heads"] * hd, dim),
                  (at + "self_attn.o_proj.weight", dim, dim),
                  (at + "mlp.gate_proj.weight", shape["ffn"], dim),
                  (at + "mlp.up_proj.weight", shape["ffn"], dim),
                  (at + "mlp.down_proj.weight", dim, shape["ffn"])]
    if not shape["tied"]:
        found += [("lm_head.weight", shape["vocab"], dim)]
    for l in range(shape["layers"]):
        at = "model.layers.%d." % l
        found += [(at + "input_layernorm.weight", 0, dim), (at + "post_attention_layernorm.weight", 0, dim)]
    return found + [("model.norm.weight", 0, dim)]


# --- Genesis, from the words of c/model/init.h alone.

M64 = (1 << 64) - 1


def mix(x):
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & M64
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & M64
    return x ^ (x >> 31)


def rng_at(key, index):
    return mix(mix((key + 0x9e3779b97f4a7c15) & M64) ^ mix((index * 0x9e3779b97f4a7c15 + 0xd1b54a32d192ed03) & M64))


def genesis(shape, seed):
    key = rng_at(seed ^ 0x5851f42d4c957f2d, 1)
    deviation = math.sqrt((2 ** 32 - 1) / 3)
    parameters, offset = {}, 0
    for name, rows, columns in tensors_of(shape):
        if rows == 0:
            parameters[name] = np.ones(columns, np.float32)
            offset += columns
            continue
        residual = "o_proj" in name or "down_proj" in name
        sigma = 0.02 / math.sqrt(2 * shape["layers"]) if residual else 0.02
        sums = []
        for i in range(rows * columns):
            r = rng_at(key, offset + i)
            sums.append((r & 65535) + (r >> 16 & 65535) + (r >> 32 & 65535) + (r >> 48) - 131070)
        parameters[name] = (np.array(sums).astype(np.float32) * np.float32(sigma / deviation)).reshape(rows, columns)
        offset += rows * columns
    return parameters


# --- The files.

def op_norm(f):
    for case, (rows, dim) in enumerate([(1, 16), (3, 33), (65, 31), (5, 128)]):
        x, add, gain = draw(rows, dim), draw(rows, dim, scale=0.5), draw(dim)
        out_grad, residual_grad = draw(rows, dim), draw(rows, dim)
        total = (x + add).detach().requires_grad_()
        out = rms_norm(total, gain, 1e-5)
        (out * out_grad.detach()).sum().backward()
        at = "norm.%d." % case
        f.put(at + "shape", [rows, dim])
        for name, v in dict(x=x, add=add, gain=gain, out_grad=out_grad, residual_grad=residual_grad, sum=total, out=out,
                            x_grad=total.grad + residual_grad, gain_grad=gain.grad).items():
            f.put(at + name, v)


def op_rotary(f):
    for case, (sequences, length, start, heads, hd) in enumerate([(2, 5, 0, 3, 6), (1, 7, 9, 2, 34), (3, 33, 0, 1, 2)]):
        x, out_grad = draw(sequences, length, heads, hd), draw(sequences, length, heads, hd)
        out = rotary(x, torch.arange(length) + float(start), 10000.0)
        (out * out_grad.detach()).sum().backward()
        at = "rotary.%d." % case
        f.put(at + "shape", [sequences, length, start, heads, hd])
        for name, v in dict(x=x, out=out, out_grad=out_grad, x_grad=x.grad).items():
            f.put(at + name, v)


def op_attention(f):
    cases = [(1, 1, 1, 1, 2), (2, 31, 6, 2, 6), (1, 65, 3, 3, 18), (1, 64, 4, 1, 8), (1, 129, 2, 1, 10)]
    for case, (sequences, length, heads, kv, hd) in enumerate(cases):
        qkv = draw(sequences, length, heads + 2 * kv, hd)
        out, logsum = attention(qkv[:, :, :heads], qkv[:, :, heads:heads + kv], qkv[:, :, heads + kv:])
        out_grad = draw(sequences, length, heads, hd)
        (out * out_grad.detach()).sum().backward()
        at = "attention.%d." % case
        f.put(at + "shape", [sequences, length, heads, kv, hd])
        for name, v in dict(qkv=qkv, out=out, logsum=logsum, out_grad=out_grad, qkv_grad=qkv.grad).items():
            f.put(at + name, v)


def op_swiglu(f):
    for case, (rows, ffn) in enumerate([(1, 1), (3, 31), (2, 65), (9, 16)]):
        gate_up = draw(rows, 2 * ffn, scale=3.0)
        with torch.no_grad():
            if ffn > 16:
                gate_up[0, :4] = torch.tensor([60.0, -60.0, 120.0, -120.0])  # exp leaves its range here
        out = F.silu(gate_up[:, :ffn]) * gate_up[:, ffn:]
        out_grad = draw(rows, ffn)
        (out * out_grad.detach()).sum().backward()
        at = "swiglu.%d." % case
        f.put(at + "shape", [rows, ffn])
        for name, v in dict(gate_up=gate_up, out=out, out_grad=out_grad, gate_up_grad=gate_up.grad).items():
            f.put(at + name, v)


def op_linear(f):
    for case, (rows, n_in, n_out) in enumerate([(1, 17, 31), (33, 16, 7), (31, 33, 65), (5, 1, 1)]):
        x, w, y_grad, w_before = draw(rows, n_in), draw(n_out, n_in), draw(rows, n_out), draw(n_out, n_in)
        y = x @ w.T
        (y * y_grad.detach()).sum().backward()
        at = "linear.%d." % case
        f.put(at + "shape", [rows, n_in, n_out])
        for name, v in dict(x=x, w=w, y=y, y_grad=y_grad, x_grad=x.grad, w_before=w_before,
                            w_grad=w.grad + w_before).items():
            f.put(at + name, v)


def op_cross_entropy(f):
    for case, (rows, vocab, scale) in enumerate([(1, 2, 1.0), (3, 31, 0.25), (11, 257, 1 / 11), (2, 1024, 0.5)]):
        logits = draw(rows, vocab, scale=2.0)
        with torch.no_grad():
            logits[0, 0] = 150.0  # exp would overflow without the maximum taken off
        targets = torch.tensor(random.integers(0, vocab, rows))
        loss = F.cross_entropy(logits, targets, reduction="none")
        (scale * loss.sum()).backward()
        at = "cross_entropy.%d." % case
        f.put(at + "shape", [rows, vocab])
        f.put(at + "scale", [float(np.float32(scale))])
        f.put(at + "targets", targets)
        for name, v in dict(logits=logits, loss=loss, logits_grad=logits.grad).items():
            f.put(at + name, v)


def op_embed(f):
    for case, (rows, vocab, dim) in enumerate([(1, 3, 16), (70, 5, 33), (9, 11, 130)]):
        table, out_grad, before = draw(vocab, dim), draw(rows, dim), draw(vocab, dim)
        tokens = torch.tensor(random.integers(0, vocab, rows))
        out = table[tokens]
        (out * out_grad.detach()).sum().backward()
        at = "embed.%d." % case
        f.put(at + "shape", [rows, vocab, dim])
        f.put(at + "tokens", tokens)
        for name, v in dict(table=table, out=out, out_grad=out_grad, before=before,
                            table_grad=table.grad + before).items():
            f.put(at + name, v)


def op_adamw(f):
    """Three steps of torch.optim.AdamW, the first `decayed` elements with weight decay."""
    for case, (count, decayed) in enumerate([(1, 1), (77, 33), (64, 0)]):
        p = draw(count)
        before = p.detach().clone()
        parts = [p.detach()[:decayed].clone().requires_grad_(), p.detach()[decayed:].clone().requires_grad_()]
        optimizer = torch.optim.AdamW([dict(params=parts[:1], weight_decay=0.1), dict(params=parts[1:], weight_decay=0.0)],
                                      lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
        at = "adamw.%d." % case
        f.put(at + "shape", [count, decayed])
        f.put(at + "before", before)
        for step in range(3):
            g = draw(count, scale=10.0 ** (-2 * step)).detach()
            for part, slice in zip(parts, (g[:decayed], g[decayed:])):
                part.grad = slice * 0.5  # as if clipped to half
            optimizer.step()
            f.put(at + "gradient.%d" % step, g)
            f.put(at + "after.%d" % step, torch.cat(parts))


def whole_model(name, shape):
    f = File(name)
    f.put("shape", [shape[k] for k in ("layers", "dim", "heads", "kv_heads", "ffn", "vocab", "context", "tied")])
    p = {}
    for tensor, rows, columns in tensors_of(shape):
        p[tensor] = draw(rows, columns, scale=0.2) if rows else \
            (1 + draw(columns, scale=0.3).detach()).to(torch.float32).to(torch.float64).requires_grad_()
    tokens = torch.tensor(random.integers(0, shape["vocab"], (3, 14)))
    loss, logits = model_loss(p, shape, tokens)
    (loss * 0.125).backward()
    f.put("tokens", tokens)
    f.put("loss", [loss.item()])
    f.put("last_logits", logits[:, -1])
    for tensor, v in p.items():
        f.put(tensor, v)
        f.put(tensor + ".grad", v.grad)
    f.close()
    same_as_hugging_face(p, shape, tokens, logits)


def same_as_hugging_face(p, shape, tokens, logits):
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return print("transformers is not installed: not compared with Hugging Face's Llama")
    config = LlamaConfig(
        vocab_size=shape["vocab"], hidden_size=shape["dim"], intermediate_size=shape["ffn"],
        num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"], rms_norm_eps=shape["eps"], rope_theta=shape["theta"],
        max_position_embeddings=shape["context"], tie_word_embeddings=shape["tied"], attn_implementation="eager")
    theirs = LlamaForCausalLM(config).double()
    missing, unexpected = theirs.load_state_dict({k: v.detach() for k, v in p.items()}, strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if shape["tied"] else set()), (missing, unexpected)
    with torch.no_grad():
        difference = (theirs(tokens[:, :-1]).logits - logits).abs().max().item()
    assert difference < 1e-5, difference  # their norm and rotary tables are float32
    print("the same as Hugging Face's Llama within %.1e" % difference)


def training():
    """Fifty steps from genesis: two micro-batches each, clipped, AdamW, cosine with warmup."""
    shape = dict(layers=2, dim=32, heads=4, kv_heads=2, ffn=48, vocab=300, context=16, tied=False, eps=1e-5, theta=10000.0)
    steps, warmup, final, lr, clip, seed = 50, 5, 0.1, 1e-2, 1.0, 0x5eed
    f = File("model_training.bin")
    f.put("shape", [shape[k] for k in ("layers", "dim", "heads", "kv_heads", "ffn", "vocab", "context", "tied")])
    start = genesis(shape, seed)
    f.put("genesis", np.concatenate([v.reshape(-1) for v in start.values()]))
    p = {k: torch.tensor(v.astype(np.float64)).requires_grad_() for k, v in start.items()}
    matrices = [v for v in p.values() if v.dim() == 2]
    gains = [v for v in p.values() if v.dim() == 1]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=0.1), dict(params=gains, weight_decay=0.0)],
                                  lr=lr, betas=(0.9, 0.95), eps=1e-8)
    # Text with something to learn: each token is one of three that may follow the one before.
    follow = random.integers(0, shape["vocab"], (shape["vocab"], 3))
    tokens = np.zeros((steps, 8, shape["context"] + 1), np.int64)
    tokens[:, :, 0] = random.integers(0, shape["vocab"], (steps, 8))
    for i in range(shape["context"]):
        tokens[:, :, i + 1] = follow[tokens[:, :, i], random.integers(0, 3, (steps, 8))]
    losses, norms, rates = [], [], []
    for step in range(steps):
        rate = lr * (step + 1) / warmup if step < warmup else \
            lr * (final + (1 - final) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        total = 0.0
        for part in np.split(tokens[step], 2):
            loss, _ = model_loss(p, shape, torch.tensor(part))
            (loss / (8 * shape["context"])).backward()
            total += loss.item() / (8 * shape["context"])
        norm = math.sqrt(sum((v.grad ** 2).sum().item() for v in p.values()))
        if norm > clip:
            for v in p.values():
                v.grad *= clip / norm
        optimizer.step()
        losses.append(total)
        norms.append(norm)
        rates.append(rate)
    print("training: loss %.4f to %.4f, clipped in %d of %d steps" % (losses[0], losses[-1], sum(n > clip for n in norms), steps))
    f.put("tokens", tokens)
    f.put("losses", losses)
    f.put("gradient_norms", norms)
    f.put("rates", rates)
    f.close()


def vectors_of_the_specification():
    """Prints the test vectors of SPEC.md, "Parameters and genesis"."""
    shape = dict(layers=2, dim=32, heads=4, kv_heads=2, ffn=48, vocab=300, tied=False)
    bits = np.concatenate([v.reshape(-1) for v in genesis(shape, 24301).values()]).view(np.uint32)
    for first in (0, 9600, 19328, 23424, 24960, 34557):
        print("    from %-7d %s" % (first, " ".join("%08x" % b for b in bits[first:first + 6])))


def main():
    vectors_of_the_specification()
    for name, ops in [("model_ops.bin", (op_norm, op_rotary, op_swiglu, op_linear, op_cross_entropy, op_embed, op_adamw)),
                      ("model_attention.bin", (op_attention,))]:
        f = File(name)
        for op in ops:
            op(f)
        f.close()
    shape = dict(layers=2, dim=24, heads=4, kv_heads=2, ffn=40, vocab=260, context=16, tied=False, eps=1e-5, theta=10000.0)
    whole_model("model_untied.bin", shape)
    whole_model("model_tied.bin", dict(shape, heads=3, kv_heads=1, tied=True))
    training()


if __name__ == "__main__":
    main()
