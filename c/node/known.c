#include "node/known.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "net/identity.h"

#define FIRST_LINE "# shoal: peers met in run "
#define PATH_BYTES 600

struct known {
    char path[PATH_BYTES];
    char first_line[sizeof FIRST_LINE + 2 * CRYPTO_DIGEST_BYTES + 1];
    struct peer_address *rows;
    size_t count;
    bool changed; /* since the start of the latest write */
    instant write_at;
    struct { /* the writing thread */
        pthread_t thread;
        bool started;
        atomic_bool done;
        char *text;
        size_t bytes;
        enum err err;
        struct why why;
    } write;
    bool failed; /* already reported */
};

/* ---- reading ---- */

/* Reads this run's list from the file's text. ERR_FORMAT when it is damaged. */
static enum err take_text(struct known *k, struct bytes text, const uint8_t *self, struct why *w)
{
    struct peerlist list;
    struct peerlist_faults faults = {0};
    size_t head = strlen(FIRST_LINE), line = strlen(k->first_line);
    if (text.count < head || memcmp(text.data, FIRST_LINE, head))
        return why(w, ERR_FORMAT, "%s is not a list of peers that were met", k->path);
    /* The list of another run is ignored. */
    if (text.count < line || memcmp(text.data, k->first_line, line)) return ERR_OK;
    enum err e = peerlist_init(&list, w);
    if (e) return e;
    peerlist_parse(&list, k->path, text, self, &faults);
    if (faults.count) e = why(w, ERR_FORMAT, "%s", faults.first.text);
    for (size_t i = 0; i < list.count && !e; i++)
        if (list.entries[i].address.family) k->rows[k->count++] = list.entries[i];
    peerlist_free(&list);
    return e;
}

enum err known_open(struct known **out, const char *path, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                    const uint8_t self[CRYPTO_KEY_BYTES], char warning[320], struct why *w)
{
    static_assert(KNOWN_MAX >= PEERLIST_MAX, "all of a list fit");
    struct why wrong = {0};
    uint8_t *text;
    size_t count;
    struct known *k = calloc(1, sizeof *k);
    if (k) k->rows = calloc(KNOWN_MAX, sizeof *k->rows);
    if (!k || !k->rows) {
        free(k);
        return why(w, ERR_MEMORY, "no memory for the peers that were met");
    }
    snprintf(k->path, sizeof k->path, "%s", path);
    memcpy(k->first_line, FIRST_LINE, strlen(FIRST_LINE));
    bytes_hex(run_id, CRYPTO_DIGEST_BYTES, k->first_line + strlen(FIRST_LINE));
    warning[0] = 0;
    *out = k;
    if (!file_exists(path)) return ERR_OK;
    enum err e = file_read(path, PEERLIST_FILE_BYTES, &text, &count, &wrong);
    if (!e) {
        e = take_text(k, bytes_of(text, count), self, &wrong);
        free(text);
    }
    if (!e) return ERR_OK;
    k->count = 0;
    snprintf(warning, 320, "the peers met before are not used: %.250s", wrong.text);
    return ERR_OK;
}

const struct peer_address *known_peers(const struct known *k, size_t *count)
{
    *count = k->count;
    return k->rows;
}

/* ---- writing ---- */

static void *write_main(void *arg)
{
    struct known *k = arg;
    struct bytes all = bytes_of(k->write.text, k->write.bytes);
    k->write.err = file_write_atomic(k->path, &all, 1, 0600, &k->write.why);
    atomic_store(&k->write.done, true);
    return NULL;
}

/* Joins the thread, if there is one. */
static enum err write_end(struct known *k, struct why *w)
{
    if (!k->write.started) return ERR_OK;
    pthread_join(k->write.thread, NULL);
    k->write.started = false;
    free(k->write.text);
    k->write.text = NULL;
    enum err e = k->write.err;
    if (e) why(w, e, "the peers met so far are not kept: %.900s", k->write.why.text);
    if (e) k->changed = true; /* retry later */
    return e;
}

static void write_begin(struct known *k)
{
    char id[IDENTITY_TEXT_BYTES], address[ADDRESS_TEXT_BYTES];
    size_t line = IDENTITY_TEXT_BYTES + ADDRESS_TEXT_BYTES + 2;
    size_t room = sizeof k->first_line + 1 + k->count * line;
    char *text = malloc(room);
    if (!text) return; /* retried later */
    size_t used = (size_t)snprintf(text, room, "%s\n", k->first_line);
    for (size_t i = 0; i < k->count; i++)
        used +=
            (size_t)snprintf(text + used, room - used, "%s@%s\n", identity_print(k->rows[i].id, id),
                             address_print(&k->rows[i].address, address));
    k->write.text = text;
    k->write.bytes = used;
    atomic_store(&k->write.done, false);
    k->write.started = !pthread_create(&k->write.thread, NULL, write_main, k);
    if (k->write.started) k->changed = false;
    else free(text);
}

/* The peer was met now: moves it to the front. */
static void meet(struct known *k, const struct node_peer *p)
{
    size_t at = 0;
    struct peer_address row = {.address = p->address};
    memcpy(row.id, p->id, sizeof row.id);
    while (at < k->count && memcmp(k->rows[at].id, row.id, sizeof row.id)) at++;
    if (at == k->count || !address_equal(&k->rows[at].address, &row.address)) k->changed = true;
    if (at == k->count && k->count < KNOWN_MAX) k->count++;
    if (at == KNOWN_MAX) at--; /* replaces the one met longest ago */
    memmove(&k->rows[1], &k->rows[0], at * sizeof k->rows[0]);
    k->rows[0] = row;
}

bool known_see(struct known *k, const struct node_peer *peers, size_t count, instant now,
               struct why *w)
{
    for (size_t i = 0; i < count; i++)
        if (!peers[i].self && peers[i].health == HEALTH_ALIVE && peers[i].address.family &&
            peers[i].address.port && !address_is_any(&peers[i].address))
            meet(k, &peers[i]);
    bool good = true;
    if (k->write.started && atomic_load(&k->write.done)) {
        bool failed = write_end(k, w) != ERR_OK;
        good = !failed || k->failed;
        k->failed = failed;
    }
    if (k->changed && !k->write.started && instant_reached(now, k->write_at)) {
        write_begin(k);
        k->write_at = instant_after(now, span_s(KNOWN_PERIOD_S));
    }
    return good;
}

enum err known_close(struct known *k, struct why *w)
{
    if (!k) return ERR_OK;
    enum err e = write_end(k, w);
    if (k->changed) {
        write_begin(k);
        e = write_end(k, w);
    }
    free(k->rows);
    free(k);
    return e;
}
