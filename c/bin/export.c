/* export.c -- `shoal export`: a checkpoint's model in the layout that Hugging Face's transformers
 * reads. */
#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/object.h"
#include "bin/command.h"
#include "data/tokenizer.h"
#include "model/safetensors.h"
#include "node/checkpoint_model.h"

#define PATH_BYTES (EXPERIMENT_PATH_BYTES + 32)

struct wishes {
    const char *checkpoint, *to, *data;
    bool overwrite, json;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    const struct option_row rows[] = {
        COMMAND_CHECKPOINT(&o->checkpoint),
        {"to", .text = &o->to, .value = "DIR", .help = "the folder to write to",
         .missing = "say where: --to DIR"},
        {"data", .text = &o->data, .value = "CORPUS",
         .help = "take the tokenizer from there, not from the corpus that it was trained on"},
        {"overwrite", .flag = &o->overwrite,
         .help = "replace the export that is in DIR; other folders are never replaced"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal export",
        .about = "Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json "
                 "to DIR, as Hugging Face's transformers reads a LlamaForCausalLM. DIR is written "
                 "aside as DIR.part and renamed when it is whole. Its tokenizer puts <|endoftext|> "
                 "in front of a text, as 'shoal generate' does: transformers goes on with a prompt "
                 "as shoal does.",
        .rows = rows};
    return command_options("export", &table, argc, argv, code);
}

static enum err path_in(const char *dir, const char *name, char out[PATH_BYTES], struct why *w)
{
    if (snprintf(out, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES) return ERR_OK;
    return why(w, ERR_USAGE, "the path %.64s... is too long", dir);
}

static enum err write_bytes(const char *dir, const char *name, struct bytes content, struct why *w)
{
    char path[PATH_BYTES];
    enum err e = path_in(dir, name, path, w);
    return e ? e : file_write_atomic(path, &content, 1, 0644, w);
}

__attribute__((format(printf, 4, 5))) static enum err
write_text(const char *dir, const char *name, struct why *w, const char *format, ...)
{
    char text[2048];
    va_list list;
    va_start(list, format);
    int count = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    assert(count >= 0 && (size_t)count < sizeof text); /* no number makes it half as long */
    return write_bytes(dir, name, bytes_of(text, (size_t)count), w);
}

static enum err write_config(const char *dir, const struct model_shape *s, uint32_t end,
                             struct why *w)
{
    return write_text(dir, "config.json", w,
                      "{\n"
                      "  \"architectures\": [\"LlamaForCausalLM\"],\n"
                      "  \"model_type\": \"llama\",\n"
                      "  \"torch_dtype\": \"float32\",\n"
                      "  \"hidden_act\": \"silu\",\n"
                      "  \"attention_bias\": false,\n"
                      "  \"mlp_bias\": false,\n"
                      "  \"num_hidden_layers\": %u,\n"
                      "  \"hidden_size\": %u,\n"
                      "  \"num_attention_heads\": %u,\n"
                      "  \"num_key_value_heads\": %u,\n"
                      "  \"head_dim\": %u,\n"
                      "  \"intermediate_size\": %u,\n"
                      "  \"vocab_size\": %u,\n"
                      "  \"max_position_embeddings\": %u,\n"
                      "  \"tie_word_embeddings\": %s,\n"
                      "  \"rope_theta\": %.17g,\n"
                      "  \"rms_norm_eps\": %.17g,\n"
                      "  \"bos_token_id\": %u,\n"
                      "  \"eos_token_id\": %u\n"
                      "}\n",
                      s->layers, s->dim, s->heads, s->kv_heads, s->dim / s->heads, s->ffn, s->vocab,
                      s->context, s->tied ? "true" : "false", s->rope_theta, s->rms_eps, end, end);
}

/* The tokenizer with a post_processor that prepends the end-of-text token, as in the training text
 * and `generate`. */
static enum err with_beginning(const char *text, uint32_t end, char **out, struct why *w)
{
    const char *name = VOCABULARY_END_OF_TEXT;
    json_t *root = json_loads(text, 0, NULL); /* already parsed successfully */
    json_t *template =
        json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}],"
                  " s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}],"
                  " s:{s:{s:s, s:[I], s:[s]}}}",
                  "type", "TemplateProcessing", "single", "SpecialToken", "id", name, "type_id", 0,
                  "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", name,
                  "type_id", 0, "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", name,
                  "type_id", 1, "Sequence", "id", "B", "type_id", 1, "special_tokens", name, "id",
                  name, "ids", (json_int_t)end, "tokens", name);
    *out = NULL;
    if (root && template && !json_object_set(root, "post_processor", template))
        *out = json_dumps(root, JSON_INDENT(2));
    json_decref(template);
    json_decref(root);
    return *out ? ERR_OK : why(w, ERR_MEMORY, "no memory for tokenizer.json");
}

