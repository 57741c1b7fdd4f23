/* What a good file comes to: presets, defaults, the printed form, and the name of the run. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "config/check.h"
#include "config/complain.h"
#include "config/experiment.h"
#include "config/schema.h"

static struct experiment x, y;
static struct why w;

static void parse(struct experiment *to, const char *text)
{
    enum err e = experiment_parse("e.yaml", bytes_of(text, strlen(text)), to, &w);
    cr_assert_eq(e, ERR_OK, "%s\n%s", e ? w.text : "", text);
}

/* Requires nothing but what is required, and takes any model. */
static void parse_model(const char *model)
{
    char text[1024];
    snprintf(text, sizeof text,
             "experiment: {name: a}\ndata: {corpus: c}\ntrain: {steps: 2000}\nouter: {every: 100}\n"
             "model: %s\n",
             model);
    parse(&x, text);
}

Test(experiment, presets_have_opendilocos_sizes)
{
    static const struct {
        const char *preset;
        uint64_t parameters;
    } sizes[] = {{"2m", 262464},
                 {"14m", 9766528},
                 {"60m", 102898688},
                 {"150m", 214983680},
                 {"1b", 1100048384}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char model[64];
        snprintf(model, sizeof model, "{preset: %s}", sizes[i].preset);
        parse_model(model);
        cr_assert_eq(model_shape_parameters(&x.model), sizes[i].parameters, "%s", sizes[i].preset);
        cr_assert_eq(x.model.context, 1024);
        cr_assert_float_eq(x.model.rms_eps, 1e-5, 1e-12);
        cr_assert_not(x.model.tied);
    }
}

Test(experiment, a_tied_head_costs_no_parameters)
{
    parse_model("{preset: 150m}");
    uint64_t untied = model_shape_parameters(&x.model);
    parse_model("{preset: 150m, tied: true}");
    cr_assert_eq(untied - model_shape_parameters(&x.model), 32000u * 1024u);
}

Test(experiment, parameters_are_counted_tensor_by_tensor)
{
    parse_model("{layers: 3, dim: 48, heads: 6, kv_heads: 2, ffn: 100, vocab: 300}");
    uint64_t block = 48 * 48 + 2 * 16 * 48 + 48 * 48 + 3 * 48 * 100 + 2 * 48;
    cr_assert_eq(model_shape_parameters(&x.model), 3 * block + 2 * 300 * 48 + 48);
}

Test(experiment, keys_beside_a_preset_override_it_in_any_order)
{
    parse_model("{layers: 5, preset: 60m, vocab: 4096}");
    cr_assert_eq(x.model.layers, 5);
    cr_assert_eq(x.model.vocab, 4096);
    cr_assert_eq(x.model.dim, 1024);
    cr_assert_eq(x.model.ffn, 2688);
}

Test(experiment, what_is_not_given_has_its_default)
{
    parse_model("{layers: 2, dim: 64, heads: 4, ffn: 128, vocab: 512}");
    cr_assert_eq(x.seed, 1);
    cr_assert_eq(x.model.kv_heads, 4);
    cr_assert_float_eq(x.model.rope_theta, 10000, 0);
    cr_assert_eq(x.train.batch_tokens, 524288);
    cr_assert_eq(x.train.micro_batch, 0);
    cr_assert_eq(x.train.schedule.warmup, 200, "a tenth of the steps");
    cr_assert_float_eq(x.train.optimizer.lr, 4e-4, 0);
    cr_assert_float_eq(x.train.optimizer.beta2, 0.95, 0);
    cr_assert_eq(x.train.precision, PRECISION_FP32);
    cr_assert(x.outer.optimizer.nesterov);
    cr_assert_eq(x.outer.wire, WIRE_INT8);
    cr_assert_str_eq(x.swarm.listen, "0.0.0.0:4433");
    cr_assert_eq(x.swarm.group_max, 20);
    cr_assert_eq(x.swarm.bandwidth_mbps, 100);
    cr_assert_eq(x.swarm.congestion, CONGESTION_BBR);
    cr_assert_str_eq(x.checkpoint.dir, "runs/a");
    cr_assert_eq(x.checkpoint.every, 100);
    cr_assert_eq(x.evaluate.every, 100);
    cr_assert_str_eq(x.metrics.log, "runs/a/log.jsonl");
    cr_assert_eq(x.machine.device, DEVICE_AUTO);
    cr_assert_eq(x.machine.threads, 0);
    cr_assert_str_eq(x.machine.cublaslt, "");
    cr_assert_eq(experiment_epochs(&x), 20);
}

