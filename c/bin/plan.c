/* plan.c -- `shoal plan`: what an experiment will need, before starting it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/object.h"
#include "bin/bench.h"
#include "bin/command.h"
#include "config/schema.h"
#include "config/settings.h"
#include "config/shared.h"
#include "cpu/cpu.h"
#include "model/budget.h"
#include "model/model.h"
#include "net/identity.h"
#include "node/driver.h"
#include "node/preflight.h"
#include "node/replica.h"

#define TRAFFIC_ROWS 4

static const unsigned gpu_sizes[] = {24, 40, 80, 141}; /* GiB of common GPUs */
#define GPU_ROWS (sizeof gpu_sizes / sizeof *gpu_sizes)

struct plan {
    uint64_t parameters, epochs;
    uint32_t micro_batch; /* sequences */
    uint32_t gpus;        /* named in machine.device, which share the batch; 1 when it names none */
    struct {              /* bytes that a worker allocates at its start */
        uint64_t parameters, gradients, moments, activations, replica, swarm, total;
    } memory;
    double step_flops;    /* of one inner step of one worker */
    struct plan_traffic { /* what a worker sends; it receives as much */
        unsigned members; /* g of one group */
        /* Bytes of one average: 2 (g-1)/g times the vector's wire form, sent and returned. */
        uint64_t epoch;
        uint64_t run;       /* bytes of all averages */
        double alternative; /* bytes of averaging fp32 gradients after each inner step of the run */
        double seconds;     /* of one average at swarm.bandwidth_mbps */
    } traffic[TRAFFIC_ROWS];
    struct budget fits[GPU_ROWS]; /* the settings for each GPU; micro_batch 0: none */
    uint64_t corpus_tokens;       /* of the training part; 0: not read */
    struct preflight_disk disk;
    double speed; /* tokens per second on this machine; 0: not measured */
    bool named;   /* corpus and tokenizer are here, so the run's ID is known */
    uint8_t run_id[CRYPTO_DIGEST_BYTES];
};

static size_t stated(void *self) { return *(size_t *)self; }

/* What the settings require, and which settings fit other GPUs. `gpu`: GiB of the GPU to plan for;
 * 0: the host computes. */
static enum err plan_settings(struct plan *p, const struct experiment *x, const struct backend *cpu,
                              unsigned gpu, struct why *w)
{
    size_t bytes = (size_t)gpu << 30;
    struct backend b = *cpu;
    char name[40];
    b.host = false;
    b.memory = stated;
    b.bf16_weights = b.activation_bytes != sizeof(float);
    b.self = &bytes;
    const struct backend *computes = gpu ? &b : cpu;
    p->micro_batch = budget_micro_batch(x, computes, p->gpus);
    p->memory.activations = budget_bytes(x, computes, p->gpus, x->train.recompute, p->micro_batch) -
                            4 * p->parameters * sizeof(float);
    for (size_t i = 0; i < GPU_ROWS; i++)
        budget_fit(x, &b, p->gpus, budget_of_gpu((size_t)gpu_sizes[i] << 30), &p->fits[i]);
    snprintf(name, sizeof name, "a GPU of %u GiB", gpu);
    return gpu ? budget_check(x, &b, p->gpus, bytes, name, w) : ERR_OK;
}

/* The memory that trainer, replica and swarm report to need. */
static enum err plan_memory(struct plan *p, const struct experiment *x, unsigned gpu, struct why *w)
{
    struct pool *pool;
    struct backend cpu;
    enum err e = pool_open(&pool, 1, 0, w);
    if (e) return e;
    /* auto is bf16 on a GPU; on the host it may become fp32, which needs more. */
    const enum precision asked = x->train.precision;
    e = cpu_open(&cpu, pool, asked == PRECISION_BF16 || (asked == PRECISION_AUTO && gpu), w);
    if (!e) {
        uint64_t vector = p->parameters * sizeof(float);
        e = plan_settings(p, x, &cpu, gpu, w);
        p->memory.parameters = p->memory.gradients = vector;
        p->memory.moments = 2 * vector;
        p->memory.replica = replica_bytes(p->parameters);
        p->memory.swarm = driver_swarm_bytes(p->parameters);
        p->memory.total = 4 * vector + p->memory.activations + p->memory.replica + p->memory.swarm;
        cpu_close(&cpu);
    }
    pool_close(pool);
    return e;
}

