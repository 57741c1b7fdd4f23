/* schema.h -- every key that an experiment may have: type, bounds, where its value is stored, its
 * default.
 *
 * One table is the format: the parser, the printer, the messages and the generated tests read it.
 * `shoal plan` prints an experiment with the table's defaults filled in. Required are
 * experiment.name, data.corpus, train.steps, outer.every and a model: model.preset, or layers, dim,
 * heads, ffn and vocab. */
#ifndef SHOAL_CONFIG_SCHEMA_H
#define SHOAL_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/experiment_fields.h"

enum schema_type {
    SCHEMA_U32, /* a whole number */
    SCHEMA_U64,
    SCHEMA_F64,    /* a number; `count` > 1: a list of that many */
    SCHEMA_BOOL,   /* true or false */
    SCHEMA_WORD,   /* one of `words`; stored as its index, an enum */
    SCHEMA_TEXT,   /* at most `most` bytes */
    SCHEMA_PEERS,  /* a text or a list of texts: swarm.peers */
    SCHEMA_DEVICE, /* auto, cpu, cuda, cuda:N or cuda:N,N and so on: machine.device */
};

/* Forms of a text. */
enum schema_form {
    SCHEMA_FORM_ANY,
    SCHEMA_FORM_NAME,    /* letters, digits, '-', '_', '.'; used in names of folders */
    SCHEMA_FORM_LISTEN,  /* host:port, port 0 for any */
    SCHEMA_FORM_ADDRESS, /* host:port */
    SCHEMA_FORM_PRESET,  /* a name in schema_presets */
    SCHEMA_FORM_PATH,    /* of a file or folder: relative to the experiment's file */
};

struct schema_key {
    const char *path; /* "train.optimizer.lr" */
    const char *what; /* unit or meaning, for messages and `shoal plan` */
    enum schema_type type;
    size_t offset;        /* in struct experiment */
    uint64_t least, most; /* bounds of a whole number, or of a text's bytes */
    double low, high;     /* bounds of a number */
    bool above, below;    /* the bound itself is excluded: low < x, x < high */
    bool automatic;       /* `auto` is allowed, and stored as 0 */
    bool required;        /* the key must be given */
    unsigned count;       /* of numbers in a list; 0 as 1 */
    enum schema_form form;
    const char *const *words; /* ended by NULL */
    const char *initial;      /* default; NULL: see `derived`, or the key is required */
    const char *derived;      /* describes a default that follows from other keys */
    /* The only value that is built yet, in the form of `--set`; NULL: all of them. */
    const char *built;
    /* 0: each machine may have its own value. Otherwise all members of a swarm must have the same
     * one, and this is the first layout of the run's ID that covers the key (shared.h): 2 for new
     * keys. The default of such a key may never change. */
    unsigned shared;
};

extern const struct schema_key schema_keys[];
extern const size_t schema_count; /* <= EXPERIMENT_KEYS_MAX */

#define SCHEMA_NONE SIZE_MAX

/* The index of the key whose path is these bytes; SCHEMA_NONE when there is none. */
size_t schema_find(const char *path, size_t bytes);
size_t schema_index(const char *path); /* of an existing key */

/* True when keys begin with "path.": it is a mapping. The empty path is the whole file. */
bool schema_is_mapping(const char *path, size_t bytes);

/* The name of the `index`-th key or mapping directly within the mapping `path`, as a view; false
 * after the last. "train", 3 -> "optimizer". */
bool schema_child(const char *path, size_t index, const char **name, size_t *bytes);

/* The allowed values, in words: "a whole number from 1 to 256 (layers)". */
#define SCHEMA_TEXT_BYTES 256
const char *schema_allowed(const struct schema_key *k, char out[SCHEMA_TEXT_BYTES]);

/* The path of the key or mapping probably meant in "MAPPING has no key NAME": the nearest known one
 * in the mapping, one of that name elsewhere, or ours for another program's name. False when there
 * is none. */
#define SCHEMA_PATH_BYTES 64
bool schema_meant(const char *mapping, const char *name, size_t bytes, char out[SCHEMA_PATH_BYTES]);

/* Is it the name of a key or of a mapping, at any depth, with at most one wrong letter? */
bool schema_is_word(const char *word, size_t bytes);

/* What to add to "there is no key NAME in MAPPING": the nearest known key, or where NAME is known,
 * or all keys of MAPPING. */
const char *schema_advice(const char *mapping, const char *name, size_t bytes, char *out,
                          size_t room);

/* The shapes of model.preset, ended by a NULL name. */
struct schema_preset {
    const char *name;
    struct model_shape shape;
};
extern const struct schema_preset schema_presets[];

#endif
