#!/usr/bin/env python3
"""gate.py -- compiles every kernel for every generation of GPUs, and looks at what it needs. Runs none.

    gate.py              compares with gate.txt
    gate.py --write      writes it

A line of gate.txt is a file's kernel, a generation, registers, bytes of static shared memory, and narrow stores: instructions
of its PTX that write less than 16 bytes of global memory. It fails when a kernel spills, when it is not in the table, or when
it needs more than the table says: of shared memory and narrow stores any, of registers more than 8, as many as two compilers
may be apart. Fewer is well. The last line is "N passed, N failed, N skipped", of kernels and
generations; without nvcc, one is skipped.
"""
import concurrent.futures, os, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "gate.txt")
FLAGS = ["-std=c++17", "-O3", "-Xcompiler", "-fPIC,-fno-exceptions,-fno-threadsafe-statics", "-I", "c", "-I", "cu"]
GENERATIONS = ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
REGISTERS_MORE = 8
LIMIT_S = 540


def find(name):
    """A tool of CUDA, wherever it is installed."""
    folders = [os.path.join(home, "bin") for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


def demangle(names):
    """What ptxas calls kernels -> what we do, without their arguments."""
    tool = find("cu++filt") or find("c++filt")
    if not tool:
        sys.exit("gate: neither cu++filt nor c++filt is here")
    said = subprocess.run([tool], input="\n".join(names) + "\n", capture_output=True, text=True, check=True).stdout
    plain = {}
    for name, words in zip(names, said.splitlines()):
        # "void (anonymous namespace)::product<64, true>(float*, ...)" -> "product<64,true>"
        words = words.replace("(anonymous namespace)::", "").replace("(bool)", "").replace("(int)", "")
        words = re.sub(r"\((?:unsigned |float|struct )?[a-z ]*\)(?=[-\d])", "", words)
        plain[name] = re.sub(r"^void ", "", words.split("(")[0]).replace(" ", "") or name
    return plain


def narrow_stores(ptx):
    """Of each kernel, by its mangled name."""
    found = {}
    for part in re.split(r"(?=\.entry )", ptx)[1:]:
        stores = re.findall(r"\bst(?:\.global)?(?:\.v(\d))?\.[bfsu](\d+)\s", part)
        found[re.match(r"\.entry (\w+)", part)[1]] = sum(int(times or 1) * int(bits) < 128 for times, bits in stores)
    return found


def compile_one(nvcc, path, generations, folder):
    """[(mangled kernel, generation, registers, shared bytes, narrow stores, spilled bytes, stack bytes)], or what the compiler
    said."""
    kept = os.path.join(folder, os.path.basename(path)[:-3])
    os.mkdir(kept)
    command = [nvcc, "-Xptxas", "-v", "--keep", "--keep-dir", kept] + FLAGS + ["-c", path, "-o", kept + ".o"]
    for generation in generations:
        command += ["-gencode", "arch=%s,code=%s" % (generation.replace("sm_", "compute_"), generation)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S)
    if done.returncode:
        return done.stdout
    found, stores = [], {}
    for generation in generations:
        ptx = os.path.basename(path)[:-3] + "." + generation.replace("sm_", "compute_") + ".ptx"
        with open(os.path.join(kept, ptx)) as f:
            stores[generation] = narrow_stores(f.read())
    for part in re.split(r"(?=Compiling entry function)", done.stdout)[1:]:
        name, generation = re.match(r"Compiling entry function '(\w+)' for '(\w+)'", part).groups()
        # A line for the kernel itself, and one for each function that it calls.
        stack, spilled, filled = (sum(map(int, column)) for column in zip(*re.findall(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)))
        shared = re.search(r"(\d+)(?:\+\d+)? bytes smem", part)
        found.append((name, generation, int(re.search(r"Used (\d+) registers", part)[1]), int(shared[1]) if shared else 0,
                      stores[generation][name], spilled + filled, stack))
    return found


def read_table():
    if not os.path.exists(TABLE):
        return {}
    words = [line.split() for line in open(TABLE) if line.strip() and not line.startswith("#")]
    return {(kernel, generation): tuple(map(int, needs)) for kernel, generation, *needs in words}


def judge(kernel, generation, registers, shared, narrow, spilled, stack, table):
    """What is wrong, or None."""
    if spilled:
        return "spills %d bytes, with %d registers and %d bytes of stack" % (spilled, registers, stack)
    if (kernel, generation) not in table:
        return "is not in gate.txt: see that it is as it should be, then gate.py --write"
    registers_max, shared_max, narrow_max = table[kernel, generation]
    if registers > registers_max + REGISTERS_MORE:
        return "needs %d registers, the table says %d" % (registers, registers_max)
    if shared > shared_max:
        return "needs %d bytes of shared memory, the table says %d" % (shared, shared_max)
    if narrow > narrow_max:
        return "has %d stores of less than 16 bytes, the table says %d" % (narrow, narrow_max)
    return None


def write_table(found, version):
    with open(TABLE, "w") as f:
        f.write("# What kernels need: kernel, generation, registers, bytes of static shared memory, stores of less than 16 bytes.\n"
                "# Written by test/cuda/gate.py --write with %s.\n" % version)
        for kernel, generation, registers, shared, narrow, _, _ in found:
            f.write("%-44s %-6s %3d %6d %3d\n" % (kernel, generation, registers, shared, narrow))


def main():
    nvcc = find("nvcc")
    if not nvcc:
        print("gate: there is no nvcc here: what kernels need of a GPU was not looked at")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    version = re.search(r"release [\d.]+, V[\d.]+", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout)
    version = "nvcc " + (version[0] if version else "of unknown version")
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True).stdout.split()
    unknown = [g for g in GENERATIONS if g not in listed]
    for generation in unknown:
        print("skipped  %s: this %s does not know it" % (generation, version))
    files = sorted("cu/" + file for file in os.listdir(os.path.join(ROOT, "cu")) if file.endswith(".cu"))
    known = [g for g in GENERATIONS if g not in unknown]
    found, failed = [], 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for path, result in zip(files, pool.map(lambda path: compile_one(nvcc, path, known, folder), files)):
            if isinstance(result, str):
                print("FAILED   %s does not compile:\n%s" % (path, result))
                failed += 1
            else:
                found += [(os.path.basename(path)[:-3], *kernel) for kernel in result]
    plain = demangle(sorted({f[1] for f in found}))
    found = [("%s:%s" % (f[0], plain[f[1]]), *f[2:]) for f in found]
    found.sort(key=lambda f: (f[0], GENERATIONS.index(f[1])))
    twice = {f[:2] for f in found if sum(f[:2] == other[:2] for other in found) > 1}
    if "--write" in sys.argv:
        write_table(found, version)
    table = read_table()
    passed = 0
    for f in found:
        wrong = judge(*f, table) or (f[:2] in twice and "has a namesake in its file")
        if wrong:
            print("FAILED   %s for %s %s" % (f[0], f[1], wrong))
        passed, failed = passed + (not wrong), failed + bool(wrong)
    if not unknown and not failed:
        for kernel, generation in sorted(set(table) - {f[:2] for f in found}):
            print("gate.txt has %s for %s, which is no more" % (kernel, generation))
    print("%s: %d kernels, registers may be %d more than in gate.txt" % (version, len({f[0] for f in found}), REGISTERS_MORE))
    print("%d passed, %d failed, %d skipped" % (passed, failed, len(unknown)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
