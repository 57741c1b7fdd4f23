/* export.c -- `shoal export`: a checkpoint's model in the layout that Hugging Face's transformers reads. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bin/command.h"
#include "bin/loaded.h"
#include "data/tokenizer.h"
#include "model/safetensors.h"

#define PATH_BYTES (EXPERIMENT_PATH_BYTES + 32)

struct wishes {
    const char *checkpoint, *to, *data;
};

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    const struct option_row rows[] = {
        COMMAND_CHECKPOINT(&o->checkpoint),
        {"to", .text = &o->to, .value = "DIR", .help = "the folder to write to",
         .missing = "say where: --to DIR"},
        {"data", .text = &o->data, .value = "CORPUS",
         .help = "take the tokenizer from there, not from the corpus that it was trained on"},
        {0}};
    struct options table = {
        .command = "shoal export",
        .about = "Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json "
                 "to DIR, as Hugging Face's transformers reads a LlamaForCausalLM.",
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
    if (count < 0 || (size_t)count >= sizeof text)
        return why(w, ERR_FORMAT, "%s came out too long", name);
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

/* The tokenizer is copied byte for byte, after it was read once: what cannot be used is not handed on. */
static enum err write_tokenizer(const char *dir, const char *corpus, const struct model_shape *s,
                                uint32_t *end, struct why *w)
{
    char path[PATH_BYTES];
    uint8_t *text = NULL;
    size_t count;
    struct tokenizer *t = NULL;
    enum err e = path_in(corpus, "tokenizer.json", path, w);
    if (!e) e = file_read(path, TOKENIZER_BYTES_MAX, &text, &count, w);
    if (!e) e = tokenizer_parse(path, bytes_of(text, count), &t, w);
    if (!e && tokenizer_vocab(t) > s->vocab)
        e = why(w, ERR_USAGE, "%s has %u tokens, the model %u: it was trained with another", path,
                tokenizer_vocab(t), s->vocab);
    if (!e) *end = tokenizer_end_of_text(t);
    if (!e) e = write_bytes(dir, "tokenizer.json", bytes_of(text, count), w);
    if (!e)
        e = write_text(dir, "tokenizer_config.json", w,
                       "{\n"
                       "  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                       "  \"bos_token\": \"%s\",\n"
                       "  \"eos_token\": \"%s\",\n"
                       "  \"clean_up_tokenization_spaces\": false,\n"
                       "  \"model_max_length\": %u\n"
                       "}\n",
                       TOKENIZER_END_OF_TEXT, TOKENIZER_END_OF_TEXT, s->context);
    if (t) tokenizer_close(t);
    free(text);
    return e;
}

static enum err write_model(const struct loaded *l, const char *dir, struct why *w)
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

static enum err export_all(struct loaded *l, const struct wishes *o, struct why *w)
{
    uint32_t end = 0;
    enum err e = loaded_open(l, o->checkpoint, 1, w);
    if (!e) e = file_make_dirs(o->to, w);
    const struct model_shape *s = &l->head.shape;
    if (!e) e = write_tokenizer(o->to, o->data ? o->data : l->head.corpus, s, &end, w);
    if (!e) e = write_config(o->to, s, end, w);
    if (!e) e = write_model(l, o->to, w);
    if (!e) printf("wrote %s to %s\n", l->path, o->to);
    return e;
}

int export_main(int argc, char **argv)
{
    struct why w = {0};
    struct wishes o = {0};
    struct loaded l = {0};
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    enum err e = export_all(&l, &o, &w);
    loaded_close(&l);
    return e ? command_failed("export", &w) : 0;
}
