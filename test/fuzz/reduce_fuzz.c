/* What two other members of a group may send in the course of an average, in any order and form:
 * nothing is written where it should not be, no mean claims a contribution that was not there, and
 * the average ends.
 *
 * Input: for each event a byte that says which, a length in units of 16 and so many bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "swarm/parcel.h"
#include "swarm/reduce.h"
#include "swarm/wire.h"
#include "test/sim/standin.c"

#define PARAMETERS  5000 /* two chunks */
#define TICKETS_MAX 64

static uint64_t asked[TICKETS_MAX], parcels[TICKETS_MAX];
static size_t asked_count, parcels_count;

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "reduce_fuzz: %s\n", what);
    abort();
}

static void act(void *self, struct action *a)
{
    (void)self;
    check(XXH64(a->bytes.data, a->bytes.count, XXH64(a->more.data, a->more.count, 1)),
          "every byte is there");
    if (a->kind == ACTION_REQUEST && asked_count < TICKETS_MAX) asked[asked_count++] = a->ticket;
    if (a->kind == ACTION_PARCEL && parcels_count < TICKETS_MAX)
        parcels[parcels_count++] = a->ticket;
}

static void check_state(const struct reduce *r)
{
    check(r->settled <= r->config.layout.chunks, "more chunks settled than there are");
    for (uint32_t c = 0; c < r->config.layout.chunks; c++)
        check(!(r->chunks[c].best.mask >> r->group.count), "a contribution from nobody");
    for (uint32_t i = 0; i < r->group.count; i++)
        check(r->peers[i].in_flight <= r->peers[i].flight_max + 2 * REDUCE_RESCUE,
              "too much in flight");
}

/* A message with the head that the group expects, if the input asks for it: else nothing gets past
 * the first check. */
static struct bytes dress(const struct reduce *r, uint8_t *room, size_t count, unsigned how)
{
    if (how & 1 && count >= 4 + 16) memcpy(room + 4, r->group.gid, 16);
    if (how & 2 && count >= 16) memcpy(room, r->group.gid, 16);
    if (how & 4 && count >= 1 + 16) memcpy(room + 1, r->group.gid, 16);
    if (how & 8 && count > PARCEL_HEAD_BYTES) {
        struct writer w = writer_init(room + 24, 20);
        uint32_t c = room[20] % 2;
        size_t n = outer_chunk_count(&r->config.layout, c), bytes = outer_wire_bytes(n);
        if (bytes > count - PARCEL_HEAD_BYTES) bytes = count - PARCEL_HEAD_BYTES;
        room[0] = room[0] & 1 ? WIRE_RESULT : WIRE_CONTRIBUTION;
        room[1] = 1;
        room[2] %= 3;
        memset(room + 20, 0, 4);
        room[20] = (uint8_t)c;
        memcpy(room + 4, r->group.gid, 16);
        writer_u32(&w, (uint32_t)n);
        uint32_t mask = room[28] % 8;
        if (room[0] == WIRE_CONTRIBUTION) mask = room[3] & 1 ? 1 : 4;
        room[3] = 0;
        if (!mask) bytes = 0;
        writer_u32(&w, mask);
        writer_u32(&w, (uint32_t)bytes);
        writer_u64(&w, XXH64(room + PARCEL_HEAD_BYTES, bytes, 0));
        count = PARCEL_HEAD_BYTES + bytes;
    }
    return bytes_of(room, count);
}

static const struct lineage_state parent = {.lineage = {4}, .lineage_tokens = 1000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static uint8_t storage[4 << 20], room[8192], wire[PARAMETERS + 4 * (PARAMETERS / 256 + 2)];
    static struct reduce r;
    struct standin standin = {.world = 1};
    struct crypto crypto = standin_crypto(&standin);
    struct reduce_config config = {&crypto, {3}, outer_layout_of(PARAMETERS), 3};
    struct arena arena;
    arena_init(&arena, storage, sizeof storage);
    check(reduce_init(&r, &config, &arena), "room");
    struct match_group g = {.gid = {7}, .round = 1, .count = 3, .self = 1};
    for (uint32_t i = 0; i < 3; i++) {
        g.members[i].sid = 10 + i;
        g.members[i].offer = (struct match_offer){100, 1, 10, 10};
    }
    const struct sink sink = {NULL, act};
    const uint8_t types[] = {WIRE_STAGE, WIRE_NEED, WIRE_HAVE};
    struct reduce_path paths[NODE_GROUP_MAX] = {{true, 30}, {true, 30}, {true, 30}};
    instant now = {1};
    asked_count = parcels_count = 0;
    reduce_start(&r, &g, &parent, paths, span_s(900), now, &sink);
    reduce_snapshot(&r, bytes_of(wire, outer_wire_bytes(PARAMETERS)), now, &sink);
    for (size_t at = 0; at + 2 <= count;) {
        unsigned what = data[at] % 16, how = data[at] / 16;
        size_t length = (size_t)data[at + 1] * 24;
        at += 2;
        if (length > sizeof room) length = sizeof room;
        size_t given = length < count - at ? length : count - at;
        memset(room, 0, length);
        memcpy(room, data + at, given);
        at += given;
        sid from = what & 1 ? 10 : 12;
        struct bytes b = dress(&r, room, length, how);
        if (what < 6) reduce_frame(&r, from, types[what / 2], b, now, &sink);
        else if (what < 8) reduce_parcel(&r, from, b, now, &sink);
        else if (what < 10) reduce_request(&r, from, 1, 1, b, now, &sink);
        else if (what < 12) {
            if (how & 2) b.count = 17 * r.config.layout.chunks; /* a vector's length */
            if (asked_count) reduce_reply(&r, asked[--asked_count], what & 1, b, now, &sink);
        } else if (what == 12) {
            if (parcels_count)
                reduce_parcel_done(&r, parcels[--parcels_count], how & 1, now, &sink);
        } else if (what == 13) reduce_gone(&r, from, now, &sink);
        else if (what == 14 && how & 1) reduce_frame(&r, from, WIRE_SURE, b, now, &sink);
        else if (what == 14) reduce_flow(&r, from, how, length, now);
        else {
            now = instant_after(now, span_ms(50 + length));
            reduce_tick(&r, now, &sink);
        }
        check_state(&r);
    }
    for (int i = 0; i < 200 && (r.state == REDUCE_GATHER || r.state == REDUCE_CLOSING); i++) {
        now = instant_max(now, reduce_due(&r));
        reduce_tick(&r, now, &sink);
    }
    check(r.state == REDUCE_AGREED || r.state == REDUCE_FAILED, "it did not end");
    return 0;
}
