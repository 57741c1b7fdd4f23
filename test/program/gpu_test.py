#!/usr/bin/env python3
"""The GPU as the program sees it, on fibers (test/cuda/fiber.h): it trains, its checkpoints serve a CPU, it takes part in
a swarm of CPUs, and what a GPU may lack or do wrong is one sentence each, never a silent change to the CPU."""
from swarms import *

GPU, CUBLASLT = os.environ["FIBER_BIN"], os.environ["CUBLASLT_BIN"]
small = dict(evaluate=512, steps=12, every=6, count="steps", batch=64, layers=2, dim=32, context=32)


def losses(log):
    return [e["loss"] for e in map(json.loads, open(log)) if e["event"] == "step"]


def checkpoints():
    place = os.path.join(PLACE, "checkpoints")
    return sorted(n for n in os.listdir(place) if n.endswith(".ckpt")) if os.path.exists(place) else []


path = experiment("gpu", **small)
log = os.path.join(PLACE, "checkpoints", "log.jsonl")
done = run("train", path, "--device", "cpu", program=GPU)
cpu = losses(log)
os.remove(log)
done = run("train", path, "--device", "cuda", "--fresh", program=GPU)
gpu = losses(log) if ok(done.returncode == 0, "a GPU trains", done.stdout) else []
ok(len(gpu) == 12 and max(abs(a - b) for a, b in zip(cpu, gpu)) < 1e-4, "with the losses of the CPU", "%s\n%s" % (cpu, gpu))
done = run("eval", "checkpoints", "--data", corpus(), FIBER_DEVICES="0", program=GPU)
ok(done.returncode == 0 and "loss" in done.stdout, "its checkpoint serves a machine without a GPU", done.stdout)

os.remove(log)
half = experiment("gpu-bf16", precision="bf16", **small)
done = run("train", half, "--device", "cuda", "--fresh", program=GPU)
gpu = losses(log) if ok(done.returncode == 0, "a GPU trains in bf16", done.stdout) else []
ok(len(gpu) == 12 and 0 < max(abs(a - b) for a, b in zip(cpu, gpu)) < 0.02, "within 0.02 nats of the CPU", "%s\n%s" % (cpu, gpu))
absent = ("shoal: our own matrix products serve: there is no cuBLASLt: no libcublaslt_fiber.so or "
          "libcublaslt_fiber_old.so where the loader looks, ")
ok(done.stdout.count(absent) == 1, "without cuBLASLt its own products serve, which is said once", done.stdout)

os.remove(log)


def with_library(path):
    """The experiment in bf16, and this file for cuBLASLt."""
    named = os.path.join(PLACE, "named.yaml")
    with open(half) as f, open(named, "w") as to:
        to.write(f.read().replace("machine: {", "machine: {cublaslt: %s, " % path))
    return named


named = with_library(CUBLASLT)
done = run("train", named, "--device", "cuda", "--fresh", program=GPU, CUBLASLT_FAST="1")
first = losses(log) if ok(done.returncode == 0 and "cuBLASLt" not in done.stdout, "a GPU trains with cuBLASLt", done.stdout) else []
ok(len(first) == 12 and first != gpu and max(abs(a - b) for a, b in zip(cpu, first)) < 0.02, "within 0.02 nats of the CPU",
   "%s\n%s" % (cpu, first))
os.remove(log)
done = run("train", named, "--device", "cuda", "--fresh", program=GPU, CUBLASLT_NONE="1")
ok(done.returncode == 0 and losses(log) == first, "the next start takes the algorithms that were chosen, and gets the same bits",
   done.stdout)
done = run("train", named, "--device", "cuda", "--fresh", program=GPU, CUBLASLT_FAILS="200")
ok(done.returncode == 1 and done.stdout.count("shoal train: ") == 1 and "GPU 0 failed in a product by cuBLASLt, which says that the stand-in "
   "failed" in done.stdout, "a product that fails in the middle of a step is one sentence", done.stdout)
done = run("train", with_library(corpus()), "--device", "cuda", program=GPU)
ok(done.returncode == 2 and "machine.cublaslt: " in done.stdout and "is a folder" in done.stdout, "a folder is no library", done.stdout)
done = run("train", with_library(half), "--device", "cuda", program=GPU)
ok(done.returncode == 1 and done.stdout.count("\n") == 1 and "machine.cublaslt: %s cannot be opened: " % half in done.stdout,
   "a named library that cannot be opened is an error", done.stdout)
shutil.rmtree(os.path.join(PLACE, "checkpoints"))
done = run("train", path, "--device", "cuda", "--steps", "6", program=GPU)
saved = checkpoints()
done = run("train", path, "--device", "cuda", FIBER_FAILS="200", program=GPU)
ok(done.returncode == 1 and "GPU 0 failed in " in done.stdout and "unspecified launch failure" in done.stdout,
   "a GPU that fails in the middle of a step is named", done.stdout)