Test(experiment, a_star_listens_on_every_address)
{
#define LISTENS(where)                                                                             \
    "experiment: {name: a}\ndata: {corpus: c}\ntrain: {steps: 2000}\nouter: {every: 100}\nmodel: " \
    "{preset: 60m}\nswarm: {listen: \"" where "\"}\n"
    static const char *const bad[] = {LISTENS("*"),    LISTENS("*:"),      LISTENS("*:70000"),
                                      LISTENS("**:1"), LISTENS("*.org:1"), LISTENS("*:0000001")};
    struct why w;
    parse(&x, LISTENS("*:0"));
    cr_assert_str_eq(x.swarm.listen, "*:0");
    parse(&x, LISTENS("*:65535"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(experiment_parse("e", bytes_of(bad[i], strlen(bad[i])), &x, &w), ERR_USAGE,
                     "%s", bad[i]);
}

Test(experiment, a_long_run_warms_up_for_a_thousand_steps)
{
    parse(&x, "experiment: {name: a}\ndata: {corpus: c}\ntrain: {steps: 88000}\nouter: {every: "
              "500}\nmodel: {preset: 60m}\n");
    cr_assert_eq(x.train.schedule.warmup, 1000);
}

/* Every field set to something that is not its default. */
static const char full[] =
    "experiment: {name: full.2-b, seed: 18446744073709551615}\n"
    "model: {layers: 3, dim: 96, heads: 6, kv_heads: 3, ffn: 200, vocab: 999, context: 64, "
    "rope_theta: 5e5, rms_eps: "
    "1e-6, tied: true}\n"
    "data: {corpus: \"corpora/two words \\\"q\\\" \\\\ é\\n\\x07\\L\\x85\", validation: "
    "0.0123456789012345678}\n"
    "train:\n"
    "  steps: 3000\n"
    "  batch_tokens: 640\n"
    "  micro_batch: 5\n"
    "  optimizer: {lr: 3.3333333333333335e-4, betas: [0.8, 0.999], eps: 1e-9, weight_decay: 0.05, "
    "clip: 0.5}\n"
    "  schedule: {kind: wsd, warmup: 7, final: 0.125, decay: 0.25}\n"
    "  precision: fp32\n"
    "outer: {every: 30, count: steps, optimizer: {lr: 0.5, momentum: 0.8, nesterov: false}, wire: "
    "int8}\n"
    "swarm:\n"
    "  listen: \"[::]:0\"\n"
    "  advertise: host-1.example.org:4433\n"
    "  peers: [peers.txt, "
    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF@[2001:db8::1]:4433\"]\n"
    "  identity: \"7\"\n"
    "  access: open\n"
    "  group: {min: 3, max: 20}\n"
    "  bandwidth_mbps: 25\n"
    "  congestion: cubic\n"
    "checkpoint: {dir: \"true\", every: 17, keep: 9, required: true}\n"
    "evaluate: {every: 19, tokens: 64}\n"
    "metrics: {log: \"\"}\n"
    "machine: {device: cpu, cublaslt: /opt/lt.so, threads: 3}\n";

static char *printed(const struct experiment *e)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    experiment_print(e, f);
    fclose(f);
    return text;
}

/* Reads what is printed of x into y: all values are the same, and so is what is printed of y. */
static void round_trip(void)
{
    char *once = printed(&x);
    parse(&y, once);
    size_t from = offsetof(struct experiment, name), to = offsetof(struct experiment, places);
    cr_assert(!memcmp((char *)&x + from, (char *)&y + from, to - from), "%s", once);
    char *again = printed(&y);
    cr_assert_str_eq(once, again);
    free(once);
    free(again);
}

Test(experiment, names_the_gpus_that_compute)
{
    static const struct {
        const char *text;
        uint32_t count, last;
    } devices[] = {{"cuda", 0, 0}, {"cuda:7", 1, 7}, {"cuda:3,0,12", 3, 12}};
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        struct why w;
        parse(&x, full);
        cr_assert_eq(experiment_set_device(&x, devices[i].text, &w), ERR_OK, "%s", w.text);
        cr_assert_eq(x.machine.device, DEVICE_CUDA);
        cr_assert_eq(x.machine.gpus_count, devices[i].count);
        if (devices[i].count) cr_assert_eq(x.machine.gpus[devices[i].count - 1], devices[i].last);
        round_trip();
        cr_assert_eq(experiment_set_device(&x, "cuda:1,1", &w), ERR_USAGE);
        cr_assert_not_null(strstr(w.text, "at most 16 different N"), "%s", w.text);
        cr_assert_eq(x.machine.gpus_count, devices[i].count, "what is refused changes nothing");
        cr_assert_eq(experiment_set_device(&x, "cpu", &w), ERR_OK);
        cr_assert_eq(x.machine.gpus_count, 0);
    }
}

