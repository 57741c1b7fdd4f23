//! Our own C code: its folders, and which may include which.
const std = @import("std");
const third_party = @import("third_party.zig");
const shoal = @import("shoal.zig");
const Shoal = shoal.Shoal;
const Module = shoal.Module;

/// One folder of our own C code, built as a static library. It sees only its own headers and those of the components
/// and third-party libraries that it names: an include that leads up or sideways does not compile (STYLE.md, "Where
/// things live").
pub const Component = struct {
    name: []const u8,
    dir: []const u8,
    /// Components that it may include and is linked with.
    needs: []const []const u8 = &.{},
    /// Further headers that it may include: of c/ itself, or of a whole folder (root_of).
    headers: []const []const u8 = &.{},
    third: []const []const u8 = &.{},
    /// Additional components for its tests.
    test_needs: []const []const u8 = &.{},
    /// Files compiled without UBSan, which keeps their inner loops from being vectorized. Their tests run with it.
    unchecked: []const []const u8 = &.{},
};

pub const all = [_]Component{
    .{ .name = "base", .dir = "c/base", .third = &.{"jansson"} },
    .{
        .name = "config",
        .dir = "c/config",
        .needs = &.{"base"},
        .headers = &.{"model_shape.h"},
        .third = &.{"yaml"},
    },
    .{
        .name = "data",
        .dir = "c/data",
        .needs = &.{"base"},
        .third = &.{ "jansson", "xxhash", "pcre2", "z", "zstd" },
    },
    .{
        .name = "outer",
        .dir = "c/outer",
        .needs = &.{"base"},
        .test_needs = &.{"cpu"},
        .unchecked = &.{ "outer.c", "mean.c" },
    },
    .{
        .name = "cpu",
        .dir = "c/cpu",
        .needs = &.{ "base", "outer" },
        .headers = &.{"backend.h"},
        .unchecked = &.{
            "kernels_avx2.c",        "kernels_avx2_bf16.c",    "kernels_avx512.c",
            "kernels_avx512_bf16.c", "kernels_avx512_pairs.c", "kernels_amx.c",
        },
    },
    .{
        .name = "model",
        .dir = "c/model",
        .needs = &.{ "base", "config", "data" },
        .headers = &.{ "backend.h", "model_shape.h" },
        .third = &.{ "jansson", "xxhash" },
        .test_needs = &.{"cpu"},
    },
    .{ .name = "swarm", .dir = "swarm", .needs = &.{ "base", "outer" }, .third = &.{"xxhash"} },
    .{ .name = "net", .dir = "net", .needs = &.{"base"}, .third = &.{ "quic", "wolfssl" } },
    .{
        .name = "node",
        .dir = "c/node",
        .needs = &.{ "base", "config", "data", "outer", "cpu", "model", "swarm", "net" },
        .headers = &.{ "backend.h", "model_shape.h", "cu" },
        .third = &.{"jansson"},
    },
    .{
        .name = "fleet",
        .dir = "c/fleet",
        .needs = &.{ "base", "config", "outer", "model", "net" },
        .headers = &.{"model_shape.h"},
        .third = &.{ "jansson", "dygraphs" },
    },
};

/// Includes that must not compile: a folder, and a header above it or next to it. `check` and `test` try each.
const walls = .{
    .{ "base", "config/experiment.h" },
    .{ "config", "bin/command.h" },
    .{ "outer", "cpu/cpu.h" },
    .{ "model", "cpu/cpu.h" },
    .{ "swarm", "net/link.h" },
    .{ "net", "swarm/wire.h" },
    .{ "fleet", "node/worker.h" },
    .{ "node", "fleet/fleet.h" },
    .{ "swarm", "../net/link.h" },
};

pub fn find(name: []const u8) ?Component {
    for (all) |c| if (std.mem.eql(u8, c.name, name)) return c;
    return null;
}

/// A generated folder with one forwarding header for each header of the component `name`, or of something that is no
/// archive of ours: "backend.h" is c/backend.h, "cu" the headers of cu/. It includes the header in its place, so that
/// a change recompiles only what includes it.
fn root_of(s: *Shoal, name: []const u8) std.Build.LazyPath {
    const b = s.b;
    if (s.roots.get(name)) |root| return root;
    const folder = b.addWriteFiles();
    if (std.mem.endsWith(u8, name, ".h")) {
        _ = folder.add(name, b.fmt("#include \"../../../c/{s}\"\n", .{name}));
    } else {
        const dir = if (find(name)) |c| c.dir else name;
        for (s.files(dir, ".h")) |h| {
            const line = b.fmt("#include \"../../../../{s}/{s}\"\n", .{ dir, h }); // from .zig-cache/o/HASH/DIR
            _ = folder.add(b.fmt("{s}/{s}", .{ std.fs.path.basename(dir), h }), line);
        }
    }
    s.roots.put(b.allocator, name, folder.getDirectory()) catch @panic("OOM");
    return folder.getDirectory();
}

