"""wans.py -- networks for tests in Python: a running `wan` (wan.c) and programs in its nodes.

    wan = Wan(open("test/wan/100ms.yaml").read())     # ends the script with a skip where namespaces are missing
    child = wan.start(0, ["shoal", "run", ...])       # a subprocess.Popen in node 0
    wan.change(text)                                  # another matrix from now on
    wan.journal()                                     # what moved when
    wan.stop()
"""
import os, signal, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "program"))
import swarms

WAN = os.environ.get("WAN_BIN") or os.path.abspath("zig-out/test/wan")
HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77  # its exit code where the machine does not allow namespaces
COUNT = 0
PORT = 4433  # of a worker, whatever its node


def address(node, six=False):
    """Where others see a node: its own address, or that of its NAT."""
    return "2001:db8::%x" % (node + 1) if six else "203.0.113.%d" % (node + 1)


def inside(node):
    """The own address of a node behind a NAT."""
    return "192.168.77.%d" % (node + 1)


def matrix(name):
    """The text of test/wan/NAME.yaml."""
    with open(os.path.join(HERE, name + ".yaml")) as f:
        return f.read()


def skip(why):
    """Prints a skip, and ends the script."""
    print("ok - %s # SKIP %s" % (os.path.basename(sys.argv[0]), why))
    sys.exit(0)


class Wan:
    """A network without initial commands. `seed` determines which packets are lost; all rates are divided by `scale`; it ends after `seconds`
    at the latest, if given, instead of the matrix's."""

    def __init__(self, text, seed=None, scale=1, seconds=None):
        global COUNT
        COUNT += 1
        self.path = os.path.join(swarms.PLACE, "matrix-%d.yaml" % COUNT)
        self.report_path = os.path.join(swarms.PLACE, "report-%d.txt" % COUNT)
        self.write(text)
        self.journal_path = os.path.join(swarms.PLACE, "journal-%d.txt" % COUNT)
        links = os.path.join(swarms.PLACE, "links-%d.txt" % COUNT)
        options = ["--report", self.report_path, "--journal", self.journal_path, "--links", links, "--scale", str(scale)]
        options += ["--seed", str(seed)] if seed is not None else []
        options += ["--seconds", str(seconds)] if seconds else []
        self.process = subprocess.Popen([WAN, self.path] + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        swarms.CHILDREN.append(self.process)
        line = self.process.stdout.readline()
        if not line:
            said = self.process.stderr.read().strip()
            if self.process.wait() == SKIP:
                skip(said)
            raise RuntimeError(said)
        print("# " + line.strip(), flush=True)
        self.nodes = int(line.split()[1])
        with open(links) as f:  # {(from, to): {"delay_ms": ..., "rate_mbit": ..., "loss": ..., "up_mbit": of from, "down_mbit": of to}}
            head, *rows = [line.split() for line in f]
        self.links = {(int(r[0]), int(r[1])): dict(zip(head[2:], map(float, r[2:]))) for r in rows}

    def write(self, text):
        with open(self.path, "w") as f:
            f.write(text)

    def start(self, node, words, **options):
        """Runs `words` in a node; options are those of subprocess.Popen."""
        child = subprocess.Popen([WAN, "--enter", str(self.process.pid), str(node)] + list(words), **options)
        swarms.CHILDREN.append(child)
        return child

    def run(self, node, worker, experiment_path):
        """Starts a swarms.Worker in a node, on all its addresses; the worker."""
        return worker.start(experiment_path, listen="0.0.0.0:%d" % PORT, launch=lambda words, **options: self.start(node, words, **options))

    def change(self, text):
        """Switches to another matrix with the same number of nodes; its at_s count from now."""
        self.write(text)
        self.process.send_signal(signal.SIGUSR1)
        line = self.process.stdout.readline()
        if line.strip() != "wan: read again":
            raise RuntimeError("wan did not read its matrix again: %r" % line)

    def journal(self):
        """What moved when: a dictionary for each second so far and pair, {"unix_ms": its end, "from": ..., "to": ..., "bytes": ..., ...}."""
        with open(self.journal_path) as f:
            head, *rows = [line.split() for line in f if line.endswith("\n")]
        return [dict(zip(head, map(int, r))) for r in rows]

    def stop(self):
        """Ends the network; returns the packet counts: {(from, to): {"packets": ..., "lost": ..., ...}}."""
        if self.process.poll() is not None:
            raise RuntimeError("the network ended too early: " + self.process.stderr.read().strip())
        self.process.terminate()
        self.said = self.process.communicate(timeout=60)[0]  # how well it did
        print("".join("# %s\n" % line for line in self.said.splitlines()), end="", flush=True)
        with open(self.report_path) as f:
            rows = [line.split() for line in f]
        return {(int(r[0]), int(r[1])): dict(zip(rows[0][2:], map(int, r[2:]))) for r in rows[1:]}