Test(experiment, what_is_printed_reads_back_to_the_same_values)
{
    parse(&x, full);
    cr_assert_eq(x.seed, UINT64_MAX);
    cr_assert_str_eq(x.data.corpus, "corpora/two words \"q\" \\ é\n\a\xe2\x80\xa8\xc2\x85");
    cr_assert_eq(x.swarm.peers_count, 2);
    cr_assert_eq(x.outer.count, OUTER_COUNT_STEPS);
    round_trip();
    parse_model("{preset: 14m, heads: 8}");
    round_trip();
}

Test(experiment, what_is_printed_names_every_key)
{
    parse_model("{preset: 14m}");
    char *text = printed(&x);
    for (size_t i = 0; i < schema_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s: ", strrchr(schema_keys[i].path, '.') + 1);
        bool other = !strncmp(schema_keys[i].path, "swarm.access.", 13) ||
                     !strcmp(schema_keys[i].path, "swarm.ticket") ||
                     !strcmp(schema_keys[i].path, "swarm.revoked") || /* of other access */
                     !strcmp(schema_keys[i].path, "data.validation"); /* not given */
        cr_assert(other || strstr(text, name), "%s", schema_keys[i].path);
        cr_assert(other || strstr(text, schema_keys[i].what), "%s", schema_keys[i].what);
    }
    free(text);
}

#define DIGITS "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"

Test(experiment, a_swarm_with_tickets_names_the_key_and_the_files)
{
    parse_model("{preset: 14m}\nswarm: {access: {ticket: " DIGITS "}, ticket: mine}");
    cr_assert_eq(x.swarm.access, ACCESS_TICKET);
    cr_assert_str_eq(x.swarm.ticket, "mine");
    cr_assert_str_eq(x.swarm.revoked, "node.revoked");
    char *text = printed(&x);
    cr_assert_not_null(strstr(text, DIGITS), "%s", text);
    cr_assert_not_null(strstr(text, "ticket: mine"), "%s", text);
    cr_assert_not_null(strstr(text, "revoked: node.revoked"), "%s", text);
    free(text);
    round_trip();
}

Test(experiment, one_peer_needs_no_list)
{
    parse(&x, "experiment: {name: a}\ndata: {corpus: c}\ntrain: {steps: 100}\nouter: {every: "
              "10}\nmodel: {preset: 2m}\n"
              "swarm: {peers: peers.txt}\n");
    cr_assert_eq(x.swarm.peers_count, 1);
    cr_assert_str_eq(x.swarm.peers[0], "peers.txt");
}

Test(experiment, more_than_64_peers_belong_into_a_file)
{
    char text[2048] = "swarm: {peers: [a";
    for (size_t i = 1; i < 65; i++) strcat(text, ", a");
    strcat(text, "]}\n");
    cr_assert_eq(experiment_parse("e.yaml", bytes_of(text, strlen(text)), &x, &w), ERR_USAGE);
    cr_assert(!strncmp(w.text, "e.yaml:1:209: swarm.peers: ", 27), "%s", w.text);
}

Test(experiment, windows_line_ends_a_byte_order_mark_and_comments_are_fine)
{
    parse(&x,
          "\xef\xbb\xbf# a\r\nexperiment: {name: a}\r\ndata: {corpus: c}\r\ntrain: {steps: 100}\r\n"
          "outer: {every: 10}\r\nmodel: {preset: 2m} # the smallest\r\n");
    cr_assert_str_eq(x.data.corpus, "c");
}

/* In place of SHA-256: keeps what it was given, and mixes it well enough to tell two inputs
 * apart. */
static uint8_t canonical[512];
static size_t canonical_bytes;