static void plan_traffic(struct plan *p, const struct experiment *x)
{
    static const unsigned members[TRAFFIC_ROWS] = {2, 4, 8, 16};
    struct outer_layout l = outer_layout_of(p->parameters);
    uint64_t wire =
        outer_wire_offset(&l, l.chunks - 1) + outer_wire_bytes(outer_chunk_count(&l, l.chunks - 1));
    for (size_t i = 0; i < TRAFFIC_ROWS; i++) {
        double share = 2.0 * (members[i] - 1) / members[i];
        struct plan_traffic *t = &p->traffic[i];
        t->members = members[i];
        t->epoch = (uint64_t)(share * (double)wire);
        t->run = t->epoch * p->epochs;
        t->alternative = share * 4.0 * (double)p->parameters * (double)x->train.steps;
        t->seconds = (double)t->epoch * 8 / (x->swarm.bandwidth_mbps * 1e6);
    }
}

/* The run's ID, where the corpus has been prepared already. */
static void plan_name(struct plan *p, const struct experiment *x)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    uint8_t *text, tokenizer[CRYPTO_HASH_BYTES];
    size_t count;
    snprintf(path, sizeof path, "%s/tokenizer.json", x->data.corpus);
    if (file_read(path, (size_t)256 << 20, &text, &count, NULL)) return;
    struct crypto hash = identity_crypto(NULL);
    crypto_hash(&hash, bytes_of(text, count), tokenizer);
    struct shared_ids ids;
    shared_ids_of(x, tokenizer, NULL, &hash, &ids);
    memcpy(p->run_id, shared_run_id(&ids), sizeof p->run_id);
    p->named = true;
    free(text);
}

/* Refuses what `run` would refuse, by the same checks. */
static enum err plan_files(struct plan *p, struct experiment *x, struct why *w)
{
    struct corpus *c;
    enum err e = preflight_data("plan", x, &c, w);
    if (e) return e;
    p->corpus_tokens = c->tokens[CORPUS_TRAIN];
    corpus_close(c);
    return preflight_peers("plan", x, w);
}

static double tokens_worker(const struct experiment *x)
{
    return (double)x->train.steps * (double)x->train.batch_tokens;
}

static enum err plan_make(struct plan *p, const struct experiment *x, unsigned gpu, struct why *w)
{
    *p = (struct plan){.parameters = model_shape_parameters(&x->model),
                       .epochs = experiment_epochs(x),
                       .gpus = x->machine.gpus_count ? x->machine.gpus_count : 1,
                       .step_flops =
                           model_flops_per_token(&x->model) * (double)x->train.batch_tokens};
    plan_traffic(p, x);
    plan_name(p, x);
    p->disk = preflight_disk_of(x);
    return plan_memory(p, x, gpu, w);
}

/* 1234567890 -> "1.23 GB"; powers of 1000, as networks and disks are sold. */
static const char *bytes_text(double bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    size_t u = 0;
    for (; bytes >= 999.5 && u + 1 < sizeof units / sizeof *units; u++) bytes /= 1000;
    snprintf(out, 32,
             bytes < 9.995 && u   ? "%.2f %s"
             : bytes < 99.95 && u ? "%.1f %s"
                                  : "%.0f %s",
             bytes, units[u]);
    return out;
}

static const char *time_text(double seconds, char out[32])
{
    if (seconds < 100) snprintf(out, 32, "%.3g s", seconds);
    else if (seconds < 6000) snprintf(out, 32, "%.3g min", seconds / 60);
    else if (seconds < 360000) snprintf(out, 32, "%.3g h", seconds / 3600);
    else snprintf(out, 32, "%.4g days", seconds / 86400);
    return out;
}

/* Bytes that a GPU must hold, plus scratch of some 100 MB. */
static uint64_t gpu_bytes(const struct plan *p)
{
    return p->memory.parameters + p->memory.gradients + p->memory.moments + p->memory.activations;
}

