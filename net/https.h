/* https.h -- asks an https server for one file: TLS 1.2 or 1.3 over TCP, HTTP/1.1.
 *
 * Blocks, so it belongs on a thread of its own. The server's certificate must name the host and be
 * signed by an authority that this machine trusts. No session is resumed, nothing is asked about
 * revocation. */
#ifndef SHOAL_NET_HTTPS_H
#define SHOAL_NET_HTTPS_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/url.h"

#define HTTPS_REDIRECTS_MAX 3
#define HTTPS_ETAG_BYTES    512

struct https; /* the trusted authorities; any number of threads may ask with one */

/* Reads the authorities from the file that SSL_CERT_FILE names, else from the distribution's.
 * ERR_IO or ERR_FORMAT when there is none, ERR_MEMORY. */
enum err https_open(struct https **out, struct why *w);
void https_close(struct https *h); /* NULL is fine */

/* In: what to ask. `stop`: a descriptor that becomes readable when the answer is not wanted any
 * more, or -1. */
struct https_ask {
    struct url url;
    char etag[HTTPS_ETAG_BYTES]; /* of what is there already; "" for nothing */
    /* For all of it. Looking a name up cannot be interrupted, so that may take longer. */
    span patience;
    uint8_t *room; /* where the body goes, `most` bytes */
    size_t most;
    int stop;
};

struct https_answer {
    bool unchanged; /* it still is what `etag` names: there is no body */
    size_t count;   /* bytes of the body */
    char etag[HTTPS_ETAG_BYTES];
};

/* ERR_NETWORK for a server that cannot be reached, whose certificate is refused, or that takes too
 * long; ERR_WIRE for an answer that is no good; ERR_STOPPED. A sentence about the server. */
enum err https_get(struct https *h, const struct https_ask *ask, struct https_answer *out,
                   struct why *w);

#endif
