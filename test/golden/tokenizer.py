#!/usr/bin/env python3
"""tokenizer.py -- what Hugging Face's `tokenizers` says, for test/data to compare with.

    pip install tokenizers==0.21.4 && python3.11 test/golden/tokenizer.py

Writes test/golden/tokenizer.json (trained by it), tokenizer_tangled.json (made here: every way to build every token is a
merge, in random order) and tokenizer_golden.json. Texts come from the counter generator of c/base/rng.h, so that the C
tests make the same ones; only hashes of the ids are kept (FNV-1a of 64 bits over the ids as 4 bytes, little-endian).
Python 3.11 has the Unicode 14 database. test/data/sample.h is the C side of what is below.
"""
import itertools, json, os, sys, unicodedata
import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
END = "<|endoftext|>"
M = (1 << 64) - 1

SNIPPETS = [
    " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", "\ufeff",
    "\x00", "\x1f", "\x7f", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "''s", "\u2019s", "'", "\"", " '", "!", "...", " ?!",
    "\u2026", "the", " the", " of", "ing", " and", "A", "0", "42", " 1999", "\u00b2", "\u2167", "\u0663", "\u00bd", "\u0e52", "\u00e9", "e\u0301",
    "na\u00efve", " stra\u00dfe", "\u0130", "\u01c5", "\u4e2d\u6587", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "\u05e9\u05dc\u05d5\u05dd", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e44\u0e17\u0e22", "\u10d0", "\u13a0", "\U0001d400", "\U0001d7d8", "\U00020000", "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "1\ufe0f\u20e3", "\ue000", "\uffff", "\U0010ffff", "\ufffd", "\u0300", "_", "-",
    END, "<|endof", "|>", "<|", "\u0120", "\u010a", "\u0100",
]


def mix(x):
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & M
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & M
    return x ^ (x >> 31)


def rng_at(key, index):
    return mix(mix((key + 0x9e3779b97f4a7c15) & M) ^ mix((index * 0x9e3779b97f4a7c15 + 0xd1b54a32d192ed03) & M))


class Rng:
    def __init__(self, key):
        self.key, self.count = key, 0

    def below(self, n):
        self.count += 1
        return rng_at(self.key, self.count - 1) * n >> 64


ASSIGNED = [c for c in range(0x110000) if not 0xd800 <= c <= 0xdfff and unicodedata.category(chr(c)) != "Cn"]


def sample(key, index):
    """Random text number `index`: snippets, letters and characters of all of Unicode."""
    r = Rng(rng_at(key, index))
    text = []
    for _ in range(r.below(40)):
        kind = r.below(8)
        if kind < 4:
            text.append(SNIPPETS[r.below(len(SNIPPETS))])
        elif kind < 6:
            text.append(chr(ord("a") + r.below(26)))
        else:
            text.append(chr(ASSIGNED[r.below(len(ASSIGNED) if kind == 6 else 2048)]))
    return "".join(text)


def sample_abc(key, index):
    r = Rng(rng_at(key, index))
    return "".join("abc"[r.below(3)] for _ in range(r.below(60)))


def sample_bytes(key, index):
    """Random bytes, most of them parts of characters."""
    r = Rng(rng_at(key, index))
    kinds = [(0x00, 0x80), (0x80, 0x40), (0xc0, 0x40), (0xe0, 0x18), (0xed, 0x01), (0xf0, 0x05)]
    out = bytearray()
    for _ in range(r.below(24)):
        first, count = kinds[r.below(len(kinds))]
        out.append(first + r.below(count))
    return bytes(out)


class Fnv:
    def __init__(self):
        self.value, self.count = 0xcbf29ce484222325, 0

    def take(self, ids):
        for i in ids:
            for b in i.to_bytes(4, "little"):
                self.value = (self.value ^ b) * 0x100000001b3 & M
            self.count += 1

    def end(self):
        return [self.count, "%016x" % self.value]


def trained():
    """A tokenizer of 1500 tokens, trained by `tokenizers` on 12,000 samples."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=1500, min_frequency=2, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(["".join(sample(1, i) for i in range(12000))], trainer)
    t.save(os.path.join(HERE, "tokenizer.json"))
    return t


def tangled():
    """All words of up to 5 letters over a, b, c; every split of each is a merge; the order is random."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["".join(w) for n in range(2, 6) for w in itertools.product("abc", repeat=n)]
    vocab = {w: i for i, w in enumerate([END] + alphabet + words)}
    merges = [(w[:k], w[k:]) for w in words for k in range(1, len(w))]
    order = sorted(range(len(merges)), key=lambda i: rng_at(2, i))
    merges = [merges[i] for i in order][:len(merges) * 2 // 3]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([END])
    path = os.path.join(HERE, "tokenizer_tangled.json")
    t.save(path)
    text = json.load(open(path))  # merges as files before 2024 have them
    text["model"]["merges"] = ["%s %s" % tuple(m) for m in text["model"]["merges"]]
    json.dump(text, open(path, "w"), ensure_ascii=False, separators=(",", ":"))
    return Tokenizer.from_file(path)


def ranges():
    out = []
    for c in ASSIGNED:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def around(c):
    """One character where each rule of the pre-tokenizer can see it."""
    return "a%sb%s%s1 %s2%s! %s\n%s" % ((chr(c),) * 7)


def hashes(t, texts, group):
    out = []
    for first in range(0, len(texts), group):
        h = Fnv()
        for text in texts[first:first + group]:
            h.take(t.encode(text).ids)
        out.append(h.end())
    return out


def repaired(count):
    h, invalid = Fnv(), 0
    for i in range(count):
        text = sample_bytes(5, i).decode("utf-8", errors="replace")
        h.take(map(ord, text))
        h.take([0x110000])
        invalid += text.count("\ufffd")
    return h.end() + [invalid]


def main():
    if unicodedata.unidata_version != "14.0.0" or tokenizers.__version__ != "0.21.4":
        sys.exit("tokenizer.py: Python 3.11 (Unicode 14) and tokenizers 0.21.4 are needed")
    t, other = trained(), tangled()
    cases = SNIPPETS + ["", "Hello, world!", "  two  spaces ", "can't won't I'll 'twas", "x" * 300, "tab\tend\t", END * 2,
                        "a" + END + " b", " " + END + " ", "\n \n  x", "\u00a0 \u00a0x", "1a2b", "a1b2", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0932\u093f\u092a\u093f"]
    golden = {
        "tokenizers": tokenizers.__version__, "unicode": unicodedata.unidata_version,
        "assigned": ranges(),
        "snippets": SNIPPETS,
        "cases": [{"text": c, "ids": t.encode(c).ids} for c in cases],
        "characters": [],
        "random": hashes(t, [sample(3, i) for i in range(10000)], 100),
        "tangled": hashes(other, [sample_abc(4, i) for i in range(10000)], 500),
        "long": hashes(t, ["a" * 1000000, "ab" * 300000, " " * 100000 + "x", "the" * 200000], 1),
        "repaired": repaired(20000),
    }
    for first in range(0, 0x110000, 1024):
        text = "".join(around(c) for c in range(first, first + 1024) if c in ASSIGNED_SET)
        if text:
            golden["characters"].append([first] + hashes(t, [text], 1)[0])
    with open(os.path.join(HERE, "tokenizer_golden.json"), "w") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")


ASSIGNED_SET = set(ASSIGNED)
main()