static void print_memory(const struct plan *p)
{
    char b[32], label[64], gpu[64] = "of it on the GPU, where one computes";
    if (p->gpus > 1)
        snprintf(gpu, sizeof gpu, "of it on each of %" PRIu32 " GPUs, which share a batch",
                 p->gpus);
    snprintf(label, sizeof label, "activations, %" PRIu32 " sequences at once", p->micro_batch);
    const struct {
        const char *what;
        uint64_t bytes;
    } rows[] = {{"parameters", p->memory.parameters},
                {"gradients", p->memory.gradients},
                {"AdamW's moments", p->memory.moments},
                {label, p->memory.activations},
                {"anchor and momentum, twice, and own contribution", p->memory.replica},
                {"averaging and state transfer", p->memory.swarm},
                {"together", p->memory.total},
                {gpu, gpu_bytes(p)}};
    printf("#\n# Memory of a worker\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("#   %-50s %10s\n", rows[i].what, bytes_text((double)rows[i].bytes, b));
}

static void print_gpus(const struct plan *p)
{
    char b[32];
    printf("#\n# What a GPU has room for\n");
    for (size_t i = 0; i < GPU_ROWS; i++) {
        const struct budget *f = &p->fits[i];
        if (!f->micro_batch) printf("#   %3u GiB  not this model\n", gpu_sizes[i]);
        else
            printf("#   %3u GiB  train.recompute %s, train.micro_batch %u: %s\n", gpu_sizes[i],
                   recompute_word(f->recompute), (unsigned)f->micro_batch,
                   bytes_text((double)f->bytes, b));
    }
}

static void print_traffic(const struct plan *p, const struct experiment *x)
{
    char a[32], b[32], c[32], d[32];
    printf(
        "#\n# Traffic of a worker: sent, and as much received; an average out and back at %" PRIu32
        " Mbit/s\n",
        x->swarm.bandwidth_mbps);
    printf("#   %-8s %12s %12s %12s %20s %8s\n", "workers", "an average", "takes", "whole run",
           "data parallel's run", "ratio");
    for (size_t i = 0; i < TRAFFIC_ROWS; i++) {
        const struct plan_traffic *t = &p->traffic[i];
        printf("#   %-8u %12s %12s %12s %20s %8.0f\n", t->members, bytes_text((double)t->epoch, a),
               time_text(t->seconds, b), bytes_text((double)t->run, c),
               bytes_text(t->alternative, d), t->alternative / (double)t->run);
    }
}

/* 950000 -> "0.95 M" */
static const char *count_text(double n, char out[32])
{
    snprintf(out, 32,
             n < 1e5   ? "%.0f"
             : n < 1e9 ? "%.2f M"
                       : "%.2f G",
             n < 1e5   ? n
             : n < 1e9 ? n / 1e6
                       : n / 1e9);
    return out;
}

static void print_disk(const struct plan *p, const struct experiment *x)
{
    char a[32], b[32], c[32];
    printf("# disk: %" PRIu32
           " checkpoints of %s, one being written and %s of rounds that others may "
           "have missed, %s; ",
           x->checkpoint.keep, bytes_text((double)p->disk.checkpoint, a),
           bytes_text((double)p->disk.past, b), bytes_text((double)p->disk.all, c));
    if (p->disk.free)
        printf("%s are free for %s%s\n", bytes_text((double)p->disk.free, c), x->checkpoint.dir,
               p->disk.all > p->disk.free ? ": TOO LITTLE, lower checkpoint.keep or name another "
                                            "checkpoint.dir"
                                          : "");
    else printf("what is free is not known\n");
}

static void print_plan(const struct plan *p, const struct experiment *x)
{
    char a[32], b[32];
    experiment_print(x, stdout);
    printf("\n# %" PRIu64 " parameters\n", p->parameters);
    printf("# %" PRIu64 " epochs of %" PRIu64 " inner steps of %" PRIu64
           " tokens: %.3g tokens a worker\n",
           p->epochs, x->outer.every, x->train.batch_tokens,
           (double)x->train.steps * (double)x->train.batch_tokens);
    if (p->corpus_tokens)
        printf("# %.3g tokens over the corpus' %s are %.3g passes\n", tokens_worker(x),
               count_text((double)p->corpus_tokens, a),
               tokens_worker(x) / (double)p->corpus_tokens);
    if (p->speed)
        printf("# this machine trains %.0f tokens/s: %s an inner step, %s the whole run\n",
               p->speed, time_text((double)x->train.batch_tokens / p->speed, a),
               time_text(tokens_worker(x) / p->speed, b));
    else
        printf("# %.3g floating-point operations an inner step: at 1 TFLOP/s %s, %s the whole run; "
               "--measure asks this machine\n",
               p->step_flops, time_text(p->step_flops / 1e12, a),
               time_text(p->step_flops / 1e12 * (double)x->train.steps, b));
    print_disk(p, x);
    printf("# run ");
    for (size_t i = 0; p->named && i < sizeof p->run_id; i++) printf("%02x", p->run_id[i]);
    printf("%s\n",
           p->named ? ""
                    : "unnamed: its name follows from the tokenizer, and there is no corpus yet");
    print_memory(p);
    print_gpus(p);
    print_traffic(p, x);
}

static json_t *json_of(const struct plan *p, const struct experiment *x)
{
    json_t *rows = json_array();
    json_t *fits = json_array();
    char id[2 * CRYPTO_DIGEST_BYTES + 1] = "";
    for (size_t i = 0; i < GPU_ROWS; i++) {
        const struct budget *f = &p->fits[i];
        json_array_append_new(
            fits, json_pack("{s:i, s:s?, s:i, s:I}", "gib", (int)gpu_sizes[i], "recompute",
                            f->micro_batch ? recompute_word(f->recompute) : NULL, "micro_batch",
                            (int)f->micro_batch, "bytes", (json_int_t)f->bytes));
    }
    for (size_t i = 0; i < TRAFFIC_ROWS; i++) {
        const struct plan_traffic *t = &p->traffic[i];
        json_array_append_new(
            rows, json_pack("{s:i, s:I, s:I, s:f, s:f}", "workers", (int)t->members, "bytes_epoch",
                            (json_int_t)t->epoch, "bytes_run", (json_int_t)t->run,
                            "bytes_data_parallel", t->alternative, "seconds_epoch", t->seconds));
    }
    if (p->named) bytes_hex(p->run_id, sizeof p->run_id, id);
    json_t *memory = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)p->memory.parameters,
        "gradients", (json_int_t)p->memory.gradients, "moments", (json_int_t)p->memory.moments,
        "activations", (json_int_t)p->memory.activations, "replica", (json_int_t)p->memory.replica,
        "swarm", (json_int_t)p->memory.swarm, "total", (json_int_t)p->memory.total);
    json_t *disk = json_pack("{s:I, s:I, s:I, s:I}", "checkpoint_bytes",
                             (json_int_t)p->disk.checkpoint, "past_bytes", (json_int_t)p->disk.past,
                             "bytes", (json_int_t)p->disk.all, "free", (json_int_t)p->disk.free);
    return json_pack(
        "{s:s?, s:I, s:I, s:f, s:i, s:f, s:o, s:I, s:i, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "run",
        p->named ? id : NULL, "parameters", (json_int_t)p->parameters, "epochs",
        (json_int_t)p->epochs, "tokens_worker", tokens_worker(x), "micro_batch",
        (int)p->micro_batch, "flops_step", p->step_flops, "memory_bytes", memory, "gpu_bytes",
        (json_int_t)gpu_bytes(p), "gpus", (int)p->gpus, "fits", fits, "traffic", rows,
        "corpus_tokens", (json_int_t)p->corpus_tokens, "passes",
        p->corpus_tokens ? json_real(tokens_worker(x) / (double)p->corpus_tokens) : json_null(),
        "disk", disk, "tokens_per_second", p->speed ? json_real(p->speed) : json_null(),
        "seconds_run", p->speed ? json_real(tokens_worker(x) / p->speed) : json_null());
}

