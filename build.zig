//! How shoal is built. `./zigw build -l` lists the steps; the first table below is that list.
const std = @import("std");

/// Every step of the build, and what it does.
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
    .{ "fmt", "lay out our C sources with clang-format" },
};

/// One folder of our own C code, a static library of its own. It sees c/ and the third-party libraries it names,
/// and nothing else: an include that leads up or sideways (STYLE.md, "Where things live") does not compile.
const Component = struct {
    name: []const u8,
    dir: []const u8,
    needs: []const []const u8 = &.{},
    third: []const []const u8 = &.{},
    /// It joins swarm/ and net/, and so sees them by their full names.
    joins: bool = false,
    /// What its tests need on top.
    test_needs: []const []const u8 = &.{},
    /// Files compiled without UBSan: it keeps their inner loops from vectorizing. Their tests run with it on.
    unchecked: []const []const u8 = &.{},
};

const components = [_]Component{
    .{ .name = "base", .dir = "c/base", .third = &.{"jansson"} },
    .{ .name = "config", .dir = "c/config", .needs = &.{"base"}, .third = &.{"yaml"} },
    .{ .name = "data", .dir = "c/data", .needs = &.{"base"}, .third = &.{ "jansson", "xxhash", "pcre2", "z", "zstd" } },
    .{ .name = "outer", .dir = "c/outer", .needs = &.{"base"}, .test_needs = &.{"cpu"}, .unchecked = &.{"outer.c"} },
    .{ .name = "cpu", .dir = "c/cpu", .needs = &.{ "base", "outer" }, .unchecked = &.{ "kernels_avx2.c", "kernels_avx2_bf16.c", "kernels_avx512.c", "kernels_avx512_bf16.c", "kernels_avx512_pairs.c", "kernels_amx.c" } },
    .{ .name = "model", .dir = "c/model", .needs = &.{ "base", "config", "data" }, .third = &.{ "jansson", "xxhash" }, .test_needs = &.{"cpu"} },
    .{ .name = "swarm", .dir = "swarm", .needs = &.{ "base", "outer" }, .third = &.{"xxhash"} },
    .{ .name = "net", .dir = "net", .needs = &.{"base"}, .third = &.{ "quic", "wolfssl" } },
    .{ .name = "node", .dir = "c/node", .needs = &.{ "base", "config", "data", "outer", "cpu", "model", "swarm", "net" }, .third = &.{"jansson"}, .joins = true },
    .{ .name = "fleet", .dir = "c/fleet", .needs = &.{ "base", "config", "outer", "model", "net" }, .third = &.{"jansson"}, .joins = true },
};

const c_flags = [_][]const u8{ "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-ffp-contract=off", "-D_GNU_SOURCE" };

/// Kernels as C++ for the host, without its runtime.
const fiber_flags = [_][]const u8{ "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-DSHOAL_FIBER", "-O2" };

