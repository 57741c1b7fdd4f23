#include "ticket.h"

#include <assert.h>
#include <time.h>

static_assert(TICKET_BYTES == CRYPTO_KEY_BYTES + 8 + 8 + 4 + 4 + CRYPTO_SIGNATURE_BYTES,
              "its parts");

#define BODY_BYTES (TICKET_BYTES - CRYPTO_SIGNATURE_BYTES)

void ticket_write(const struct crypto *owner, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                  const struct ticket *t, uint8_t out[TICKET_BYTES])
{
    struct writer w = writer_init(out, BODY_BYTES);
    writer_copy(&w, t->id, sizeof t->id);
    writer_u64(&w, t->from_s);
    writer_u64(&w, t->until_s);
    writer_u32(&w, t->rights);
    writer_u32(&w, t->serial);
    assert(!w.full && w.used == BODY_BYTES);
    wire_sign(owner, run_id, TICKET_KIND, writer_bytes(&w), out + BODY_BYTES);
}

bool ticket_read(struct bytes bytes, struct ticket *out)
{
    if (bytes.count != TICKET_BYTES) return false;
    struct reader r = reader_init(bytes);
    reader_copy(&r, out->id, sizeof out->id);
    out->from_s = reader_u64(&r);
    out->until_s = reader_u64(&r);
    out->rights = reader_u32(&r);
    out->serial = reader_u32(&r);
    return !r.bad && out->serial != 0 && out->from_s < out->until_s &&
           out->until_s <= TICKET_TIME_MAX;
}

bool ticket_signed(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                   struct bytes bytes, const uint8_t key[CRYPTO_KEY_BYTES])
{
    return bytes.count == TICKET_BYTES &&
           wire_verify(c, run_id, TICKET_KIND, bytes_of(bytes.data, BODY_BYTES), key,
                       bytes.data + BODY_BYTES);
}

enum ticket_fault ticket_look(const struct ticket *t, const uint8_t id[CRYPTO_KEY_BYTES],
                              uint64_t wall_ms, span slack)
{
    if (memcmp(t->id, id, sizeof t->id) != 0) return TICKET_OTHER_ID;
    if (!(t->rights & TICKET_TRAIN)) return TICKET_RIGHTS;
    if (wall_ms + span_in_ms(slack) < t->from_s * 1000) return TICKET_EARLY;
    if (wall_ms >= t->until_s * 1000 + span_in_ms(slack)) return TICKET_ENDED;
    return TICKET_GOOD;
}

bool ticket_revoked(const struct record_revoked *v, uint32_t serial)
{
    if (serial < v->below) return true;
    for (size_t i = 0; i < v->count; i++)
        if (v->serials[i] == serial) return true;
    return false;
}

const char *ticket_time(uint64_t unix_s, char out[TICKET_TIME_BYTES])
{
    time_t t = (time_t)(unix_s < TICKET_TIME_MAX ? unix_s : TICKET_TIME_MAX);
    struct tm parts;
    gmtime_r(&t, &parts);
    strftime(out, TICKET_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return out;
}

const char *ticket_story(enum ticket_fault f, const struct ticket *t, char out[TICKET_STORY_BYTES])
{
    static const char *const plain[] = {
        [TICKET_GOOD] = "the ticket is good",
        [TICKET_NONE] =
            "this swarm takes who has a ticket (swarm.access.ticket) and nobody else: ask "
            "the experiment's owner for one",
        [TICKET_MALFORMED] = "what was shown is no ticket of this version",
        [TICKET_OTHER_ID] = "the ticket is of another ID: each key needs a ticket of its own",
        [TICKET_RIGHTS] =
            "the ticket gives no right to train, and members that only observe are not "
            "built yet",
        [TICKET_FORGED] = "the ticket is of another run, or not signed by the key in "
                          "swarm.access.ticket"};
    char time[TICKET_TIME_BYTES];
    switch (f) {
    case TICKET_EARLY:
        snprintf(out, TICKET_STORY_BYTES, "the ticket is not valid before %s",
                 ticket_time(t->from_s, time));
        break;
    case TICKET_ENDED:
        snprintf(out, TICKET_STORY_BYTES,
                 "the ticket ended at %s: ask the experiment's owner for another",
                 ticket_time(t->until_s, time));
        break;
    case TICKET_REVOKED:
        snprintf(out, TICKET_STORY_BYTES,
                 "the ticket, serial %u, was revoked by the experiment's owner", t->serial);
        break;
    default:
        snprintf(out, TICKET_STORY_BYTES, "%s", plain[f]);
    }
    return out;
}
