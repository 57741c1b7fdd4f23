#include "config/shared.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/schema.h"
#include "config/value.h"

#define VALUE_BYTES 64 /* of a value in a message, with its zero; longer ones are cut */
#define SHOWN_MAX   4  /* keys named in a message */

/* Writing the text. */

static FILE *open_text(char *text, size_t room)
{
    FILE *f = fmemopen(text, room, "w");
    assert(f); /* in memory that already exists */
    return f;
}

static void put_hex(FILE *f, const char *key, const uint8_t *bytes, size_t count)
{
    fprintf(f, "%s: ", key);
    for (size_t i = 0; i < count; i++) fprintf(f, "%02x", bytes[i]);
    fputc('\n', f);
}

/* One key has one text, however its digits are written. */
static void put_ticket_key(FILE *f, const char *key)
{
    fprintf(f, "swarm.access: ticket ");
    for (; *key; key++) fputc(*key >= 'A' && *key <= 'F' ? *key - 'A' + 'a' : *key, f);
    fputc('\n', f);
}

void shared_of(const struct experiment *x, const uint8_t tokenizer[CRYPTO_HASH_BYTES],
               const uint8_t start[CRYPTO_DIGEST_BYTES], struct shared *out)
{
    memset(out, 0, sizeof *out);
    FILE *f = open_text(out->text, sizeof out->text);
    for (size_t i = 0; i < schema_count; i++) {
        if (!schema_keys[i].shared) continue;
        fprintf(f, "%s: ", schema_keys[i].path);
        value_print(f, &schema_keys[i], x);
        fputc('\n', f);
    }
    /* Its own key has no word for a mapping. Who may join is no part of an open run's ID. */
    if (x->swarm.access == ACCESS_PSK) fprintf(f, "swarm.access: psk\n");
    if (x->swarm.access == ACCESS_TICKET) put_ticket_key(f, x->swarm.access_key);
    put_hex(f, "tokenizer", tokenizer, CRYPTO_HASH_BYTES);
    if (start) put_hex(f, "start", start, CRYPTO_DIGEST_BYTES);
    out->count = (size_t)ftell(f);
    fclose(f);
    assert(out->count < sizeof out->text);
}

/* Reading the text. */

struct line {
    struct bytes key, value;
};

static bool same(struct bytes a, struct bytes b)
{
    return a.count == b.count && !memcmp(a.data, b.data, a.count);
}

/* The next "key: value" of `rest`, which is advanced past it. False at the end, or at a malformed
 * line. */
static bool next_line(struct bytes *rest, struct line *out)
{
    const uint8_t *end = rest->count ? memchr(rest->data, '\n', rest->count) : NULL;
    size_t n = end ? (size_t)(end - rest->data) : 0, colon = 0;
    while (colon + 1 < n && memcmp(rest->data + colon, ": ", 2)) colon++;
    if (colon == 0 || colon + 1 >= n) return false;
    *out =
        (struct line){bytes_of(rest->data, colon), bytes_of(rest->data + colon + 2, n - colon - 2)};
    *rest = bytes_of(rest->data + n + 1, rest->count - n - 1);
    return true;
}

static bool find(struct bytes text, struct bytes key, struct bytes *value)
{
    struct line l;
    while (next_line(&text, &l)) {
        if (!same(l.key, key)) continue;
        *value = l.value;
        return true;
    }
    return false;
}

