//! Third-party libraries: sources that we compile (sources.lock), and the distribution's archives (zigw links them in
//! .deps/system).
const std = @import("std");
const shoal = @import("shoal.zig");
const Shoal = shoal.Shoal;
const Module = shoal.Module;

/// The folder where the source NAME of sources.lock is unpacked.
fn folder_of(comptime name: []const u8) []const u8 {
    comptime {
        @setEvalBranchQuota(100_000);
        var lines = std.mem.tokenizeScalar(u8, @embedFile("../sources.lock"), '\n');
        while (lines.next()) |line| {
            var words = std.mem.tokenizeScalar(u8, line, ' ');
            const kind = words.next() orelse continue;
            if (!std.mem.eql(u8, kind, "source") or !std.mem.eql(u8, words.next().?, name)) continue;
            _ = words.next(); // its digest
            _ = words.next(); // its archive
            return ".deps/" ++ words.next().?;
        }
        @compileError("sources.lock has no source " ++ name);
    }
}

const wolfssl_dir = folder_of("wolfssl");
const ngtcp2_dir = folder_of("ngtcp2");
const nghttp3_dir = folder_of("nghttp3");
const yaml_dir = folder_of("libyaml");
const dygraphs_dir = folder_of("dygraphs");
const dygraphs = .{
    .{ "DYGRAPHS_SCRIPT", "/share/javascript/dygraphs/dygraph.min.js" },
    .{ "DYGRAPHS_STYLE", "/share/javascript/dygraphs/dygraph.min.css" },
    .{ "DYGRAPHS_LICENSE", "/share/doc/libjs-dygraphs/copyright" },
};
const quic_includes = [_][]const u8{
    ngtcp2_dir ++ "/lib/includes",
    ngtcp2_dir ++ "/crypto/includes",
    nghttp3_dir ++ "/lib/includes",
};
const flags = [_][]const u8{ "-w", "-fno-sanitize=undefined" };

/// The libraries of the distribution.
const system = .{
    .{ "jansson", "libjansson.a" }, .{ "xxhash", "libxxhash.a" }, .{ "pcre2", "libpcre2-8.a" },
    .{ "z", "libz.a" },             .{ "zstd", "libzstd.a" },     .{ "criterion", "libcriterion.so" },
};

/// Adds the headers and the archive of a library to `m`.
pub fn use(s: *Shoal, m: *Module, name: []const u8) void {
    inline for (system) |lib| if (std.mem.eql(u8, name, lib[0])) {
        s.includes(m, &.{".deps/system/include"});
        m.addObjectFile(s.b.path(".deps/system/lib/" ++ lib[1]));
        return;
    };
    if (std.mem.eql(u8, name, "wolfssl")) {
        s.includes(m, &.{ "net/wolfssl", wolfssl_dir });
        m.addCMacro("WOLFSSL_USER_SETTINGS", "1");
    } else if (std.mem.eql(u8, name, "quic")) {
        s.includes(m, &quic_includes);
        m.addCMacro("NGTCP2_STATICLIB", "1");
        m.addCMacro("NGHTTP3_STATICLIB", "1");
    } else if (std.mem.eql(u8, name, "yaml")) {
        s.includes(m, &.{yaml_dir ++ "/include"});
    } else if (std.mem.eql(u8, name, "dygraphs")) { // files embedded by c/fleet/page.c
        inline for (dygraphs) |macro| m.addCMacro(macro[0], "\"../../" ++ dygraphs_dir ++ macro[1] ++ "\"");
        return;
    } else @panic(name);
    m.linkLibrary(s.archive(name));
}

/// The archives of the libraries that we compile.
pub fn libraries(s: *Shoal) void {
    wolfssl(s);
    quic(s);
    yaml(s);
}

fn wolfssl(s: *Shoal) void {
    const m = s.module();
    s.includes(m, &.{ "net/wolfssl", wolfssl_dir });
    m.addCMacro("WOLFSSL_USER_SETTINGS", "1");
    m.addCMacro("BUILDING_WOLFSSL", "1");
    s.sources(m, wolfssl_dir ++ "/src", &.{
        "internal.c", "keys.c", "quic.c", "ssl.c", "tls.c", "tls13.c", "wolfio.c",
    }, &flags);
    s.sources(m, wolfssl_dir ++ "/wolfcrypt/src", &.{
        "aes.c",           "asn.c",      "chacha.c",     "chacha20_poly1305.c", "coding.c",   "cpuid.c",
        "curve25519.c",    "ecc.c",      "ed25519.c",    "error.c",             "evp.c",      "fe_operations.c",
        "ge_operations.c", "hash.c",     "hmac.c",       "kdf.c",               "logging.c",  "md5.c",
        "memory.c",        "poly1305.c", "random.c",     "rsa.c",  "sha.c",               "sha256.c",   "sha512.c",
        "signature.c",     "sp_int.c",   "wc_encrypt.c", "wc_port.c",           "wolfmath.c",
    }, &flags);
    s.sources(m, wolfssl_dir ++ "/wolfcrypt/src", &.{
        "aes_asm.S", "aes_gcm_asm.S", "chacha_asm.S", "poly1305_asm.S", "sha256_asm.S", "sha512_asm.S", "fe_x25519_asm.S",
    }, &.{"-w"});
    s.library("wolfssl", "wolfssl", m);
}

