/* train.h -- times the trains of packets that bulk makes: what the endpoint sends between the first
 * and the last acknowledgement of a message (endpoint.h, handler `train`). Private to net/. */
#ifndef SHOAL_NET_TRAIN_H
#define SHOAL_NET_TRAIN_H

#include "streams.h"

/* A piece of a message of bulk goes out. */
void train_sends(struct stream *s);

/* So many bytes of it were acknowledged. `last`: that was all of it. */
void train_acked(struct connection *c, struct stream *s, size_t count, bool last);

#endif
