#include "node/view.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/strangers.h"
#include "swarm/wire.h"

const char *view_phase(enum peer_phase p)
{
    static const char *const names[] = {
        [PHASE_JOIN] = "join",       [PHASE_SYNC] = "sync",         [PHASE_TRAIN] = "train",
        [PHASE_MATCH] = "match",     [PHASE_REDUCE] = "reduce",     [PHASE_DONE] = "done",
        [PHASE_LEAVING] = "leaving", [PHASE_OBSERVER] = "observer",
    };
    return (size_t)p < sizeof names / sizeof names[0] ? names[p] : "unknown";
}

const char *view_health(enum peer_health h)
{
    static const char *const names[] = {[HEALTH_ALIVE] = "alive",
                                        [HEALTH_SUSPECT] = "suspect",
                                        [HEALTH_DEAD] = "dead",
                                        [HEALTH_LEFT] = "left"};
    return (size_t)h < sizeof names / sizeof names[0] ? names[h] : "unknown";
}

static const struct address *address_of(const struct node_peer *p, const struct view_facts *f)
{
    return p->self && !p->address.family ? &f->listen : &p->address;
}

/* The whole ID where that is known, otherwise its first 16 digits. */
static void print_id(sid s, const struct node_peer *all, size_t count,
                     char id[2 * CRYPTO_KEY_BYTES + 1])
{
    first_eight_print(s, id);
    for (size_t i = 0; i < count; i++)
        if (wire_sid(all[i].id) == s) bytes_hex(all[i].id, CRYPTO_KEY_BYTES, id);
}

static json_t *member_unreached_json(const struct peer_unreached *u, const struct node_peer *all,
                                     size_t count)
{
    char id[2 * CRYPTO_KEY_BYTES + 1];
    print_id(u->sid, all, count, id);
    return json_pack("{s:s, s:s}", "id", id, "reason", reach_word(u->reason));
}

static json_t *peer_json(const struct node_peer *p, const struct node_peer *all, size_t count,
                         const struct view_facts *f)
{
    char id[2 * CRYPTO_KEY_BYTES + 1], via[sizeof id], address[ADDRESS_TEXT_BYTES];
    char lineage[FIRST_EIGHT_DIGITS];
    json_t *unreached = json_array();
    if (p->via) print_id(p->via, all, count, via);
    for (uint32_t i = 0; i < p->unreached_count; i++)
        json_array_append_new(unreached, member_unreached_json(&p->unreached[i], all, count));
    bytes_hex(p->id, CRYPTO_KEY_BYTES, id);
    address_print(address_of(p, f), address);
    first_eight_print(p->lineage, lineage);
    return json_pack("{s:s, s:s, s:b, s:b, s:s?, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:s, s:f, s:o}",
                     "id", id, "address", address, "self", p->self, "linked", p->linked, "via",
                     p->via ? via : NULL, "health", view_health(p->health), "phase",
                     view_phase(p->phase), "epoch", (json_int_t)p->epoch, "steps",
                     (json_int_t)p->steps, "tokens", (json_int_t)p->tokens, "tokens_per_s",
                     (json_int_t)p->tokens_per_s, "loss",
                     p->loss > 0 && isfinite(p->loss) ? json_real((double)p->loss) : json_null(),
                     "lineage", lineage, "age", span_in_s(p->age), "unreachable", unreached);
}

static json_t *unreached_json(const struct unreached *u, uint64_t now_ms)
{
    char id[2 * CRYPTO_KEY_BYTES + 1], address[ADDRESS_TEXT_BYTES] = "";
    bytes_hex(u->id, CRYPTO_KEY_BYTES, id);
    if (u->address.family) address_print(&u->address, address);
    const double seconds = now_ms > u->last_ms ? (double)(now_ms - u->last_ms) * 1e-3 : 0;
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:f}", "id", id, "address", address, "reason",
                          reach_word(u->reason), "tries", (json_int_t)u->count, "seconds", seconds);
    json_t *why = json_string(u->why);
    /* A peer's bytes may not be UTF-8. */
    json_object_set_new(o, "why", why ? why : json_string("?"));
    return o;
}

/* What those cost that are no members. */
static json_t *strangers_json(const struct endpoint_counters *n)
{
    json_t *o = json_object();
    struct strangers_count counts[STRANGERS_COUNTS];
    strangers_counts(n, counts);
    for (size_t i = 0; i < STRANGERS_COUNTS; i++)
        json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].value));
    return o;
}

char *view_status(const struct view_facts *f)
{
    char run[2 * CRYPTO_DIGEST_BYTES + 1];
    bytes_hex(f->run_id, CRYPTO_DIGEST_BYTES, run);
    json_t *list = json_array();
    for (size_t i = 0; i < f->peers_count; i++)
        json_array_append_new(list, peer_json(&f->peers[i], f->peers, f->peers_count, f));
    json_t *unreached = json_array();
    for (size_t i = 0; i < f->unreached_count; i++)
        json_array_append_new(unreached, unreached_json(&f->unreached[i], f->now_ms));
    json_t *o = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "experiment", f->experiment,
        "run", run, "epochs", (json_int_t)f->epochs, "epoch_tokens", (json_int_t)f->epoch_tokens,
        "parameters", (json_int_t)f->parameters, "sent", (json_int_t)f->net.sent_bytes, "received",
        (json_int_t)f->net.received_bytes, "relayed", (json_int_t)f->relayed, "strangers",
        strangers_json(&f->net), "peers", list, "unreachable", unreached);
    char *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    return text;
}

char *view_peers(const struct view_facts *f)
{
    size_t room = f->peers_count * 160 + 1;
    char *text = malloc(room);
    if (!text) return NULL;
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < f->peers_count; i++) {
        const struct node_peer *p = &f->peers[i];
        const struct address *a = address_of(p, f);
        if (p->health != HEALTH_ALIVE || !a->family || address_is_any(a)) continue;
        char id[2 * CRYPTO_KEY_BYTES + 1], address[ADDRESS_TEXT_BYTES];
        bytes_hex(p->id, CRYPTO_KEY_BYTES, id);
        address_print(a, address);
        used += (size_t)snprintf(text + used, room - used, "%s@%s\n", id, address);
    }
    return text;
}
