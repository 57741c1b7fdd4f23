#include "identity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto.h"
#include "wolfssl_all.h"

#define HEADLINE "shoal identity 1"

struct identity {
    uint8_t seed[IDENTITY_SEED_BYTES];
    uint8_t id[CRYPTO_KEY_BYTES];
    ed25519_key key;
    uint8_t certificate[512], private_key[128]; /* DER; about 250 and 84 bytes */
    size_t certificate_count, private_key_count;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool hex_parse(const char *text, uint8_t out[32])
{
    for (size_t i = 0; i < 64; i++) {
        int v = hex_digit(text[i]);
        if (v < 0) return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | v);
    }
    return true;
}

bool identity_parse(const char *text, uint8_t out[CRYPTO_KEY_BYTES])
{
    uint8_t id[CRYPTO_KEY_BYTES];
    if (!hex_parse(text, id) || text[64]) return false;
    memcpy(out, id, sizeof id);
    return true;
}

const char *identity_print(const uint8_t id[CRYPTO_KEY_BYTES], char out[IDENTITY_TEXT_BYTES])
{
    return bytes_hex(id, CRYPTO_KEY_BYTES, out);
}

/* Peers look only at the key; name and dates are there because X.509 requires them. */
static enum err make_certificate(struct identity *i, struct why *w)
{
    Cert c;
    WC_RNG rng; /* for the serial number */
    if (wc_InitRng(&rng))
        return why(w, ERR_MEMORY, "setting up a random generator for a certificate");
    wc_InitCert(&c);
    strcpy(c.subject.commonName, "shoal");
    c.sigType = CTC_ED25519;
    c.selfSigned = 1;
    c.daysValid = 36500;
    int n = wc_MakeCert_ex(&c, i->certificate, sizeof i->certificate, ED25519_TYPE, &i->key, &rng);
    if (n > 0)
        n = wc_SignCert_ex(c.bodySz, c.sigType, i->certificate, sizeof i->certificate, ED25519_TYPE,
                           &i->key, &rng);
    int k = wc_Ed25519KeyToDer(&i->key, i->private_key, sizeof i->private_key);
    wc_FreeRng(&rng);
    if (n <= 0 || k <= 0)
        return why(w, ERR_MEMORY, "making a certificate: %s", wc_GetErrorString(n <= 0 ? n : k));
    i->certificate_count = (size_t)n;
    i->private_key_count = (size_t)k;
    return ERR_OK;
}

enum err identity_from_seed(const uint8_t seed[IDENTITY_SEED_BYTES], struct identity **out,
                            struct why *w)
{
    struct identity *i = calloc(1, sizeof *i);
    if (!i) return why(w, ERR_MEMORY, "no memory for an identity");
    memcpy(i->seed, seed, sizeof i->seed);
    wc_ed25519_init(&i->key);
    int bad = wc_ed25519_import_private_only(i->seed, sizeof i->seed, &i->key);
    if (!bad) bad = wc_ed25519_make_public(&i->key, i->id, sizeof i->id);
    if (!bad)
        bad = wc_ed25519_import_private_key(i->seed, sizeof i->seed, i->id, sizeof i->id, &i->key);
    enum err e = bad ? why(w, ERR_FORMAT, "making a key: %s", wc_GetErrorString(bad))
                     : make_certificate(i, w);
    if (e) identity_close(i);
    else *out = i;
    return e;
}

void identity_close(struct identity *i)
{
    if (!i) return;
    wc_ed25519_free(&i->key);
    explicit_bzero(i, sizeof *i);
    free(i);
}

static enum err parse_file(const char *path, char *text, struct identity **out, struct why *w)
{
    uint8_t seed[IDENTITY_SEED_BYTES], id[CRYPTO_KEY_BYTES];
    char *save = NULL, *head = strtok_r(text, "\n", &save), *first = strtok_r(NULL, "\n", &save),
         *second = strtok_r(NULL, "\n", &save);
    if (!head || strcmp(head, HEADLINE))
        return why(w, ERR_FORMAT, "%s is not a shoal identity: its first line must be '%s'", path,
                   HEADLINE);
    if (!first || strncmp(first, "seed ", 5) || !identity_parse(first + 5, seed))
        return why(w, ERR_FORMAT,
                   "%s is damaged: its second line must be 'seed' and 64 hexadecimal digits", path);
    if (!second || strncmp(second, "id ", 3) || !identity_parse(second + 3, id) ||
        strtok_r(NULL, "\n", &save))
        return why(w, ERR_FORMAT,
                   "%s is damaged: its third and last line must be 'id' and 64 hexadecimal digits",
                   path);
    enum err e = identity_from_seed(seed, out, w);
    explicit_bzero(seed, sizeof seed);
    if (!e && memcmp((*out)->id, id, sizeof id)) {
        identity_close(*out);
        *out = NULL;
        return why(w, ERR_FORMAT, "%s is damaged: its seed and its id do not belong together",
                   path);
    }
    return e;
}

static enum err read_file(const char *path, struct identity **out, struct why *w)
{
    struct stat s;
    if (stat(path, &s)) {
        if (errno == ENOENT)
            return why(w, ERR_IO, "there is no identity %s: make one with 'shoal keygen -o %s'",
                       path, path);
        return why(w, ERR_IO, "opening %s: %s", path, strerror(errno));
    }
    uint8_t *text;
    size_t count;
    enum err e = file_check_private("", path, s.st_mode, w);
    if (!e) e = file_read(path, 4096, &text, &count, w);
    if (e) return e;
    if (memchr(text, 0, count))
        e = why(w, ERR_FORMAT, "%s is not a shoal identity: it is not text", path);
    else e = parse_file(path, (char *)text, out, w);
    explicit_bzero(text, count);
    free(text);
    return e;
}

