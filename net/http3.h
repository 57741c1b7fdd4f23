/* http3.h -- HTTP/3 (RFC 9114) on the endpoint's own UDP port, for people, programs and `shoal
 * status`.
 *
 * Server: any HTTP/3 client may ask, none needs a certificate. A request's body is read and
 * dropped; limits are 8 KiB of header and 16 concurrent requests per connection, and a quarter of
 * the endpoint's connections may be HTTP/3: who comes then takes the place of another one. Client: one request a connection. */
#ifndef SHOAL_NET_HTTP3_H
#define SHOAL_NET_HTTP3_H

#include "endpoint.h"

#define HTTP3_PATH_BYTES_MAX 1023

struct http3_reply; /* takes the answer to one request */

/* Answers a request by calling http3_answer before it returns; without an answer the client gets
 * 404. `path` includes the query. HEAD is passed on as GET, and the body is not sent. Methods other
 * than GET and HEAD get 405 without a call. */
typedef void http3_handler(void *ctx, const char *path, struct http3_reply *to);

/* Serves from now on. Without it, or with NULL, every path is 404. */
void http3_serve(struct endpoint *e, http3_handler *handler, void *ctx);

/* Copies the body. `status`: 200, 404, ...; `type`: "application/json". Call it once, inside the
 * handler. */
void http3_answer(struct http3_reply *to, int status, const char *type, struct bytes body);

/* Does the client run on this host? */
bool http3_from_here(const struct http3_reply *to);

struct http3_result {
    const char *failed; /* NULL, or a sentence saying why there is no answer */
    int status;
    const char *type; /* "" when the server did not say */
    struct bytes body;
    bool identified; /* the server has shown a certificate with an Ed25519 key, which is */
    uint8_t id[CRYPTO_KEY_BYTES];
};

/* Asks for `path`; `done` is called once, with all of it lent for the call, unless the endpoint is
 * closed before. With `id` only the server with that key is accepted. An answer is limited to
 * `body_max` bytes and `patience`. When it cannot start: ERR_USAGE for a path that does not begin
 * with / or is too long, ERR_MEMORY, else ERR_NETWORK. */
enum err http3_get(struct endpoint *e, const uint8_t *id, const struct address *to,
                   const char *path, size_t body_max, span patience,
                   void (*done)(void *ctx, const struct http3_result *r), void *ctx, struct why *w);

#endif
