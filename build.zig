//! The build of shoal. `./zigw build -l` lists the steps, from the first table below. build/ has the parts:
//! components.zig lists the folders and what each may include.
const std = @import("std");
const components = @import("build/components.zig");
const gpu = @import("build/gpu.zig");
const program = @import("build/program.zig");
const tests = @import("build/tests.zig");
const third_party = @import("build/third_party.zig");
const Shoal = @import("build/shoal.zig").Shoal;
const Compile = std.Build.Step.Compile;

/// Every step of the build, with its description.
const steps = .{
    .{ "check", "compile everything, run nothing" },
    .{ "test", "run every test that needs no GPU" },
    .{ "test-gpu", "the tests of the kernels on this machine's GPU; zig-out/gpu holds them for another machine" },
    .{ "sanitize", "the unit tests under AddressSanitizer with UBSan, then under ThreadSanitizer" },
    .{ "sim", "the simulated swarm: seeds 1 .. 200, or those after -- (test/sim/sim.h)" },
    .{ "mutate", "plant bugs in the protocol and see the simulator catch each (-- NAME: those of that name; -- --third 0: a third)" },
    .{ "mutate-cuda", "plant some hundred bugs in the kernels and see a test catch each (-- NAME; -- --third 0, 1 or 2)" },
    .{ "release-check", "all that .ci/run does, with all planted bugs and longer fuzzing: some hours" },
    .{ "gate-cuda", "compile the kernels for every GPU generation: no spill, no more registers than gate.txt says" },
    .{ "quickstart", "four workers train together on real English text (-Dtext=FILE: on yours)" },
    .{ "bench", "what an idle worker costs; do four share the cores; is a swarm better than one alone? After the quickstart" },
    .{ "bench-pytorch", "shoal and PyTorch train the same models on this CPU, in turns (installs PyTorch, 5 GB; -- OPTIONS)" },
    .{ "fuzz", "every fuzz target for some seconds (-Dfuzz=SECONDS)" },
    .{ "coverage", "which code no test reaches, by clang's counters (-- FOLDER...: of those; default c/bin)" },
    .{ "fmt", "lay out our C sources with clang-format" },
};

/// Any x86-64 of the last ten years, and any Linux with glibc 2.28 or later.
const default_target: std.Target.Query = .{
    .cpu_arch = .x86_64,
    .cpu_model = .{ .explicit = &std.Target.x86.cpu.x86_64_v3 },
    .cpu_features_add = std.Target.x86.featureSet(&.{ .aes, .pclmul }),
    .os_tag = .linux,
    .abi = .gnu,
    .glibc_version = .{ .major = 2, .minor = 28, .patch = 0 },
};

pub fn build(b: *std.Build) void {
    const optimize = b.option(std.builtin.OptimizeMode, "optimize", "debug, safe (default), fast or small");
    const cuda = "folder of the CUDA toolkit; without it shoal computes on the CPU alone";
    var s = Shoal{
        .b = b,
        .target = b.standardTargetOptions(.{ .default_target = default_target }),
        .optimize = optimize orelse .safe,
        .toolkit = b.option([]const u8, "cuda", cuda),
    };
    inline for (steps) |t| s.steps.put(b.allocator, t[0], b.step(t[0], t[1])) catch @panic("OOM");

    third_party.libraries(&s);
    components.libraries(&s);

    const main = program.main(&s, s.toolkit != null);
    if (s.toolkit) |root| gpu.kernels(&s, main, root);
    const shoal = s.checked(b.addExecutable(.{ .name = "shoal", .root_module = main }));
    b.installArtifact(shoal);
    const licenses = third_party.licenses(&s);
    b.getInstallStep().dependOn(&b.addInstallDirectory(.{
        .source_dir = licenses,
        .install_dir = .prefix,
        .install_subdir = "share/doc/shoal/licenses",
    }).step);

    const all = tests.all(&s, shoal, licenses);
    gpu.fibers(&s, shoal, all, tests.coverage(&s, licenses));
    gpu.carried(&s);
    tests.simulator(&s, all);
    tests.wan(&s, shoal, all);
    tests.sanitizers(&s);
    scripts(&s, shoal);
}

/// Steps that run the program for long, and the one that formats its sources.
fn scripts(s: *Shoal, shoal: *Compile) void {
    const b = s.b;
    _ = s.talking("release-check", &.{ ".ci/run", "--all" });

    const quickstart = s.talking("quickstart", &.{ "python3", "deploy/quickstart/quickstart.py" });
    quickstart.addArtifactArg(shoal);
    const text = b.option([]const u8, "text", "a text file for the quickstart, instead of the dictionary");
    if (text) |path| quickstart.addArg(path);

    var before: ?*std.Build.Step = null;
    for ([_][]const u8{ "test/bench/idle.py", "test/bench/sharing.py", "test/bench/alone.py" }) |file| {
        const bench = s.talking("bench", &.{ "python3", file });
        bench.addArtifactArg(shoal);
        if (before) |earlier| bench.step.dependOn(earlier); // concurrent benchmarks would disturb each other
        before = &bench.step;
    }
    const pytorch = s.talking("bench-pytorch", &.{ "python3", "test/bench/cpu_vs_pytorch.py", "--shoal" });
    pytorch.addArtifactArg(shoal);
    pytorch.addPassthruArgs();

    const fmt = s.script(&.{ "sh", "-c", "clang-format -i $(git ls-files " ++
        "'c/*.[ch]' 'net/*.[ch]' 'swarm/*.[ch]' 'test/*.[ch]' 'cu/*.h' 'cu/*.cu' 'test/cuda/*.h' 'test/cuda/*.cc')" });
    s.step("fmt").dependOn(&fmt.step);
}