const Shoal = struct {
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    libraries: std.StringHashMapUnmanaged(*std.Build.Step.Compile) = .empty,

    fn module(s: *Shoal) *std.Build.Module {
        return s.b.createModule(.{ .target = s.target, .optimize = s.optimize, .link_libc = true });
    }

    /// Gives `m` the headers and the archive of a third-party library.
    fn third(s: *Shoal, m: *std.Build.Module, name: []const u8) void {
        const b = s.b;
        inline for (.{ .{ "jansson", "libjansson.a" }, .{ "xxhash", "libxxhash.a" }, .{ "pcre2", "libpcre2-8.a" }, .{ "z", "libz.a" }, .{ "zstd", "libzstd.a" }, .{ "criterion", "libcriterion.so" } }) |system| {
            if (std.mem.eql(u8, name, system[0])) {
                m.addIncludePath(b.path(".deps/system/include"));
                m.addObjectFile(b.path(".deps/system/lib/" ++ system[1]));
                return;
            }
        }
        if (std.mem.eql(u8, name, "wolfssl")) {
            m.addIncludePath(b.path("net/wolfssl"));
            m.addIncludePath(b.path(wolfssl_dir));
            m.addCMacro("WOLFSSL_USER_SETTINGS", "1");
        } else if (std.mem.eql(u8, name, "quic")) {
            for (quic_includes) |p| m.addIncludePath(b.path(p));
            m.addCMacro("NGTCP2_STATICLIB", "1");
            m.addCMacro("NGHTTP3_STATICLIB", "1");
        } else if (std.mem.eql(u8, name, "yaml")) {
            m.addIncludePath(b.path(yaml_dir ++ "/include"));
        } else @panic(name);
        m.linkLibrary(s.libraries.get(name).?);
    }

    /// Gives `m` the headers and archives of our own components and all they need.
    fn ours(s: *Shoal, m: *std.Build.Module, names: []const []const u8) void {
        for (components) |c| for (names) |n| {
            if (!std.mem.eql(u8, c.name, n)) continue;
            m.linkLibrary(s.libraries.get(n).?);
        };
    }

    /// Its archive, under this name; `more`: flags besides its own.
    fn component(s: *Shoal, c: Component, library: []const u8, more: []const []const u8) void {
        const m = s.module();
        m.addIncludePath(s.b.path("c"));
        if (c.joins) m.addIncludePath(s.b.path("."));
        for (c.third) |t| s.third(m, t);
        const names = s.files(c.dir, ".c");
        if (names.len == 0) {
            const empty = s.b.addWriteFiles().add("empty.c", "typedef int nothing_here_yet;\n");
            m.addCSourceFile(.{ .file = empty, .flags = &.{} });
        }
        for (names) |f| m.addCSourceFile(.{ .file = s.b.path(s.b.fmt("{s}/{s}", .{ c.dir, f })), .flags = s.both(s.flagsOf(c, f), more) });
        s.ours(m, c.needs);
        const lib = s.b.addLibrary(.{ .name = s.b.fmt("shoal-{s}", .{library}), .root_module = m, .linkage = .static });
        s.libraries.put(s.b.allocator, library, lib) catch @panic("OOM");
    }

    fn flagsOf(s: *Shoal, c: Component, file: []const u8) []const []const u8 {
        for (c.unchecked) |u| if (std.mem.eql(u8, u, file))
            return s.both(&c_flags, &.{ "-fno-sanitize=undefined", "-O3" });
        return &c_flags;
    }

    fn both(s: *Shoal, a: []const []const u8, b: []const []const u8) []const []const u8 {
        return std.mem.concat(s.b.allocator, []const u8, &.{ a, b }) catch @panic("OOM");
    }

    /// The program of a component's tests, NAME; `cpu` is the archive that stands for c/cpu.
    fn tests(s: *Shoal, c: Component, name: []const u8, cpu: []const u8) ?*std.Build.Step.Compile {
        const b = s.b;
        const dir = b.fmt("test/{s}", .{c.name});
        const names = s.files(dir, "_test.c");
        if (names.len == 0) return null;
        const m = s.module();
        m.addIncludePath(b.path("c"));
        m.addIncludePath(b.path("."));
        for (names) |f| m.addCSourceFile(.{ .file = b.path(b.fmt("{s}/{s}", .{ dir, f })), .flags = &c_flags });
        s.third(m, "criterion");
        for ([_][]const []const u8{ &.{c.name}, c.needs, c.test_needs }) |names_needed| {
            for (names_needed) |n| m.linkLibrary(s.libraries.get(if (std.mem.eql(u8, n, "cpu")) cpu else n).?);
            for (components) |n| for (names_needed) |needed| {
                if (std.mem.eql(u8, n.name, needed)) for (n.third) |t| s.third(m, t); // archives that an archive needs
            };
        }
        const exe = b.addExecutable(.{ .name = name, .root_module = m });
        exe.link_gc_sections = false; // Criterion finds its tests by a section that nothing refers to
        return exe;
    }

    /// The files of a folder with this ending, sorted: a new file needs no line here.
    fn files(s: *Shoal, dir: []const u8, ending: []const u8) []const []const u8 {
        const b = s.b;
        const io = b.graph.io;
        var found: std.ArrayList([]const u8) = .empty;
        var d = b.root.openDir(io, dir, .{ .iterate = true }) catch return &.{};
        defer d.close(io);
        b.dependOnDirectoryContents(b.path(dir));
        var it = d.iterate();
        while (it.next(io) catch @panic("reading a folder")) |e| {
            if (e.kind == .file and std.mem.endsWith(u8, e.name, ending)) found.append(b.allocator, b.dupe(e.name)) catch @panic("OOM");
        }
        std.mem.sort([]const u8, found.items, {}, struct {
            fn less(_: void, x: []const u8, y: []const u8) bool {
                return std.mem.lessThan(u8, x, y);
            }
        }.less);
        return found.items;
    }

    /// A run of test/tally.py that knows where the program is; test programs are added as arguments.
    fn tally(s: *Shoal, program: ?*std.Build.Step.Compile) *std.Build.Step.Run {
        const run = s.b.addSystemCommand(&.{ "python3", "test/tally.py" });
        run.setCwd(s.b.path("."));
        run.has_side_effects = true;
        if (program) |shoal| run.addPrefixedArtifactArg("SHOAL_BIN=", shoal);
        return run;
    }

    /// c/bin/baseline.c, for any x86-64.
    fn baseline(s: *Shoal) *std.Build.Step.Compile {
        var query = s.target.query;
        query.cpu_model = .{ .explicit = &std.Target.x86.cpu.x86_64 };
        query.cpu_features_add = std.Target.Cpu.Feature.Set.empty;
        const m = s.b.createModule(.{ .target = s.b.resolveTargetQuery(query), .optimize = s.optimize, .link_libc = true });
        m.addIncludePath(s.b.path("c"));
        m.addCSourceFile(.{ .file = s.b.path("c/bin/baseline.c"), .flags = &c_flags });
        return s.b.addObject(.{ .name = "baseline", .root_module = m });
    }

    fn main(s: *Shoal, with_cuda: bool) *std.Build.Module {
        const b = s.b;
        const m = s.module();
        for ([_][]const u8{ "c", ".", ".deps/system/include" }) |p| m.addIncludePath(b.path(p));
        for (s.files("c/bin", ".c")) |f| {
            if (!std.mem.eql(u8, f, "baseline.c")) m.addCSourceFile(.{ .file = b.path(b.fmt("c/bin/{s}", .{f})), .flags = &c_flags });
        }
        m.addObject(s.baseline());
        linkAll(s, m, with_cuda);
        return m;
    }

    /// The kernels, compiled by nvcc for each generation of GPUs and, for later ones, as PTX; no C++ runtime is left.
    fn cuda(s: *Shoal, m: *std.Build.Module, root: []const u8) void {
        const b = s.b;
        for (s.files("cu", ".cu")) |f| {
            const nvcc = b.addSystemCommand(&.{ b.pathJoin(&.{ root, "bin", "nvcc" }), "-std=c++17", "-O3", "--threads", "2", "-Xcompiler", "-fPIC,-fno-exceptions,-fno-threadsafe-statics", "-gencode", "arch=compute_120,code=compute_120" });
            inline for (.{ "80", "86", "89", "90", "100", "120" }) |sm| nvcc.addArgs(&.{ "-gencode", "arch=compute_" ++ sm ++ ",code=sm_" ++ sm });
            nvcc.addPrefixedDirectoryArg("-I", b.path("c"));
            nvcc.addPrefixedDirectoryArg("-I", b.path("cu"));
            for (s.files("cu", ".h")) |h| {
                if (std.mem.eql(u8, h, "marks.h") and !std.mem.eql(u8, f, "marks.cu")) continue; // no other kernel reads it
                nvcc.addFileInput(b.path(b.fmt("cu/{s}", .{h})));
            }
            for ([_][]const u8{ "backend.h", "base/bytes.h", "base/err.h", "base/file.h", "outer/outer.h" }) |h| nvcc.addFileInput(b.path(b.fmt("c/{s}", .{h})));
            nvcc.addArg("-c");
            nvcc.addFileArg(b.path(b.fmt("cu/{s}", .{f})));
            nvcc.addArg("-o");
            m.addObjectFile(nvcc.addOutputFileArg(b.fmt("{s}.o", .{f})));
        }
        m.addObjectFile(.{ .cwd_relative = b.pathJoin(&.{ root, "lib64", "libcudart_static.a" }) });
    }

    /// The tests of c/model/ that matter to a backend, and these of test/cuda/, with the CUDA backend for a device. Headers
    /// in the folder `before` come before all others.
    fn cudaTests(s: *Shoal, own: []const []const u8, before: ?[]const u8) *std.Build.Module {
        const b = s.b;
        const m = s.module();
        if (before) |headers| m.addIncludePath(b.path(headers));
        const flags = &(c_flags ++ [_][]const u8{ "-DSHOAL_CUDA", "-Itest/model" });
        for ([_][]const u8{ "c", ".", ".deps/system/include" }) |p| m.addIncludePath(b.path(p));
        for ([_][]const u8{ "ops_test.c", "model_test.c", "lanes_test.c" }) |f| m.addCSourceFile(.{ .file = b.path(b.fmt("test/model/{s}", .{f})), .flags = flags });
        for (own) |f| m.addCSourceFile(.{ .file = b.path(b.fmt("test/cuda/{s}", .{f})), .flags = flags });
        return m;
    }

    fn thirdLibrary(s: *Shoal, name: []const u8, m: *std.Build.Module) void {
        const lib = s.b.addLibrary(.{ .name = name, .root_module = m, .linkage = .static });
        s.libraries.put(s.b.allocator, name, lib) catch @panic("OOM");
    }
};

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{ .default_target = .{
        .cpu_arch = .x86_64,
        .cpu_model = .{ .explicit = &std.Target.x86.cpu.x86_64_v3 },
        .cpu_features_add = std.Target.x86.featureSet(&.{ .aes, .pclmul }),
        .os_tag = .linux,
        .abi = .gnu,
        .glibc_version = .{ .major = 2, .minor = 28, .patch = 0 },
    } });
    const optimize = b.option(std.builtin.OptimizeMode, "optimize", "debug, safe (default), fast or small") orelse .safe;
    var s = Shoal{ .b = b, .target = target, .optimize = optimize };

    var top: std.StringHashMapUnmanaged(*std.Build.Step) = .empty;
    inline for (steps) |t| top.put(b.allocator, t[0], b.step(t[0], t[1])) catch @panic("OOM");

    wolfssl(&s);
    quic(&s);
    yaml(&s);
    for (components) |c| s.component(c, c.name, &.{});
    for (components) |c| {
        if (std.mem.eql(u8, c.name, "cpu")) s.component(c, "cpu-avx512-in-c", &.{ "-I.", "-DAVX512_IN_C" });
        if (std.mem.eql(u8, c.name, "node")) s.component(c, "node-cuda", &.{"-DSHOAL_CUDA"});
    }

    // The program.
    const toolkit = b.option([]const u8, "cuda", "folder of the CUDA toolkit; without it shoal computes on the CPU alone");
    const bin = s.main(toolkit != null);
    if (toolkit) |root| s.cuda(bin, root);
    const shoal = b.addExecutable(.{ .name = "shoal", .root_module = bin });
    b.installArtifact(shoal);
    const texts = licenses(&s, toolkit != null);
    b.getInstallStep().dependOn(&b.addInstallDirectory(.{ .source_dir = texts, .install_dir = .prefix, .install_subdir = "share/doc/shoal/licenses" }).step);
    top.get("check").?.dependOn(&shoal.step);

    b.dependOnDirectoryContents(b.path("test"));
    // The tests: one program a folder of test/, then the scripts that run the program itself; tally.py adds them up.
    const all = s.tally(shoal);
    const in_c = s.tally(null);
    b.step("test-avx512-in-c", "run the tests on the kernels for AVX-512 alone, compiled for any processor").dependOn(&in_c.step);
    for (components) |c| {
        const exe = s.tests(c, b.fmt("test-{s}", .{c.name}), "cpu") orelse continue;
        const one = b.step(b.fmt("test-{s}", .{c.name}), b.fmt("run the tests of test/{s} alone", .{c.name}));
        const alone = s.tally(null);
        alone.addArtifactArg(exe);
        one.dependOn(&alone.step);
        all.addArtifactArg(exe);
        top.get("check").?.dependOn(&exe.step);
    }
    // Those that compute on a CPU once more, on the kernels for AVX-512 on any processor (test/cpu/avx512.h).
    for (components) |c| {
        if (!std.mem.eql(u8, c.name, "cpu") and !std.mem.eql(u8, c.name, "model")) continue;
        const exe = s.tests(c, b.fmt("test-{s}-avx512-in-c", .{c.name}), "cpu-avx512-in-c").?;
        all.addArtifactArg(exe);
        in_c.addArtifactArg(exe);
        top.get("check").?.dependOn(&exe.step);
    }
    all.addPrefixedDirectoryArg("LICENSES_BIN=", texts);
    for (s.files("test/program", "_test.py")) |f| all.addFileArg(b.path(b.fmt("test/program/{s}", .{f})));
    top.get("test").?.dependOn(&all.step);

    fibers(&s, shoal, all, &top);
    gpu(&s, toolkit, &top);
    simulator(&s, all, &top);
    wan(&s, shoal, all, &top);

    for ([_][]const u8{ "address", "thread" }) |kind| {
        const run = b.addSystemCommand(&.{ "python3", "test/sanitize.py", kind });
        run.setCwd(b.path("."));
        run.has_side_effects = true;
        for ([_][]const u8{ "yaml", "quic", "wolfssl" }) |t| run.addArtifactArg(s.libraries.get(t).?);
        const one = b.step(b.fmt("sanitize-{s}", .{kind}), b.fmt("the unit tests under the {s} sanitizer alone", .{kind}));
        one.dependOn(&run.step);
        top.get("sanitize").?.dependOn(&run.step);
    }
    const fuzz = b.addSystemCommand(&.{ "python3", "test/sanitize.py", "fuzz" });
    fuzz.setCwd(b.path("."));
    fuzz.has_side_effects = true;
    if (b.option([]const u8, "fuzz", "seconds for each fuzz target; default 10")) |seconds| fuzz.addArgs(&.{ "--seconds", seconds });
    for ([_][]const u8{ "yaml", "quic", "wolfssl" }) |t| fuzz.addArtifactArg(s.libraries.get(t).?);
    top.get("fuzz").?.dependOn(&fuzz.step);

    const release = b.addSystemCommand(&.{ ".ci/run", "--all" });
    release.setCwd(b.path("."));
    release.has_side_effects = true;
    release.stdio = .inherit;
    top.get("release-check").?.dependOn(&release.step);

    const quickstart = b.addSystemCommand(&.{ "python3", "deploy/quickstart/quickstart.py" });
    quickstart.setCwd(b.path("."));
    quickstart.has_side_effects = true;
    quickstart.addArtifactArg(shoal);
    if (b.option([]const u8, "text", "a text file for the quickstart, instead of the dictionary")) |text| quickstart.addArg(text);
    quickstart.stdio = .inherit;
    top.get("quickstart").?.dependOn(&quickstart.step);

    var before: ?*std.Build.Step = null;
    for ([_][]const u8{ "test/bench/idle.py", "test/bench/sharing.py", "test/bench/alone.py" }) |script| {
        const bench = b.addSystemCommand(&.{ "python3", script });
        bench.setCwd(b.path("."));
        bench.has_side_effects = true;
        bench.addArtifactArg(shoal);
        bench.stdio = .inherit;
        if (before) |earlier| bench.step.dependOn(earlier); // two at once would disturb each other
        before = &bench.step;
    }
    top.get("bench").?.dependOn(before.?);
    const pytorch = b.addSystemCommand(&.{ "python3", "test/bench/cpu_vs_pytorch.py", "--shoal" });
    pytorch.setCwd(b.path("."));
    pytorch.has_side_effects = true;
    pytorch.addArtifactArg(shoal);
    pytorch.addPassthruArgs();
    pytorch.stdio = .inherit;
    top.get("bench-pytorch").?.dependOn(&pytorch.step);

    const fmt = b.addSystemCommand(&.{ "sh", "-c", "clang-format -i $(git ls-files 'c/*.[ch]' 'net/*.[ch]' 'swarm/*.[ch]' 'test/*.[ch]' 'cu/*.h' 'cu/*.cu' 'test/cuda/*.h' 'test/cuda/*.cc')" });
    fmt.setCwd(b.path("."));
    top.get("fmt").?.dependOn(&fmt.step);
}