fn quic(s: *Shoal) void {
    const m = s.module();
    use(s, m, "wolfssl");
    s.includes(m, &(quic_includes ++ [_][]const u8{
        ngtcp2_dir ++ "/lib", ngtcp2_dir ++ "/crypto", nghttp3_dir ++ "/lib", "net/wolfssl",
    }));
    for ([_][]const u8{ "HAVE_CONFIG_H", "NGTCP2_STATICLIB", "NGHTTP3_STATICLIB" }) |name| m.addCMacro(name, "1");
    s.sources(m, nghttp3_dir ++ "/lib", s.files(nghttp3_dir ++ "/lib", ".c"), &flags);
    s.sources(m, ngtcp2_dir ++ "/lib", s.without(s.files(ngtcp2_dir ++ "/lib", ".c"), &.{"ngtcp2_bbr.c"}), &flags);
    m.addCSourceFile(.{ .file = bbr(s), .flags = &flags });
    s.sources(m, nghttp3_dir, &.{"lib/sfparse/sfparse.c"}, &flags);
    s.sources(m, ngtcp2_dir, &.{ "crypto/shared.c", "crypto/wolfssl/wolfssl.c" }, &flags);
    s.library("quic", "quic", m);
}

/// BBR with another threshold of loss. Where more than two packets of a hundred in flight are lost, ngtcp2's takes the path
/// for full and lowers what it keeps in flight; and of few packets in flight one is more than that. Averages are short bursts:
/// on lines that lose one packet in a hundred, each cut a little and none lasted long enough to grow again, until twenty
/// rounds took five times as long (test/wan/rounds.py lossy). Other implementations wait for a second loss; ten of a
/// hundred has the same effect, and drops no more packets where queues are what loses them.
fn bbr(s: *Shoal) std.Build.LazyPath {
    const b = s.b;
    const io = b.graph.io;
    const name = "ngtcp2_bbr.c";
    const before = "#define NGTCP2_BBR_LOSS_THRESH_NUMER 2\n";
    const after = "#define NGTCP2_BBR_LOSS_THRESH_NUMER 10\n";
    const lib = b.root.openDir(io, ngtcp2_dir ++ "/lib", .{}) catch @panic(name);
    defer lib.close(io);
    const source = lib.readFileAlloc(io, name, b.allocator, .limited(1 << 20)) catch @panic(name);
    b.dependOnFileContents(s.file(ngtcp2_dir ++ "/lib", name));
    if (std.mem.count(u8, source, before) != 1) @panic(name ++ ": where is the threshold of loss?");
    return b.addWriteFiles().add(name, std.mem.replaceOwned(u8, b.allocator, source, before, after) catch @panic("OOM"));
}

/// libyaml needs its version, which is the suffix of its folder's name.
fn yaml(s: *Shoal) void {
    const m = s.module();
    const version = comptime yaml_dir[std.mem.lastIndexOfScalar(u8, yaml_dir, '-').? + 1 ..];
    const names = [_][]const u8{ "MAJOR", "MINOR", "PATCH" };
    s.includes(m, &.{yaml_dir ++ "/include"});
    m.addCMacro("YAML_VERSION_STRING", "\"" ++ version ++ "\"");
    var parts = std.mem.splitScalar(u8, version, '.');
    for (names) |name| m.addCMacro(s.b.fmt("YAML_VERSION_{s}", .{name}), parts.next().?);
    s.sources(m, yaml_dir ++ "/src", s.files(yaml_dir ++ "/src", ".c"), &flags);
    s.library("yaml", "yaml", m);
}

/// The licences of everything in the program, distributed with it: of the compiled sources and of the distribution's
/// archives (zigw).
pub fn licenses(s: *Shoal) std.Build.LazyPath {
    const b = s.b;
    const folder = b.addWriteFiles();
    _ = folder.addCopyFile(b.path("LICENSE"), "shoal.txt");
    inline for (.{
        .{ "wolfssl", wolfssl_dir ++ "/COPYING" },
        .{ "ngtcp2", ngtcp2_dir ++ "/COPYING" },
        .{ "nghttp3", nghttp3_dir ++ "/COPYING" },
        .{ "sfparse", nghttp3_dir ++ "/lib/sfparse/COPYING" },
        .{ "libyaml", yaml_dir ++ "/License" },
        .{ "dygraphs", dygraphs_dir ++ "/share/doc/libjs-dygraphs/copyright" },
    }) |l| _ = folder.addCopyFile(b.path(l[1]), l[0] ++ ".txt");
    const of_system = ".deps/system/licenses";
    for (s.files(of_system, "")) |name| _ = folder.addCopyFile(s.file(of_system, name), b.fmt("{s}.txt", .{name}));
    if (s.toolkit != null) _ = folder.add("cudart.txt",
        \\This program holds libcudart_static.a, the CUDA runtime of NVIDIA. It is not free software: the CUDA Toolkit's End User
        \\License Agreement says who may pass it on and how, https://docs.nvidia.com/cuda/eula/.
        \\
    );
    return folder.getDirectory();
}
