#include "bin/http_get.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/endpoint.h"
#include "net/http3.h"
#include "net/loop.h"
#include "net/resolve.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 20)
#define PATIENCE_S       10

struct answer {
    bool done;
    char *text;
    enum err err;
    struct why *why;
    const char *peer;
};

static void on_answer(void *ctx, const struct http3_result *r)
{
    struct answer *a = ctx;
    a->done = true;
    if (r->failed) a->err = why(a->why, ERR_NETWORK, "asking %s: %s", a->peer, r->failed);
    else if (r->status != 200) {
        const uint8_t *line = r->body.count ? memchr(r->body.data, '\n', r->body.count) : NULL;
        size_t count = line ? (size_t)(line - r->body.data) : r->body.count;
        char said[160];
        bytes_printable(bytes_of(r->body.data, count), said, sizeof said);
        a->err = why(a->why, ERR_NETWORK, "asking %s: it answered %d%s%s", a->peer, r->status,
                     *said ? ": " : "", said);
    } else if (!(a->text = malloc(r->body.count + 1)))
        a->err = why(a->why, ERR_MEMORY, "no memory for the answer");
    if (!a->text) return;
    memcpy(a->text, r->body.data, r->body.count);
    a->text[r->body.count] = 0;
}

static enum err exchange_words(struct loop *l, struct endpoint *e, const uint8_t *id,
                               const struct address *to, const char *path, struct answer *a,
                               struct why *w)
{
    enum err failed =
        http3_get(e, id, to, path, ANSWER_BYTES_MAX, span_s(PATIENCE_S), on_answer, a, w);
    if (failed) return failed;
    instant end = instant_after(clock_now(), span_s(PATIENCE_S + 1));
    while (!a->done && !instant_reached(clock_now(), end)) loop_turn(l, end);
    if (!a->done) return why(w, ERR_NETWORK, "asking %s: no answer in %d s", a->peer, PATIENCE_S);
    return a->err;
}

enum err http_get(const char *peer, const char *path, char **out, struct why *w)
{
    uint8_t id[CRYPTO_KEY_BYTES], seed[IDENTITY_SEED_BYTES] = {1};
    struct address to;
    bool named = strchr(peer, '@') != NULL;
    enum err e = named ? resolve_peer(peer, id, &to, w) : resolve_address(peer, &to, w);
    struct answer a = {.why = w, .peer = peer};
    struct loop *loop = NULL;
    /* an HTTP/3 client shows no certificate, but the endpoint needs an identity */
    struct identity *nobody = NULL;
    struct endpoint *endpoint = NULL;
    struct endpoint_config c = endpoint_defaults("*:0");
    struct endpoint_handlers none = {0};
    if (!e) e = loop_open(&loop, w);
    if (!e) e = identity_from_seed(seed, &nobody, w);
    if (!e) e = endpoint_open(loop, &c, nobody, &none, &endpoint, w);
    if (!e) e = exchange_words(loop, endpoint, named ? id : NULL, &to, path, &a, w);
    if (endpoint) endpoint_close(endpoint);
    if (nobody) identity_close(nobody);
    if (loop) loop_close(loop);
    if (e) free(a.text);
    else *out = a.text;
    return e;
}
