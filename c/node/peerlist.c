#include "node/peerlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define LINE_BYTES_MAX 512 /* an ID, a name and a port need 64 + 1 + 253 + 6 */
#define FAULTS_SAID    20

enum err peerlist_init(struct peerlist *p, struct why *w)
{
    *p = (struct peerlist){.entries = calloc(PEERLIST_MAX, sizeof *p->entries),
                           .more = calloc(PEERLIST_MAX, sizeof *p->more),
                           .names = calloc(PEERLIST_MAX + 1, sizeof *p->names),
                           .urls = calloc(PEERLIST_URLS_MAX, sizeof *p->urls)};
    if (p->entries && p->more && p->names && p->urls) return ERR_OK;
    peerlist_free(p);
    return why(w, ERR_MEMORY, "no memory for the peer list");
}

void peerlist_free(struct peerlist *p)
{
    free(p->entries);
    free(p->more);
    free(p->names);
    free(p->urls);
    *p = (struct peerlist){0};
}

/* ---- entries ---- */

static bool same_id(const uint8_t *a, const uint8_t *b) { return !memcmp(a, b, CRYPTO_KEY_BYTES); }

static struct peer_address *find(struct peerlist *p, const uint8_t id[CRYPTO_KEY_BYTES])
{
    for (size_t i = 0; i < p->count; i++)
        if (same_id(p->entries[i].id, id)) return &p->entries[i];
    return NULL;
}

static bool has_name(const struct peerlist *p, const struct peerlist_name *n)
{
    for (size_t i = 0; i < p->names_count; i++)
        if (same_id(p->names[i].id, n->id) && p->names[i].name.port == n->name.port &&
            !strcmp(p->names[i].name.host, n->name.host))
            return true;
    return false;
}

static bool has_more(const struct peerlist *p, const struct peer_address *a)
{
    for (size_t i = 0; i < p->more_count; i++)
        if (same_id(p->more[i].id, a->id) && address_equal(&p->more[i].address, &a->address))
            return true;
    return false;
}

/* Adds what is new. */
static void keep(struct peerlist *p, const struct peer_address *a, const struct resolve_name *name)
{
    struct peerlist_name n = {.name = *name};
    struct peer_address *known = find(p, a->id);
    memcpy(n.id, a->id, sizeof n.id);
    bool named = !a->address.family;
    bool held = known && (named ? has_name(p, &n)
                                : address_equal(&known->address, &a->address) || has_more(p, a));
    if (held) return;
    if (p->count + p->more_count + p->names_count >= PEERLIST_MAX) {
        p->left_out++;
        return;
    }
    if (!known) p->entries[p->count++] = *a;
    else if (!named && !known->address.family) known->address = a->address;
    else if (!named) p->more[p->more_count++] = *a;
    if (named) p->names[p->names_count++] = n;
}

void peerlist_add_own_name(struct peerlist *p, const struct peerlist_name *n)
{
    p->names[p->names_count++] = *n;
}

enum err peerlist_add(struct peerlist *p, const char *text, const uint8_t self[CRYPTO_KEY_BYTES],
                      struct why *w)
{
    struct peer_address a;
    struct resolve_name name;
    if (url_like(text))
        return why(w, ERR_USAGE,
                   "a list names no other lists: name %.200s by itself, in swarm.peers or --peers",
                   text);
    if (!strchr(text, '@') && !resolve_read(text, &a.address, &name, NULL))
        return why(
            w, ERR_USAGE,
            "%.200s has no ID: write ID@%.200s; `shoal peers %.200s` prints the IDs of those "
            "who are there",
            text, text, text);
    enum err e = resolve_read_peer(text, a.id, &a.address, &name, w);
    if (!e && !same_id(a.id, self)) keep(p, &a, &name);
    return e;
}

/* ---- files ---- */

static void fault(struct peerlist_faults *f, const struct why *w)
{
    if (f->count++ == 0) {
        f->first = *w;
        return;
    }
    if (!f->say || f->count > FAULTS_SAID) return;
    if (f->count == 2) f->say(f->ctx, f->first.text);
    f->say(f->ctx, w->text);
}

/* One line without its line end: an entry, or nothing. Control characters and zeros never get into
 * a message. */
static enum err parse_line(struct peerlist *p, const char *line, size_t count,
                           const uint8_t self[CRYPTO_KEY_BYTES], struct why *w)
{
    char text[LINE_BYTES_MAX];
    const char *comment = memchr(line, '#', count);
    if (comment) count = (size_t)(comment - line);
    while (count && strchr(" \t\r", line[0]) && line[0]) line++, count--;
    while (count && strchr(" \t\r", line[count - 1]) && line[count - 1]) count--;
    if (!count) return ERR_OK;
    if (count >= sizeof text) return why(w, ERR_USAGE, "the line is too long for a peer");
    memcpy(text, line, count);
    text[count] = 0;
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) text[i] = '?';
    return peerlist_add(p, text, self, w);
}

