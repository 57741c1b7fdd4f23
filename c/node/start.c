#include "node/start.h"

#include <stdlib.h>
#include <string.h>

#include "node/checkpoint_model.h"

static enum err read_parameters(struct start *s, const struct crypto *hash, struct why *w)
{
    const size_t count = s->head.parameters;
    s->parameters = malloc(count * sizeof *s->parameters);
    if (!s->parameters) return why(w, ERR_MEMORY, "no memory for %zu parameters", count);
    const bool of_swarm = s->head.of_swarm;
    s->head.sections[of_swarm ? CHECKPOINT_ANCHOR : CHECKPOINT_PARAMETERS] = s->parameters;
    enum err e = checkpoint_read(s->path, count, &s->head, w);
    memset(s->head.sections, 0, sizeof s->head.sections);
    const struct bytes all = bytes_of(s->parameters, count * sizeof *s->parameters);
    if (!e) crypto_digest(hash, &all, 1, s->digest);
    return e;
}

enum err start_open(struct start *s, const char *from, const struct checkpoint *newest,
                    const struct crypto *hash, struct why *w)
{
    memset(s, 0, sizeof *s);
    if (!from) {
        s->given = newest && shared_start(&newest->shared, s->digest);
        return ERR_OK;
    }
    enum err e = checkpoints_find(from, s->path, w);
    if (!e) e = checkpoint_peek(s->path, &s->head, w);
    if (!e) e = read_parameters(s, hash, w);
    s->given = !e;
    return e ? why_while(w, e, "--from") : ERR_OK;
}

enum err start_check(const struct start *s, const struct experiment *x, const struct setup *t,
                     struct why *w)
{
    if (!s->parameters) return ERR_OK;
    const struct model_shape *a = &x->model, *b = &s->head.shape;
    const struct {
        const char *key;
        uint32_t here, there;
    } same[] = {{"layers", a->layers, b->layers}, {"dim", a->dim, b->dim},
                {"heads", a->heads, b->heads},    {"kv_heads", a->kv_heads, b->kv_heads},
                {"ffn", a->ffn, b->ffn},          {"vocab", a->vocab, b->vocab},
                {"tied", a->tied, b->tied}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (same[i].here != same[i].there)
            return why(w, ERR_USAGE, "--from %s: model.%s is %u in %s and %u in the checkpoint",
                       s->path, same[i].key, same[i].here, x->path, same[i].there);
    enum err e =
        checkpoint_model_check_tokenizer(&s->head, s->path, t->corpus->tokenizer, t->tokenizer, w);
    return e ? why_while(w, e, "--from") : ERR_OK;
}

enum err start_apply(const struct start *s, struct trainer *t,
                     const uint8_t identity[CRYPTO_KEY_BYTES], struct why *w)
{
    if (!s->parameters) return ERR_OK;
    enum err e = trainer_pull(t, w); /* for the moments, which trainer_push uploads too */
    if (e) return e;
    memcpy(trainer_host(t, TRAINER_PARAMETERS), s->parameters,
           s->head.parameters * sizeof *s->parameters);
    trainer_push(t);
    if (!memcmp(identity, s->head.identity, CRYPTO_KEY_BYTES))
        trainer_state(t)->position = s->head.position;
    return ERR_OK;
}

void start_close(struct start *s)
{
    free(s->parameters);
    s->parameters = NULL;
}