enum err identity_create(const char *path, struct identity **out, struct why *w)
{
    uint8_t seed[IDENTITY_SEED_BYTES];
    crypto_random(seed, sizeof seed);
    enum err e = identity_create_from_seed(path, seed, out, w);
    explicit_bzero(seed, sizeof seed);
    return e;
}

enum err identity_create_from_seed(const char *path, const uint8_t seed[IDENTITY_SEED_BYTES],
                                   struct identity **out, struct why *w)
{
    char hex[IDENTITY_TEXT_BYTES], id[IDENTITY_TEXT_BYTES], text[256], aside[4096];
    struct identity *i = NULL;
    enum err e = identity_from_seed(seed, &i, w);
    if (e) return e;
    int count = snprintf(text, sizeof text, HEADLINE "\nseed %s\nid %s\n",
                         identity_print(seed, hex), identity_print(i->id, id));
    /* Written to a temporary file, then linked: if two processes create the same file at once one
     * wins, and no key is ever replaced. */
    uint32_t chance;
    crypto_random(&chance, sizeof chance);
    struct bytes all = bytes_of(text, (size_t)count);
    if ((size_t)snprintf(aside, sizeof aside, "%s.%08x", path, chance) >= sizeof aside)
        e = why(w, ERR_IO, "the path %.64s... is too long", path);
    if (!e) e = file_write_atomic(aside, &all, 1, 0600, w);
    if (!e && link(aside, path))
        e = errno == EEXIST
                ? why(w, ERR_IO,
                      "%s exists already: an identity is never overwritten; name another file",
                      path)
                : why(w, ERR_IO, "making %s: %s", path, strerror(errno));
    unlink(aside);
    explicit_bzero(hex, sizeof hex);
    explicit_bzero(text, sizeof text);
    if (e) identity_close(i);
    else *out = i;
    return e;
}

enum err identity_open(const char *path, bool create, struct identity **out, struct why *w)
{
    if (create && !file_exists(path)) {
        enum err e = identity_create(path, out, w);
        if (!e || !file_exists(path)) return e; /* otherwise another process has just created it */
    }
    return read_file(path, out, w);
}

const uint8_t *identity_id(const struct identity *i) { return i->id; }
struct bytes identity_certificate(const struct identity *i)
{
    return bytes_of(i->certificate, i->certificate_count);
}
struct bytes identity_private_key(const struct identity *i)
{
    return bytes_of(i->private_key, i->private_key_count);
}

void identity_sign(struct identity *i, struct bytes message, uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    word32 count = CRYPTO_SIGNATURE_BYTES;
    int bad = wc_ed25519_sign_msg(message.data, (word32)message.count, out, &count, &i->key);
    assert(!bad && count == CRYPTO_SIGNATURE_BYTES);
    (void)bad;
}

static void sign(void *self, struct bytes message, uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    assert(self);
    identity_sign(self, message, out);
}

static void take_random(void *self, void *to, size_t count) { crypto_random(to, count); }

struct crypto identity_crypto(struct identity *self)
{
    return (struct crypto){.self = self,
                           .hash = crypto_sha256,
                           .sign = sign,
                           .verify = crypto_verify,
                           .random = take_random};
}

void identity_secret(const struct identity *i, const char *purpose, uint8_t out[CRYPTO_HASH_BYTES])
{
    struct crypto c = identity_crypto(NULL);
    struct bytes parts[] = {bytes_of("shoal secret", 12), bytes_of(i->seed, sizeof i->seed),
                            bytes_of(purpose, strlen(purpose))};
    c.hash(c.self, parts, 3, out);
}

bool identity_weak(const uint8_t id[CRYPTO_KEY_BYTES])
{
    /* Their y: 0, 1, p - 1, p, p + 1 (p = 2^255 - 19), and both of the points of order 8. */
    static const uint8_t weak[][CRYPTO_KEY_BYTES] = {
        {0},
        {1},
        {0xec, [1 ... 30] = 0xff, 0x7f},
        {0xed, [1 ... 30] = 0xff, 0x7f},
        {0xee, [1 ... 30] = 0xff, 0x7f},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
         0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
         0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
         0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
         0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}};
    uint8_t y[CRYPTO_KEY_BYTES];
    memcpy(y, id, sizeof y);
    y[31] &= 0x7f; /* the other bit is the sign of x */
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++)
        if (!memcmp(y, weak[i], sizeof y)) return true;
    return false;
}

bool identity_in_certificate(struct bytes der, uint8_t out[CRYPTO_KEY_BYTES])
{
    DecodedCert c;
    wc_InitDecodedCert(&c, der.data, (word32)der.count, NULL);
    bool ok = !wc_ParseCert(&c, CERT_TYPE, NO_VERIFY, NULL) && c.keyOID == ED25519k &&
              c.pubKeySize == CRYPTO_KEY_BYTES;
    if (ok) memcpy(out, c.publicKey, CRYPTO_KEY_BYTES);
    wc_FreeDecodedCert(&c);
    return ok;
}
