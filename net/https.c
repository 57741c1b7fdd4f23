#include "https.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/version.h"
#include "http1.h"
#include "wolfssl_all.h"

#define AUTHORITIES_BYTES (8u << 20) /* of the file; Debian's has 220 KB */
#define TRY_MS            2500       /* for a connection to one of several addresses */

/* Forward secret, authenticated encryption alone. */
#define CIPHERS                                                                                    \
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:ED25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:"   \
    "RSA+SHA384:RSA+SHA512"
#define RSA_BITS_MIN 2048

struct https {
    WOLFSSL_CTX *tls;
    char authorities[512]; /* the file they come from */
};

/* ---- authorities ---- */

/* Where distributions keep them: Debian, Fedora, SUSE, Alpine. */
static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt",
                                     "/etc/pki/tls/certs/ca-bundle.crt",
                                     "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                     "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

static enum err find_authorities(struct https *h, struct why *w)
{
    const char *given = getenv("SSL_CERT_FILE");
    for (size_t i = 0; i < sizeof places / sizeof *places && !(given && *given); i++)
        if (file_exists(places[i])) given = places[i];
    if (!given || !*given)
        return why(w, ERR_IO,
                   "this machine has no certificates of authorities: install the package "
                   "ca-certificates, or let SSL_CERT_FILE name a file of them");
    snprintf(h->authorities, sizeof h->authorities, "%s", given);
    return ERR_OK;
}

static enum err read_authorities(struct https *h, struct why *w)
{
    uint8_t *text;
    size_t count;
    enum err e = find_authorities(h, w);
    if (!e) e = file_read(h->authorities, AUTHORITIES_BYTES, &text, &count, w);
    if (e) return why_while(w, e, "reading the authorities that https servers are checked by");
    /* Authorities that cannot be read are passed over. */
    int rc = wolfSSL_CTX_load_verify_buffer(h->tls, text, (long)count, WOLFSSL_FILETYPE_PEM);
    free(text);
    return rc == WOLFSSL_SUCCESS
               ? ERR_OK
               : why(w, ERR_FORMAT, "%s holds no certificate of an authority in PEM",
                     h->authorities);
}

static int receive(WOLFSSL *s, char *to, int room, void *ctx);
static int transmit(WOLFSSL *s, char *from, int count, void *ctx);

enum err https_open(struct https **out, struct why *w)
{
    struct https *h = calloc(1, sizeof *h);
    if (!h) return why(w, ERR_MEMORY, "no memory for https");
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
    wolfSSL_Init();
    h->tls = wolfSSL_CTX_new(wolfTLS_client_method());
    bool ok = h->tls && wolfSSL_CTX_SetMinVersion(h->tls, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_set_cipher_list(h->tls, CIPHERS) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_set1_sigalgs_list(h->tls, SIGNATURES) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_SetMinRsaKey_Sz(h->tls, RSA_BITS_MIN) == WOLFSSL_SUCCESS &&
              wolfSSL_CTX_set_groups(h->tls, groups, 3) == WOLFSSL_SUCCESS;
    enum err e = ok ? ERR_OK : why(w, ERR_MEMORY, "setting up TLS failed");
    if (!e) {
        wolfSSL_CTX_set_session_cache_mode(h->tls, WOLFSSL_SESS_CACHE_OFF);
        wolfSSL_CTX_set_verify(h->tls, WOLFSSL_VERIFY_PEER, NULL);
        wolfSSL_CTX_SetIORecv(h->tls, receive);
        wolfSSL_CTX_SetIOSend(h->tls, transmit);
        e = read_authorities(h, w);
    }
    if (e) https_close(h);
    else *out = h;
    return e;
}

void https_close(struct https *h)
{
    if (!h) return;
    wolfSSL_CTX_free(h->tls);
    free(h);
}

/* ---- a connection ---- */

struct talk {
    const struct https *https;
    const struct https_ask *ask;
    instant until;
    int fd;
    WOLFSSL *tls;
    bool late, stopped;
};

/* Waits for the socket; false when there is no time left, or the answer is not wanted any more. */
static bool await(struct talk *t, short events, instant until)
{
    struct pollfd all[] = {{.fd = t->fd, .events = events}, {.fd = t->ask->stop, .events = POLLIN}};
    instant now = clock_now();
    uint64_t left = instant_reached(now, until) ? 0 : instant_since(until, now).ns / 1000000 + 1;
    int rc = poll(all, 2, (int)left);
    t->stopped = t->stopped || (rc > 0 && all[1].revents);
    t->late = t->late || (!t->stopped && instant_reached(clock_now(), t->until));
    return rc > 0 && all[0].revents && !t->stopped && !t->late;
}

/* wolfSSL reads and writes through these: they wait, so that it never has to be asked again. */
static int receive(WOLFSSL *s, char *to, int room, void *ctx)
{
    struct talk *t = ctx;
    for (;;) {
        if (!await(t, POLLIN, t->until)) {
            if (t->stopped || t->late) return WOLFSSL_CBIO_ERR_GENERAL;
            continue;
        }
        ssize_t n = recv(t->fd, to, (size_t)room, 0);
        if (n > 0) return (int)n;
        if (!n) return WOLFSSL_CBIO_ERR_CONN_CLOSE;
        if (errno != EAGAIN && errno != EINTR) return WOLFSSL_CBIO_ERR_CONN_RST;
    }
}

static int transmit(WOLFSSL *s, char *from, int count, void *ctx)
{
    struct talk *t = ctx;
    for (;;) {
        ssize_t n = send(t->fd, from, (size_t)count, MSG_NOSIGNAL);
        if (n >= 0) return (int)n;
        if (errno != EAGAIN && errno != EINTR) return WOLFSSL_CBIO_ERR_CONN_RST;
        if (!await(t, POLLOUT, t->until) && (t->stopped || t->late))
            return WOLFSSL_CBIO_ERR_GENERAL;
    }
}

static enum err gave_up(const struct talk *t, const char *what, struct why *w)
{
    if (t->stopped) return why(w, ERR_STOPPED, "the answer is not wanted any more");
    return why(w, ERR_NETWORK, "%s within %.0f s", what, (double)t->ask->patience.ns * 1e-9);
}

/* One address: the connection is there, or errno says why not. */
static bool connect_to(struct talk *t, const struct addrinfo *a, bool last)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    t->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0) return false;
    instant until =
        last ? t->until : instant_min(t->until, instant_after(clock_now(), span_ms(TRY_MS)));
    bool there = !connect(t->fd, a->ai_addr, a->ai_addrlen);
    if (!there && errno == EINPROGRESS) {
        there = await(t, POLLOUT, until);
        if (!there) error = ETIMEDOUT;
        else getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
        there = there && !error;
        errno = error;
    }
    if (there) return true;
    error = errno;
    close(t->fd);
    t->fd = -1;
    errno = error;
    return false;
}

