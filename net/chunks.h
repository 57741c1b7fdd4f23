/* chunks.h -- the send queue of one stream: bytes are kept until they are acknowledged, since QUIC
 * may have to retransmit them and keeps no copy. Private to net/.
 *
 *     first ... | ... unsent ...    all before it is sent; acknowledged chunks are freed */
#ifndef SHOAL_NET_CHUNKS_H
#define SHOAL_NET_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

struct chunk {
    struct chunk *next;
    size_t count, sent; /* bytes, and how many of them are sent */
    uint8_t bytes[];
};

struct chunks {
    struct chunk *first, **end;
    struct chunk *unsent; /* the first that is not completely sent; NULL: all are */
    size_t first_acked;   /* bytes of `first` that are acknowledged */
};

void chunks_init(struct chunks *q);

/* A chunk of `count` bytes, which the caller fills and then gives to chunks_add or free(); NULL
 * without memory. */
struct chunk *chunk_new(size_t count);

/* Appends the chunk, which the queue owns from now on. */
void chunks_add(struct chunks *q, struct chunk *k);

/* The next `count` unsent bytes were sent, which exist. */
void chunks_sent(struct chunks *q, size_t count);

/* The next `count` sent bytes are acknowledged, in the order of the stream. */
void chunks_acked(struct chunks *q, size_t count);

/* Frees the first chunk, sent or not; there is one. */
void chunks_drop_first(struct chunks *q);

/* Drops all; returns how many bytes were not acknowledged. */
size_t chunks_clear(struct chunks *q);

#endif
