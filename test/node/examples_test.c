/* examples_test.c -- SPEC.md's examples are what the encoders write. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/identity.h"
#include "outer/outer.h"
#include "swarm/lineage.h"
#include "swarm/match_wire.h"
#include "swarm/parcel.h"
#include "swarm/relay_wire.h"
#include "swarm/ticket.h"
#include "swarm/wire.h"

#define LINE_BYTES 64 /* of hexadecimal, in a line of an example */

static char text[1 << 16]; /* the whole section */
static size_t used;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    used += (size_t)vsnprintf(text + used, sizeof text - used, format, args);
    va_end(args);
    cr_assert_lt(used, sizeof text);
}

static void example(const char *what, const void *data, size_t count)
{
    const uint8_t *bytes = data;
    say("    %s\n", what);
    for (size_t i = 0; i < count; i++)
        say("%s%02x%s", i % LINE_BYTES ? "" : "      ", bytes[i],
            i % LINE_BYTES == LINE_BYTES - 1 || i + 1 == count ? "\n" : "");
}

static struct identity *identity_of(uint8_t fill)
{
    struct identity *i;
    uint8_t seed[IDENTITY_SEED_BYTES];
    memset(seed, fill, sizeof seed);
    cr_assert_eq(identity_from_seed(seed, &i, NULL), ERR_OK);
    return i;
}

static struct address address_of(const char *s)
{
    struct address a;
    cr_assert(address_parse(s, &a));
    return a;
}

static void records(const struct crypto *c, const uint8_t *run_id, const uint8_t *id,
                    const struct lineage_state *state)
{
    uint8_t out[RECORD_BYTES_MAX];
    struct record peer = {.kind = RECORD_PEER,
                          .peer = {.version = {1764000000000, 1},
                                   .addresses_count = 1,
                                   .addresses = {address_of("192.0.2.1:4433")}}};
    memcpy(peer.peer.id, id, CRYPTO_KEY_BYTES);
    example("PEER of A, at 192.0.2.1:4433, incarnation 1764000000000, seq 1", out,
            record_write(c, run_id, &peer, out));
    struct record progress = {.kind = RECORD_PROGRESS,
                              .progress = {.phase = PHASE_TRAIN,
                                           .flags = PROGRESS_SERVES,
                                           .sid = wire_sid(id),
                                           .version = {1764000000000, 7},
                                           .epoch = (uint32_t)state->epoch,
                                           .lineage_tokens = state->lineage_tokens,
                                           .steps = 20,
                                           .tokens = 10240,
                                           .tokens_per_s = 512,
                                           .step_ms = 1000,
                                           .eta_ms = 20000,
                                           .loss = 2.5f,
                                           .digest_epoch = (uint32_t)state->epoch,
                                           .digest = 0x0123456789abcdef}};
    memcpy(progress.progress.lineage, state->lineage, CRYPTO_DIGEST_BYTES);
    example(
        "PROGRESS of A: TRAIN, serves, epoch 1, 20 steps, 10240 tokens, 512 tokens/s, 1000 ms a "
        "step, 20000 ms to go, loss 2.5",
        out, record_write(c, run_id, &progress, out));
}

/* A is the owner of the experiment. */
static void tickets(const struct crypto *c, const uint8_t *run_id, const uint8_t *holder)
{
    uint8_t ticket[TICKET_BYTES], list[RECORD_BYTES_MAX];
    struct ticket t = {
        .from_s = 1764000000, .until_s = 1766592000, .rights = TICKET_TRAIN, .serial = 3};
    memcpy(t.id, holder, sizeof t.id);
    ticket_write(c, run_id, &t, ticket);
    example("ticket of B by A's key: from 1764000000 until 1766592000, train, serial 3", ticket,
            sizeof ticket);
    struct record revoked = {.kind = RECORD_REVOKED,
                             .revoked = {.number = 2, .below = 3, .count = 1, .serials = {7}}};
    example("REVOKED by A's key: list 2, all below 3, and 7", list,
            record_write(c, run_id, &revoked, list));
}

static struct match_member member_of(const struct match_signer *s, const uint8_t *id,
                                     const struct lineage_state *state, struct match_ready *r)
{
    struct match_member m = {.sid = wire_sid(id), .offer = r->offer};
    memcpy(r->lineage, state->lineage, CRYPTO_DIGEST_BYTES);
    memcpy(m.id, id, CRYPTO_KEY_BYTES);
    match_hash_ready(s, m.sid, r);
    m.hash = r->hash;
    return m;
}

static void relayed(const struct crypto *c, const uint8_t *run_id, sid a, sid b,
                    struct bytes accept)
{
    uint8_t room[RELAY_HEAD_BYTES + 1 + MATCH_ACCEPT_BYTES];
    struct relay_envelope e = {.from = a,
                               .to = b,
                               .life = 1764000000000,
                               .seq = 5,
                               .form = RELAY_FRAME,
                               .type = WIRE_ACCEPT};
    struct writer w = writer_init(room, sizeof room);
    relay_seal(c, run_id, &e, accept, bytes_of(room, 0));
    relay_write(&e, &w);
    writer_copy(&w, accept.data, accept.count);
    example("RELAY of this ACCEPT from A to B, number 5, as a frame", room, w.used);
}

