/* experiment.h -- one training run, as its YAML file and `--set KEY=VALUE` describe it.
 *
 * experiment_read parses and validates: an unknown key, a wrong type, a value out of bounds, a
 * missing key and a contradiction each become one sentence that starts with file:line:column (or
 * with `--set KEY`) and names the nearest known key. All mistakes of one read are in `mistakes`.
 * Features that the format describes but that are not built yet are refused with a sentence that
 * says so. After a successful read every field holds its final value, defaults filled in; `auto`
 * values are 0 where a field says so.
 *
 * Relative paths in a file are relative to the file's folder, those on the command line to the
 * working folder. After experiment_read all are absolute. */
#ifndef SHOAL_CONFIG_EXPERIMENT_H
#define SHOAL_CONFIG_EXPERIMENT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/err.h"
#include "config/experiment_fields.h"

/* Reads, checks and completes. `sets` are texts "key=value" that override the file's keys, with the
 * same checks. The first mistake goes into `w`, all of them into out->mistakes. ERR_USAGE for
 * mistakes, ERR_UNSUPPORTED when the only ones are features that are not built yet, ERR_IO when the
 * file does not exist. */
enum err experiment_read_with(const char *path, const char *const *sets, size_t count,
                              struct experiment *out, struct why *w);

/* The same without --set. */
enum err experiment_read(const char *path, struct experiment *out, struct why *w);

/* The same from memory; `name` is the file's name in messages, and relative paths stay as
 * written. */
enum err experiment_parse(const char *name, struct bytes text, struct experiment *out,
                          struct why *w);

/* Both: `text` with `sets`. `from` (paths.h) resolves relative paths; if NULL, they stay as
 * written. */
struct paths;
enum err experiment_parse_with(const char *name, struct bytes text, const char *const *sets,
                               size_t count, const struct paths *from, struct experiment *out,
                               struct why *w);

/* Sets machine.device from the command line: "auto", "cpu", "cuda", "cuda:N" or "cuda:N,N". NULL
 * keeps the file's value. */
enum err experiment_set_device(struct experiment *x, const char *text, struct why *w);

/* Writes the whole experiment, defaults filled in, as YAML that experiment_parse reads back to the
 * same values. */
void experiment_print(const struct experiment *x, FILE *to);

/* Prints only the keys for which `comment` returns one, each with its comment. */
typedef const char *experiment_comment(void *self, const struct experiment *x, size_t key);
void experiment_print_with(const struct experiment *x, experiment_comment *comment, void *self,
                           FILE *to);

/* The whole experiment as one JSON object, without a newline. */
void experiment_print_json(const struct experiment *x, FILE *to);

/* The ID of the run in layout 1 (SPEC.md, "The run"): a hash of model, seed, train without
 * precision, micro_batch and recompute, outer, and `tokenizer`, the SHA-256 of tokenizer.json. No
 * path, address or corpus is part of it. shared.h says which runs it names. */
void experiment_run_id(const struct experiment *x, const uint8_t tokenizer[CRYPTO_HASH_BYTES],
                       const struct crypto *c, uint8_t out[CRYPTO_DIGEST_BYTES]);

#endif