static void mix(void *self, const struct bytes *parts, size_t count, uint8_t out[CRYPTO_HASH_BYTES])
{
    uint64_t h[4] = {1, 2, 3, 4};
    canonical_bytes = 0;
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < parts[p].count; i++) {
            cr_assert_lt(canonical_bytes, sizeof canonical);
            canonical[canonical_bytes++] = parts[p].data[i];
            for (size_t k = 0; k < 4; k++) h[k] = rng_at(h[k], parts[p].data[i]);
        }
    memcpy(out, h, CRYPTO_HASH_BYTES);
}

static const struct crypto crypto = {.hash = mix};

static void run_id(const char *text, uint8_t tokenizer_byte, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t tokenizer[CRYPTO_HASH_BYTES];
    parse(&y, text);
    memset(tokenizer, tokenizer_byte, sizeof tokenizer);
    experiment_run_id(&y, tokenizer, &crypto, out);
}

/* `full` with one piece of text replaced. */
static const char *with(const char *from, const char *to)
{
    static char text[sizeof full + 128];
    const char *at = strstr(full, from);
    cr_assert(at, "%s", from);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - full), full, to, at + strlen(from));
    return text;
}

Test(experiment, all_that_training_depends_on_changes_the_runs_name)
{
    static const char *const changes[][2] = {
        {"18446744073709551615", "18446744073709551614"},
        {"layers: 3", "layers: 4"},
        {"dim: 96", "dim: 48"},
        {"heads: 6", "heads: 3"},
        {"kv_heads: 3", "kv_heads: 6"},
        {"ffn: 200", "ffn: 201"},
        {"vocab: 999", "vocab: 998"},
        {"context: 64", "context: 32"},
        {"5e5", "5.1e5"},
        {"1e-6", "2e-6"},
        {"tied: true", "tied: false"},
        {"steps: 3000", "steps: 3030"},
        {"batch_tokens: 640", "batch_tokens: 1280"},
        {"lr: 3.3333333333333335e-4", "lr: 3.333333333333333e-4"},
        {"0.8, 0.999", "0.81, 0.999"},
        {"0.8, 0.999", "0.8, 0.99"},
        {"eps: 1e-9", "eps: 1e-8"},
        {"weight_decay: 0.05", "weight_decay: 0.1"},
        {"clip: 0.5", "clip: 1"},
        {"kind: wsd", "kind: cosine"},
        {"warmup: 7", "warmup: 8"},
        {"final: 0.125", "final: 0.1"},
        {"decay: 0.25", "decay: 0.26"},
        {"every: 30", "every: 60"},
        {"count: steps", "count: tokens"},
        {"lr: 0.5", "lr: 0.6"},
        {"momentum: 0.8", "momentum: 0.7"},
        {"nesterov: false", "nesterov: true"}};
    uint8_t was[CRYPTO_DIGEST_BYTES], is[CRYPTO_DIGEST_BYTES];
    run_id(full, 1, was);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        run_id(with(changes[i][0], changes[i][1]), 1, is);
        cr_assert(memcmp(was, is, sizeof is), "%s", changes[i][1]);
    }
    run_id(full, 2, is);
    cr_assert(memcmp(was, is, sizeof is), "the tokenizer");
}

Test(experiment, paths_addresses_and_the_machine_do_not_change_the_runs_name)
{
    static const char *const changes[][2] = {
        {"full.2-b", "other"},
        {"corpora/two", "elsewhere"},
        {"0.0123456789012345678", "0.1"},
        {"micro_batch: 5", "micro_batch: auto"},
        {"[::]:0", "127.0.0.1:9"},
        {"host-1", "host-2"},
        {"[peers.txt, ", "["},
        {"identity: \"7\"", "identity: k"},
        {"min: 3, max: 20", "min: 2, max: 20"},
        {"bandwidth_mbps: 25", "bandwidth_mbps: 1000"},
        {"congestion: cubic", "congestion: bbr"},
        {"dir: \"true\"", "dir: d"},
        {"every: 17", "every: 1"},
        {"keep: 9", "keep: 1"},
        {"required: true", "required: false"},
        {"every: 19", "every: 1"},
        {"tokens: 64}", "tokens: 128}"},
        {"log: \"\"", "log: l"},
        {"device: cpu", "device: auto"},
        {"threads: 3", "threads: auto"},
        {"layers: 3, dim: 96, heads: 6, kv_heads: 3, ffn: 200",
         "preset: 60m, ffn: 200, kv_heads: 3, heads: 6, dim: 96, layers: 3"}};
    uint8_t was[CRYPTO_DIGEST_BYTES], is[CRYPTO_DIGEST_BYTES];
    run_id(full, 1, was);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        run_id(with(changes[i][0], changes[i][1]), 1, is);
        cr_assert(!memcmp(was, is, sizeof is), "%s", changes[i][1]);
    }
}

