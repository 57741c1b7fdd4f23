//! The program itself.
const std = @import("std");
const components = @import("components.zig");
const shoal = @import("shoal.zig");
const Shoal = shoal.Shoal;

/// c/bin/baseline.c, for any x86-64.
fn baseline(s: *Shoal) *shoal.Compile {
    var query = s.target.query;
    query.cpu_model = .{ .explicit = &std.Target.x86.cpu.x86_64 };
    query.cpu_features_add = std.Target.Cpu.Feature.Set.empty;
    const target = s.b.resolveTargetQuery(query);
    const m = s.b.createModule(.{ .target = target, .optimize = s.optimize, .link_libc = true });
    s.includes(m, &.{"c"});
    s.sources(m, "c/bin", &.{"baseline.c"}, &shoal.c_flags);
    return s.b.addObject(.{ .name = "baseline", .root_module = m });
}

/// c/bin and all archives; `with_cuda`: the caller links the CUDA backend.
pub fn main(s: *Shoal, with_cuda: bool) *shoal.Module {
    const m = bin(s);
    components.linkAll(s, m, with_cuda);
    return m;
}

/// c/bin alone: what is added before the archives takes the place of their files.
pub fn bin(s: *Shoal) *shoal.Module {
    const m = s.module();
    s.includes(m, &.{ "c", ".", ".deps/system/include" });
    s.sources(m, "c/bin", s.without(s.files("c/bin", ".c"), &.{"baseline.c"}), &shoal.c_flags);
    m.addObject(baseline(s));
    return m;
}
