#include "node/pass.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/identity.h"

#define NOTICE_S (24 * 3600)

static enum err check_own(const struct pass *p, const struct experiment *x, const uint8_t *id,
                          const uint8_t *run_id, struct why *w)
{
    const char *path = x->swarm.ticket;
    uint8_t key[CRYPTO_KEY_BYTES];
    if (!identity_parse(x->swarm.access_key, key) || identity_weak(key))
        return why(w, ERR_USAGE,
                   "swarm.access.ticket: %.64s is no key that anybody could hold alone: write "
                   "what `shoal ticket key` printed",
                   x->swarm.access_key);
    if (p->own.kind != TICKET_FILE_TICKET)
        return why(w, ERR_USAGE, "swarm.ticket: %s is a list of revoked tickets, not a ticket",
                   path);
    if (memcmp(p->own.key, key, sizeof key) != 0)
        return why(w, ERR_USAGE,
                   "swarm.ticket: %s is a ticket of another owner than swarm.access.ticket names: "
                   "ask the experiment's owner for one",
                   path);
    if (memcmp(p->own.run_id, run_id, CRYPTO_DIGEST_BYTES) != 0)
        return why(w, ERR_USAGE,
                   "swarm.ticket: %s is a ticket of another run: it must be signed with the "
                   "experiment, the corpus and the start that this worker has",
                   path);
    enum ticket_fault f = ticket_look(&p->own.ticket, id, clock_unix_ms(), span_s(0));
    char story[TICKET_STORY_BYTES], now[TICKET_TIME_BYTES];
    if (!f && !ticket_file_signed(&p->verify, &p->own)) f = TICKET_FORGED;
    if (!f) return ERR_OK;
    ticket_story(f, &p->own.ticket, story);
    if (f == TICKET_EARLY || f == TICKET_ENDED)
        return why(w, ERR_USAGE, "swarm.ticket: %s: %s; this machine's clock says %s", path, story,
                   ticket_time(clock_unix_ms() / 1000, now));
    return why(w, ERR_USAGE, "swarm.ticket: %s: %s", path, story);
}

enum err pass_open(struct pass *p, const struct experiment *x, const uint8_t id[CRYPTO_KEY_BYTES],
                   const uint8_t run_id[CRYPTO_DIGEST_BYTES], struct why *w)
{
    char text[IDENTITY_TEXT_BYTES];
    const char *path = x->swarm.ticket;
    memset(p, 0, sizeof *p);
    p->verify = identity_crypto(NULL);
    snprintf(p->path, sizeof p->path, "%s", x->swarm.revoked);
    if (!file_exists(path))
        return why(w, ERR_IO,
                   "swarm.ticket: there is no %s: this swarm takes who has a ticket; send the "
                   "experiment's owner your ID, %s, for `shoal ticket sign`",
                   path, identity_print(id, text));
    enum err e = ticket_file_read(path, &p->own, w);
    if (e) return why_while(w, e, "swarm.ticket");
    return check_own(p, x, id, run_id, w);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum err write_list(struct pass *p, struct why *w)
{
    memset(&p->seen, 0, sizeof p->seen); /* it is read again: somebody else may write it, too */
    return ticket_file_write(p->path, &p->list, w);
}

bool pass_reread(struct pass *p, struct bytes *list, char story[PASS_STORY_BYTES])
{
    struct stat now;
    struct why why = {0};
    struct ticket_file *f = &p->found;
    story[0] = 0;
    if (stat(p->path, &now)) memset(&now, 0, sizeof now);
    if (same_file(&now, &p->seen)) return false;
    p->seen = now;
    if (!now.st_ino) return false;
    const char *text = NULL;
    bool older = false;
    if (ticket_file_read(p->path, f, &why)) text = why.text;
    else if (f->kind != TICKET_FILE_REVOKED) text = "it is a ticket, not a list of revoked ones";
    else if (memcmp(f->key, p->own.key, sizeof f->key) != 0) text = "it is a list of another owner";
    else if (memcmp(f->run_id, p->own.run_id, sizeof f->run_id) != 0)
        text = "it is a list of another run: `shoal ticket revoke` makes one of this";
    else if (!ticket_file_signed(&p->verify, f)) text = "its signature is wrong";
    else older = p->list.count && f->revoked.number < p->list.revoked.number;
    if (older) text = "it is older than the list that the swarm has, which replaces it";
    if (text) {
        snprintf(story, PASS_STORY_BYTES, "swarm.revoked: %.400s is not used: %.200s", p->path,
                 text);
        if (older) (void)write_list(p, NULL);
        return false;
    }
    *list = bytes_of(f->bytes, f->count);
    return !p->list.count || f->revoked.number > p->list.revoked.number;
}

enum err pass_keep(struct pass *p, struct bytes list, struct why *w)
{
    struct record r;
    struct ticket_file there;
    if (list.count > sizeof p->list.bytes || !record_read(list, &r)) return ERR_OK;
    p->list = (struct ticket_file){.kind = TICKET_FILE_REVOKED, .count = list.count};
    memcpy(p->list.run_id, p->own.run_id, sizeof p->list.run_id);
    memcpy(p->list.key, p->own.key, sizeof p->list.key);
    memcpy(p->list.bytes, list.data, list.count);
    p->list.revoked = r.revoked;
    bool held = !ticket_file_read(p->path, &there, NULL) && there.count == list.count &&
                !memcmp(there.bytes, list.data, list.count);
    return held ? ERR_OK : write_list(p, w);
}

bool pass_over(struct pass *p, uint64_t wall_ms)
{
    const struct ticket *t = &p->own.ticket;
    enum ticket_fault f = wall_ms >= t->until_s * 1000 ? TICKET_ENDED : TICKET_GOOD;
    if (p->list.count && ticket_revoked(&p->list.revoked, t->serial)) f = TICKET_REVOKED;
    if (p->over[0] || !f) return false;
    ticket_story(f, t, p->over);
    return true;
}

uint64_t pass_ends_s(struct pass *p, uint64_t wall_ms)
{
    const uint64_t end_ms = p->own.ticket.until_s * 1000;
    if (p->warned || wall_ms >= end_ms || wall_ms + NOTICE_S * 1000ull < end_ms) return 0;
    p->warned = true;
    return (end_ms - wall_ms + 999) / 1000;
}
