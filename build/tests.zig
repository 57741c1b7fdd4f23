//! The step `test` and related ones: a program for each folder of test/, the simulated swarm, networks in namespaces,
//! and the scripts that run the program itself.
const std = @import("std");
const components = @import("components.zig");
const program_of = @import("program.zig");
const third_party = @import("third_party.zig");
const shoal = @import("shoal.zig");
const Shoal = shoal.Shoal;
const Module = shoal.Module;
const Compile = shoal.Compile;
const Run = shoal.Run;

/// One program per folder of test/, then the scripts; tally.py, which is returned, sums up the results.
pub fn all(s: *Shoal, program: *Compile, licenses: std.Build.LazyPath) *Run {
    const b = s.b;
    b.dependOnDirectoryContents(b.path("test"));
    const run = s.tally(program);
    s.step("test").dependOn(&run.step);
    units(s, run);
    run.addPrefixedDirectoryArg("LICENSES_BIN=", licenses);
    for (s.files("test/program", "_test.py")) |f| run.addFileArg(s.file("test/program", f));
    return run;
}

fn units(s: *Shoal, run: *Run) void {
    const b = s.b;
    const in_c = s.alone("test-avx512-in-c", "run the tests on the kernels for AVX-512 alone, compiled for any processor", null);
    for (components.all) |c| {
        const name = b.fmt("test-{s}", .{c.name});
        const exe = components.tests(s, c, name, "cpu") orelse continue;
        s.alone(name, b.fmt("run the tests of test/{s} alone", .{c.name}), null).addArtifactArg(exe);
        run.addArtifactArg(exe);
    }
    // Those that compute on a CPU run again, with the kernels for AVX-512 on any processor (test/cpu/avx512.h).
    for ([_][]const u8{ "cpu", "model" }) |name| {
        const c = components.find(name).?;
        const exe = components.tests(s, c, b.fmt("test-{s}-avx512-in-c", .{name}), "cpu-avx512-in-c").?;
        run.addArtifactArg(exe);
        in_c.addArtifactArg(exe);
    }
}

/// The simulated swarm: its program, the tests of its own parts, and the planted bugs.
pub fn simulator(s: *Shoal, run_all: *Run) void {
    const b = s.b;
    const own = s.files("test/sim", ".c");
    const program = simModule(s, s.without(own, &.{ "_test.c", "oracle.c" }));
    components.link(s, program, &.{"swarm"});
    const exe = s.checked(b.addExecutable(.{ .name = "sim", .root_module = program }));
    const run = b.addRunArtifact(exe);
    run.setCwd(b.path("."));
    run.has_side_effects = true;
    run.addPassthruArgs();
    s.step("sim").dependOn(&run.step);
    run_all.addPrefixedArtifactArg("SIM_BIN=", exe);
    run_all.addFileArg(b.path("test/sim/seeds_test.py"));
    for ([_][]const u8{ "timeline", "arguments" }) |name|
        run_all.addFileArg(b.path(b.fmt("test/sim/{s}_test.py", .{name})));

    const mutate = s.script(&.{ "python3", "test/sim/mutate.py" });
    mutate.addFileArg(.zig_exe);
    mutate.addPassthruArgs();
    s.step("mutate").dependOn(&mutate.step);

    // oracle.c replaces the nodes: of swarm/ only the parts without a node are used.
    const m = simModule(s, s.without(own, &.{"main.c"}));
    s.sources(m, "swarm", &.{ "lineage.c", "owners.c", "parcel.c", "reduce_made.c", "relay_wire.c", "ticket.c", "wire.c" }, &shoal.c_flags);
    third_party.use(s, m, "criterion");
    const tests = s.testProgram("test-sim", m);
    const alone = s.alone("test-sim", "run the simulator's own tests alone", null);
    for ([_]*Run{ alone, run_all }) |r| r.addArtifactArg(tests);
}

fn simModule(s: *Shoal, names: []const []const u8) *Module {
    const m = s.module();
    s.includes(m, &.{ "c", "." });
    s.sources(m, "test/sim", names, &shoal.c_flags);
    // How a worker keeps and changes the state, without the rest of the worker and the CPU's kernels.
    s.sources(m, "c/node", &.{"replica.c"}, &shoal.c_flags);
    s.sources(m, "c/cpu", &.{"outer.c"}, &shoal.c_flags);
    components.link(s, m, &.{ "base", "outer" });
    for ([_][]const u8{ "jansson", "xxhash" }) |name| third_party.use(s, m, name);
    return m;
}

