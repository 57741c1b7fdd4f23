/* frames.h -- cuts the control stream of a link into frames: type u8, length u24 little-endian,
 * body. Private to net/; separate from link.c so that it can be fuzzed. */
#ifndef SHOAL_NET_FRAMES_H
#define SHOAL_NET_FRAMES_H

#include "base/bytes.h"

#define FRAMES_HEAD_BYTES 4

struct frames {
    uint32_t body_max; /* bytes */
    uint8_t head[FRAMES_HEAD_BYTES];
    size_t head_count;
    uint8_t *body; /* grows with what has arrived, not to the announced length */
    size_t body_count, body_room, body_want;
};

enum frames_said {
    FRAMES_MORE, /* all consumed; the next frame is not complete yet */
    FRAMES_ONE,  /* *type and *body hold a frame; call again with what is left in *in */
    /* A frame announces more than body_max: the rest of the stream cannot be read. */
    FRAMES_TOO_LONG,
    FRAMES_NO_MEMORY
};

/* Start of a stream whose bodies are at most `body_max` bytes. */
void frames_init(struct frames *f, uint32_t body_max);
void frames_fini(struct frames *f);

/* Consumes bytes from the front of *in. `body` is lent until the next call. */
enum frames_said frames_take(struct frames *f, struct bytes *in, uint8_t *type, struct bytes *body);

#endif