/// The licences of all that the program holds, which go wherever it goes: of the sources that are compiled in, and of the
/// distribution's archives (zigw).
fn licenses(s: *Shoal, with_cuda: bool) std.Build.LazyPath {
    const b = s.b;
    const folder = b.addWriteFiles();
    _ = folder.addCopyFile(b.path("LICENSE"), "shoal.txt");
    inline for (.{
        .{ "wolfssl", wolfssl_dir ++ "/COPYING" },
        .{ "ngtcp2", ngtcp2_dir ++ "/COPYING" },
        .{ "nghttp3", nghttp3_dir ++ "/COPYING" },
        .{ "sfparse", nghttp3_dir ++ "/lib/sfparse/COPYING" },
        .{ "libyaml", yaml_dir ++ "/License" },
        .{ "dygraphs", ".deps/dygraphs-2.2.1/share/doc/libjs-dygraphs/copyright" },
    }) |l| _ = folder.addCopyFile(b.path(l[1]), l[0] ++ ".txt");
    for (s.files(".deps/system/licenses", "")) |name| {
        _ = folder.addCopyFile(b.path(b.fmt(".deps/system/licenses/{s}", .{name})), b.fmt("{s}.txt", .{name}));
    }
    if (with_cuda) _ = folder.add("cudart.txt",
        \\This program holds libcudart_static.a, the CUDA runtime of NVIDIA. It is not free software: the CUDA Toolkit's End User
        \\License Agreement says who may pass it on and how, https://docs.nvidia.com/cuda/eula/.
        \\
    );
    return folder.getDirectory();
}

