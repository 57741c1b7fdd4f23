#include "data/document.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/whole.h"
#include "data/utf8.h"

#define FINER_DOCUMENTS 16 /* number of documents for which short texts are split */

struct document_rule document_finer(uint64_t bytes)
{
    size_t target = (size_t)max_u64(1, min_u64(bytes / FINER_DOCUMENTS, DOCUMENT_TARGET_BYTES));
    /* No document is more than half of the total, so that there are at least two. */
    size_t window = (size_t)max_u64(1, min_u64(8 * (uint64_t)target, bytes / 2));
    return (struct document_rule){0, target, window};
}

/* Where the first blank line after the target ends, or 0. */
static size_t blank_line_end(const uint8_t *text, size_t count, size_t target)
{
    const uint8_t *end = text + count, *at = text + target - 1;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        const uint8_t *next = at + 1;
        while (next < end && (*next == ' ' || *next == '\t' || *next == '\r')) next++;
        if (next < end && *next == '\n') return (size_t)(next + 1 - text);
        at = next;
    }
    return 0;
}

/* The length of the document that `text` begins with; 0 when more of the text is needed to decide.
 * Looks only at the first window and the character at its end, so that the result does not depend
 * on how much is buffered. */
static size_t document_length(const struct document_rule *rule, const uint8_t *text, size_t count,
                              bool ended)
{
    size_t n;
    if (!ended && count < rule->window + 4) return 0;
    if (count < rule->window) {
        n = count > rule->target ? blank_line_end(text, count, rule->target) : 0;
        return n ? n : count;
    }
    n = blank_line_end(text, rule->window, rule->target);
    if (n) return n;
    const uint8_t *line = memrchr(text, '\n', rule->window);
    if (line) return (size_t)(line + 1 - text);
    const uint8_t *space = memrchr(text + 1, ' ', rule->window - 1);
    if (space) return (size_t)(space - text);
    n = rule->window - 1;
    for (size_t i = 0; i < 3 && n > 0 && (text[n] & 0xc0) == 0x80; i++) n--;
    if (n == 0) utf8_next(text, count, &n); /* a window of one character */
    return n;
}

enum err document_open(struct document_reader *r, const struct source_list *list,
                       struct document_rule rule, size_t batch_bytes, struct why *w)
{
    *r = (struct document_reader){.list = list, .rule = rule, .batch_bytes = batch_bytes};
    r->text = malloc(batch_bytes + DOCUMENT_WHOLE_BYTES + DOCUMENT_WINDOW_BYTES);
    return r->text ? ERR_OK : why(w, ERR_MEMORY, "no memory for %zu bytes of text", batch_bytes);
}

void document_fini(struct document_reader *r)
{
    stream_close(r->stream);
    free(r->text);
    free(r->documents);
    *r = (struct document_reader){0};
}

uint64_t document_position(const struct document_reader *r)
{
    return r->before + (r->stream ? stream_position(r->stream) : 0);
}

static enum err emit(struct document_reader *r, size_t bytes, struct why *w)
{
    if (bytes == 0) return ERR_OK;
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 256;
        struct bytes *documents = realloc(r->documents, room * sizeof *documents);
        if (!documents) return why(w, ERR_MEMORY, "no memory for the documents of a batch");
        r->documents = documents;
        r->room = room;
    }
    r->documents[r->count++] = bytes_of(r->text + r->cut, bytes);
    r->cut += bytes;
    return ERR_OK;
}

/* Goes to the next text, of this source or of the next one. */
static enum err next_text(struct document_reader *r, struct why *w)
{
    enum err e = ERR_OK;
    if (!r->stream) {
        e = stream_open(&r->list->sources[r->next], SOURCE_FIELD(r->list), &r->stream, w);
        if (e) return e;
        r->next++;
    }
    r->longer = r->ended = false;
    e = stream_next(r->stream, &r->inside, w);
    if (e || r->inside) return e;
    r->before += stream_position(r->stream);
    stream_close(r->stream);
    r->stream = NULL;
    return ERR_OK;
}

/* Splits off all documents whose end is known. */
static enum err cut(struct document_reader *r, struct why *w)
{
    enum err e = ERR_OK;
    r->longer |= r->used - r->cut > r->rule.whole;
    while (!e && r->used > r->cut) {
        size_t left = r->used - r->cut;
        size_t n = r->longer  ? document_length(&r->rule, r->text + r->cut, left, r->ended)
                   : r->ended ? left
                              : 0;
        if (n == 0) break;
        e = emit(r, n, w);
    }
    return e;
}

enum err document_next(struct document_reader *r, struct why *w)
{
    memmove(r->text, r->text + r->cut, r->used - r->cut);
    r->used -= r->cut;
    r->cut = r->count = 0;
    enum err e = ERR_OK;
    while (!e && r->cut < r->batch_bytes && (r->stream || r->next < r->list->count)) {
        if (!r->inside) {
            e = next_text(r, w);
            continue;
        }
        size_t n, rest = r->batch_bytes + DOCUMENT_WHOLE_BYTES + DOCUMENT_WINDOW_BYTES - r->used;
        assert(rest > 0); /* the rest is shorter than a document that must be split off */
        e = stream_read(r->stream, r->text + r->used, rest, &n, w);
        if (e) break;
        r->used += n;
        r->ended = n == 0;
        e = cut(r, w);
        if (r->ended) r->inside = false;
    }
    return e;
}
