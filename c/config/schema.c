#include "config/schema.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/near.h"

#define AT(field)  offsetof(struct experiment, field)
#define STEPS_MAX  1000000000000u
#define PATH_BYTES (EXPERIMENT_PATH_BYTES - 1)

static const char *const schedule_words[] = {"cosine", "wsd", "constant", NULL};
static const char *const precision_words[] = {"fp32", "bf16", "auto", NULL};
static const char *const recompute_words[] = {"none", "block", NULL};
static const char *const count_words[] = {"tokens", "steps", NULL};
static const char *const wire_words[] = {"fp32", "bf16", "int8", "int4", NULL};
static const char *const congestion_words[] = {"bbr", "cubic", NULL};
static const char *const kernels_words[] = {"auto", "avx2", "avx512", "avx512_bf16", "amx", NULL};
static const char *const access_words[] = {"open", NULL};

/* One row per key, in printing order. Defaults are those of OpenDiLoCo (arXiv 2407.07852, section
 * 3) where it has the key: batch of 512 sequences, lr 4e-4, cosine after 1000 steps, outer lr 0.7
 * and momentum 0.9. */
// clang-format off
const struct schema_key schema_keys[] = {
    {"experiment.name", "letters, digits, '-', '_', '.'", SCHEMA_TEXT, AT(name), .least = 1, .most = EXPERIMENT_NAME_BYTES - 1, .form = SCHEMA_FORM_NAME, .required = true},
    {"experiment.seed", "all chance of the run follows from it", SCHEMA_U64, AT(seed), .least = 0, .most = UINT64_MAX, .initial = "1", .shared = 1},

    {"model.preset", "a known shape; keys beside it override", SCHEMA_TEXT, AT(preset), .least = 1, .most = sizeof ((struct experiment *)0)->preset - 1, .form = SCHEMA_FORM_PRESET},
    {"model.layers", "blocks", SCHEMA_U32, AT(model.layers), .least = 1, .most = 256, .required = true, .shared = 1},
    {"model.dim", "width; a multiple of heads", SCHEMA_U32, AT(model.dim), .least = 16, .most = 16384, .required = true, .shared = 1},
    {"model.heads", "query heads", SCHEMA_U32, AT(model.heads), .least = 1, .most = 256, .required = true, .shared = 1},
    {"model.kv_heads", "key and value heads; divides heads", SCHEMA_U32, AT(model.kv_heads), .least = 1, .most = 256, .derived = "as many as heads", .shared = 1},
    {"model.ffn", "width of the feed-forward layer", SCHEMA_U32, AT(model.ffn), .least = 16, .most = 65536, .required = true, .shared = 1},
    {"model.vocab", "entries of the tokenizer", SCHEMA_U32, AT(model.vocab), .least = 257, .most = 262144, .required = true, .shared = 1},
    {"model.context", "tokens of a sequence", SCHEMA_U32, AT(model.context), .least = 8, .most = 32768, .initial = "1024", .shared = 1},
    {"model.rope_theta", "base of the rotary embedding", SCHEMA_F64, AT(model.rope_theta), .low = 1, .high = 1e9, .above = true, .initial = "10000", .shared = 1},
    {"model.rms_eps", "added under RMSNorm's root", SCHEMA_F64, AT(model.rms_eps), .low = 0, .high = 0.1, .above = true, .initial = "1e-5", .shared = 1},
    {"model.tied", "the head is the embedding", SCHEMA_BOOL, AT(model.tied), .initial = "false", .shared = 1},

    {"data.corpus", "folder made by `shoal prepare`", SCHEMA_TEXT, AT(data.corpus), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .required = true},
    {"data.validation", "share of documents held out; must be what `shoal prepare` was told", SCHEMA_F64, AT(data.validation), .low = 0, .high = 0.5, .above = true, .below = true, .derived = "as the corpus was made"},

    {"train.steps", "inner steps of the whole run", SCHEMA_U64, AT(train.steps), .least = 1, .most = STEPS_MAX, .required = true, .shared = 1},
    {"train.batch_tokens", "tokens of one inner step of one worker", SCHEMA_U64, AT(train.batch_tokens), .least = 8, .most = 1u << 30, .initial = "524288", .shared = 1},
    {"train.micro_batch", "sequences at once", SCHEMA_U32, AT(train.micro_batch), .least = 1, .most = 65536, .automatic = true, .initial = "auto"},
    {"train.optimizer.lr", "AdamW's learning rate at its highest", SCHEMA_F64, AT(train.optimizer.lr), .low = 0, .high = 10, .above = true, .initial = "4e-4", .shared = 1},
    {"train.optimizer.betas", "decay of AdamW's moments", SCHEMA_F64, AT(train.optimizer.beta1), .low = 0, .high = 1, .below = true, .count = 2, .initial = "[0.9, 0.95]", .shared = 1},
    {"train.optimizer.eps", "added to AdamW's root", SCHEMA_F64, AT(train.optimizer.eps), .low = 0, .high = 1, .above = true, .initial = "1e-8", .shared = 1},
    {"train.optimizer.weight_decay", "on matrices only", SCHEMA_F64, AT(train.optimizer.weight_decay), .low = 0, .high = 10, .initial = "0.1", .shared = 1},
    {"train.optimizer.clip", "largest norm of the gradient; 0: never clip", SCHEMA_F64, AT(train.optimizer.clip), .low = 0, .high = 1e6, .initial = "1.0", .shared = 1},
    {"train.schedule.kind", "of the learning rate, by global step", SCHEMA_WORD, AT(train.schedule.kind), .words = schedule_words, .initial = "cosine", .shared = 1},
    {"train.schedule.warmup", "steps of linear rise; fewer than train.steps", SCHEMA_U64, AT(train.schedule.warmup), .least = 0, .most = STEPS_MAX, .derived = "a tenth of train.steps, 1000 at most", .shared = 1},
    {"train.schedule.final", "share of lr at the end", SCHEMA_F64, AT(train.schedule.final), .low = 0, .high = 1, .initial = "0.1", .shared = 1},
    {"train.schedule.decay", "wsd: share of the run that decays", SCHEMA_F64, AT(train.schedule.decay), .low = 0, .high = 1, .initial = "0.1", .shared = 1},
    {"train.precision", "of the inner steps; auto: the faster one, as measured; on a GPU bf16", SCHEMA_WORD, AT(train.precision), .words = precision_words, .initial = "fp32"},
    {"train.recompute", "what layers compute once more backward, to save memory", SCHEMA_WORD, AT(train.recompute), .words = recompute_words, .initial = "none"},

    {"outer.every", "inner steps between averages; divides train.steps", SCHEMA_U64, AT(outer.every), .least = 1, .most = STEPS_MAX, .required = true, .shared = 1},
    {"outer.count", "an epoch ends by tokens of all, or by steps of each", SCHEMA_WORD, AT(outer.count), .words = count_words, .initial = "tokens", .shared = 1},
    {"outer.optimizer.lr", "of the outer step", SCHEMA_F64, AT(outer.optimizer.lr), .low = 0, .high = 10, .above = true, .initial = "0.7", .shared = 1},
    {"outer.optimizer.momentum", "of the outer step", SCHEMA_F64, AT(outer.optimizer.momentum), .low = 0, .high = 1, .below = true, .initial = "0.9", .shared = 1},
    {"outer.optimizer.nesterov", "look ahead along the momentum", SCHEMA_BOOL, AT(outer.optimizer.nesterov), .initial = "true", .shared = 1},
    {"outer.wire", "form of what is sent", SCHEMA_WORD, AT(outer.wire), .words = wire_words, .initial = "int8", .built = "int8", .shared = 1},
    {"outer.overlap", "inner steps an average may be late; less than every", SCHEMA_U32, AT(outer.overlap), .least = 0, .most = 1000000, .initial = "0", .built = "0", .shared = 1},
    {"outer.fragments", "parts that are averaged in turn", SCHEMA_U32, AT(outer.fragments), .least = 1, .most = 256, .initial = "1", .built = "1", .shared = 1},
    {"outer.robust", "CenteredClip: few members' contributions do not decide a mean", SCHEMA_BOOL, AT(outer.robust), .initial = "false", .shared = 2},

    {"swarm.listen", "host:port, port 0 for any", SCHEMA_TEXT, AT(swarm.listen), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_LISTEN, .initial = "0.0.0.0:4433"},
    {"swarm.advertise", "host:port as seen from outside; empty: what peers observe", SCHEMA_TEXT, AT(swarm.advertise), .least = 0, .most = PATH_BYTES, .form = SCHEMA_FORM_ADDRESS, .initial = ""},
    {"swarm.peers", "files or https URLs of ID@host:port lines, or ID@host:port", SCHEMA_PEERS, AT(swarm.peers), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .initial = "[]"},
    {"swarm.identity", "file of this machine's key, made at the first start", SCHEMA_TEXT, AT(swarm.identity), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .initial = "node.key"},
    {"swarm.access", "who may join", SCHEMA_WORD, AT(swarm.access), .words = access_words, .initial = "open"},
    {"swarm.access.psk", "file of a secret that all members share", SCHEMA_TEXT, AT(swarm.access_key), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH},
    {"swarm.access.ticket", "the experiment's public key", SCHEMA_TEXT, AT(swarm.access_key), .least = 1, .most = PATH_BYTES},
    {"swarm.ticket", "file of this machine's ticket, where access asks for one", SCHEMA_TEXT, AT(swarm.ticket), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .initial = "node.ticket"},
    {"swarm.revoked", "file of revoked tickets; read again whenever it changes", SCHEMA_TEXT, AT(swarm.revoked), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .initial = "node.revoked"},
    {"swarm.group.min", "fewest members that average", SCHEMA_U32, AT(swarm.group_min), .least = 2, .most = 20, .initial = "2"},
    {"swarm.group.max", "most members that average", SCHEMA_U32, AT(swarm.group_max), .least = 2, .most = 20, .initial = "20", .built = "20"},
    {"swarm.bandwidth_mbps", "first guess of this machine's uplink, Mbit/s", SCHEMA_U32, AT(swarm.bandwidth_mbps), .least = 1, .most = 1000000, .initial = "100"},
    {"swarm.congestion", "control of what this machine sends; bbr holds its rate under loss", SCHEMA_WORD, AT(swarm.congestion), .words = congestion_words, .initial = "bbr"},

    {"checkpoint.dir", "folder", SCHEMA_TEXT, AT(checkpoint.dir), .least = 1, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .derived = "runs/ and the experiment's name"},
    {"checkpoint.every", "inner steps", SCHEMA_U64, AT(checkpoint.every), .least = 1, .most = STEPS_MAX, .derived = "as outer.every"},
    {"checkpoint.keep", "newest checkpoints that stay", SCHEMA_U32, AT(checkpoint.keep), .least = 1, .most = 1000000, .initial = "3"},
    {"checkpoint.required", "a checkpoint that cannot be written ends this worker", SCHEMA_BOOL, AT(checkpoint.required), .initial = "false"},

    {"evaluate.every", "inner steps", SCHEMA_U64, AT(evaluate.every), .least = 1, .most = STEPS_MAX, .derived = "as outer.every"},
    {"evaluate.tokens", "of held-out text, at most", SCHEMA_U64, AT(evaluate.tokens), .least = 8, .most = STEPS_MAX, .initial = "65536"},

    {"metrics.listen", "host:port for Prometheus; empty: none", SCHEMA_TEXT, AT(metrics.listen), .least = 0, .most = PATH_BYTES, .form = SCHEMA_FORM_LISTEN, .initial = "", .built = ""},
    {"metrics.log", "file of JSON lines; empty: none", SCHEMA_TEXT, AT(metrics.log), .least = 0, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .derived = "log.jsonl in checkpoint.dir"},

    {"machine.device", "what computes; cuda: all GPUs", SCHEMA_DEVICE, AT(machine.device), .least = 0, .most = EXPERIMENT_DEVICE_MAX, .initial = "auto"},
    {"machine.cublaslt", "file of cuBLASLt; empty: where it usually is", SCHEMA_TEXT, AT(machine.cublaslt), .least = 0, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .initial = ""},
    {"machine.nccl", "file of NCCL, for several GPUs; empty: where it usually is", SCHEMA_TEXT, AT(machine.nccl), .least = 0, .most = PATH_BYTES, .form = SCHEMA_FORM_PATH, .initial = ""},
    {"machine.threads", "of the CPU", SCHEMA_U32, AT(machine.threads), .least = 1, .most = 1024, .automatic = true, .initial = "auto"},
    {"machine.kernels", "instructions that the CPU computes with; auto: the fastest, as measured", SCHEMA_WORD, AT(machine.kernels), .words = kernels_words, .initial = "auto"},
};
const size_t schema_count = sizeof schema_keys / sizeof schema_keys[0];
static_assert(sizeof schema_keys / sizeof schema_keys[0] <= EXPERIMENT_KEYS_MAX, "room for each key's place");