/// The CUDA backend on a machine without a GPU (test/cuda/fiber.h): the tests of c/model/ once more, on its kernels, and
/// those of test/cuda/.
fn fibers(s: *Shoal, shoal: *std.Build.Step.Compile, all: *std.Build.Step.Run, top: *std.StringHashMapUnmanaged(*std.Build.Step)) void {
    const b = s.b;
    const kernels = s.module();
    for ([_][]const u8{ "c", "cu", "test/cuda" }) |p| kernels.addIncludePath(b.path(p));
    for (s.files("cu", ".cu")) |f| kernels.addCSourceFile(.{ .file = b.path(b.fmt("cu/{s}", .{f})), .flags = &fiber_flags, .language = .cpp });
    for ([_][]const u8{ "fiber.cc", "runtime.cc" }) |f| kernels.addCSourceFile(.{ .file = b.path(b.fmt("test/cuda/{s}", .{f})), .flags = &fiber_flags });
    const lib = b.addLibrary(.{ .name = "shoal-cu-fiber", .root_module = kernels, .linkage = .static });
    const object = b.addObject(.{ .name = "test-cuda", .root_module = s.cudaTests(s.files("test/cuda", "_test.c"), null) });
    const m = s.module();
    m.addObject(object);
    s.third(m, "criterion");
    m.linkLibrary(lib);
    linkAll(s, m, false);
    const exe = b.addExecutable(.{ .name = "test-cuda", .root_module = m });
    exe.link_gc_sections = false; // Criterion finds its tests by a section that nothing refers to
    exe.rdynamic = true; // the runtime of the fibers, for libraries that stand in for NVIDIA's
    const one = b.step("test-cuda", "run the tests of cu/ alone, on fibers");
    const alone = s.tally(null);
    one.dependOn(&alone.step);
    top.get("check").?.dependOn(&exe.step);

    // The whole program with fibers for a GPU.
    const bin = s.main(true);
    bin.linkLibrary(lib);
    const fiber = b.addExecutable(.{ .name = "shoal-fiber", .root_module = bin });
    fiber.rdynamic = true;
    all.addPrefixedArtifactArg("FIBER_BIN=", fiber);
    top.get("check").?.dependOn(&fiber.step);

    const stand_in = s.module();
    for ([_][]const u8{ "c", "cu", "test/cuda" }) |p| stand_in.addIncludePath(b.path(p));
    stand_in.addCSourceFile(.{ .file = b.path("test/cuda/cublaslt_fiber.cc"), .flags = &fiber_flags });
    const cublaslt = b.addLibrary(.{ .name = "cublaslt_fiber", .root_module = stand_in, .linkage = .dynamic });
    cublaslt.linker_allow_shlib_undefined = true; // the runtime is the program's
    top.get("check").?.dependOn(&cublaslt.step);

    // What stands in for NCCL, loaded at run time as it is.
    const sums = s.module();
    sums.addIncludePath(b.path("test/cuda"));
    sums.addCSourceFile(.{ .file = b.path("test/cuda/nccl_fiber.cc"), .flags = &fiber_flags });
    const nccl = b.addLibrary(.{ .name = "nccl-fiber", .root_module = sums, .linkage = .dynamic });
    nccl.linker_allow_shlib_undefined = true; // the runtime of the fibers is the program's
    for ([_]*std.Build.Step.Run{ alone, all }) |run| run.addPrefixedArtifactArg("NCCL_BIN=", nccl);
    top.get("check").?.dependOn(&nccl.step);

    const scripts = s.tally(shoal);
    b.step("test-fiber", "run the tests of the program with fibers for a GPU alone").dependOn(&scripts.step);
    scripts.addPrefixedArtifactArg("FIBER_BIN=", fiber);
    scripts.addPrefixedArtifactArg("CUBLASLT_BIN=", cublaslt);
    scripts.addPrefixedArtifactArg("NCCL_BIN=", nccl);
    for ([_][]const u8{ "gpu_test.py", "day_test.py" }) |f| scripts.addFileArg(b.path(b.fmt("test/program/{s}", .{f})));

    // Are the fibers themselves to be trusted?
    const own = s.module();
    for ([_][]const u8{ "cu", "test/cuda" }) |p| own.addIncludePath(b.path(p));
    for ([_][]const u8{ "planted.cc", "fiber.cc", "runtime.cc" }) |f| own.addCSourceFile(.{ .file = b.path(b.fmt("test/cuda/{s}", .{f})), .flags = &fiber_flags });
    const planted = b.addExecutable(.{ .name = "planted", .root_module = own });
    planted.rdynamic = true;
    for ([_]*std.Build.Step.Run{ alone, all }) |run| {
        run.addPrefixedArtifactArg("CUBLASLT_BIN=", cublaslt);
        run.addArtifactArg(exe);
        run.addPrefixedArtifactArg("PLANTED_BIN=", planted);
        run.addFileArg(b.path("test/cuda/fiber_test.py"));
    }

    const mutate = b.addSystemCommand(&.{ "python3", "test/cuda/mutate.py" });
    mutate.setCwd(b.path("."));
    mutate.has_side_effects = true;
    mutate.addFileArg(.zig_exe);
    mutate.addArtifactArg(object);
    for ([_][]const u8{ "model", "outer", "data", "config", "cpu", "base", "yaml" }) |name| mutate.addArtifactArg(s.libraries.get(name).?);
    mutate.addPrefixedArtifactArg("CUBLASLT_BIN=", cublaslt);
    mutate.addPrefixedArtifactArg("NCCL_BIN=", nccl);
    mutate.addArg("--");
    mutate.addPassthruArgs();
    mutate.stdio = .inherit;
    top.get("mutate-cuda").?.dependOn(&mutate.step);

    const gate = b.addSystemCommand(&.{ "python3", "test/cuda/gate.py" });
    gate.setCwd(b.path("."));
    gate.has_side_effects = true;
    gate.addPassthruArgs();
    gate.stdio = .inherit;
    top.get("gate-cuda").?.dependOn(&gate.step);
}