static enum err reach(struct talk *t, const struct url *u, struct why *w)
{
    char port[8];
    struct addrinfo *found,
        want = {.ai_socktype = SOCK_STREAM,
                .ai_flags = AI_NUMERICSERV | (u->numeric ? AI_NUMERICHOST : AI_ADDRCONFIG)};
    snprintf(port, sizeof port, "%u", u->port);
    int bad = getaddrinfo(u->host, port, &want, &found);
    if (bad)
        return why(w, ERR_NETWORK, "looking up %s: %s", u->host,
                   bad == EAI_SYSTEM ? "the system's resolver failed" : gai_strerror(bad));
    bool there = false;
    t->late = instant_reached(clock_now(), t->until);
    for (struct addrinfo *a = found; a && !there && !t->stopped && !t->late; a = a->ai_next)
        there = connect_to(t, a, !a->ai_next);
    freeaddrinfo(found);
    if (there) return ERR_OK;
    if (t->stopped || t->late) return gave_up(t, "no connection", w);
    return why(w, ERR_NETWORK, "no connection: %s", strerror(errno));
}

/* ---- TLS ---- */

static enum err refuse(const struct talk *t, const struct url *u, int code, struct why *w)
{
    char text[WOLFSSL_MAX_ERROR_SZ];
    switch (code) {
    case ASN_NO_SIGNER_E:
    case ASN_SELF_SIGNED_E:
        return why(w, ERR_NETWORK,
                   "its certificate is refused: no authority of %s has signed it; SSL_CERT_FILE "
                   "names another file of authorities",
                   t->https->authorities);
    case DOMAIN_NAME_MISMATCH:
    case IPADDR_MISMATCH:
        return why(w, ERR_NETWORK, "its certificate is refused: it is not for %s", u->host);
    case ASN_AFTER_DATE_E:
        return why(w, ERR_NETWORK,
                   "its certificate is refused: it has expired, or this machine's clock is wrong");
    case ASN_BEFORE_DATE_E:
        return why(w, ERR_NETWORK,
                   "its certificate is refused: it is not valid yet, or this machine's clock is "
                   "wrong");
    default:
        wolfSSL_ERR_error_string_n((unsigned long)code, text, sizeof text);
        return why(w, ERR_NETWORK, "no TLS with it: %.*s", (int)sizeof text, text);
    }
}

