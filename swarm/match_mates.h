/* match_mates.h -- the table of mates, and the frames sent to them. Part of match.c, on the same
 * struct. */
#ifndef SHOAL_SWARM_MATCH_MATES_H
#define SHOAL_SWARM_MATCH_MATES_H

#include "match_parts.h"

#define MATCH_TIME_S       15 /* T_MATCH: from READY to COMMITTED or SOLO */
#define MATCH_GRACE_MAX_MS (MATCH_TIME_S * 1000 / 2)

/* Its pointers belong to `m` and are valid as long. */
struct match_signer match_signer(const struct match *m);

/* A note with round, attempt and one further number. */
void match_note(const struct match *m, const struct sink *out, const char *name, const char *key,
                uint64_t value);

/* ---- the table ---- */

/* NULL: there is none. */
struct match_mate *match_mate(struct match *m, sid s);
/* NULL: the cell is full. Shifts the other entries unless an attempt is under way. */
struct match_mate *match_mate_add(struct match *m, sid s);

/* OPEN, CLOSED or LOCKED. */
bool match_under_way(const struct match *m);

/* Is this READY for my round and history? */
bool match_same_history(const struct match *m, const struct match_ready *r);

/* Do I hold its READY of the present attempt? */
bool match_ready_now(const struct match *m, const struct match_mate *mate);

/* How long to wait for a silent mate: six times the longest round trip, at least 1.5 s (6 s with
 * count_steps), at most MATCH_GRACE_MAX_MS. */
span match_patience(const struct match *m);

/* Index in the latest group; -1: not in it. */
int match_group_index(const struct match *m, sid s);

/* The group of me and the mates whose bits are set in `set`, by index; fills in everything but the
 * gid (match_name). */
void match_group_of(const struct match *m, uint32_t set, struct match_group *g);

/* ---- frames to mates ---- */

/* Sends my READY, which also answers that of the mate. */
void match_say_ready(struct match *m, struct match_mate *mate, instant now, const struct sink *out);
/* eta_ms: until I am ready; UINT32_MAX: not known. */
void match_say_notready(sid peer, enum match_reason reason, uint32_t eta_ms, uint64_t round,
                        uint16_t attempt, const struct sink *out);
/* The set that I propose now. */
void match_say_propose(const struct match *m, sid peer, const struct sink *out);
/* My signature under the latest group. */
void match_say_accept(const struct match *m, sid peer, const struct sink *out);
void match_say_cert(const struct match *m, sid peer, const struct sink *out);
/* What this mate has said, shown to another one. */
void match_say_witness(sid peer, sid whose, const struct match_said *said, const struct sink *out);
void match_say_withdraw(sid peer, uint64_t round, uint16_t attempt,
                        const uint8_t gid[CRYPTO_DIGEST_BYTES], const struct sink *out);

#endif