/// The same tests on a GPU, in one program with shoal that needs nothing but glibc and a driver: it is run here, and put into
/// zig-out/gpu with all that carrying it to another machine takes (test/carried/run.sh). Criterion is a shared library that
/// needs a dozen others, so test/carried/ stands in for it.
fn gpu(s: *Shoal, toolkit: ?[]const u8, top: *std.StringHashMapUnmanaged(*std.Build.Step)) void {
    const b = s.b;
    const root = toolkit orelse {
        top.get("test-gpu").?.dependOn(&b.addFail("there is no CUDA toolkit here (nvcc): test-gpu needs one").step);
        return;
    };
    const tests = s.cudaTests(&.{ "outer_test.c", "attention_test.c", "tensor_test.c", "large_test.c" }, "test/carried"); // the others need fibers
    tests.addCSourceFile(.{ .file = b.path("test/carried/runner.c"), .flags = &c_flags });
    const m = s.main(true);
    m.addCMacro("main", "shoal_main"); // runner.c has the program's own
    m.addObject(b.addObject(.{ .name = "gpu-tests", .root_module = tests }));
    m.strip = true;
    s.cuda(m, root);
    const exe = b.addExecutable(.{ .name = "test-gpu", .root_module = m });
    top.get("check").?.dependOn(&exe.step);

    const folder = b.addWriteFiles();
    _ = folder.addCopyFile(exe.getEmittedBin(), "test-gpu");
    for ([_][]const u8{ "run.sh", "day.sh", "stages.sh", "shoal" }) |f| _ = folder.addCopyFile(b.path(b.fmt("test/carried/{s}", .{f})), f);
    for ([_][]const u8{ "gpu_vs_pytorch.py", "rounds.py", "llama.py" }) |f| _ = folder.addCopyFile(b.path(b.fmt("test/bench/{s}", .{f})), b.fmt("test/bench/{s}", .{f}));
    for (s.files("test/golden", ".bin")) |f| {
        const name = b.fmt("test/golden/{s}", .{f});
        _ = folder.addCopyFile(b.path(name), name);
    }
    const put = b.addInstallDirectory(.{ .source_dir = folder.getDirectory(), .install_dir = .prefix, .install_subdir = "gpu" });
    const run = s.tally(null);
    run.addArtifactArg(exe);
    run.addPrefixedDirectoryArg("CARRIED_BIN=", folder.getDirectory());
    run.addFileArg(b.path("test/carried/carried_test.py"));
    run.step.dependOn(&put.step);
    top.get("test-gpu").?.dependOn(&run.step);
}