/// The include paths for the sources of a component.
fn see(s: *Shoal, m: *Module, c: Component) void {
    for ([_][]const []const u8{ &.{c.name}, c.needs, c.headers }) |names| {
        for (names) |n| m.addIncludePath(root_of(s, n));
    }
    for (c.third) |t| third_party.use(s, m, t);
}

/// Links `m` with these archives.
pub fn link(s: *Shoal, m: *Module, names: []const []const u8) void {
    for (names) |n| m.linkLibrary(s.archive(n));
}

/// Links `m` with all of our archives and theirs; `with_cuda`: with the node's archive that supports GPUs.
pub fn linkAll(s: *Shoal, m: *Module, with_cuda: bool) void {
    for (all) |c| {
        const gpu = with_cuda and std.mem.eql(u8, c.name, "node");
        m.linkLibrary(s.archive(if (gpu) "node-cuda" else c.name));
    }
    for ([_][]const u8{ "jansson", "xxhash", "pcre2", "z", "zstd", "yaml", "quic", "wolfssl" }) |t| {
        third_party.use(s, m, t);
    }
}

fn flagsOf(s: *Shoal, c: Component, file: []const u8) []const []const u8 {
    for (c.unchecked) |u| {
        if (std.mem.eql(u8, u, file)) return s.both(&shoal.c_flags, &.{ "-fno-sanitize=undefined", "-O3" });
    }
    return &shoal.c_flags;
}

/// Its archive, under the name `as`; `more`: additional flags.
fn compile(s: *Shoal, c: Component, as: []const u8, more: []const []const u8) void {
    const m = s.module();
    see(s, m, c);
    for (s.files(c.dir, ".c")) |f| s.sources(m, c.dir, &.{f}, s.both(flagsOf(s, c, f), more));
    link(s, m, c.needs);
    s.library(as, s.b.fmt("shoal-{s}", .{as}), m);
}

/// The archives of all components, and variants of two: c/cpu with the kernels for AVX-512 in C, for any processor
/// (test/cpu/avx512.h), and c/node with GPUs.
pub fn libraries(s: *Shoal) void {
    for (all) |c| compile(s, c, c.name, &.{});
    compile(s, find("cpu").?, "cpu-avx512-in-c", &.{ "-I.", "-DAVX512_IN_C" });
    compile(s, find("node").?, "node-cuda", &.{"-DSHOAL_CUDA"});
    inline for (walls) |wall| {
        const m = s.module();
        see(s, m, find(wall[0]).?);
        m.addCSourceFile(.{
            .file = s.b.addWriteFiles().add("wrong.c", "#include \"" ++ wall[1] ++ "\"\n"),
            .flags = &shoal.c_flags,
        });
        const object = s.b.addObject(.{ .name = wall[0] ++ "-sees-too-much", .root_module = m });
        object.expect_errors = .{ .contains = "'" ++ wall[1] ++ "' file not found" };
        for ([_][]const u8{ "check", "test" }) |step| s.step(step).dependOn(&object.step);
    }
}

/// The test program of a component, called NAME; `cpu` is the archive used for c/cpu. Null: it has no tests.
pub fn tests(s: *Shoal, c: Component, name: []const u8, cpu: []const u8) ?*shoal.Compile {
    const dir = s.b.fmt("test/{s}", .{c.name});
    const names = s.files(dir, "_test.c");
    if (names.len == 0) return null;
    const m = s.module();
    s.includes(m, &.{ "c", "." });
    s.sources(m, dir, names, &shoal.c_flags);
    third_party.use(s, m, "criterion");
    for ([_][]const []const u8{ &.{c.name}, c.needs, c.test_needs }) |needed| {
        for (needed) |n| {
            m.linkLibrary(s.archive(if (std.mem.eql(u8, n, "cpu")) cpu else n));
            for (find(n).?.third) |t| third_party.use(s, m, t); // libraries that an archive needs
        }
    }
    return s.testProgram(name, m);
}