/* The experiment is printed by hand: a 64-bit seed does not fit jansson's integers. */
static enum err print_json(const struct plan *p, const struct experiment *x, struct why *w)
{
    json_t *rest = json_of(p, x);
    char *text = NULL, *line = object_line(rest);
    size_t count;
    json_decref(rest);
    FILE *to = line ? open_memstream(&text, &count) : NULL;
    if (to) {
        fprintf(to, "{\"schema\": %d, \"experiment\": ", OBJECT_SCHEMA);
        experiment_print_json(x, to);
        fprintf(to, ", %s\n", line + 1); /* without its opening brace */
        fclose(to);
    }
    enum err e = text ? object_print_text(text, w) : why(w, ERR_MEMORY, "no memory for the plan");
    free(text);
    free(line);
    return e;
}

static void print_presets(void)
{
    printf("\nShapes of model.preset; any key of model beside it overrides it\n"
           "  %-6s %6s %6s %6s %8s %6s %7s %12s\n",
           "preset", "layers", "dim", "heads", "kv_heads", "ffn", "vocab", "parameters");
    for (const struct schema_preset *p = schema_presets; p->name; p++) {
        const struct model_shape *m = &p->shape;
        printf("  %-6s %6u %6u %6u %8u %6u %7u %12" PRIu64 "\n", p->name, m->layers, m->dim,
               m->heads, m->kv_heads, m->ffn, m->vocab, model_shape_parameters(m));
    }
}

