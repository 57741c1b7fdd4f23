/* chunks.h -- bytes on their way out on one stream, kept until they are acknowledged: QUIC may have
 * to send them again and keeps no copy. Private to net/.
 *
 *     first ... | ... unsent ...      before `unsent` all is sent; the front goes as it is acknowledged */
#ifndef SHOAL_NET_CHUNKS_H
#define SHOAL_NET_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

struct chunk {
    struct chunk *next;
    size_t count, sent; /* bytes, and how many of them were sent */
    uint8_t bytes[];
};

struct chunks {
    struct chunk *first, **end;
    struct chunk *unsent; /* the first that is not sent whole; NULL: all are */
    size_t first_acked;   /* bytes of `first` that are acknowledged */
};

void chunks_init(struct chunks *q);

/* Room for `count` bytes, which the caller fills; NULL without memory. */
struct chunk *chunk_new(size_t count);

/* Takes the chunk. */
void chunks_add(struct chunks *q, struct chunk *k);

/* The next `count` unsent bytes were sent; there are as many. */
void chunks_sent(struct chunks *q, size_t count);

/* The next `count` sent bytes are acknowledged, in the order of the stream. */
void chunks_acked(struct chunks *q, size_t count);

void chunks_drop_first(struct chunks *q);

/* Drops all; returns how many bytes were not acknowledged. */
size_t chunks_clear(struct chunks *q);

#endif
