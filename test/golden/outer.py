#!/usr/bin/env python3
"""outer.py -- the outer step in exact arithmetic, each result rounded to float32 by hand.

    python3 test/golden/outer.py            writes test/golden/outer.bin
    python3 test/golden/outer.py --vectors  prints the test vectors of SPEC.md, "The outer step"

Needs nothing but Python: numbers are fractions, so no processor's floating-point unit has a say in what comes out. The
format of the file is that of model.py; floats are written as their bits. Run by hand, when a definition changes.
"""
import os, random, struct, sys
from fractions import Fraction

BLOCK = 256
LARGEST = Fraction((2 ** 24 - 1) * 2 ** 104)


def power(e):
    return Fraction(2) ** e


def nearest(x):
    """The nearest integer, ties to even."""
    return round(x)  # of a Fraction: exactly that


def fl(x):
    """The nearest float32, ties to even, subnormals kept; None when it is not finite."""
    x = Fraction(x)
    if x == 0:
        return x
    e = max(abs(x).numerator.bit_length() - abs(x).denominator.bit_length() - 24, -149)
    while abs(x) >= power(e + 24):
        e += 1
    while e > -149 and abs(x) < power(e + 23):
        e -= 1
    y = nearest(x / power(e)) * power(e)
    return y if abs(y) <= LARGEST else None


def bits(x, negative_zero=False):
    """Of a float32 value, which has no rounding left to do."""
    if x == 0:
        return 0x80000000 if negative_zero else 0
    e = -149
    while abs(x) >= power(e + 24):
        e += 1
    m = abs(x) / power(e)
    assert m.denominator == 1
    m = m.numerator
    word = m if m < 2 ** 23 else (m - 2 ** 23) | (e + 150) << 23
    return word | (0x80000000 if x < 0 else 0)


def value(word):
    m, e = word & 0x7fffff, word >> 23 & 0xff
    x = m * power(-149) if e == 0 else (m | 2 ** 23) * power(e - 150)
    return -x if word >> 31 else x


def quantize(x):
    """A list of float32 values -> scales, q."""
    scales, q = [], []
    for at in range(0, len(x), BLOCK):
        block = x[at:at + BLOCK]
        largest = max(abs(v) for v in block)
        s = Fraction(0) if largest < power(-100) else fl(largest / 127)
        scales.append(s)
        q += [0 if s == 0 else nearest(fl(v / s)) for v in block]
    assert all(-127 <= v <= 127 for v in q)
    return scales, q


