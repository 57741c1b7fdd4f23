/* reduce_send.h -- messages to the members of the group. Part of reduce.c, on the same struct. */
#ifndef SHOAL_SWARM_REDUCE_SEND_H
#define SHOAL_SWARM_REDUCE_SEND_H

#include "parcel.h"
#include "reduce_parts.h"

enum reduce_ticket_kind {
    REDUCE_TICKET_CONTRIBUTION,
    REDUCE_TICKET_RESULT,
    REDUCE_TICKET_VEC,
    REDUCE_TICKET_FETCH
};

/* A ticket that encodes kind, group, chunk and member. */
uint64_t reduce_ticket(const struct reduce *r, enum reduce_ticket_kind kind, uint32_t c,
                       uint32_t member);

/* A note with the round, one number and the group's gid. */
void reduce_note(const struct reduce *r, const struct sink *out, const char *name, const char *key,
                 uint64_t value);

/* Sends one member a frame. */
void reduce_say(const struct reduce *r, uint32_t member, uint8_t type, struct bytes body,
                const struct sink *out);

/* Sends my stage and root to one member. */
void reduce_say_stage(const struct reduce *r, uint32_t member, const struct sink *out);
/* The same to all others; the next beat is T_BEAT from now. */
void reduce_say_stage_to_all(struct reduce *r, const struct sink *out);
/* Sends NEED: asks a member for its contribution to chunk c for this rank or, if it has this rank
 * itself, for the result. */
void reduce_say_need(const struct reduce *r, uint32_t member, uint32_t c, uint8_t rank,
                     const struct sink *out);
/* Tells a member what I hold of this chunk; rank REDUCE_NULL: nothing, and I contribute nothing
 * either. */
void reduce_say_have(const struct reduce *r, uint32_t member, uint32_t c, const struct sink *out);

/* A chunk's variant as a RESULT of that group; its bytes point into `means` (outer_wire_offset). */
struct parcel reduce_result_of(const struct outer_layout *l, const uint8_t gid[CRYPTO_DIGEST_BYTES],
                               uint32_t c, const struct reduce_variant *v, const uint8_t *means);
/* What I hold of a chunk, as a RESULT; its bytes point into the average. */
struct parcel reduce_result(const struct reduce *r, uint32_t c);

/* Sends my contribution to chunk c to the member that averages it at this rank. r->mine is not
 * NULL. */
void reduce_send_contribution(struct reduce *r, uint32_t member, uint32_t c, uint8_t rank,
                              const struct sink *out);

/* Sends results and contributions to all, as many at a time as each can use. */
void reduce_fill_windows(struct reduce *r, const struct sink *out);

/* Member i can be spoken to like this from now on. */
void reduce_take_path(struct reduce *r, uint32_t i, const struct reduce_path *path);

#endif