void peerlist_parse(struct peerlist *p, const char *name, struct bytes text,
                    const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults)
{
    const char *at = (const char *)text.data, *end = at + text.count;
    struct why w = {0};
    if (text.count >= 2 && (!memcmp(at, "\xff\xfe", 2) || !memcmp(at, "\xfe\xff", 2))) {
        why(&w, ERR_USAGE, "%s is a text in UTF-16: save it as UTF-8", name);
        fault(faults, &w);
        return;
    }
    if (text.count >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) at += 3;
    for (size_t number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t count = (size_t)((stop ? stop : end) - at);
        enum err e = parse_line(p, at, count, self, &w);
        if (e) {
            why_while(&w, e, "%s:%zu", name, number);
            fault(faults, &w);
        }
        at += count + 1;
    }
}

static enum err read_file(struct peerlist *p, const char *path,
                          const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults,
                          struct why *w)
{
    struct stat s;
    uint8_t *text;
    size_t count;
    if (!stat(path, &s) && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
        return why(w, ERR_USAGE, "%s is no ordinary file: save the peer list in one", path);
    enum err e = file_read(path, PEERLIST_FILE_BYTES, &text, &count, w);
    if (e) return why_while(w, e, "reading the peer list");
    peerlist_parse(p, path, bytes_of(text, count), self, faults);
    free(text);
    return ERR_OK;
}

static enum err add_url(struct peerlist *p, const char *text, struct why *w)
{
    struct url u;
    enum err e = url_read(text, &u, w);
    if (e) return e;
    for (size_t i = 0; i < p->urls_count; i++)
        if (!memcmp(&p->urls[i], &u, sizeof u)) return ERR_OK;
    if (p->urls_count == PEERLIST_URLS_MAX)
        return why(w, ERR_USAGE, "at most %d URLs of peer lists are read: leave out %.200s",
                   PEERLIST_URLS_MAX, text);
    p->urls[p->urls_count++] = u;
    return ERR_OK;
}

enum err peerlist_read(struct peerlist *p, const char *const *sources, size_t count,
                       const uint8_t self[CRYPTO_KEY_BYTES], struct peerlist_faults *faults,
                       struct why *w)
{
    for (size_t i = 0; i < count; i++) {
        const char *s = sources[i];
        struct stat there;
        struct address a;
        struct resolve_name name;
        struct why wrong = {0};
        bool file = !stat(s, &there);
        /* A source that is neither a file nor resembles an entry is taken for a mistyped file
         * name. */
        bool entry = strchr(s, '@') || !resolve_read(s, &a, &name, NULL);
        enum err e = ERR_OK;
        if (file) e = read_file(p, s, self, faults, &wrong);
        else if (url_like(s)) e = add_url(p, s, &wrong);
        else if (entry) e = peerlist_add(p, s, self, &wrong);
        else e = why(&wrong, ERR_USAGE, "there is no file %.200s, and it is not ID@host:port", s);
        if (e) fault(faults, &wrong);
    }
    if (!faults->count) return ERR_OK;
    if (faults->count == 1) return why(w, faults->first.err, "%s", faults->first.text);
    return why(w, faults->first.err, "%zu entries of the peer lists cannot be read", faults->count);
}

void peerlist_put_first(struct peerlist *p, const struct peer_address *known, size_t count)
{
    struct resolve_name none = {0};
    size_t before = p->count, left_out = p->left_out;
    for (size_t i = 0; i < count; i++) keep(p, &known[i], &none);
    p->left_out = left_out; /* these are not the user's entries */
    size_t added = p->count - before;
    struct peer_address *front = calloc(added + 1, sizeof *front);
    if (!front) return; /* they stay last */
    memcpy(front, p->entries + before, added * sizeof *front);
    memmove(p->entries + added, p->entries, before * sizeof *front);
    memcpy(p->entries, front, added * sizeof *front);
    free(front);
}

void peerlist_shuffle(struct peerlist *p, struct rng *rng)
{
    for (size_t i = p->count; i > 1; i--) {
        size_t j = (size_t)rng_below(rng, i);
        struct peer_address swap = p->entries[i - 1];
        p->entries[i - 1] = p->entries[j];
        p->entries[j] = swap;
    }
}
