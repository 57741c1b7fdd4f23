#include "http1.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SIZE_DIGITS 15 /* of a length: no overflow of 64 bits */

void http1_init(struct http1 *h, uint8_t *room, size_t most)
{
    *h = (struct http1){.body = room, .body_most = most};
}

static enum err wrong(struct why *w) { return why(w, ERR_WIRE, "its answer is not HTTP"); }

static enum err too_long(const struct http1 *h, struct why *w)
{
    return why(w, ERR_WIRE, "it sends more than %zu KiB", h->body_most >> 10);
}

/* Copies a field's value if all of it is printable and fits. */
static bool keep(const char *value, char *out, size_t room)
{
    size_t count = strlen(value);
    if (count >= room) return false;
    for (size_t i = 0; i < count; i++)
        if (value[i] <= ' ' || value[i] > '~') return false;
    memcpy(out, value, count + 1);
    return true;
}

/* A decimal length: digits alone. */
static bool read_length(const char *text, uint64_t *out)
{
    size_t count = strlen(text);
    if (!count || count > SIZE_DIGITS || strspn(text, "0123456789") != count) return false;
    for (*out = 0; *text; text++) *out = *out * 10 + (uint64_t)(*text - '0');
    return true;
}

/* "HTTP/1.1 200 OK" */
static enum err take_status(struct http1 *h, struct why *w)
{
    const char *l = h->line;
    if (strncmp(l, "HTTP/1.", 7) || (l[7] != '0' && l[7] != '1') || l[8] != ' ') return wrong(w);
    if (strspn(l + 9, "0123456789") != 3 || (l[12] && l[12] != ' ')) return wrong(w);
    h->status = (uint32_t)((l[9] - '0') * 100 + (l[10] - '0') * 10 + (l[11] - '0'));
    if (h->status < 100 || h->status > 599 || h->status == 101) return wrong(w);
    h->state = HTTP1_FIELDS;
    return ERR_OK;
}

static enum err begin_body(struct http1 *h, struct why *w)
{
    if (h->status < 200) { /* another answer follows */
        http1_init(h, h->body, h->body_most);
        return ERR_OK;
    }
    if (h->status == 204 || h->status == 304) h->state = HTTP1_DONE;
    else if (h->status >= 300) h->state = HTTP1_DONE; /* its body is of no interest */
    else if (h->encoded) return why(w, ERR_WIRE, "it sends the list compressed, unasked");
    else if (h->chunked && h->sized) return wrong(w); /* RFC 9112, 6.3 */
    else if (h->chunked) h->state = HTTP1_SIZE;
    else if (h->sized && h->left > h->body_most) return too_long(h, w);
    else h->state = h->sized && !h->left ? HTTP1_DONE : HTTP1_BODY;
    return ERR_OK;
}

static enum err take_field(struct http1 *h, struct why *w)
{
    if (!h->line[0]) return begin_body(h, w);
    char *colon = strchr(h->line, ':');
    size_t name = strcspn(h->line, ": \t");
    if (!colon || !name || h->line + name != colon) return wrong(w); /* also of folded lines */
    *colon = 0;
    char *value = colon + 1 + strspn(colon + 1, " \t");
    size_t count = strlen(value);
    while (count && strchr(" \t", value[count - 1])) value[--count] = 0;
    if (!strcasecmp(h->line, "content-length")) {
        uint64_t length;
        if (!read_length(value, &length) || (h->sized && length != h->left)) return wrong(w);
        h->sized = true;
        h->left = length;
    } else if (!strcasecmp(h->line, "transfer-encoding")) {
        if (strcasecmp(value, "chunked") || h->chunked) return wrong(w);
        h->chunked = true;
    } else if (!strcasecmp(h->line, "content-encoding")) {
        h->encoded = h->encoded || strcasecmp(value, "identity");
    } else if (!strcasecmp(h->line, "location")) {
        if (h->located || !keep(value, h->location, sizeof h->location)) return wrong(w);
        h->located = true;
    } else if (!strcasecmp(h->line, "etag")) {
        if (!keep(value, h->etag, sizeof h->etag)) h->etag[0] = 0;
    }
    return ERR_OK;
}

/* "1a2b; extension" */
static enum err take_size(struct http1 *h, struct why *w)
{
    size_t digits = strspn(h->line, "0123456789abcdefABCDEF");
    const char *rest = h->line + digits + strspn(h->line + digits, " \t");
    if (!digits || digits > SIZE_DIGITS || (*rest && *rest != ';')) return wrong(w);
    h->left = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = h->line[i];
        h->left = h->left << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (h->left > h->body_most - h->body_count) return too_long(h, w);
    h->state = h->left ? HTTP1_CHUNK : HTTP1_TRAILER;
    return ERR_OK;
}

static enum err take_line(struct http1 *h, struct why *w)
{
    switch (h->state) {
    case HTTP1_STATUS:
        return take_status(h, w);
    case HTTP1_FIELDS:
        return take_field(h, w);
    case HTTP1_SIZE:
        return take_size(h, w);
    case HTTP1_CHUNK_END:
        if (h->line[0]) return wrong(w);
        h->state = HTTP1_SIZE;
        return ERR_OK;
    case HTTP1_TRAILER:
        if (!h->line[0]) h->state = HTTP1_DONE;
        return ERR_OK;
    default:
        return wrong(w);
    }
}

/* Adds to the line; takes it at its end. Returns the bytes used. */
static size_t gather_line(struct http1 *h, struct bytes b, enum err *e, struct why *w)
{
    size_t used = 0;
    while (used < b.count) {
        uint8_t c = b.data[used++];
        if (++h->head > HTTP1_HEAD_BYTES || h->line_count == sizeof h->line - 1) {
            *e = why(w, ERR_WIRE, "the head of its answer is too long");
            return used;
        }
        if (c != '\n') {
            if (!c) *e = wrong(w);
            if (*e) return used;
            h->line[h->line_count++] = (char)c;
            continue;
        }
        if (h->line_count && h->line[h->line_count - 1] == '\r') h->line_count--;
        h->line[h->line_count] = 0;
        h->line_count = 0;
        *e = take_line(h, w);
        return used;
    }
    return used;
}

/* Copies bytes of the body; returns their number. */
static size_t gather_body(struct http1 *h, struct bytes b, enum err *e, struct why *w)
{
    bool bounded = h->sized || h->chunked;
    size_t count = bounded && h->left < b.count ? (size_t)h->left : b.count;
    if (count > h->body_most - h->body_count) {
        *e = too_long(h, w);
        return 0;
    }
    memcpy(h->body + h->body_count, b.data, count);
    h->body_count += count;
    if (!bounded) return count;
    h->left -= count;
    if (!h->left) h->state = h->chunked ? HTTP1_CHUNK_END : HTTP1_DONE;
    return count;
}

enum err http1_take(struct http1 *h, struct bytes b, struct why *w)
{
    enum err e = ERR_OK;
    while (b.count && h->state != HTTP1_DONE && !e) {
        bool body = h->state == HTTP1_BODY || h->state == HTTP1_CHUNK;
        size_t used = body ? gather_body(h, b, &e, w) : gather_line(h, b, &e, w);
        b = bytes_of(b.data + used, b.count - used);
    }
    return e;
}

enum err http1_end(struct http1 *h, bool orderly, struct why *w)
{
    if (h->state == HTTP1_BODY && !h->sized && orderly) h->state = HTTP1_DONE;
    if (h->state == HTTP1_DONE) return ERR_OK;
    return why(w, ERR_WIRE, "its answer ends in the middle");
}