/* OpenDiLoCo's shapes (the configs of its repository: hidden_size, intermediate_size, heads,
 * layers). */
#define SHAPE(d, f, h, kv, l, v) {.layers = l, .dim = d, .heads = h, .kv_heads = kv, .ffn = f, .vocab = v}
const struct schema_preset schema_presets[] = {
    {"2m", SHAPE(64, 256, 2, 2, 2, 1024)},
    {"14m", SHAPE(128, 512, 4, 4, 6, 32000)},
    {"60m", SHAPE(1024, 2688, 16, 16, 3, 32000)},
    {"150m", SHAPE(1024, 2688, 16, 16, 12, 32000)},
    {"1b", SHAPE(2048, 5632, 32, 4, 22, 32000)},
    {NULL, {0}},
};
// clang-format on

const char *recompute_word(enum recompute r) { return recompute_words[r]; }
const char *precision_word(enum precision p) { return precision_words[p]; }

size_t schema_find(const char *path, size_t bytes)
{
    for (size_t i = 0; i < schema_count; i++)
        if (strlen(schema_keys[i].path) == bytes && !memcmp(schema_keys[i].path, path, bytes))
            return i;
    return SCHEMA_NONE;
}

size_t schema_index(const char *path)
{
    size_t i = schema_find(path, strlen(path));
    assert(i != SCHEMA_NONE);
    return i;
}