/// The simulated swarm: its program, the tests of its own parts, and the planted bugs.
fn simulator(s: *Shoal, all: *std.Build.Step.Run, top: *std.StringHashMapUnmanaged(*std.Build.Step)) void {
    const b = s.b;
    const own = s.files("test/sim", ".c");
    const program = simModule(s, own, &.{ "_test.c", "oracle.c" });
    s.ours(program, &.{"swarm"});
    const exe = b.addExecutable(.{ .name = "sim", .root_module = program });
    const run = b.addRunArtifact(exe);
    run.setCwd(b.path("."));
    run.has_side_effects = true;
    run.addPassthruArgs();
    top.get("sim").?.dependOn(&run.step);

    all.addPrefixedArtifactArg("SIM_BIN=", exe);
    all.addFileArg(b.path("test/sim/seeds_test.py"));
    top.get("check").?.dependOn(&exe.step);
    const mutate = b.addSystemCommand(&.{ "python3", "test/sim/mutate.py" });
    mutate.setCwd(b.path("."));
    mutate.has_side_effects = true;
    mutate.addFileArg(.zig_exe);
    mutate.addPassthruArgs();
    top.get("mutate").?.dependOn(&mutate.step);

    // oracle.c plays the nodes: of the real ones only what has no node in it.
    const m = simModule(s, own, &.{"main.c"});
    m.addCSourceFiles(.{ .root = b.path("swarm"), .files = &.{ "lineage.c", "wire.c" }, .flags = &c_flags });
    s.third(m, "criterion");
    const tests = b.addExecutable(.{ .name = "test-sim", .root_module = m });
    tests.link_gc_sections = false; // Criterion finds its tests by a section that nothing refers to
    const one = b.step("test-sim", "run the simulator's own tests alone");
    const alone = s.tally(null);
    alone.addArtifactArg(tests);
    one.dependOn(&alone.step);
    all.addArtifactArg(tests);
    top.get("check").?.dependOn(&tests.step);
}