def decode(wire):
    scales, q = wire
    return [fl(scales[i // BLOCK] * v) for i, v in enumerate(q)]


def contribute(anchor, theta):
    return quantize([fl(a - t) for a, t in zip(anchor, theta)])


def accumulate(wires, weights):
    total = [Fraction(0)] * len(wires[0][1])
    for wire, weight in zip(wires, weights):
        w = fl(weight)
        total = [fl(t + fl(w * d)) for t, d in zip(total, decode(wire))]
    return total


def average(total, weights):
    w = fl(sum(weights))
    return quantize([fl(t / w) for t in total])


def step(anchor, momentum, mean, lr, mu, nesterov):
    a_out, m_out = [], []
    for a, m, d in zip(anchor, momentum, decode(mean)):
        m = fl(fl(mu * m) + d)
        ahead = fl(d + fl(mu * m)) if nesterov else m
        a_out.append(fl(a - fl(lr * ahead)))
        m_out.append(m)
    return a_out, m_out


LR, MU = fl(Fraction(7, 10)), fl(Fraction(9, 10))


def golden():
    rng = random.Random(20251125)
    n = 3 * BLOCK + 61

    def draw(scale):
        return fl(Fraction(rng.gauss(0, 1)) * scale)

    anchor = [draw(1) for _ in range(n)]
    momentum = [draw(Fraction(1, 100)) for _ in range(n)]
    thetas = [[fl(a - draw(Fraction(1, 1000))) for a in anchor] for _ in range(4)]
    for i in range(BLOCK, 2 * BLOCK):  # a block of numbers so small that most of it is subnormal
        anchor[i] = draw(power(-140))
        momentum[i] = draw(power(-145))
        for k, t in enumerate(thetas):
            t[i] = fl(anchor[i] - draw(power(-101 if k % 2 else -97)))
    for i in range(2 * BLOCK, 2 * BLOCK + 40):  # exact ties, and nothing learned
        for t in thetas:
            t[i] = anchor[i]
    weights = [1000, 16777217, 33333333333, 12345678901234567]
    wires = [contribute(anchor, t) for t in thetas]
    total = accumulate(wires, weights)
    mean = average(total, weights)
    out = {"anchor": anchor, "momentum": momentum, "total": total}
    for k, t in enumerate(thetas):
        out["theta%d" % k] = t
    out["anchor_nesterov"], out["momentum_nesterov"] = step(anchor, momentum, mean, LR, MU, True)
    out["anchor_plain"], out["momentum_plain"] = step(anchor, momentum, mean, LR, MU, False)
    words = {k: [bits(x) for x in v] for k, v in out.items()}
    for name, (scales, q) in [("wire%d" % k, w) for k, w in enumerate(wires)] + [("mean", mean)]:
        words[name + "_scales"] = [bits(s) for s in scales]
        words[name + "_q"] = [v & 0xff for v in q]
    words["weights"] = [x for w in weights for x in (w & 0xffffffff, w >> 32)]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "outer.bin")
    with open(path, "wb") as f:
        for name, values in words.items():
            f.write(struct.pack("<I", len(name)) + name.encode() + struct.pack("<BI", 1, len(values)))
            f.write(struct.pack("<%dI" % len(values), *values))
    small = sum(1 for v in out.values() for x in v if 0 < abs(x) < power(-126))
    print("outer.bin: %d elements, %d bytes, %d subnormal numbers" % (n, os.path.getsize(path), small))


def line(name, values):
    print("    %-10s %s" % (name, " ".join(values)))


def vector(anchor, thetas, momentum, weights, nesterov):
    show = lambda v: ["%08x" % bits(x) for x in v]
    wires = [contribute(anchor, t) for t in thetas]
    total = accumulate(wires, weights)
    mean = average(total, weights)
    a, m = step(anchor, momentum, mean, LR, MU, nesterov)
    line("rule", ["%08x" % bits(LR), "%08x" % bits(MU), "nesterov" if nesterov else "plain"])
    line("anchor", show(anchor))
    line("momentum", show(momentum))
    for t, w, weight in zip(thetas, wires, weights):
        line("member", [str(weight)] + show(t))
        line("wire", show(w[0]) + [str(q) for q in w[1]])
    line("total", show(total))
    line("mean", show(mean[0]) + [str(q) for q in mean[1]])
    line("momentum'", show(m))
    line("anchor'", show(a))
    print()


def vectors():
    of = lambda *v: [fl(Fraction(x)) for x in v]
    vector(of("1", "-1", "0.5", "0"), [of("0.9", "-1.2", "0.5", "0.001"), of("1.1", "-0.9", "0.75", "0")],
           of("0.01", "0", "-0.02", "0.3"), [1000, 3000], True)
    # Ties: the scale is 1, so that q is the difference itself, rounded to even.
    vector(of("127", "0.5", "1.5", "2.5", "-2.5", "-0.5"), [of("0", "0", "0", "0", "0", "0")],
           of("0", "0", "0", "0", "0", "0"), [1], False)
    # Subnormal anchor and momentum: kept, in and out. 7 times the smallest number there is, and so on.
    tiny = [k * power(-149) for k in (7, -3, 1, 8388607, 0)]
    vector(tiny, [of(*([0] * 4)) + [power(-110)], of(*([0] * 5))],
           [k * power(-149) for k in (5, -8388608, 1, 1, -1)], [5, 7], True)
    # The largest difference is just below and just at 2^-100.
    vector(of(0, 0), [[fl(power(-100) - power(-124)), power(-120)], [power(-100), power(-120)]], of(0, 0),
           [16777217, 16777219], True)


if __name__ == "__main__":
    vectors() if sys.argv[1:] == ["--vectors"] else golden()
