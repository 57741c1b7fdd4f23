"""llama.py -- the model of c/model/ in PyTorch, as fast as we know how to train it there: the other side of the benchmarks.

    llama.py '{"dim": 256, "layers": 6, "heads": 8, "kv_heads": 8, "ffn": 688, "vocab": 4096, "context": 256, "batch": 8,
               "device": "cpu", "threads": 2, "precision": "bf16", "weights": "fp32", "compile": "default"}'

Trains on made-up tokens: whole inner steps, forward, backward, clipping and AdamW, as `shoal bench` counts them. Says
{"ready": ...} once it is warm; then each line on its standard input is a number of seconds to train for, or "ceiling" for
the speed of a large product alone, answered by one line of JSON. Between them it does nothing.

precision: fp32, or bf16 by autocast. weights: fp32, or bf16: the model holds bf16 copies and AdamW works on fp32 masters.
compile: null for eager, or a mode of torch.compile.
"""
import json, math, sys, time
import torch
import torch.nn.functional as F
from torch import nn


def peak_resident():
    """VmHWM of this process, in bytes."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


IMPORTED = peak_resident()


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        dim, self.heads, self.kv_heads = s["dim"], s["heads"], s["kv_heads"]
        self.head_dim = dim // self.heads
        self.before_attention, self.before_ffn = (nn.Parameter(torch.ones(dim)) for _ in range(2))
        self.qkv = nn.Linear(dim, (self.heads + 2 * self.kv_heads) * self.head_dim, bias=False)
        self.o = nn.Linear(dim, dim, bias=False)
        self.gate_up = nn.Linear(dim, 2 * s["ffn"], bias=False)
        self.down = nn.Linear(s["ffn"], dim, bias=False)

    def forward(self, x, cosine, sine):
        sequences, length, dim = x.shape
        qkv = self.qkv(F.rms_norm(x, (dim,), self.before_attention, 1e-5))
        qkv = qkv.view(sequences, length, self.heads + 2 * self.kv_heads, self.head_dim)
        turned = self.heads + self.kv_heads
        a, b = qkv[:, :, :turned].chunk(2, -1)
        cosine, sine = cosine.to(a.dtype), sine.to(a.dtype)
        qk = torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(qk[:, :self.heads], qk[:, self.heads:], qkv[:, :, turned:].transpose(1, 2),
                                             is_causal=True, enable_gqa=self.heads != self.kv_heads)
        x = x + self.o(out.transpose(1, 2).reshape(sequences, length, dim))
        gate, up = self.gate_up(F.rms_norm(x, (dim,), self.before_ffn, 1e-5)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed = nn.Embedding(s["vocab"], s["dim"])
        self.layers = nn.ModuleList(Layer(s) for _ in range(s["layers"]))
        self.gain = nn.Parameter(torch.ones(s["dim"]))
        self.head = nn.Linear(s["dim"], s["vocab"], bias=False)
        half = s["dim"] // s["heads"] // 2
        angle = torch.arange(s["context"])[:, None, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine)
        logits = self.head(F.rms_norm(x, self.gain.shape, self.gain, 1e-5))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


class Training:
    def __init__(self, s):
        torch.manual_seed(7)
        self.device = torch.device(s["device"])
        if self.device.type == "cpu":
            torch.set_num_threads(s["threads"])
        half = s["precision"] == "bf16"
        with self.device:
            self.model = Llama(s)
            # As frequent as words in a text are (Zipf), as bench_token() of `shoal bench` draws them.
            ranks = torch.exp(torch.rand(s["batch"], s["context"] + 1, dtype=torch.float64) * math.log(s["vocab"] + 1)) - 1
            tokens = ranks.long().clamp_(max=s["vocab"] - 1)
        self.tokens, self.targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        self.masters = [p for p in self.model.parameters()]
        self.copies = None
        if s["weights"] == "bf16":
            self.masters = [p.detach().clone() for p in self.masters]
            self.copies = list(self.model.bfloat16().parameters())
            for m in self.masters:
                m.grad = torch.empty_like(m)
        decayed = [[p for p in self.masters if (p.dim() > 1) == matrix] for matrix in (True, False)]
        self.optimizer = torch.optim.AdamW([{"params": decayed[0], "weight_decay": 0.1}, {"params": decayed[1], "weight_decay": 0.0}],
                                           lr=1e-4, betas=(0.9, 0.95), eps=1e-8, fused=True)

        def loss():
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half and not self.copies):
                return self.model(self.tokens, self.targets)
        self.loss = torch.compile(loss, mode=s["compile"], dynamic=False) if s["compile"] else loss

    def step(self):
        loss = self.loss()
        loss.backward()
        if self.copies:
            torch._foreach_copy_([m.grad for m in self.masters], [p.grad for p in self.copies])
        nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        self.optimizer.step()
        if self.copies:
            with torch.no_grad():
                torch._foreach_copy_(self.copies, self.masters)
            self.model.zero_grad(set_to_none=True)
        else:
            self.optimizer.zero_grad(set_to_none=True)
        return loss

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def train(t, tokens_a_step, seconds):
    """Steps for so long, the queue of a GPU kept filled; three at least."""
    t.wait()
    began, took, steps = time.perf_counter(), 0.0, 0
    while took < seconds or steps < 3:
        for _ in range(1 if t.device.type == "cpu" else 10):
            loss = t.step()
            steps += 1
        t.wait()
        took = time.perf_counter() - began
    return {"tokens_per_second": steps * tokens_a_step / took, "steps": steps, "loss": loss.item(),
            "peak_bytes": peak_resident() if t.device.type == "cpu" else torch.cuda.max_memory_allocated()}


def ceiling(t, n):
    """Floating-point operations a second of a product [n, n] x [n, n] in bf16, the best of twelve."""
    a, b = (torch.randn(n, n, device=t.device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(12):
        t.wait()
        began = time.perf_counter()
        torch.matmul(a, b)
        t.wait()
        best = min(best, time.perf_counter() - began)
    return {"flops": 2 * n ** 3 / best}


def main():
    s = json.loads(sys.argv[1])
    t = Training(s)
    for _ in range(3):
        loss = t.step()
    print(json.dumps({"ready": torch.__version__, "import_bytes": IMPORTED, "loss": loss.item(),
                      "parameters": sum(p.numel() for p in t.masters)}), flush=True)
    for line in sys.stdin:
        said = ceiling(t, 8192 if t.device.type == "cuda" else 2048) if line.strip() == "ceiling" else \
            train(t, s["batch"] * s["context"], float(line))
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
