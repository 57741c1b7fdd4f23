//! The CUDA backend: compiled by nvcc, and as C++ for the host, where fibers replace a GPU's threads.
const std = @import("std");
const components = @import("components.zig");
const program = @import("program.zig");
const third_party = @import("third_party.zig");
const shoal = @import("shoal.zig");
const Shoal = shoal.Shoal;
const Module = shoal.Module;
const Compile = shoal.Compile;
const Run = shoal.Run;

/// Kernels as C++ for the host, without its runtime.
const fiber_flags = [_][]const u8{
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-ffp-contract=off",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-DSHOAL_FIBER",
    "-O2",
};

/// The kernels, compiled by nvcc for each generation of GPUs and, for later ones, as PTX; without a C++ runtime.
pub fn kernels(s: *Shoal, m: *Module, root: []const u8) void {
    const b = s.b;
    for (s.files("cu", ".cu")) |f| {
        const nvcc = b.addSystemCommand(&.{ b.pathJoin(&.{ root, "bin", "nvcc" }), "-std=c++17", "-O3", "--threads", "2" });
        nvcc.addArgs(&.{ "-Xcompiler", "-fPIC,-fno-exceptions,-fno-threadsafe-statics" });
        nvcc.addArgs(&.{ "-gencode", "arch=compute_120,code=compute_120" });
        inline for (.{ "80", "86", "89", "90", "100", "120" }) |sm| {
            nvcc.addArgs(&.{ "-gencode", "arch=compute_" ++ sm ++ ",code=sm_" ++ sm });
        }
        nvcc.addPrefixedDirectoryArg("-I", b.path("c"));
        nvcc.addPrefixedDirectoryArg("-I", b.path("cu"));
        nvcc.addArgs(&.{ "-MD", "-MF" }); // the headers it includes, so that a change recompiles it
        _ = nvcc.addDepFileOutputArg(b.fmt("{s}.d", .{f}));
        nvcc.addArg("-c");
        nvcc.addFileArg(s.file("cu", f));
        nvcc.addArg("-o");
        m.addObjectFile(nvcc.addOutputFileArg(b.fmt("{s}.o", .{f})));
    }
    m.addObjectFile(.{ .cwd_relative = b.pathJoin(&.{ root, "lib64", "libcudart_static.a" }) });
}

/// The tests of c/model/ that concern a backend, and these of test/cuda/, with the CUDA backend as the device. Headers
/// in the folder `before` take precedence.
fn cudaTests(s: *Shoal, own: []const []const u8, before: ?[]const u8) *Module {
    const m = s.module();
    const flags = &(shoal.c_flags ++ [_][]const u8{ "-DSHOAL_CUDA", "-Itest/model" });
    if (before) |headers| s.includes(m, &.{headers});
    s.includes(m, &.{ "c", ".", ".deps/system/include" });
    s.sources(m, "test/model", &.{ "ops_test.c", "model_test.c", "ranks_test.c" }, flags);
    s.sources(m, "test/cuda", own, flags);
    return m;
}

/// C++ for fibers: files of test/cuda/.
fn fiberModule(s: *Shoal, includes: []const []const u8, names: []const []const u8) *Module {
    const m = s.module();
    s.includes(m, includes);
    s.sources(m, "test/cuda", names, &fiber_flags);
    return m;
}

/// A substitute for a library of NVIDIA's, also loaded at run time.
fn standIn(s: *Shoal, name: []const u8, m: *Module) *Compile {
    const lib = s.b.addLibrary(.{ .name = name, .root_module = m, .linkage = .dynamic });
    lib.linker_allow_shlib_undefined = true; // the program contains the fibers' runtime
    return s.checked(lib);
}

