#include "reduce_rescue.h"

#include <assert.h>

#include "owners.h"
#include "reduce_fetch.h"
#include "reduce_gather.h"
#include "reduce_parts.h"
#include "reduce_send.h"

#define ASKS_MAX 16 /* chunks requested at a time from members that took them over */

static bool any_lost(const struct reduce *r)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (reduce_lost(&r->peers[i])) return true;
    return false;
}

/* The first member that is not lost, in the chunk's order of owners; the last one where all are. */
static uint32_t heir_of(const struct reduce *r, uint32_t c, uint8_t *rank)
{
    for (uint32_t k = 0; k < r->group.count; k++) {
        uint32_t i = owners_at_rank(&r->group, c, r->chunks[c].owner, k);
        if (reduce_lost(&r->peers[i]) && k + 1 < r->group.count) continue;
        *rank = (uint8_t)k;
        return i;
    }
    assert(false); /* the last rank is taken as it is */
    return reduce_self(r);
}

/* I am the heir of this chunk: asks everybody for its contribution or result. False: no room to
 * gather another one. */
static bool rescue(struct reduce *r, uint32_t c, uint8_t rank, bool again, const struct sink *out)
{
    struct reduce_work *w = reduce_rescue_of(r, c);
    if (w && !again && w->rank == rank) return true;
    for (uint32_t i = 0; !w && i < REDUCE_RESCUE; i++)
        if (!r->rescue[i].busy) {
            w = &r->rescue[i];
            *w = (struct reduce_work){
                .busy = true, .chunk = c, .began = r->now, .contributions = w->contributions};
        }
    if (!w) return false;
    w->rank = rank;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect &&
            !((w->arrived | w->absent) & reduce_bit(i)))
            reduce_say_need(r, i, c, rank, out);
    return true;
}

void reduce_recover(struct reduce *r, bool again, const struct sink *out)
{
    r->rescued = false;
    if (r->state != REDUCE_GATHER || !any_lost(r)) return;
    uint32_t asked = 0;
    bool room = true;
    for (uint32_t c = 0; c < r->config.layout.chunks && (room || asked < ASKS_MAX); c++) {
        struct reduce_chunk *chunk = &r->chunks[c];
        if (chunk->settled || !reduce_lost(&r->peers[chunk->owner]) ||
            chunk->fetch != REDUCE_FETCH_NONE)
            continue;
        uint8_t rank;
        uint32_t heir = heir_of(r, c, &rank);
        if (heir == reduce_self(r)) room = room && rescue(r, c, rank, again, out);
        else if (asked < ASKS_MAX) {
            asked++;
            if (again || chunk->sought != rank) reduce_say_need(r, heir, c, rank, out);
            chunk->sought = rank;
        }
    }
}

uint32_t reduce_present(const struct reduce *r)
{
    uint32_t members = reduce_bit(reduce_self(r));
    for (uint32_t i = 0; i < r->group.count; i++)
        if (!r->peers[i].suspect) members |= reduce_bit(i);
    return members;
}

bool reduce_all_lost(const struct reduce *r)
{
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect) return false;
    return r->group.count > 1;
}

/* Names the member by the first 16 digits of its ID: as a number it would not survive JSON, whose
 * readers keep 53 bits. */
static void note_suspect(const struct reduce *r, const struct sink *out, sid member)
{
    char digits[FIRST_EIGHT_DIGITS];
    sink_note(out, (struct note){.name = "reduce.suspect",
                                 .numbers = {{"round", r->group.round}},
                                 .word = {"member", first_eight_print(member, digits)},
                                 .hex = {"gid", bytes_of(r->group.gid, CRYPTO_DIGEST_BYTES)}});
}

void reduce_suspect(struct reduce *r, uint32_t member, const struct sink *out)
{
    struct reduce_peer *p = &r->peers[member];
    if (p->suspect) return;
    p->suspect = true;
    p->ask_again = true;
    p->examining = false; /* later answers are ignored */
    if (r->adopting == (int)member) r->adopting = -1;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++)
        if (r->chunks[c].fetch_from == member) reduce_unwant(r, c);
    if (!reduce_running(r)) return;
    note_suspect(r, out, r->group.members[member].sid);
    reduce_recover(r, false, out);
}

/* Those who average a chunk that is not settled yet, whoever that is now. */
static uint32_t in_charge(const struct reduce *r)
{
    uint32_t members = 0;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        uint8_t rank;
        if (!r->chunks[c].settled) members |= reduce_bit(heir_of(r, c, &rank));
    }
    return members;
}

void reduce_stand_still(struct reduce *r, const struct sink *out)
{
    uint32_t members = in_charge(r);
    r->stills++;
    r->still_at = r->now;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && members & reduce_bit(i)) r->peers[i].stuck = true;
    reduce_note(r, out, "reduce.still", "unsettled", r->config.layout.chunks - r->settled);
    reduce_recover(r, false, out);
}