/// Networks in namespaces for the tests (test/wan/README.md): its program, also as zig-out/test/wan, the tests of its parts,
/// and the scripts that run things in it.
fn wan(s: *Shoal, shoal: *std.Build.Step.Compile, all: *std.Build.Step.Run, top: *std.StringHashMapUnmanaged(*std.Build.Step)) void {
    const b = s.b;
    const exe = b.addExecutable(.{ .name = "wan", .root_module = wanModule(s, &.{"_test.c"}) });
    b.getInstallStep().dependOn(&b.addInstallArtifact(exe, .{ .dest_dir = .{ .override = .{ .custom = "test" } } }).step);
    const m = wanModule(s, &.{ "wan.c", "space.c" });
    s.third(m, "criterion");
    const tests = b.addExecutable(.{ .name = "test-traffic", .root_module = m });
    tests.link_gc_sections = false; // Criterion finds its tests by a section that nothing refers to
    const one = b.step("test-wan", "run the tests of test/wan alone");
    const alone = s.tally(shoal);
    one.dependOn(&alone.step);
    for ([_]*std.Build.Step.Run{ alone, all }) |run| {
        run.addPrefixedArtifactArg("WAN_BIN=", exe);
        run.addArtifactArg(tests);
        for (s.files("test/wan", "_test.py")) |f| run.addFileArg(b.path(b.fmt("test/wan/{s}", .{f})));
    }
    for ([_]*std.Build.Step.Compile{ exe, tests }) |c| top.get("check").?.dependOn(&c.step);
}

fn wanModule(s: *Shoal, without: []const []const u8) *std.Build.Module {
    const m = s.module();
    for ([_][]const u8{ "c", "." }) |p| m.addIncludePath(s.b.path(p));
    outer: for (s.files("test/wan", ".c")) |f| {
        for (without) |w| if (std.mem.endsWith(u8, f, w)) continue :outer;
        m.addCSourceFile(.{ .file = s.b.path(s.b.fmt("test/wan/{s}", .{f})), .flags = &c_flags });
    }
    s.ours(m, &.{ "base", "config" });
    s.third(m, "yaml");
    return m;
}

fn simModule(s: *Shoal, names: []const []const u8, without: []const []const u8) *std.Build.Module {
    const m = s.module();
    m.addIncludePath(s.b.path("c"));
    m.addIncludePath(s.b.path("."));
    outer: for (names) |f| {
        for (without) |w| if (std.mem.endsWith(u8, f, w)) continue :outer;
        m.addCSourceFile(.{ .file = s.b.path(s.b.fmt("test/sim/{s}", .{f})), .flags = &c_flags });
    }
    s.ours(m, &.{ "base", "outer" });
    s.third(m, "xxhash");
    return m;
}