ok(checkpoints() == saved and run("eval", "checkpoints", "--data", corpus()).returncode == 0,
   "and the checkpoint before it is whole", checkpoints())
for what, sentence, environment in [
        ("no GPU", "there is no GPU 0: this machine has none", dict(FIBER_DEVICES="0")),
        ("no driver", "this machine has no NVIDIA driver", dict(FIBER_DRIVER="0")),
        ("an old driver", "the NVIDIA driver here is for CUDA 12.8: install one for 13.0 or later", dict(FIBER_DRIVER="12080")),
        ("a driver that does not answer", "asking for GPUs: unknown error", dict(FIBER_DEVICES="-1")),
        ("an old generation", "is of generation sm_75: shoal needs sm_80 or later", dict(FIBER_GENERATION="75")),
        ("a generation without kernels", "is of generation sm_110, for which this shoal has no kernels", dict(FIBER_GENERATION="110")),
        ("too little memory", "and the GPU has room for 0.1 MiB, whatever train.micro_batch and train.recompute say", dict(FIBER_MEMORY="623776")),
        ("too little for activations", "set train.recompute to block and train.micro_batch to 1, which take", dict(FIBER_MEMORY="1863776"))]:
    done = run("train", path, "--device", "cuda", program=GPU, **environment)
    ok(done.returncode == 1 and sentence in done.stdout and done.stdout.count("\n") == 1, what + " is one sentence", done.stdout)
for what, sentence, environment in [("is too old", "install one for 13.0 or later", dict(FIBER_DRIVER="12080")),
                                    ("does not answer", "asking for GPUs: unknown error", dict(FIBER_DEVICES="-1"))]:
    done = run("train", path, "--device", "auto", program=GPU, **environment)
    ok(done.returncode == 1 and sentence in done.stdout, "auto takes no CPU where a GPU's driver " + what, done.stdout)
done = run("train", path, "--device", "tpu")
ok(done.returncode == 2 and "--device needs auto, cpu, cuda or cuda:N" in done.stdout, "a device that is none is refused",
   done.stdout)

done = run("bench", "gpu", "--preset", "2m", "--context", "64", "--batch", "128", "--seconds", "1", "--ops", "1", "--json",
           program=GPU)
said = json.loads(done.stdout.splitlines()[-1]) if ok(done.returncode == 0, "bench gpu measures a step", done.stdout) else {}
ok(said.get("backend") == "fibers on the host, sm_90, own products" and said["steps"] >= 3 and said["peak_flops"] == 0 and
   abs(said["loss"] - 6.93) < 0.3 and said["mfu"] == 0, "and says on what", said)
ops = {(op["op"], op.get("head_dim")): op for op in said.get("ops", [])}
ok({("attention", 64), ("attention_backward", 128), ("linear", None), ("adamw", None), ("outer_step", None)} <= set(ops) and
   all(op["seconds"] > 0 and 0 < op.get("bytes_per_second", op.get("flops_per_second")) < 1e12 for op in ops.values()),
   "then each operation alone", said)
ok(said.get("memory_peak") == 16e9 and all(abs(op["share"] - op["bytes_per_second"] / 16e9) < 0.001 for op in ops.values()
   if "bytes_per_second" in op and not op["op"].startswith("outer")), "beside what its memory could do", said)

done = run("bench", "gpu", "--preset", "2m", "--context", "64", "--batch", "64", "--seconds", "1", "--ops", "0", "--trace", program=GPU)
traced = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("trace ")}
ok(done.returncode == 0 and {"linear", "attention_backward", "embed", "cross_entropy", "adamw", "norm2"} <= set(traced) and
   traced["linear"].endswith(" calls"), "a step can be traced, operation by operation", done.stdout)
done = run("bench", "cpu", "--preset", "2m", "--batch", "256", "--seconds", "1", "--trace", "--json")
said = json.loads(done.stdout).get("trace", {"ops": []}) if done.returncode == 0 else {"ops": []}
ok({"linear", "attention", "adamw"} <= {op["op"] for op in said["ops"]} and
   sum(op["seconds"] for op in said["ops"]) <= said["step_seconds"], "on a CPU too", done.stdout)

# Several GPUs in one machine: NCCL is what stands in for it on fibers.
TWO = dict(FIBER_DEVICES="2")
shutil.rmtree(os.path.join(PLACE, "checkpoints"))
path = experiment("two", nccl=os.environ["NCCL_BIN"], **small)