/// The CUDA backend on a machine without a GPU (test/cuda/fiber.h): the tests of c/model/ again, on its kernels, and
/// those of test/cuda/. `coverage` runs the tests of the program with it too.
pub fn fibers(s: *Shoal, program_without: *Compile, all: *Run, coverage: *Run) void {
    const b = s.b;
    const seen = [_][]const u8{ "c", "cu", "test/cuda" };
    const cu = fiberModule(s, &seen, &.{ "fiber.cc", "runtime.cc" });
    for (s.files("cu", ".cu")) |f| {
        cu.addCSourceFile(.{ .file = s.file("cu", f), .flags = &fiber_flags, .language = .cpp });
    }
    const lib = b.addLibrary(.{ .name = "shoal-cu-fiber", .root_module = cu, .linkage = .static });

    const object = b.addObject(.{ .name = "test-cuda", .root_module = cudaTests(s, s.files("test/cuda", "_test.c"), null) });
    const m = s.module();
    m.addObject(object);
    third_party.use(s, m, "criterion");
    m.linkLibrary(lib);
    components.linkAll(s, m, false);
    const exe = s.testProgram("test-cuda", m);
    exe.rdynamic = true; // exports the fibers' runtime to the substitute libraries

    const bin = program.main(s, true); // the whole program, with fibers instead of a GPU
    bin.linkLibrary(lib);
    const fiber = s.checked(b.addExecutable(.{ .name = "shoal-fiber", .root_module = bin }));
    fiber.rdynamic = true;

    const cublaslt = standIn(s, "cublaslt_fiber", fiberModule(s, &seen, &.{"cublaslt_fiber.cc"}));
    const nccl = standIn(s, "nccl-fiber", fiberModule(s, &.{"test/cuda"}, &.{"nccl_fiber.cc"}));

    // Tests of the fibers themselves.
    const own = fiberModule(s, &.{ "cu", "test/cuda" }, &.{ "planted.cc", "fiber.cc", "runtime.cc" });
    const planted = b.addExecutable(.{ .name = "planted", .root_module = own });
    planted.rdynamic = true;

    const alone = s.alone("test-cuda", "run the tests of cu/ alone, on fibers", null);
    for ([_]*Run{ alone, all }) |run| {
        run.addPrefixedArtifactArg("NCCL_BIN=", nccl);
        run.addPrefixedArtifactArg("CUBLASLT_BIN=", cublaslt);
        run.addArtifactArg(exe);
        run.addPrefixedArtifactArg("PLANTED_BIN=", planted);
        run.addFileArg(b.path("test/cuda/fiber_test.py"));
    }
    all.addPrefixedArtifactArg("FIBER_BIN=", fiber);

    const scripts = s.alone("test-fiber", "run the tests of the program with fibers for a GPU alone", program_without);
    for ([_]*Run{ scripts, coverage }) |run| {
        run.addPrefixedArtifactArg("FIBER_BIN=", fiber);
        run.addPrefixedArtifactArg("CUBLASLT_BIN=", cublaslt);
        run.addPrefixedArtifactArg("NCCL_BIN=", nccl);
    }
    for ([_][]const u8{ "gpu_test.py", "day_test.py" }) |f| scripts.addFileArg(s.file("test/program", f));

    mutations(s, object, cublaslt, nccl);
}

/// The planted bugs, and the resources that kernels need on a GPU.
fn mutations(s: *Shoal, tests: *Compile, cublaslt: *Compile, nccl: *Compile) void {
    const mutate = s.talking("mutate-cuda", &.{ "python3", "test/cuda/mutate.py" });
    mutate.addFileArg(.zig_exe);
    mutate.addArtifactArg(tests);
    for ([_][]const u8{ "model", "data", "config", "cpu", "outer", "base", "yaml" }) |name| {
        mutate.addArtifactArg(s.archive(name));
    }
    mutate.addPrefixedArtifactArg("CUBLASLT_BIN=", cublaslt);
    mutate.addPrefixedArtifactArg("NCCL_BIN=", nccl);
    mutate.addArg("--");
    mutate.addPassthruArgs();

    s.talking("gate-cuda", &.{ "python3", "test/cuda/gate.py" }).addPassthruArgs();
}

/// The same tests on a GPU, in one program with shoal that needs only glibc and a driver: it is run here, and put into
/// zig-out/gpu with everything needed to run it on another machine (test/carried/run.sh). Criterion is a shared library
/// that needs a dozen others, so test/carried/ replaces it.
pub fn carried(s: *Shoal) void {
    const b = s.b;
    const root = s.toolkit orelse {
        s.step("test-gpu").dependOn(&b.addFail("there is no CUDA toolkit here (nvcc): test-gpu needs one").step);
        return;
    };
    const own = [_][]const u8{ "outer_test.c", "attention_test.c", "tensor_test.c", "elementwise_test.c", "large_test.c" };
    const tests = cudaTests(s, &own, "test/carried"); // the others need fibers
    s.sources(tests, "test/carried", &.{"runner.c"}, &shoal.c_flags);
    const m = program.main(s, true);
    m.addCMacro("main", "shoal_main"); // runner.c defines the program's main
    m.addObject(b.addObject(.{ .name = "gpu-tests", .root_module = tests }));
    m.strip = true;
    kernels(s, m, root);
    const exe = s.checked(b.addExecutable(.{ .name = "test-gpu", .root_module = m }));

    const folder = b.addWriteFiles();
    _ = folder.addCopyFile(exe.getEmittedBin(), "test-gpu");
    for ([_][]const u8{ "run.sh", "day.sh", "stages.sh", "shoal" }) |f| {
        _ = folder.addCopyFile(s.file("test/carried", f), f);
    }
    for ([_][]const u8{ "gpu_vs_pytorch.py", "rounds.py", "llama.py" }) |f| {
        _ = folder.addCopyFile(s.file("test/bench", f), b.fmt("test/bench/{s}", .{f}));
    }
    for (s.files("test/golden", ".bin")) |f| {
        _ = folder.addCopyFile(s.file("test/golden", f), b.fmt("test/golden/{s}", .{f}));
    }
    const from = folder.getDirectory();
    const put = b.addInstallDirectory(.{ .source_dir = from, .install_dir = .prefix, .install_subdir = "gpu" });
    const run = s.tally(null);
    run.addArtifactArg(exe);
    run.addPrefixedDirectoryArg("CARRIED_BIN=", from);
    run.addFileArg(b.path("test/carried/carried_test.py"));
    run.step.dependOn(&put.step);
    s.step("test-gpu").dependOn(&run.step);
}