/// All of our archives; `with_cuda`: the node's that computes on GPUs too.
fn linkAll(s: *Shoal, m: *std.Build.Module, with_cuda: bool) void {
    for (components) |c| m.linkLibrary(s.libraries.get(if (with_cuda and std.mem.eql(u8, c.name, "node")) "node-cuda" else c.name).?);
    for ([_][]const u8{ "jansson", "xxhash", "pcre2", "z", "zstd", "yaml", "quic", "wolfssl" }) |t| s.third(m, t);
}

const wolfssl_dir = ".deps/wolfssl-5.9.2-stable";
const ngtcp2_dir = ".deps/ngtcp2-1.24.0";
const nghttp3_dir = ".deps/nghttp3-1.15.0";
const yaml_dir = ".deps/libyaml-0.2.5";
const quic_includes = [_][]const u8{ ngtcp2_dir ++ "/lib/includes", ngtcp2_dir ++ "/crypto/includes", nghttp3_dir ++ "/lib/includes" };
const third_flags = [_][]const u8{ "-w", "-fno-sanitize=undefined" };

fn wolfssl(s: *Shoal) void {
    const b = s.b;
    const m = s.module();
    m.addIncludePath(b.path("net/wolfssl"));
    m.addIncludePath(b.path(wolfssl_dir));
    m.addCMacro("WOLFSSL_USER_SETTINGS", "1");
    m.addCMacro("BUILDING_WOLFSSL", "1");
    m.addCSourceFiles(.{ .root = b.path(wolfssl_dir ++ "/src"), .files = &.{ "internal.c", "keys.c", "quic.c", "ssl.c", "tls.c", "tls13.c", "wolfio.c" }, .flags = &third_flags });
    m.addCSourceFiles(.{ .root = b.path(wolfssl_dir ++ "/wolfcrypt/src"), .files = &.{ "aes.c", "asn.c", "chacha.c", "chacha20_poly1305.c", "coding.c", "cpuid.c", "curve25519.c", "ecc.c", "ed25519.c", "error.c", "evp.c", "fe_operations.c", "ge_operations.c", "hash.c", "hmac.c", "kdf.c", "logging.c", "md5.c", "memory.c", "poly1305.c", "random.c", "sha.c", "sha256.c", "sha512.c", "signature.c", "sp_int.c", "wc_encrypt.c", "wc_port.c", "wolfmath.c" }, .flags = &third_flags });
    m.addCSourceFiles(.{ .root = b.path(wolfssl_dir ++ "/wolfcrypt/src"), .files = &.{ "aes_asm.S", "aes_gcm_asm.S", "chacha_asm.S", "poly1305_asm.S", "sha256_asm.S", "sha512_asm.S", "fe_x25519_asm.S" }, .flags = &.{"-w"} });
    s.thirdLibrary("wolfssl", m);
}

fn quic(s: *Shoal) void {
    const b = s.b;
    const m = s.module();
    s.third(m, "wolfssl");
    for (quic_includes ++ [_][]const u8{ ngtcp2_dir ++ "/lib", ngtcp2_dir ++ "/crypto", nghttp3_dir ++ "/lib", "net/wolfssl" }) |p| m.addIncludePath(b.path(p));
    m.addCMacro("HAVE_CONFIG_H", "1");
    m.addCMacro("NGTCP2_STATICLIB", "1");
    m.addCMacro("NGHTTP3_STATICLIB", "1");
    for ([_][]const u8{ ngtcp2_dir ++ "/lib", nghttp3_dir ++ "/lib" }) |dir| {
        for (s.files(dir, ".c")) |f| m.addCSourceFile(.{ .file = b.path(b.fmt("{s}/{s}", .{ dir, f })), .flags = &third_flags });
    }
    m.addCSourceFiles(.{ .root = b.path(nghttp3_dir), .files = &.{"lib/sfparse/sfparse.c"}, .flags = &third_flags });
    m.addCSourceFiles(.{ .root = b.path(ngtcp2_dir), .files = &.{ "crypto/shared.c", "crypto/wolfssl/wolfssl.c" }, .flags = &third_flags });
    s.thirdLibrary("quic", m);
}

fn yaml(s: *Shoal) void {
    const b = s.b;
    const m = s.module();
    m.addIncludePath(b.path(yaml_dir ++ "/include"));
    for (s.files(yaml_dir ++ "/src", ".c")) |f| m.addCSourceFile(.{ .file = b.path(b.fmt(yaml_dir ++ "/src/{s}", .{f})), .flags = &(third_flags ++ [_][]const u8{ "-DYAML_VERSION_STRING=\"0.2.5\"", "-DYAML_VERSION_MAJOR=0", "-DYAML_VERSION_MINOR=2", "-DYAML_VERSION_PATCH=5" }) });
    s.thirdLibrary("yaml", m);
}
