/* reach.h -- why a peer cannot be reached, as members tell each other (record REACH of SPEC.md) and
 * as people read it. */
#ifndef SHOAL_BASE_REACH_H
#define SHOAL_BASE_REACH_H

#include <stdbool.h>
#include <stdint.h>

/* The numbers travel; those of a later version may be higher. */
enum reach_reason {
    REACH_SILENT,  /* no answer */
    REACH_KEY,     /* another key than the one dialled answers there */
    REACH_RUN,     /* of another experiment */
    REACH_VERSION, /* of another version of the protocol, or another protocol */
    REACH_FAMILY,  /* its address is of a family that we do not speak */
    REACH_FULL,    /* it, or its swarm, has no room */
    REACH_NAME,    /* its name does not resolve */
    REACH_CLONE,   /* it has our own key */
    REACH_NOWHERE, /* no address of it is known */
    REACH_OTHER,   /* refused, or failed in another way */
    REACH_REASONS
};

/* "no answer", "wrong key", ...; "another reason" for numbers that are not known. */
const char *reach_word(enum reach_reason reason);

/* What a link's or a dial's end means (enum link_close); REACH_REASONS: nothing, as an end that
 * was polite does. `up`: it had been up, and a peer that is lost is not yet one that cannot be
 * reached. */
enum reach_reason reach_reason_of(uint32_t code, bool up);

#endif