/* A group of A and B, and A's messages on the way to it. */
static void matching(const struct crypto *c, const uint8_t *run_id, const uint8_t *a,
                     const uint8_t *b, const struct lineage_state *state, struct match_group *g)
{
    const struct match_signer s = {c, run_id};
    struct match_ready r = {
        .incarnation = 1764000000000,
        .round = state->epoch + 1,
        .attempt = 1,
        .lineage_tokens = state->lineage_tokens,
        .offer = {.weight = 10240, .steps = 20, .up_kbps = 30000, .step_ms = 1000}};
    struct match_pairs none = {0};
    uint8_t ready[MATCH_READY_BYTES], accept[MATCH_ACCEPT_BYTES], propose[MATCH_PROPOSE_BYTES];
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    struct match_member one = member_of(&s, a, state, &r), two = member_of(&s, b, state, &r);
    *g = (struct match_group){.round = r.round, .attempt = 1, .count = 2};
    g->self = one.sid > two.sid;
    g->members[g->self] = one;
    g->members[!g->self] = two;
    match_name(&s, g);
    struct bytes said = match_write_ready(&s, one.sid, &r, &none, ready);
    example("READY of A: round 2, attempt 1, weight 10240, 20 steps, 30000 kbit/s, 1000 ms a step",
            said.data, said.count);
    said = match_write_propose(g, true, &none, propose);
    example("PROPOSE of A and B, whose READY differs in its sid alone", said.data, said.count);
    example("its gid", g->gid, sizeof g->gid);
    match_sign_accept(&s, g, one.sid, signature);
    said = match_write_accept(g, one.sid, signature, accept);
    example("ACCEPT of A", said.data, said.count);
    relayed(c, run_id, one.sid, two.sid, said);
}

static void averaging(const struct crypto *c, const struct match_group *g)
{
    const float anchor[] = {1.0f, -2.0f, 0.5f}, parameters[] = {0.5f, -1.0f, 0.5f};
    const struct outer_layout l = outer_layout_of(3);
    uint8_t wire[7], head[PARCEL_RESULT_BYTES], parcel[PARCEL_HEAD_BYTES + sizeof wire];
    uint8_t digest[CRYPTO_DIGEST_BYTES];
    cr_assert_eq(outer_wire_bytes(3), sizeof wire);
    cr_assert(outer_quantize_delta(anchor, parameters, 3, wire));
    struct parcel p = {.type = WIRE_CONTRIBUTION, .mask = 1, .wire = bytes_of(wire, sizeof wire)};
    memcpy(p.gid, g->gid, sizeof p.gid);
    parcel_head(&p, &l, head);
    memcpy(parcel, head, PARCEL_HEAD_BYTES);
    memcpy(parcel + PARCEL_HEAD_BYTES, wire, sizeof wire);
    example("CONTRIBUTION of member 0 to chunk 0 of a model of 3 parameters: anchor 1, -2, 0.5, "
            "parameters 0.5, -1, 0.5",
            parcel, sizeof parcel);
    parcel_digest(c, 1, p.wire, digest);
    example("digest of a variant with these wire bytes and mask 1", digest, sizeof digest);
}

/* A model of two chunks, so that their order shows. */
static void state_digest(const struct crypto *c)
{
    enum { COUNT = 4097 };
    static float anchor[COUNT], momentum[COUNT];
    const struct outer_layout l = outer_layout_of(COUNT);
    uint8_t leaves[2][CRYPTO_DIGEST_BYTES], digest[CRYPTO_HASH_BYTES];
    cr_assert_eq(l.chunks, 2);
    for (size_t i = 0; i < COUNT; i++) {
        anchor[i] = (float)i;
        momentum[i] = -0.5f * (float)i;
    }
    outer_leaves(c, &l, anchor, momentum, leaves[0]);
    outer_digest(c, &l, leaves[0], digest);
    example("leaf of chunk 1 of a model of 4097 parameters: element i of the anchor i, of the "
            "momentum -i / 2",
            leaves[1], sizeof leaves[1]);
    example("digest of this state", digest, sizeof digest);
}

/* The lines of SPEC.md between the heading and the next one. */
static char *section(const char *heading)
{
    static char spec[1 << 20];
    FILE *f = fopen("SPEC.md", "r");
    cr_assert(f);
    spec[fread(spec, 1, sizeof spec - 1, f)] = 0;
    fclose(f);
    char *from = strstr(spec, heading);
    cr_assert(from, "SPEC.md has no \"%s\"", heading);
    from = strstr(from, "\n\n") + 2;
    from = strstr(from, "    "); /* behind a sentence or two */
    char *to = strstr(from, "\n\n");
    to[1] = 0;
    return from;
}

Test(examples, of_the_specification_are_what_is_sent)
{
    struct identity *a = identity_of(0xaa), *b = identity_of(0xbb);
    struct crypto c = identity_crypto(a);
    uint8_t run_id[CRYPTO_DIGEST_BYTES], root[CRYPTO_DIGEST_BYTES] = {0};
    for (size_t i = 0; i < sizeof run_id; i++) run_id[i] = (uint8_t)i;
    struct lineage_state state = {.epoch = 1, .lineage_tokens = 20480};
    struct match_group g;
    uint8_t genesis[CRYPTO_DIGEST_BYTES];
    lineage_genesis(&c, run_id, genesis);
    lineage_next(&c, genesis, 1, root, state.lineage);
    example("ID of A", identity_id(a), CRYPTO_KEY_BYTES);
    example("ID of B", identity_id(b), CRYPTO_KEY_BYTES);
    example("lineage of genesis", genesis, sizeof genesis);
    example("lineage of epoch 1, after a root of zeros", state.lineage, sizeof state.lineage);
    records(&c, run_id, identity_id(a), &state);
    tickets(&c, run_id, identity_id(b));
    matching(&c, run_id, identity_id(a), identity_id(b), &state, &g);
    averaging(&c, &g);
    state_digest(&c);
    cr_assert(!strcmp(section("## Examples\n"), text), "SPEC.md, \"Examples\" should be:\n%s",
              text);
    identity_close(a);
    identity_close(b);
}
