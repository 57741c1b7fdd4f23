"""rounds.py -- two programs that train the same model, in turns on one machine: what the comparisons with PyTorch share.

Each side has a process of its own and computes only in its turn. A turn that other programs disturbed (they took more than
DISTURBED of the processors) is taken again, as far as patience goes; what was disturbed in the end is said in the result.
"""
import json, os, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.dirname(os.path.dirname(HERE))
CORES = len(os.sched_getaffinity(0))
PINNED = ["torch==2.15.0", "numpy==2.4.6"]
DISTURBED = 0.02
TICKS = os.sysconf("SC_CLK_TCK")


def note(text):
    print(text, file=sys.stderr, flush=True)


def stop(text):
    sys.exit("%s: %s" % (os.path.basename(sys.argv[0]), text))


def executable(path):
    if not os.path.exists(path):
        stop("there is no %s: run ./zigw build, or name the program with --shoal" % path)
    return os.path.abspath(path)


def python_with_torch():
    """An interpreter of our own virtual environment, out/torch, made when it is not there yet."""
    place = os.path.join(HOME, "out", "torch")
    python, wanted = os.path.join(place, "bin", "python"), os.path.join(place, "pinned.txt")
    pinned = "\n".join(PINNED) + "\n"
    if not os.path.exists(wanted) or open(wanted).read() != pinned:
        note("installing %s into %s (some minutes, some GB)" % (" and ".join(PINNED), place))
        shutil.rmtree(place, ignore_errors=True)
        for command in ([sys.executable, "-m", "venv", place], [python, "-m", "pip", "install", "--quiet"] + PINNED):
            if subprocess.run(command, stdout=sys.stderr).returncode:
                stop("'%s' failed: PyTorch is needed to compare with" % " ".join(command))
        with open(wanted, "w") as f:
            f.write(pinned)
    return python


def busy_s():
    """Processor seconds that all programs of this machine took since boot, and what its hypervisor took from it."""
    user, nice, system, _, _, irq, softirq, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def used_s(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS


def quiet(patience):
    """Waits until the others are quiet for a second, or patience is over."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before, began = busy_s(), time.monotonic()
        time.sleep(1)
        if busy_s() - before < DISTURBED * CORES * (time.monotonic() - began):
            return


def hurry(pid, niceness):
    """The priority of a process group that leads a session, where we may set it: others then disturb a turn less."""
    try:
        os.setpriority(os.PRIO_PGRP, pid, niceness)
        with open("/proc/%d/autogroup" % pid, "w") as f:  # where the kernel shares by session, niceness counts within one
            f.write(str(niceness))
    except OSError:
        pass


class Torch:
    """llama.py in a process that lives from turn to turn: it compiles once."""

    def __init__(self, python, environment=None, **shape):
        self.child = subprocess.Popen([python, os.path.join(HERE, "llama.py"), json.dumps(shape)], text=True,
                                      start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      env=dict(os.environ, **(environment or {})))
        hurry(self.child.pid, -10)
        self.ready = self.answer()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            stop("llama.py ended with code %d" % self.child.wait())
        return json.loads(line)

    def ask(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self.answer()

    def turn(self, seconds):
        before = used_s(self.child.pid)
        hurry(self.child.pid, -20)
        answer = self.ask("%g" % seconds)
        hurry(self.child.pid, 0)
        return answer, used_s(self.child.pid) - before

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class Shoal:
    """`shoal bench`, started for each turn."""

    def __init__(self, shoal, device, precision, name, dim, layers, heads, kv_heads, ffn, vocab, context, batch, more=(),
                 **_):
        self.folder = tempfile.TemporaryDirectory(prefix="shoal-bench-")
        path = os.path.join(self.folder.name, name + ".yaml")
        with open(path, "w") as f:
            f.write("experiment: {name: %s}\n"
                    "model: {layers: %d, dim: %d, heads: %d, kv_heads: %d, ffn: %d, vocab: %d, context: %d, tied: false}\n"
                    "data: {corpus: none}\n"
                    "train: {steps: 1, batch_tokens: %d, precision: %s}\n"
                    "outer: {every: 1}\n"
                    % (name, layers, dim, heads, kv_heads, ffn, vocab, context, batch * context, precision))
        self.command = [shoal, "bench", device, path, "--json", *more]

    def turn(self, seconds):
        """(what it said, processor seconds it took)."""
        child = subprocess.Popen(self.command + ["--seconds", str(max(1, round(seconds)))], text=True,
                                 start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hurry(child.pid, -20)
        out, err = child.stdout.read(), child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(err.strip())
        return json.loads(out), used.ru_utime + used.ru_stime

    def close(self):
        self.folder.cleanup()


def take_turns(sides, rounds, seconds, patience):
    """sides: name (words) -> Torch or Shoal. Returns name -> list of `rounds` results, the least disturbed of those taken."""
    taken = {name: [] for name in sides}
    for go in range(3 * rounds):
        for name, side in sides.items():
            if sum(r["elsewhere"] < DISTURBED for r in taken[name]) >= rounds or (go >= rounds and patience <= 0):
                continue
            began_waiting = time.monotonic()
            quiet(patience)
            patience -= time.monotonic() - began_waiting
            before, began = busy_s(), time.monotonic()
            result, used = side.turn(seconds)
            wall = time.monotonic() - began
            result["elsewhere"] = max(0.0, busy_s() - before - used) / (wall * CORES)
            taken[name].append(result)
            note("  %-44s %9.0f tokens/s%s" % (" ".join(name).strip(), result["tokens_per_second"], "" if result["elsewhere"] < DISTURBED else
                 "   disturbed: other programs took %.0f %% of the processors" % (100 * result["elsewhere"])))
    return {name: sorted(results, key=lambda r: r["elsewhere"])[:rounds] for name, results in taken.items()}


def speeds(results):
    """(median, best) tokens/s."""
    all_speeds = [r["tokens_per_second"] for r in results]
    return statistics.median(all_speeds), max(all_speeds)