/* Prints the manual of the format, from the schema table. */
static void print_keys(void)
{
    printf("A relative path in an experiment starts from the folder of its file, one in --set from "
           "the\nworking folder.\n\n");
    char allowed[SCHEMA_TEXT_BYTES];
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        bool model = !strncmp(k->path, "model.", 6);
        const char *none =
            k->required ? model ? "from model.preset, or required" : "required" : "none";
        const char *initial = k->initial ? *k->initial ? k->initial : "empty" : k->derived;
        printf("%-29s %s\n%-29s default: %s\n", k->path, schema_allowed(k, allowed), "",
               initial ? initial : none);
        if (k->built)
            printf("%-29s not built yet%s%s\n", "", *k->built ? ": anything but " : "", k->built);
    }
    print_presets();
}

int plan_main(int argc, char **argv)
{
    static struct experiment x;
    struct plan p;
    struct why w = {0};
    const char *path = NULL;
    static struct option_texts sets;
    bool json = false, keys = false, measure = false, no_files = false;
    uint64_t gpu = 0;
    const struct option_row rows[] = {
        {"EXPERIMENT.yaml", .argument = true, .text = &path},
        COMMAND_SET(&sets),
        {"gpu", .whole = &gpu, .least = 1, .most = 1024, .value = "GIB",
         .help = "for a GPU with so much memory; what it has no room for is refused, with the "
                 "settings that it has room for"},
        COMMAND_JSON(&json),
        {"measure", .flag = &measure,
         .help = "time some steps on this machine, and say how long the run takes on it"},
        {"no-files", .flag = &no_files,
         .help = "judge the experiment alone: corpus and peer lists need not be here"},
        {"keys", .flag = &keys,
         .help = "print every key that an experiment may have, what it may hold, its default, what "
                 "is not built yet, and the shapes of model.preset"},
        {0}};
    struct options table = {
        .command = "shoal plan",
        .about = "Prints the experiment with all defaults filled in and, as comments, what it "
                 "takes: the memory of a worker, work and traffic. The output is an experiment "
                 "itself. Nothing is written and nobody is contacted.",
        .rows = rows};
    int code;
    if (!command_options("plan", &table, argc, argv, &code)) return code;
    if (keys == !!path) {
        why(&w, ERR_USAGE,
            keys ? "--keys is about every experiment: leave %s out"
                 : "name an experiment, a YAML file; see shoal plan --help",
            path);
        return command_failed("plan", &w);
    }
    if (keys) {
        print_keys();
        return 0;
    }
    struct settings s = {.path = path, .sets = sets.items, .sets_count = sets.count};
    enum err e = settings_read("plan", &s, &x, &w);
    if (!e) e = plan_make(&p, &x, (unsigned)gpu, &w);
    if (!e && !no_files) e = plan_files(&p, &x, &w);
    if (!e && measure) e = bench_speed(&x, &p.speed, &w);
    if (e) return command_failed("plan", &w);
    if (json) return print_json(&p, &x, &w) ? command_failed("plan", &w) : 0;
    print_plan(&p, &x);
    return 0;
}