def trained(*arguments, **environment):
    """Losses and the last checkpoint's bytes."""
    done = run("train", path, *arguments, program=GPU, **environment)
    ok(done.returncode == 0, "two GPUs train: %s" % " ".join(arguments), done.stdout)
    return losses(log)[-12:], open(os.path.join(PLACE, "checkpoints", checkpoints()[-1]), "rb").read()


whole = trained("--device", "cuda", "--fresh", **TWO)
ok(max(abs(a - b) for a, b in zip(cpu, whole[0])) < 1e-4, "with the losses of the CPU", "%s\n%s" % (cpu, whole[0]))
ok(trained("--device", "cuda:0,1", "--fresh", **TWO) == whole, "to the same bits each time, and when they are named")
shutil.rmtree(os.path.join(PLACE, "checkpoints"))
trained("--device", "auto", "--fresh", "--steps", "6", **TWO)
ok(trained("--device", "auto", **TWO) == whole, "and when they go on from a checkpoint")
for what, arguments, sentence, environment in [
        ("no NCCL", [experiment("lost", nccl="/nowhere/libnccl.so.2", **small), "--device", "auto"],
         "machine.nccl: there is no file /nowhere/libnccl.so.2", TWO),
        ("a file that is no NCCL", [experiment("other", nccl=path, **small), "--device", "auto"],
         "2 GPUs need NCCL, --device cuda:0 would take one of them: machine.nccl: %s cannot be opened" % path, TWO),
        ("a GPU that is not there", [path, "--device", "cuda:0,5"], "there is no GPU 5: this machine has 0 to 1", TWO),
        ("an old one among them", [path, "--device", "cuda"], "machine.device names the GPUs to use, as cuda:0: GPU 0, ",
         dict(TWO, FIBER_GENERATION="75")),
        ("the one that fails", [path, "--device", "cuda", "--fresh"], "GPU 1 failed in ", dict(TWO, FIBER_FAILING="1", FIBER_FAILS="600")),
        ("a sum that fails", [path, "--device", "cuda", "--fresh"], "adding up over 2 GPUs through NCCL failed: made to fail",
         dict(TWO, NCCL_FIBER_FAILS="ncclAllReduce")),
        ("too many GPUs for a batch", [path, "--device", "cuda"],
         "train.batch_tokens makes 2 sequences of model.context 32, too few for 3 GPUs: raise it to 96 or name fewer GPUs",
         dict(FIBER_DEVICES="3")),
        ("more GPUs than a worker takes", [path, "--device", "auto"], "this machine has 17 GPUs and one worker takes at most 16",
         dict(FIBER_DEVICES="17"))]:
    done = run("train", *arguments, program=GPU, **environment)
    ok(done.returncode != 0 and done.stdout.splitlines()[-1].startswith("shoal train: ") and
       sentence in done.stdout.splitlines()[-1] and done.stdout.count("shoal train: ") == 1, what + " is named in one sentence",
       done.stdout)
aside = os.path.join(PLACE, "checkpoints", "before-1") # --fresh has moved them
ok(os.path.isdir(aside) and run("eval", aside, "--data", corpus()).returncode == 0, "and a checkpoint before them is whole",
   os.listdir(os.path.join(PLACE, "checkpoints")))

os.environ["FIBER_DEVICES"] = "2" # the workers'
half = experiment("half", precision="bf16", nccl=os.environ["NCCL_BIN"], **small)
path = experiment("mixed", **small)
peers = os.path.join(PLACE, "peers.txt")
workers = [Worker("m%d" % i, peers) for i in range(3)]
for w, path, device in zip(workers, [path, path, half], ["cpu", "cpu", "cuda"]):
    w.start(path, "--device", device, program=GPU)
ok(all_end(workers),
   "a swarm of two CPUs in fp32 and two GPUs, one member, in bf16 comes to its end", "\n".join(w.output() for w in workers))
groups = [[e["members"] for e in w.events("applied")] for w in workers]
ok(groups == [[3, 3]] * 3, "all three are in every average", groups)
same, said = digests(workers)
ok(same, "and they hold the same bits", said)
gpus = [w.events("start")[0]["gpus"] for w in workers]
ok(gpus == [0, 0, 2], "their logs say what computed", gpus)

done = run("swarm", half, "-n", "2", "--device", "cuda", "--out", "dealt", "--fresh", program=GPU)
gpus = [[e["gpus"] for e in map(json.loads, open(os.path.join(PLACE, "dealt", "worker-%d" % i, "log.jsonl"))) if e["event"] == "start"]
        for i in range(2)]
ok(done.returncode == 0 and gpus == [[1], [1]], "a swarm on one machine deals its GPUs, one to a worker", "%s\n%s" % (done.stdout, gpus))
finish()
