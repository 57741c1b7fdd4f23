/* experiment_fields.h -- what one training run is, field by field: the values of the keys in
 * schema.h. */
#ifndef SHOAL_CONFIG_EXPERIMENT_FIELDS_H
#define SHOAL_CONFIG_EXPERIMENT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/mistakes.h"
#include "model_shape.h"

#define EXPERIMENT_PATH_BYTES 512 /* longest path, URL or address, with its zero byte */
#define EXPERIMENT_NAME_BYTES 64
#define EXPERIMENT_PEERS_MAX  64 /* entries of swarm.peers */
#define EXPERIMENT_KEYS_MAX   80 /* upper bound of the keys in the format (schema.h) */

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_WSD, SCHEDULE_CONSTANT };
/* Auto: the faster one, measured on the device. */
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_AUTO };
enum recompute { RECOMPUTE_NONE, RECOMPUTE_BLOCK };
enum outer_count { OUTER_COUNT_TOKENS, OUTER_COUNT_STEPS };
enum wire_format { WIRE_FP32, WIRE_BF16, WIRE_INT8, WIRE_INT4 };
enum congestion { CONGESTION_BBR, CONGESTION_CUBIC };
enum access_kind { ACCESS_OPEN, ACCESS_PSK, ACCESS_TICKET };
#define EXPERIMENT_DEVICE_MAX 1023
#define EXPERIMENT_GPUS_MAX   16 /* GPUs of one worker */
enum device_kind { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };
enum cpu_kernels { KERNELS_AUTO, KERNELS_AVX2, KERNELS_AVX512, KERNELS_AVX512_BF16, KERNELS_AMX };

/* A place in the file: counted from 1, columns in characters. */
struct experiment_place {
    uint32_t line, column;
    bool given; /* false: the key is not in the file, and this is the mapping it would be in */
    bool set;   /* --set gave it: it has no place in a file */
    bool bad;   /* a mistake was found in it or in its place: do not use its value */
};

struct experiment {
    char path[EXPERIMENT_PATH_BYTES]; /* the file it was read from, for messages */
    char name[EXPERIMENT_NAME_BYTES]; /* letters, digits, '-', '_', '.' */
    uint64_t seed;

    char preset[8]; /* the name of model.preset, or empty; `model` holds the resulting shape */
    struct model_shape model;

    struct {
        char corpus[EXPERIMENT_PATH_BYTES]; /* folder made by `shoal prepare` */
        double validation; /* share of documents held out, 0 < x < 0.5; 0: the corpus's */
    } data;

    struct {
        uint64_t steps;        /* inner steps of the whole run, >= 1 */
        uint64_t batch_tokens; /* of one inner step of one worker; a multiple of model.context */
        uint32_t micro_batch;  /* sequences; 0: auto */
        struct {
            double lr, beta1, beta2, eps, weight_decay, clip;
        } optimizer; /* AdamW; decay on matrices only; clip 0: never */
        struct {
            enum schedule_kind kind;
            uint64_t warmup; /* steps */
            double final;    /* lr at the end, as a share of lr, 0 .. 1 */
            double decay;    /* wsd: share of the run that decays, 0 .. 1 */
        } schedule;
        enum precision precision;
        /* Recomputes activations in the backward pass: less memory, more time, the same bits. */
        enum recompute recompute;
    } train;

    struct {
        /* Inner steps between averages of a worker of reference speed; divides train.steps. */
        uint64_t every;
        enum outer_count count;
        struct {
            double lr, momentum;
            bool nesterov;
        } optimizer;
        enum wire_format wire;
        uint32_t overlap, fragments;
        bool robust;
    } outer;

    struct {
        char listen[EXPERIMENT_PATH_BYTES];    /* host:port; port 0: any */
        char advertise[EXPERIMENT_PATH_BYTES]; /* host:port or empty: what peers observe */
        char peers[EXPERIMENT_PEERS_MAX][EXPERIMENT_PATH_BYTES]; /* files, URLs or ID@host:port */
        size_t peers_count;
        char identity[EXPERIMENT_PATH_BYTES];
        enum access_kind access;
        char access_key[EXPERIMENT_PATH_BYTES]; /* psk: file; ticket: the experiment's public key */
        char ticket[EXPERIMENT_PATH_BYTES];     /* files; of ACCESS_TICKET alone */
        char revoked[EXPERIMENT_PATH_BYTES];
        uint32_t group_min, group_max; /* 2 .. 20 */
        uint32_t bandwidth_mbps;       /* first guess of this machine's uplink, Mbit/s; >= 1 */
        /* Congestion control for outgoing packets; may differ between members. */
        enum congestion congestion;
    } swarm;

    struct {
        char dir[EXPERIMENT_PATH_BYTES];
        uint64_t every; /* inner steps */
        uint32_t keep;  /* newest checkpoints to keep, >= 1 */
        bool required;  /* a failed write of a checkpoint ends this worker */
    } checkpoint;

    struct {
        uint64_t every;  /* inner steps */
        uint64_t tokens; /* maximum tokens of held-out text */
    } evaluate;

    struct {
        char listen[EXPERIMENT_PATH_BYTES]; /* empty: none */
        char log[EXPERIMENT_PATH_BYTES];    /* JSON lines; empty: none */
    } metrics;

    struct {
        enum device_kind device;
        uint32_t gpus[EXPERIMENT_GPUS_MAX];   /* of DEVICE_CUDA: distinct numbers */
        uint32_t gpus_count;                  /* 0: all available */
        char cublaslt[EXPERIMENT_PATH_BYTES]; /* file; empty: the usual places */
        char nccl[EXPERIMENT_PATH_BYTES];     /* the same */
        uint32_t threads;                     /* 0: auto */
        enum cpu_kernels kernels;             /* of the CPU; auto: the fastest by measurement */
    } machine;

    /* For messages only: the place of each key's value, by its index in schema_keys, and of each
     * entry of swarm.peers. */
    struct experiment_place places[EXPERIMENT_KEYS_MAX];
    struct experiment_place peers_places[EXPERIMENT_PEERS_MAX];

    struct mistakes mistakes; /* found by the latest read or check */
};

/* Outer epochs of the whole run: train.steps / outer.every. */
static inline uint64_t experiment_epochs(const struct experiment *x)
{
    return x->train.steps / x->outer.every;
}

/* Sequences of one inner step of one worker. */
static inline uint64_t experiment_batch_sequences(const struct experiment *x)
{
    return x->train.batch_tokens / x->model.context;
}

/* The words in the file: "none" or "block"; "fp32", "bf16" or "auto". */
const char *recompute_word(enum recompute r);
const char *precision_word(enum precision p);

#endif