Test(experiment, minus_zero_names_the_same_run_as_zero)
{
    uint8_t was[CRYPTO_DIGEST_BYTES], is[CRYPTO_DIGEST_BYTES];
    run_id(with("weight_decay: 0.05", "weight_decay: 0"), 1, was);
    run_id(with("weight_decay: 0.05", "weight_decay: -0.0"), 1, is);
    cr_assert(!memcmp(was, is, sizeof is));
}

/* SPEC.md's example, packed by another program than ours. */
Test(experiment, the_runs_name_is_the_hash_of_exactly_these_bytes)
{
    static const char golden[] =
        "01000100ffffffffffffffff03000000600000000600000003000000c8000000e703000040000000"
        "0000000080841e418dedb5a0f7c6b03e01b80b0000000000008002000000000000a6e2ecc367d835"
        "3f9a9999999999e93f2b8716d9cef7ef3f95d626e80b2e113e9a9999999999a93f000000000000e0"
        "3f010700000000000000000000000000c03f000000000000d03f1e00000000000000010000000000"
        "00e03f9a9999999999e93f0002000000000100000001010101010101010101010101010101010101"
        "01010101010101010101010101";
    uint8_t out[CRYPTO_DIGEST_BYTES];
    char hex[2 * sizeof canonical + 1] = "";
    run_id(full, 1, out);
    for (size_t i = 0; i < canonical_bytes; i++) snprintf(hex + 2 * i, 3, "%02x", canonical[i]);
    cr_assert_str_eq(hex, golden);
}

/* A folder of our own to look at files in. */
static char place[64];

static void enter(void)
{
    snprintf(place, sizeof place, "/tmp/shoal-experiment-XXXXXX");
    cr_assert(mkdtemp(place));
    cr_assert_eq(chdir(place), 0);
}