/* Reads the tokenizer first: an unusable one is not exported. */
static enum err write_tokenizer(const char *dir, const char *corpus,
                                const struct checkpoint_model *l, uint32_t *end, struct why *w)
{
    const struct model_shape *s = &l->head.shape;
    char path[PATH_BYTES];
    uint8_t *text = NULL;
    char *begun = NULL;
    size_t count;
    struct tokenizer *t = NULL;
    enum err e = path_in(corpus, "tokenizer.json", path, w);
    if (!e) e = file_read(path, TOKENIZER_BYTES_MAX, &text, &count, w);
    if (!e) e = tokenizer_parse(path, bytes_of(text, count), &t, w);
    if (!e && tokenizer_vocab(t) > s->vocab)
        e = why(w, ERR_USAGE, "%s has %u tokens, the model %u: it was trained with another", path,
                tokenizer_vocab(t), s->vocab);
    if (!e) e = checkpoint_model_check_tokenizer_file(l, path, w);
    if (!e) *end = tokenizer_end_of_text(t);
    if (!e) e = with_beginning((char *)text, *end, &begun, w);
    if (!e) e = write_bytes(dir, "tokenizer.json", bytes_of(begun, strlen(begun)), w);
    if (!e)
        e = write_text(dir, "tokenizer_config.json", w,
                       "{\n"
                       "  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                       "  \"add_bos_token\": true,\n"
                       "  \"bos_token\": \"%s\",\n"
                       "  \"eos_token\": \"%s\",\n"
                       "  \"clean_up_tokenization_spaces\": false,\n"
                       "  \"model_max_length\": %u\n"
                       "}\n",
                       VOCABULARY_END_OF_TEXT, VOCABULARY_END_OF_TEXT, s->context);
    if (t) tokenizer_close(t);
    free(text);
    free(begun);
    return e;
}

static enum err write_model(const struct checkpoint_model *l, const char *dir, struct why *w)
{
    char path[PATH_BYTES];
    struct layout layout = layout_of(&l->head.shape);
    size_t bytes = layout.parameters * sizeof(float);
    enum err e = path_in(dir, "model.safetensors", path, w);
    if (e) return e;
    float *host = malloc(bytes);
    if (!host) return why(w, ERR_MEMORY, "no memory for %zu parameters", layout.parameters);
    e = l->backend.download(l->backend.self, host, l->parameters, bytes, w);
    if (!e) e = safetensors_write(path, &layout, host, w);
    free(host);
    return e;
}

/* Is `name` a file of an export? */
static bool ours(const char *name)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

/* Only files made by an export may be replaced, and only when the user says so. */
static enum err check_out(const struct wishes *o, struct aside *a, struct why *w)
{
    char foreign[NAME_MAX + 1], config[PATH_BYTES];
    enum err e = aside_init(a, o->to, "the folder of an export", ours, w);
    if (e || aside_free(a)) return e;
    if (aside_foreign(a, foreign))
        return why(w, ERR_USAGE, "%s holds %s, which is of no export: name another folder", a->out,
                   foreign);
    e = path_in(a->out, "config.json", config, w);
    if (e) return e;
    if (!file_exists(config))
        return why(w, ERR_USAGE, "%s exists and is no export: name another folder", a->out);
    return o->overwrite ? ERR_OK
                        : why(w, ERR_USAGE,
                              "%s holds an export already: name another folder, or replace it "
                              "with --overwrite",
                              a->out);
}

static enum err export_all(struct checkpoint_model *l, const struct wishes *o, struct aside *a,
                           struct why *w)
{
    uint32_t end = 0;
    enum err e = check_out(o, a, w);
    if (!e) e = checkpoint_model_open(l, o->checkpoint, 1, w);
    if (!e) e = aside_open(a, w);
    const struct model_shape *s = &l->head.shape;
    if (!e) e = write_tokenizer(a->part, o->data ? o->data : l->head.corpus, l, &end, w);
    if (!e) e = write_config(a->part, s, end, w);
    if (!e) e = write_model(l, a->part, w);
    if (!e) e = aside_keep(a, w);
    if (e) return e;
    if (o->json) {
        json_t *out = json_object();
        object_text(out, "checkpoint", l->path);
        object_text(out, "to", a->out);
        object_u64(out, "parameters", l->head.parameters);
        object_u64(out, "epoch", l->head.epoch);
        object_u64(out, "step", l->head.step);
        return object_print(out, w);
    }
    printf("wrote %s to %s\n", l->path, a->out);
    return ERR_OK;
}

int export_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {0};
    struct checkpoint_model l = {0};
    struct aside a = {.lock = -1};
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    enum err e = export_all(&l, &o, &a, &w);
    aside_drop(&a);
    checkpoint_model_close(&l);
    return e ? command_failed("export", &w) : 0;
}
