/* reach.h -- why a peer cannot be reached, as exchanged between members (record REACH of SPEC.md)
 * and shown to people. */
#ifndef SHOAL_BASE_REACH_H
#define SHOAL_BASE_REACH_H

#include <stdbool.h>
#include <stdint.h>

/* Wire values; later versions may have higher ones. */
enum reach_reason {
    REACH_SILENT,  /* no answer */
    REACH_KEY,     /* another key than the one dialled answers there */
    REACH_RUN,     /* of another experiment */
    REACH_VERSION, /* of another version of the protocol, or another protocol */
    REACH_FAMILY,  /* we do not support its address family */
    REACH_FULL,    /* it, or its swarm, is full */
    REACH_NAME,    /* its name does not resolve */
    REACH_CLONE,   /* it has our own key */
    REACH_NOWHERE, /* no address of it is known */
    REACH_OTHER,   /* refused, or failed in another way */
    REACH_REASONS
};

/* "no answer", "wrong key", ...; "another reason" for unknown values. */
const char *reach_word(enum reach_reason reason);

/* The reason implied by the end of a link or dial (enum link_close); REACH_REASONS: none, e.g.
 * after a normal end. `up`: it had been up, and a lost link does not yet mean that the peer is
 * unreachable. */
enum reach_reason reach_reason_of(uint32_t code, bool up);

#endif