static void leave(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", place);
    cr_assert_eq(system(command), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert(f);
    fputs(text, f);
    fclose(f);
}

TestSuite(files, .init = enter, .fini = leave);

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char files[] =
    "experiment: {name: a}\ntrain: {steps: 100}\nouter: {every: 10}\nmodel: {preset: 2m}\n"
    "data: {corpus: corpus}\n"
    "swarm: {identity: key, peers: [one.txt, \"two.txt\", \"" ID "@example.org:4433\"]}\n"
    "checkpoint: {dir: kept}\n"
    "metrics: {log: a.jsonl}\n"
    "machine: {cublaslt: lt.so}\n";

Test(files, an_experiment_whose_files_are_there_passes)
{
    parse(&x, files);
    mkdir("corpus", 0700);
    write_file("one.txt", "");
    write_file("two.txt", "");
    write_file("lt.so", "");
    cr_assert_eq(experiment_check_files(&x, &w), ERR_OK, "%s", w.text);
    mkdir("kept", 0700); /* what a first run leaves */
    write_file("key", "");
    write_file("a.jsonl", "");
    cr_assert_eq(experiment_check_files(&x, &w), ERR_OK, "%s", w.text);
}

static void refused(const char *story)
{
    cr_assert_eq(experiment_check_files(&x, &w), ERR_USAGE, "%s", story);
    cr_assert_str_eq(w.text, story);
}

Test(files, what_is_missing_or_in_the_way_is_named_with_its_place)
{
    parse(&x, files);
    refused("e.yaml:5:16: data.corpus: there is no folder corpus; `shoal prepare TEXT... -o "
            "corpus` makes one");
    write_file("corpus", "");
    refused("e.yaml:5:16: data.corpus: corpus is a file, not a folder made by `shoal prepare`");
    unlink("corpus");
    mkdir("corpus", 0700);
    write_file("one.txt", "");
    refused("e.yaml:6:41: swarm.peers: there is no file two.txt, and it is not ID@host:port");
    write_file("two.txt", "");
    mkdir("key", 0700);
    refused("e.yaml:6:19: swarm.identity: key is a folder, not a file");
    rmdir("key");
    write_file("kept", "");
    refused("e.yaml:7:19: checkpoint.dir: kept is a file, not a folder");
    unlink("kept");
    refused("e.yaml:9:21: machine.cublaslt: there is no file lt.so");
    mkdir("lt.so", 0700);
    refused("e.yaml:9:21: machine.cublaslt: lt.so is a folder, not the library's file");
    rmdir("lt.so");
    write_file("lt.so", "");
    mkdir("a.jsonl", 0700);
    refused("e.yaml:8:16: metrics.log: a.jsonl is a folder, not a file");
}

Test(files, an_experiment_that_is_not_there_is_an_io_error)
{
    cr_assert_eq(experiment_read("missing.yaml", &x, &w), ERR_IO);
    cr_assert_str_eq(w.text,
                     "reading the experiment: opening missing.yaml: No such file or directory");
}

Test(files, a_file_is_read_and_named_in_complaints)
{
    write_file("good.yaml", full);
    cr_assert_eq(experiment_read("good.yaml", &x, &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(x.name, "full.2-b");
    cr_assert_eq(experiment_complain(&x, "model.vocab", &w, ERR_USAGE, "%d is not %d", 1, 2),
                 ERR_USAGE);
    cr_assert_str_eq(w.text, "good.yaml:2:69: model.vocab: 1 is not 2");
    write_file("bad.yaml", "train: 5\n");
    cr_assert_eq(experiment_read("bad.yaml", &x, &w), ERR_USAGE);
    cr_assert(!strncmp(w.text, "bad.yaml:1:8: train needs", 25), "%s", w.text);
}

static const char small[] =
    "experiment: {name: a}\ntrain: {steps: 100, batch_tokens: 2048}\nouter: {every: 10}\n"
    "model: {preset: 2m}\ndata: {corpus: ../texts/c}\n"
    "swarm: {identity: keys/a, peers: [p.txt, \"" ID "@example.org:4433\"]}\n"
    "machine: {cublaslt: /opt/lt.so}\n";

static void is_path(const char *path, const char *rest)
{
    char wanted[600], *real = realpath(place, NULL);
    cr_assert(real);
    snprintf(wanted, sizeof wanted, "%s%s", real, rest);
    free(real);
    cr_assert_str_eq(path, wanted);
}

Test(files, paths_start_from_the_experiments_folder)
{
    mkdir("e", 0700);
    mkdir("other", 0700);
    write_file("e/small.yaml", small);
    cr_assert_eq(symlink("../e/small.yaml", "other/link.yaml"), 0);
    const char *const names[] = {"e/small.yaml", "./other/../e/small.yaml"};
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(experiment_read(names[i], &x, &w), ERR_OK, "%s", w.text);
        is_path(x.data.corpus, "/texts/c");
        is_path(x.swarm.identity, "/e/keys/a");
        is_path(x.swarm.peers[0], "/e/p.txt");
        cr_assert_str_eq(x.swarm.peers[1], ID "@example.org:4433");
        is_path(x.checkpoint.dir, "/e/runs/a");
        is_path(x.metrics.log, "/e/runs/a/log.jsonl");
        cr_assert_str_eq(x.machine.cublaslt, "/opt/lt.so");
        cr_assert_str_eq(x.machine.nccl, "");
        round_trip();
    }
    cr_assert_eq(chdir("e"), 0);
    cr_assert_eq(experiment_read("small.yaml", &x, &w), ERR_OK, "%s", w.text);
    is_path(x.data.corpus, "/texts/c");
    cr_assert_eq(chdir(".."), 0);
    cr_assert_eq(experiment_read("other/link.yaml", &x, &w), ERR_OK, "%s", w.text);
    is_path(x.swarm.identity, "/other/keys/a");
}

Test(files, a_path_that_gets_too_long_is_a_mistake_of_its_key)
{
    char text[1024], name[512];
    memset(name, 'n', 505);
    name[505] = 0;
    snprintf(text, sizeof text, "%s", small);
    char *at = strstr(text, "{identity: keys/a");
    snprintf(at, sizeof text - (size_t)(at - text), "{identity: %s}\n", name);
    write_file("long.yaml", text);
    cr_assert_eq(experiment_read("long.yaml", &x, &w), ERR_USAGE);
    cr_assert(!strncmp(w.text, "long.yaml:6:19: swarm.identity: with the folder", 47), "%s",
              w.text);
}

static void set(const char *const *sets, size_t count, enum err e)
{
    write_file("small.yaml", small);
    cr_assert_eq(experiment_read_with("small.yaml", sets, count, &x, &w), e, "%s", w.text);
}

Test(files, set_overrides_what_the_file_says)
{
    const char *const sets[] = {"train.optimizer.lr=1e-3",
                                "train.optimizer.betas=[0.8, 0.9]",
                                "experiment.name=7",
                                "outer.every=20",
                                "data.corpus=c2",
                                "checkpoint.dir=/var/run",
                                "swarm.peers=[q.txt, r.txt]",
                                "swarm.listen=[::1]:0",
                                "outer.optimizer.nesterov=false",
                                "outer.count=steps",
                                "train.micro_batch=auto",
                                "swarm.advertise=",
                                "machine.device=cuda:1,0",
                                "experiment.seed=18446744073709551615"};
    mkdir("e", 0700);
    write_file("e/small.yaml", small);
    cr_assert_eq(experiment_read_with("e/small.yaml", sets, sizeof sets / sizeof *sets, &x, &w),
                 ERR_OK, "%s", w.text);
    cr_assert_float_eq(x.train.optimizer.lr, 1e-3, 0);
    cr_assert_float_eq(x.train.optimizer.beta1, 0.8, 0);
    cr_assert_str_eq(x.name, "7");
    cr_assert_eq(x.outer.every, 20);
    is_path(x.data.corpus, "/c2"); /* from the working folder, for it was typed there */
    is_path(x.swarm.identity, "/e/keys/a");
    cr_assert_str_eq(x.metrics.log, "/var/run/log.jsonl");
    cr_assert_eq(x.swarm.peers_count, 2);
    is_path(x.swarm.peers[1], "/r.txt");
    cr_assert_str_eq(x.swarm.listen, "[::1]:0");
    cr_assert_not(x.outer.optimizer.nesterov);
    cr_assert_eq(x.outer.count, OUTER_COUNT_STEPS);
    cr_assert_eq(x.machine.gpus_count, 2);
    cr_assert_eq(x.seed, UINT64_MAX);
    round_trip();
}

Test(files, set_gives_what_the_file_lacks)
{
    write_file("few.yaml", "experiment: {name: a}\nouter: {every: 10}\n");
    const char *const sets[] = {"train.steps=100", "model.preset=2m", "data.corpus=c"};
    cr_assert_eq(experiment_read_with("few.yaml", sets, 3, &x, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(x.train.steps, 100);
    cr_assert_eq(x.model.dim, 64);
}

Test(files, set_is_checked_as_the_file_is)
{
    static const char *const cases[][2] = {
        {"train.optimizer.lr=fast",
         "--set train.optimizer.lr: found 'fast', needs a number above 0 "
         "and at most 10 (AdamW's learning rate at its highest)"},
        {"train.optimizer.lr", "--set 'train.optimizer.lr': there is no value: write --set "
                               "train.optimizer.lr=VALUE"},
        {"train.optimizer.rl=1",
         "--set 'train.optimizer.rl': an experiment has no such key: did you "
         "mean train.optimizer.lr?"},
        {"lr=1", "--set 'lr': an experiment has no such key: did you mean train.optimizer.lr?"},
        {"=1", "--set '': an experiment has no such key: `shoal plan --keys` lists them"},
        {"xyz=1", "--set 'xyz': an experiment has no such key: `shoal plan --keys` lists them"},
        {"train.schedule=1",
         "--set 'train.schedule': name one key of it: it may hold kind, warmup, final, decay"},
        {"outer.every=30", "--set outer.every: 30 does not divide train.steps, which is 100: make "
                           "that 90 or 120"},
        {"outer.wire=int4", "--set outer.wire: int4 is not built yet: write int8"},
        {"data.corpus=", "--set data.corpus: found an empty text, needs a text of 1 to 511 bytes "
                         "(folder made by `shoal prepare`)"},
        {"train.steps=", "--set train.steps: found nothing, needs a whole number from 1 to "
                         "1000000000000 (inner steps of the whole run)"},
        {"train.optimizer.betas=[0.9",
         "--set train.optimizer.betas: [0.9 cannot be read as a list"},
        {"swarm.identity=~/key",
         "--set swarm.identity: found the text '~/key', needs a text of 1 to "
         "511 bytes (file of this machine's key, made at the first start); "
         "write the home folder out: ~ means nothing here"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set(&cases[i][0], 1, strstr(cases[i][1], "not built") ? ERR_UNSUPPORTED : ERR_USAGE);
        cr_expect_str_eq(w.text, cases[i][1]);
    }
    const char *const twice[] = {"train.steps=100", "train.steps=200"};
    set(twice, 2, ERR_USAGE);
    cr_assert_str_eq(w.text, "--set 'train.steps': it is set twice: leave one of them out");
    const char *const several[] = {"train.steps=x", "lr=1", "outer.every=0"};
    set(several, 3, ERR_USAGE);
    cr_assert_eq(x.mistakes.count, 3);
}

Test(files, a_file_of_more_than_a_megabyte_is_refused)
{
    static char text[(1 << 20) + 2];
    memset(text, '\n', sizeof text - 1);
    write_file("long.yaml", text);
    cr_assert_eq(experiment_read("long.yaml", &x, &w), ERR_USAGE);
    cr_assert(!strncmp(w.text, "long.yaml:1:1: ", 15), "%s", w.text);
}

Test(experiment, the_ones_we_ship_pass)
{
    static const char *const shipped[] = {"tiny", "gcide-60m", "quickstart"};
    for (size_t i = 0; i < sizeof shipped / sizeof *shipped; i++) {
        char path[128];
        snprintf(path, sizeof path, "deploy/experiments/%s.yaml", shipped[i]);
        cr_assert_eq(experiment_read(path, &x, &w), ERR_OK, "%s", w.text);
        cr_assert_str_eq(x.name, shipped[i]);
        round_trip();
    }
}

/* A file in the style that people write: block and flow mixed, comments, values on the next
 * line. */
#define MIXED(peers, metrics)                                                                      \
    "experiment: {name: gcide-60m, seed: 7}\n"                                                     \
    "model:                      # or a preset\n"                                                  \
    "  {layers: 12, dim: 512, heads: 8, kv_heads: 8, ffn: 1376, vocab: 32000, context: 1024,\n"    \
    "   rope_theta: 10000, tied: false}\n"                                                         \
    "data: {corpus: corpora/gcide, validation: 0.01}\n"                                            \
    "train:\n"                                                                                     \
    "  steps: 88000              # inner steps of the whole run\n"                                 \
    "  batch_tokens: 524288\n"                                                                     \
    "  micro_batch: auto         # sequences at once\n"                                            \
    "  optimizer: {lr: 4e-4, betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1, clip: 1.0}\n"       \
    "  schedule: {kind: cosine, warmup: 1000, final: 0.1}\n"                                       \
    "  precision: bf16\n"                                                                          \
    "outer:\n"                                                                                     \
    "  every: 500\n"                                                                               \
    "  count: tokens\n"                                                                            \
    "  optimizer: {lr: 0.7, momentum: 0.9, nesterov: true}\n"                                      \
    "  wire: int8\n"                                                                               \
    "  overlap: 0\n"                                                                               \
    "  fragments: 1\n"                                                                             \
    "  robust: false\n"                                                                            \
    "swarm:\n"                                                                                     \
    "  listen: \"0.0.0.0:4433\"\n"                                                                 \
    "  peers: [peers.txt" peers "]\n"                                                              \
    "  identity: node.key\n"                                                                       \
    "  access: open\n"                                                                             \
    "  group: {min: 2, max: 20}\n"                                                                 \
    "checkpoint: {dir: runs/gcide-60m, every: 500, keep: 3}\n"                                     \
    "evaluate: {every: 500, tokens: 65536}\n"                                                      \
    "metrics: {" metrics "log: runs/gcide-60m/log.jsonl}\n"                                        \
    "machine: {device: auto, threads: auto}\n"

static void unsupported(const char *text, const char *story)
{
    cr_assert_eq(experiment_parse("e.yaml", bytes_of(text, strlen(text)), &x, &w), ERR_UNSUPPORTED);
    cr_assert_str_eq(w.text, story);
}

Test(experiment, a_whole_file_is_refused_for_nothing_but_what_is_not_built)
{
    parse(&x, MIXED("", ""));
    cr_assert_eq(x.train.precision, PRECISION_BF16);
    cr_assert_eq(x.model.layers, 12);
    cr_assert_eq(experiment_epochs(&x), 176);
    parse(&x, MIXED(", \"https://example.org/peers.txt\"", ""));
    unsupported(
        MIXED("", "listen: \"127.0.0.1:9464\", "),
        "e.yaml:29:19: metrics.listen: the metrics endpoint is not built yet: leave it out");
}