/// Networks in namespaces for the tests (test/wan/README.md): the program, also as zig-out/test/wan, the tests of its
/// parts, and the scripts that use it.
pub fn wan(s: *Shoal, program: *Compile, run_all: *Run) void {
    const b = s.b;
    const names = s.files("test/wan", ".c");
    const exe = s.checked(b.addExecutable(.{
        .name = "wan",
        .root_module = wanModule(s, s.without(names, &.{"_test.c"})),
    }));
    const attack = attacker(s);
    const lying = liar(s);
    for ([_]*Compile{ exe, attack, lying }) |e| {
        const into: std.Build.InstallDir = .{ .custom = "test" };
        b.getInstallStep().dependOn(&b.addInstallArtifact(e, .{ .dest_dir = .{ .override = into } }).step);
    }
    const m = wanModule(s, s.without(names, &.{ "wan.c", "space.c" }));
    third_party.use(s, m, "criterion");
    const tests = s.testProgram("test-traffic", m);
    const alone = s.alone("test-wan", "run the tests of test/wan alone", program);
    for ([_]*Run{ alone, run_all }) |run| {
        run.addPrefixedArtifactArg("WAN_BIN=", exe);
        run.addPrefixedArtifactArg("ATTACK_BIN=", attack);
        run.addPrefixedArtifactArg("LIAR_BIN=", lying);
        run.addArtifactArg(tests);
        for (s.files("test/wan", "_test.py")) |f| run.addFileArg(s.file("test/wan", f));
    }
    const networks = s.alone("networks", "twenty rounds over each network of test/wan, how long they may take, and a hundred with faults: two hours", program);
    networks.addPrefixedArtifactArg("WAN_BIN=", exe);
    networks.setEnvironmentVariable("NETWORKS", "all");
    networks.addPrefixedArtifactArg("LIAR_BIN=", lying);
    for ([_][]const u8{ "networks_test.py", "faults_test.py", "relay_test.py", "nat_test.py", "poison_test.py" }) |f| networks.addFileArg(s.file("test/wan", f));
}

/// What strangers do to a worker: the program.
fn attacker(s: *Shoal) *Compile {
    const m = s.module();
    s.includes(m, &.{ "c", "." });
    s.sources(m, "test/attack", &.{"attack.c"}, &shoal.c_flags);
    s.sources(m, "test/wan", &.{"icmp.c"}, &shoal.c_flags);
    components.linkAll(s, m, false);
    return s.checked(s.b.addExecutable(.{ .name = "attack", .root_module = m }));
}

/// The program, whose worker contributes something else than it has learned.
fn liar(s: *Shoal) *Compile {
    const m = program_of.bin(s);
    const instead = s.module();
    s.includes(instead, &.{"c"});
    s.sources(instead, "c/cpu", &.{"outer.c"}, s.both(&shoal.c_flags, &.{"-Douter_quantize_delta=liar_quantize_delta"}));
    s.sources(instead, "test/attack", &.{"liar.c"}, &shoal.c_flags);
    m.addObject(s.b.addObject(.{ .name = "instead", .root_module = instead }));
    components.linkAll(s, m, false);
    return s.checked(s.b.addExecutable(.{ .name = "liar", .root_module = m }));
}

fn wanModule(s: *Shoal, names: []const []const u8) *Module {
    const m = s.module();
    s.includes(m, &.{ "c", "." });
    s.sources(m, "test/wan", names, &shoal.c_flags);
    components.link(s, m, &.{ "base", "config" });
    third_party.use(s, m, "yaml");
    return m;
}

/// The unit tests and the fuzz targets, built with the system's clang (test/sanitize.py).
pub fn sanitizers(s: *Shoal) void {
    const b = s.b;
    for ([_][]const u8{ "address", "thread" }) |kind| {
        const run = sanitize(s, kind, &.{});
        const name = b.fmt("sanitize-{s}", .{kind});
        b.step(name, b.fmt("the unit tests under the {s} sanitizer alone", .{kind})).dependOn(&run.step);
        s.step("sanitize").dependOn(&run.step);
    }
    const seconds = b.option([]const u8, "fuzz", "seconds for each fuzz target; default 10") orelse "10";
    s.step("fuzz").dependOn(&sanitize(s, "fuzz", &.{ "--seconds", seconds }).step);
}

/// What no test reaches (test/coverage.py), of the folders after --.
pub fn coverage(s: *Shoal, licenses: std.Build.LazyPath) *Run {
    const run = s.talking("coverage", &.{ "python3", "test/coverage.py" });
    run.addPassthruArgs();
    run.addPrefixedDirectoryArg("LICENSES_BIN=", licenses);
    for (components.all) |c| run.addArtifactArg(s.archive(c.name));
    for ([_][]const u8{ "yaml", "quic", "wolfssl" }) |name| run.addArtifactArg(s.archive(name));
    return run;
}

fn sanitize(s: *Shoal, kind: []const u8, options: []const []const u8) *Run {
    const run = s.script(&.{ "python3", "test/sanitize.py", kind });
    run.addArgs(options);
    for ([_][]const u8{ "yaml", "quic", "wolfssl" }) |name| run.addArtifactArg(s.archive(name));
    return run;
}
