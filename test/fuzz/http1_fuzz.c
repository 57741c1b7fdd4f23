/* http1_fuzz.c -- whatever a server answers: nothing is written beyond the room, fields are
 * printable, and however the answer is cut into pieces, it is read in one way. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/url.h"
#include "net/http1.h"

static void printable(const char *text)
{
    for (; *text; text++) assert(*text > ' ' && *text <= '~');
}

static enum err take(struct http1 *h, const uint8_t *data, size_t size, size_t piece, struct why *w)
{
    enum err e = ERR_OK;
    for (size_t at = 0; at < size && !e; at += piece)
        e = http1_take(h, bytes_of(data + at, size - at < piece ? size - at : piece), w);
    return e ? e : http1_end(h, true, w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http1 whole, cut;
    struct why w = {0};
    struct url from, to;
    size_t most = size ? data[0] * 8u : 0, piece = 1 + (size ? data[0] % 13u : 0);
    uint8_t *a = malloc(most + 1), *b = malloc(most + 1); /* of their size, for the sanitizer */
    if (!a || !b) abort();
    http1_init(&whole, a, most);
    http1_init(&cut, b, most);
    enum err e = take(&whole, data, size, size ? size : 1, &w);
    assert(!e == !w.text[0]);
    assert(take(&cut, data, size, piece, NULL) == e);
    assert(whole.body_count <= most);
    printable(whole.location);
    printable(whole.etag);
    if (!e) {
        assert(whole.state == HTTP1_DONE && whole.status >= 200);
        assert(cut.status == whole.status && cut.body_count == whole.body_count);
        assert(!memcmp(a, b, whole.body_count));
        if (url_read("https://x.org/a/b?c", &from, NULL)) abort();
        if (!url_follow(&from, whole.location, &to, NULL)) {
            printable(to.target);
            printable(to.host);
            assert(to.target[0] == '/' && to.host[0] && to.port);
        }
    }
    free(a);
    free(b);
    return 0;
}
