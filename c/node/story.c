#include "node/story.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/amount.h"

#define SAY_AGAIN_S 300
#define PACE_S      60

void story_init(struct story *s, uint64_t epochs, uint64_t every)
{
    memset(s, 0, sizeof *s);
    s->epochs = epochs;
    s->every = every;
    s->loss = NAN;
}

static double number(const json_t *e, const char *key)
{
    return json_number_value(json_object_get(e, key));
}

static unsigned long long whole(const json_t *e, const char *key)
{
    return (unsigned long long)json_integer_value(json_object_get(e, key));
}

static const char *text(const json_t *e, const char *key)
{
    const char *s = json_string_value(json_object_get(e, key));
    return s ? s : "";
}

/* Remembers a failed dial. False when it was already reported. */
static bool fail(struct story *s, const json_t *e)
{
    const char *address = text(e, "address"), *why = text(e, "why");
    const double t = number(e, "t");
    size_t i = 0, oldest = 0;
    for (; i < s->failed_count && strcmp(s->failed[i].address, address); i++)
        if (s->failed[i].t < s->failed[oldest].t) oldest = i;
    const bool fresh =
        i == s->failed_count || strcmp(s->failed[i].why, why) || t - s->failed[i].t > SAY_AGAIN_S;
    if (i == s->failed_count) {
        if (s->failed_count < STORY_FAILED_MAX) s->failed_count++;
        else i = oldest;
        snprintf(s->failed[i].address, sizeof s->failed[i].address, "%s", address);
    }
    snprintf(s->failed[i].why, sizeof s->failed[i].why, "%s", why);
    s->failed[i].t = t;
    return fresh;
}

static void take_step(struct story *s, const json_t *e)
{
    s->epoch = whole(e, "epoch");
    s->step = number(e, "step");
    s->loss = json_is_number(json_object_get(e, "loss")) ? number(e, "loss") : NAN;
    if (json_object_get(e, "tokens_per_s")) s->tokens_per_s = number(e, "tokens_per_s");
    s->steps++;
    const struct story_pace now = {s->t, s->step};
    if (!s->later.t) s->before = s->later = now;
    if (s->t - s->later.t > PACE_S) {
        s->before = s->later;
        s->later = now;
    }
}

static void take_net(struct story *s, const json_t *e)
{
    const double sent = number(e, "sent"), received = number(e, "received"), gap = s->t - s->net_t;
    if (s->net_t && gap > 0) {
        s->sent_per_s = fmax(0, (sent - s->sent) / gap);
        s->received_per_s = fmax(0, (received - s->received) / gap);
    }
    s->net_t = s->t;
    s->sent = sent;
    s->received = received;
    s->linked = whole(e, "peers");
    s->known = whole(e, "known");
    s->unreachable = whole(e, "unreachable");
}

/* Events of members and links. */
static bool tell_member(struct story *s, const char *event, const json_t *e, char *out)
{
    static const struct {
        const char *event, *form;
    } notes[] = {{"up", "met %.8s"},
                 {"suspect", "%.8s does not answer: it is suspected to be dead"},
                 {"refuted", "%.8s answers again"},
                 {"dead", "%.8s is taken for dead"},
                 {"left", "%.8s left the swarm"},
                 {"clone", "another process uses this worker's key: give each worker its own"},
                 {"accused", "others took this worker for dead; they know better now"}};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (strcmp(event, notes[i].event)) continue;
        snprintf(out, STORY_SENTENCE_BYTES, notes[i].form, text(e, "peer"));
        return true;
    }
    if (!strcmp(event, "relayed")) {
        bool lost = !strcmp(text(e, "via"), "nobody");
        snprintf(out, STORY_SENTENCE_BYTES,
                 lost ? "%.8s is not reached through %.8s any more"
                      : "%.8s is reached through %.8s",
                 text(e, "peer"), lost ? "others" : text(e, "via"));
        return true;
    }
    if (!strcmp(event, "ticket_over")) {
        snprintf(out, STORY_SENTENCE_BYTES, "%.8s is out: %.200s", text(e, "peer"), text(e, "why"));
        return true;
    }
    if (!strcmp(event, "dial_failed")) {
        snprintf(out, STORY_SENTENCE_BYTES, "cannot reach %.60s: %.200s", text(e, "address"),
                 text(e, "why"));
        return fail(s, e);
    }
    if (!strcmp(event, "link_down")) {
        snprintf(out, STORY_SENTENCE_BYTES, "lost the link to %.60s: %.200s", text(e, "address"),
                 text(e, "why"));
        return strcmp(text(e, "why"), "goodbye") != 0; /* reported with "left" */
    }
    if (!strcmp(event, "unresolved")) {
        snprintf(out, STORY_SENTENCE_BYTES, "cannot reach %.60s: %.200s", text(e, "name"),
                 text(e, "why"));
        return number(e, "failures") == 1;
    }
    return false;
}

#define NAMED 4

/* "3f2a1b0c and 77ab0012", "7 others" */
static void name_group(struct story *s, const json_t *e)
{
    const json_t *one, *with = json_object_get(e, "with");
    const size_t count = json_array_size(with);
    size_t i, used = 0;
    s->members = whole(e, "members");
    amount_count(s->members ? s->members - 1 : 0, "other", "others", s->with);
    if (count + 1 != s->members || count > NAMED) return;
    json_array_foreach(with, i, one) used +=
        (size_t)snprintf(s->with + used, sizeof s->with - used, "%s%.8s",
                         !i              ? ""
                         : i + 1 < count ? ", "
                                         : " and ",
                         json_string_value(one));
}