/* The part of `path` below the mapping, or NULL when it is not within it. */
static const char *below(const char *path, const char *mapping, size_t bytes)
{
    if (bytes == 0) return path;
    return strlen(path) > bytes && !memcmp(path, mapping, bytes) && path[bytes] == '.'
               ? path + bytes + 1
               : NULL;
}

bool schema_is_mapping(const char *path, size_t bytes)
{
    for (size_t i = 0; i < schema_count; i++)
        if (below(schema_keys[i].path, path, bytes)) return true;
    return false;
}

bool schema_is_word(const char *word, size_t bytes)
{
    for (size_t i = 0; i < schema_count; i++)
        for (const char *at = schema_keys[i].path; *at; at += at[strcspn(at, ".")] == '.') {
            size_t n = strcspn(at, ".");
            if (near_distance(at, n, word, bytes) <= (n > 3)) return true;
            at += n;
        }
    return false;
}

bool schema_child(const char *path, size_t index, const char **name, size_t *bytes)
{
    const char *last = NULL;
    size_t last_bytes = 0, seen = 0;
    for (size_t i = 0; i < schema_count; i++) {
        const char *at = below(schema_keys[i].path, path, strlen(path));
        if (!at) continue;
        size_t n = strcspn(at, ".");
        /* Keys of one mapping are contiguous in the table, so comparing with the last one is
         * enough. */
        if (last && last_bytes == n && !memcmp(last, at, n)) continue;
        last = at;
        last_bytes = n;
        if (seen++ < index) continue;
        *name = at;
        *bytes = n;
        return true;
    }
    return false;
}
