#include "bin/peerlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "net/resolve.h"

static enum err add(struct peerlist *p, const char *text, const uint8_t self[CRYPTO_KEY_BYTES],
                    struct why *w)
{
    struct peer_address a;
    enum err e = resolve_peer(text, a.id, &a.address, w);
    if (e == ERR_NETWORK) {
        fprintf(stderr, "shoal: %s; going on without that peer\n", w->text);
        return ERR_OK;
    }
    if (e || !memcmp(a.id, self, sizeof a.id)) return e;
    if (p->count == PEERLIST_MAX)
        return why(w, ERR_USAGE, "more than %d peers to start from; name fewer", PEERLIST_MAX);
    p->entries[p->count++] = a;
    return ERR_OK;
}

static enum err add_file(struct peerlist *p, const char *path, const uint8_t self[CRYPTO_KEY_BYTES],
                         struct why *w)
{
    uint8_t *text;
    size_t count;
    enum err e = file_read(path, 1 << 20, &text, &count, w);
    if (e) return why_while(w, e, "reading the peer list");
    size_t number = 0;
    char *rest = (char *)text;
    for (char *line; !e && (line = strsep(&rest, "\n"));) {
        number++;
        line += strspn(line, " \t\r");
        for (size_t n = strlen(line); n && strchr(" \t\r", line[n - 1]); n--) line[n - 1] = 0;
        if (!*line || *line == '#') continue;
        e = add(p, line, self, w);
        if (e) e = why_while(w, e, "%s:%zu", path, number);
    }
    free(text);
    return e;
}

enum err peerlist_read(struct peerlist *out, const char *const *sources, size_t count,
                       const uint8_t self[CRYPTO_KEY_BYTES], struct why *w)
{
    *out = (struct peerlist){.entries = calloc(PEERLIST_MAX, sizeof *out->entries)};
    if (!out->entries) return why(w, ERR_MEMORY, "no memory for the peer list");
    enum err e = ERR_OK;
    for (size_t i = 0; i < count && !e; i++)
        e = strchr(sources[i], '@') ? add(out, sources[i], self, w)
                                    : add_file(out, sources[i], self, w);
    return e;
}

void peerlist_free(struct peerlist *p)
{
    free(p->entries);
    *p = (struct peerlist){0};
}