/* Events of rounds. */
static bool tell_round(struct story *s, const char *event, const json_t *e, char *out)
{
    const size_t room = STORY_SENTENCE_BYTES;
    const unsigned long long epoch = whole(e, "epoch");
    char steps[64];
    if (!strcmp(event, "ready"))
        snprintf(out, room, "epoch %llu: round begun, after %s", epoch,
                 amount_count(whole(e, "steps"), "step of its own", "steps of its own", steps));
    else if (!strcmp(event, "committed")) {
        name_group(s, e);
        snprintf(out, room, "epoch %llu: averaging with %s", epoch, s->with);
    } else if (!strcmp(event, "solo"))
        snprintf(out, room, "epoch %llu: a round without this worker: no group came about", epoch);
    else if (!strcmp(event, "outer")) {
        s->epoch = epoch;
        s->step = fmax(s->step, number(e, "step"));
        if (!s->members) return false; /* reported with "joined" */
        snprintf(out, room, "epoch %llu: averaged with %s; training paused for %.0f ms", epoch,
                 s->with, number(e, "paused_ms"));
        s->members = 0;
    } else if (!strcmp(event, "dropped"))
        snprintf(out, room, "%s dropped: %.200s",
                 amount_count(whole(e, "steps"), "step", "steps", steps), text(e, "why"));
    else if (!strcmp(event, "not_finite"))
        snprintf(out, room, "epoch %llu: what was learned is not finite: back to the anchor",
                 epoch);
    else return false;
    return true;
}

/* Events of state and disk. */
static bool tell_state(struct story *s, const char *event, const json_t *e, char *out)
{
    const size_t room = STORY_SENTENCE_BYTES;
    const unsigned long long epoch = whole(e, "epoch");
    char bytes[32], servers[64];
    if (!strcmp(event, "behind")) {
        s->members = 0;
        snprintf(out, room, "behind the swarm at epoch %llu: taking over the state of epoch %llu",
                 epoch, whole(e, "target"));
    } else if (!strcmp(event, "partial"))
        snprintf(out, room, "%llu of %llu chunks are here of a state that an earlier start fetched",
                 whole(e, "chunks"), whole(e, "of"));
    else if (!strcmp(event, "joined"))
        snprintf(out, room, "joined at epoch %llu, with %s from %s", epoch,
                 amount_bytes(number(e, "bytes"), bytes),
                 amount_count(whole(e, "servers"), "peer", "peers", servers));
    else if (!strcmp(event, "sync_failed"))
        snprintf(out, room, "the state of epoch %llu could not be had; trying again", epoch);
    else if (!strcmp(event, "fork"))
        snprintf(out, room, "fork: %.8s has another history of epoch %llu", text(e, "peer"), epoch);
    else if (!strcmp(event, "digest_mismatch"))
        snprintf(out, room, "the replica of epoch %llu is damaged: it is repaired from the peers",
                 epoch);
    else if (!strcmp(event, "evaluate"))
        snprintf(out, room, "epoch %llu: validation loss %.4f", epoch, number(e, "loss"));
    else if (!strcmp(event, "checkpoint") && json_is_false(json_object_get(e, "written")))
        snprintf(out, room, "checkpoint NOT written: %.200s", text(e, "why"));
    else if (!strcmp(event, "checkpoint"))
        snprintf(out, room, "epoch %llu: checkpoint written", epoch);
    else if (!strcmp(event, "done")) snprintf(out, room, "the last epoch is done");
    else return false;
    s->epoch = epoch > s->epoch ? epoch : s->epoch;
    return true;
}

bool story_take(struct story *s, const json_t *e, char out[STORY_SENTENCE_BYTES])
{
    const char *event = text(e, "event");
    s->t = number(e, "t");
    if (!strcmp(event, "step")) take_step(s, e);
    else if (!strcmp(event, "net")) take_net(s, e);
    else
        return tell_member(s, event, e, out) || tell_round(s, event, e, out) ||
               tell_state(s, event, e, out);
    return false;
}

size_t story_fields(const struct story *s, char fields[STORY_FIELDS_MAX][STORY_FIELD_BYTES])
{
    size_t n = 0;
    char sent[32], received[32], left[32];
    const double all = (double)s->epochs * (double)s->every, done = s->step - s->before.step;
    snprintf(fields[n++], STORY_FIELD_BYTES, "epoch %llu of %llu", (unsigned long long)s->epoch,
             (unsigned long long)s->epochs);
    snprintf(fields[n++], STORY_FIELD_BYTES, "step %.0f of %.0f", s->step, all);
    if (s->steps && !isnan(s->loss)) snprintf(fields[n++], STORY_FIELD_BYTES, "loss %.4f", s->loss);
    if (s->steps) snprintf(fields[n++], STORY_FIELD_BYTES, "%.0f tokens/s", s->tokens_per_s);
    if (s->linked)
        snprintf(fields[n++], STORY_FIELD_BYTES, "peers: %llu met, %llu known",
                 (unsigned long long)s->linked, (unsigned long long)s->known);
    else snprintf(fields[n++], STORY_FIELD_BYTES, "alone: no peer met");
    if (s->unreachable)
        snprintf(fields[n++], STORY_FIELD_BYTES, "%llu unreachable",
                 (unsigned long long)s->unreachable);
    snprintf(fields[n++], STORY_FIELD_BYTES, "%s/s sent, %s/s received",
             amount_bytes(s->sent_per_s, sent), amount_bytes(s->received_per_s, received));
    if (s->epoch >= s->epochs) snprintf(fields[n++], STORY_FIELD_BYTES, "complete");
    else if (done > 0 && s->t > s->before.t)
        snprintf(fields[n++], STORY_FIELD_BYTES, "%s left",
                 amount_time((all - s->step) * (s->t - s->before.t) / done, left));
    return n;
}