static enum err secure(struct talk *t, const struct url *u, struct why *w)
{
    t->tls = wolfSSL_new(t->https->tls);
    if (!t->tls) return why(w, ERR_MEMORY, "no memory for TLS");
    wolfSSL_SetIOReadCtx(t->tls, t);
    wolfSSL_SetIOWriteCtx(t->tls, t);
    bool ok = u->numeric ? wolfSSL_check_ip_address(t->tls, u->host) == WOLFSSL_SUCCESS
                         : wolfSSL_check_domain_name(t->tls, u->host) == WOLFSSL_SUCCESS &&
                               wolfSSL_UseSNI(t->tls, WOLFSSL_SNI_HOST_NAME, u->host,
                                              (unsigned short)strlen(u->host)) == WOLFSSL_SUCCESS;
    if (!ok) return why(w, ERR_MEMORY, "no memory for TLS");
    int rc = wolfSSL_connect(t->tls);
    if (rc == WOLFSSL_SUCCESS) return ERR_OK;
    if (t->stopped || t->late) return gave_up(t, "no TLS", w);
    return refuse(t, u, wolfSSL_get_error(t->tls, rc), w);
}

/* ---- the request and its answer ---- */

static enum err say(struct talk *t, const struct url *u, struct why *w)
{
    char authority[URL_HOST_BYTES + 16],
        text[URL_BYTES + HTTPS_ETAG_BYTES + sizeof authority + 256];
    url_authority(u, authority);
    const char *etag = t->ask->etag;
    int count = snprintf(text, sizeof text,
                         "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: shoal/%s\r\n"
                         "Accept: text/plain, */*\r\nAccept-Encoding: identity\r\n"
                         "Connection: close\r\n%s%s%s\r\n",
                         u->target, authority, SHOAL_VERSION, *etag ? "If-None-Match: " : "", etag,
                         *etag ? "\r\n" : "");
    if (wolfSSL_write(t->tls, text, count) == count) return ERR_OK;
    if (t->stopped || t->late) return gave_up(t, "no answer", w);
    return why(w, ERR_NETWORK, "the connection was lost");
}

static enum err hear(struct talk *t, struct http1 *h, struct why *w)
{
    uint8_t room[16 << 10];
    enum err e = ERR_OK;
    while (!e && h->state != HTTP1_DONE) {
        int n = wolfSSL_read(t->tls, room, sizeof room);
        if (n > 0) {
            e = http1_take(h, bytes_of(room, (size_t)n), w);
            continue;
        }
        if (t->stopped || t->late) return gave_up(t, "no answer", w);
        bool orderly = wolfSSL_get_error(t->tls, n) == WOLFSSL_ERROR_ZERO_RETURN;
        return http1_end(h, orderly, w);
    }
    return e;
}

static enum err ask_once(struct talk *t, const struct url *u, struct http1 *h, struct why *w)
{
    t->fd = -1;
    t->tls = NULL;
    enum err e = reach(t, u, w);
    if (!e) e = secure(t, u, w);
    if (!e) e = say(t, u, w);
    if (!e) e = hear(t, h, w);
    wolfSSL_free(t->tls);
    if (t->fd >= 0) close(t->fd);
    return e;
}

static enum err ask_all(struct talk *t, struct http1 *h, struct why *w)
{
    struct url u = t->ask->url;
    for (int turn = 0;; turn++) {
        http1_init(h, t->ask->room, t->ask->most);
        enum err e = ask_once(t, &u, h, w);
        if (e) return e;
        bool elsewhere = h->status == 301 || h->status == 302 || h->status == 303 ||
                         h->status == 307 || h->status == 308;
        if (!elsewhere) return ERR_OK;
        if (turn == HTTPS_REDIRECTS_MAX)
            return why(w, ERR_WIRE, "it leads on and on: at most %d times are followed",
                       HTTPS_REDIRECTS_MAX);
        struct url to;
        if ((e = url_follow(&u, h->location, &to, w))) return e;
        u = to;
    }
}

enum err https_get(struct https *h, const struct https_ask *ask, struct https_answer *out,
                   struct why *w)
{
    struct talk t = {.https = h, .ask = ask, .until = instant_after(clock_now(), ask->patience)};
    struct http1 *answer = malloc(sizeof *answer);
    if (!answer) return why(w, ERR_MEMORY, "no memory for an answer");
    enum err e = ask_all(&t, answer, w);
    *out = (struct https_answer){.unchanged = answer->status == 304 && ask->etag[0],
                                 .count = answer->body_count};
    if (!e && answer->status != 200 && !out->unchanged)
        e = why(w, ERR_WIRE, "it answers with status %u", answer->status);
    if (!e) snprintf(out->etag, sizeof out->etag, "%s", answer->etag);
    free(answer);
    return e;
}
