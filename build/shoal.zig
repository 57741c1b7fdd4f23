//! State shared by all parts of the build: the target, the archives made so far, the steps of the table in build.zig.
const std = @import("std");

pub const Run = std.Build.Step.Run;
pub const Compile = std.Build.Step.Compile;
pub const Module = std.Build.Module;

pub const c_flags = [_][]const u8{
    "-std=gnu17",            "-Wall",             "-Wextra",       "-Werror",
    "-Wno-unused-parameter", "-ffp-contract=off", "-D_GNU_SOURCE",
};

pub const Shoal = struct {
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    /// Root of the CUDA toolkit; null: there is none.
    toolkit: ?[]const u8,
    libraries: std.StringHashMapUnmanaged(*Compile) = .empty,
    /// Include roots by component (components.zig).
    roots: std.StringHashMapUnmanaged(std.Build.LazyPath) = .empty,
    steps: std.StringHashMapUnmanaged(*std.Build.Step) = .empty,

    /// A step of the table.
    pub fn step(s: *Shoal, name: []const u8) *std.Build.Step {
        return s.steps.get(name).?;
    }

    /// `check` compiles it.
    pub fn checked(s: *Shoal, c: *Compile) *Compile {
        s.step("check").dependOn(&c.step);
        return c;
    }

    pub fn module(s: *Shoal) *Module {
        return s.b.createModule(.{ .target = s.target, .optimize = s.optimize, .link_libc = true });
    }

    /// An archive of `m`, registered under `name`; its file is `called`.
    pub fn library(s: *Shoal, name: []const u8, called: []const u8, m: *Module) void {
        const lib = s.b.addLibrary(.{ .name = called, .root_module = m, .linkage = .static });
        s.libraries.put(s.b.allocator, name, lib) catch @panic("OOM");
    }

    pub fn archive(s: *Shoal, name: []const u8) *Compile {
        return s.libraries.get(name) orelse @panic(name);
    }

    /// The C files `names` of the folder `dir`.
    pub fn sources(s: *Shoal, m: *Module, dir: []const u8, names: []const []const u8, flags: []const []const u8) void {
        for (names) |f| m.addCSourceFile(.{ .file = s.file(dir, f), .flags = flags });
    }

    pub fn includes(s: *Shoal, m: *Module, paths: []const []const u8) void {
        for (paths) |p| m.addIncludePath(s.b.path(p));
    }

    pub fn file(s: *Shoal, dir: []const u8, name: []const u8) std.Build.LazyPath {
        return s.b.path(s.b.pathJoin(&.{ dir, name }));
    }

    /// The files of a folder with this suffix, sorted: a new file needs no line here.
    pub fn files(s: *Shoal, dir: []const u8, ending: []const u8) []const []const u8 {
        const b = s.b;
        const io = b.graph.io;
        var found: std.ArrayList([]const u8) = .empty;
        var d = b.root.openDir(io, dir, .{ .iterate = true }) catch return &.{};
        defer d.close(io);
        b.dependOnDirectoryContents(b.path(dir));
        var it = d.iterate();
        while (it.next(io) catch @panic("reading a folder")) |e| {
            if (e.kind != .file or !std.mem.endsWith(u8, e.name, ending)) continue;
            found.append(b.allocator, b.dupe(e.name)) catch @panic("OOM");
        }
        std.mem.sort([]const u8, found.items, {}, struct {
            fn less(_: void, x: []const u8, y: []const u8) bool {
                return std.mem.lessThan(u8, x, y);
            }
        }.less);
        return found.items;
    }

    /// Those of `names` that have none of the suffixes `endings`.
    pub fn without(s: *Shoal, names: []const []const u8, endings: []const []const u8) []const []const u8 {
        var left: std.ArrayList([]const u8) = .empty;
        outer: for (names) |f| {
            for (endings) |e| if (std.mem.endsWith(u8, f, e)) continue :outer;
            left.append(s.b.allocator, f) catch @panic("OOM");
        }
        return left.items;
    }

    pub fn both(s: *Shoal, x: []const []const u8, y: []const []const u8) []const []const u8 {
        return std.mem.concat(s.b.allocator, []const u8, &.{ x, y }) catch @panic("OOM");
    }

    /// A test program from `m`.
    pub fn testProgram(s: *Shoal, name: []const u8, m: *Module) *Compile {
        const exe = s.b.addExecutable(.{ .name = name, .root_module = m });
        exe.link_gc_sections = false; // Criterion finds its tests in a section that nothing references
        return s.checked(exe);
    }

    /// Runs a command in the top folder, every time it is requested.
    pub fn script(s: *Shoal, command: []const []const u8) *Run {
        const run = s.b.addSystemCommand(command);
        run.setCwd(s.b.path("."));
        run.has_side_effects = true;
        return run;
    }

    /// The same with exclusive use of the terminal, under the step `name`.
    pub fn talking(s: *Shoal, name: []const u8, command: []const []const u8) *Run {
        const run = s.script(command);
        run.stdio = .inherit;
        s.step(name).dependOn(&run.step);
        return run;
    }

    /// A run of test/tally.py that knows the program's path; test programs are added as arguments.
    pub fn tally(s: *Shoal, program: ?*Compile) *Run {
        const run = s.script(&.{ "python3", "test/tally.py" });
        if (program) |shoal| run.addPrefixedArtifactArg("SHOAL_BIN=", shoal);
        return run;
    }

    /// A separate tally under its own step.
    pub fn alone(s: *Shoal, name: []const u8, what: []const u8, program: ?*Compile) *Run {
        const run = s.tally(program);
        s.b.step(name, what).dependOn(&run.step);
        return run;
    }
};