static bool is_text(struct bytes text)
{
    struct line l;
    if (text.count == 0 || text.count > SHARED_BYTES_MAX) return false;
    while (next_line(&text, &l)) continue;
    return text.count == 0;
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool shared_start(const struct shared *s, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    struct bytes hex;
    if (!find(bytes_of(s->text, s->count), bytes_of("start", 5), &hex)) return false;
    if (hex.count != (size_t)2 * CRYPTO_DIGEST_BYTES) return false;
    for (size_t i = 0; i < CRYPTO_DIGEST_BYTES; i++) {
        const int high = digit(hex.data[2 * i]), low = digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Does this line have the key's default? */
static bool is_default(struct line l)
{
    size_t i = schema_find((const char *)l.key.data, l.key.count);
    if (i == SCHEMA_NONE || !schema_keys[i].initial) return false;
    struct experiment x = {0};
    char text[VALUE_BYTES] = "";
    value_store_initial(&schema_keys[i], &x);
    FILE *f = open_text(text, sizeof text);
    value_print(f, &schema_keys[i], &x);
    fclose(f);
    return same(l.value, bytes_of(text, strlen(text)));
}

/* Comparing both texts. */

struct story {
    char *text;
    size_t room, used, count;
};

__attribute__((format(printf, 2, 3))) static void add(struct story *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->text + s->used, s->room - s->used, format, args);
    va_end(args);
    s->used += n > 0 ? (size_t)n : 0;
    if (s->used >= s->room) s->used = s->room - 1;
}

/* Untrusted bytes in a form for messages. */
static const char *shown(struct bytes b, bool digest, char out[VALUE_BYTES])
{
    size_t most = digest ? 8 : VALUE_BYTES - 4, n = b.count < most ? b.count : most;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(b.data[i] >= 0x20 && b.data[i] < 0x7f ? b.data[i] : '?');
    strcpy(out + n, b.count > n ? "..." : "");
    return out;
}

static void differ(struct story *s, struct bytes key, const struct bytes *here,
                   const struct bytes *there)
{
    char name[VALUE_BYTES], a[VALUE_BYTES], b[VALUE_BYTES];
    if (s->count++ >= SHOWN_MAX) return;
    bool digest = same(key, bytes_of("tokenizer", 9)) || same(key, bytes_of("start", 5));
    add(s, "%s%s is %s here and %s there", s->used ? ", " : "", shown(key, false, name),
        here ? shown(*here, digest, a) : "none", there ? shown(*there, digest, b) : "none");
}

/* The keys of `there` that `here` does not have. */
static void differ_unknown(struct story *s, struct bytes here, struct bytes there)
{
    struct bytes value;
    struct line l;
    while (next_line(&there, &l))
        if (!find(here, l.key, &value) && !is_default(l)) differ(s, l.key, NULL, &l.value);
}

size_t shared_compare(struct bytes here, struct bytes there, char out[SHARED_STORY_BYTES])
{
    struct story s = {.text = out, .room = SHARED_STORY_BYTES};
    struct bytes rest = here, value;
    struct line l;
    if (!is_text(here) || !is_text(there)) {
        add(&s, "which keys differ is not known");
        return 0;
    }
    while (next_line(&rest, &l)) {
        if (!find(there, l.key, &value)) {
            if (!is_default(l)) differ(&s, l.key, &l.value, NULL);
        } else if (!same(l.value, value)) {
            differ(&s, l.key, &l.value, &value);
        }
    }
    differ_unknown(&s, here, there);
    if (s.count > SHOWN_MAX) add(&s, ", and %zu keys more", s.count - SHOWN_MAX);
    if (!s.count) add(&s, "no key differs");
    return s.count;
}

/* Identifying a run. */

/* Does a key that layout 1 does not cover differ from its default? */
static bool beyond_layout1(const struct shared *all)
{
    struct bytes rest = bytes_of(all->text, all->count);
    struct line l;
    while (next_line(&rest, &l)) {
        size_t i = schema_find((const char *)l.key.data, l.key.count);
        if (i != SCHEMA_NONE && schema_keys[i].shared > 1 && !is_default(l)) return true;
    }
    return false;
}

static void digest_layout2(const struct shared *all, const struct crypto *c,
                           uint8_t out[CRYPTO_DIGEST_BYTES])
{
    static const char head[] = "shoal run 2\n";
    char kept[SHARED_BYTES_MAX];
    size_t used = 0;
    struct bytes rest = bytes_of(all->text, all->count);
    struct line l;
    for (const uint8_t *at = rest.data; next_line(&rest, &l); at = rest.data) {
        if (is_default(l)) continue;
        memcpy(kept + used, at, (size_t)(rest.data - at));
        used += (size_t)(rest.data - at);
    }
    struct bytes parts[] = {bytes_of(head, sizeof head - 1), bytes_of(kept, used)};
    crypto_digest(c, parts, 2, out);
}

void shared_ids_of(const struct experiment *x, const uint8_t tokenizer[CRYPTO_HASH_BYTES],
                   const uint8_t start[CRYPTO_DIGEST_BYTES], const struct crypto *c,
                   struct shared_ids *out)
{
    struct shared all;
    shared_of(x, tokenizer, start, &all);
    experiment_run_id(x, tokenizer, c, out->layout1);
    digest_layout2(&all, c, out->layout2);
    out->describable1 = !start && x->swarm.access == ACCESS_OPEN && !beyond_layout1(&all);
}

const uint8_t *shared_run_id(const struct shared_ids *ids)
{
    return ids->describable1 ? ids->layout1 : ids->layout2;
}

bool shared_is_run(const struct shared_ids *ids, const uint8_t run_id[CRYPTO_DIGEST_BYTES])
{
    return (ids->describable1 && !memcmp(run_id, ids->layout1, CRYPTO_DIGEST_BYTES)) ||
           !memcmp(run_id, ids->layout2, CRYPTO_DIGEST_BYTES);
}
