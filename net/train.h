/* train.h -- times the trains of packets that bulk makes (endpoint.h, handler `train`).
 *
 * A train begins with the first acknowledgement of a message and ends with the last one of this or
 * of a later message of the link, once it is long enough; a link without bulk on its way ends it
 * before. Private to net/. */
#ifndef SHOAL_NET_TRAIN_H
#define SHOAL_NET_TRAIN_H

#include "streams.h"

/* Shorter ones measure how acknowledgements bunch. So many bytes are enough in any time. */
#define TRAIN_BYTES  (64u << 10)
#define TRAIN_TIME   span_ms(50)
#define TRAIN_ENOUGH (1u << 20)

/* A piece of a message of bulk goes out; `last`: all of it has. */
void train_sends(struct stream *s, bool last);

/* So many bytes of it were acknowledged. `last`: that was all of it. */
void train_acked(struct connection *c, struct stream *s, size_t count, bool last, instant now);

#endif
