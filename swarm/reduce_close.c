#include "reduce_close.h"

#include "parcel.h"
#include "reduce.h"
#include "reduce_fetch.h"
#include "reduce_flow.h"
#include "reduce_gather.h"
#include "reduce_made.h"
#include "reduce_parts.h"
#include "reduce_rescue.h"
#include "reduce_send.h"
#include "reduce_sure.h"
#include "reduce_variant.h"
#include "wire.h"

/* SPEC.md, "Timers": the wait for a majority, from the latest sign of those who close. */
#define T_CLOSE span_s(60)
#define T_ALIKE span_s(30) /* a majority holds my root, to signing it whatever the others do */

void reduce_freeze(struct reduce *r, const struct sink *out)
{
    r->state = REDUCE_CLOSING;
    r->stage = REDUCE_STAGE_CLOSE;
    r->close = 1;
    r->closed = r->now;
    reduce_drop_work(r);
    for (uint32_t c = 0; c < r->config.layout.chunks && r->fetch_wanted > 0; c++)
        if (r->chunks[c].fetch == REDUCE_FETCH_WANTED) reduce_unwant(r, c);
    reduce_root(r, r->root);
    reduce_note(r, out, "reduce.frozen", "unsettled", r->config.layout.chunks - r->settled);
    reduce_say_stage_to_all(r, out);
}

void reduce_fail(struct reduce *r, const struct sink *out)
{
    r->state = REDUCE_FAILED;
    reduce_note(r, out, "reduce.failed", "settled", r->settled);
}

/* Whose contributions were too large in the chunks that I averaged. */
static void note_clipped(const struct reduce *r, const struct sink *out)
{
    sid whose[NODE_GROUP_MAX];
    uint64_t chunks = 0;
    size_t count = 0;
    for (uint32_t i = 0; i < r->group.count; i++) {
        if (!r->clipped[i]) continue;
        whose[count++] = r->group.members[i].sid;
        if (r->clipped[i] > chunks) chunks = r->clipped[i];
    }
    if (!count) return;
    sink_note(out, (struct note){.name = "clipped",
                                 .numbers = {{"epoch", r->group.round}, {"chunks", chunks}},
                                 .sids = {"of", whose, count}});
}

/* What I hold, under r->root, is certain: it is what I apply; FAILED when that is nothing. */
static void agree(struct reduce *r, const struct sink *out)
{
    bool any = false;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        uint32_t mask = r->chunks[c].best.mask;
        r->average.null[c] = mask == 0;
        r->average.mine[c] = mask >> reduce_self(r) & 1;
        any = any || mask;
    }
    r->tokens = reduce_tokens(r);
    r->stage = REDUCE_STAGE_APPLIED;
    r->close++;
    reduce_say_stage_to_all(r, out);
    if (!any) {
        reduce_fail(r, out);
        return;
    }
    r->state = REDUCE_AGREED;
    reduce_note(r, out, "reduce.agreed", "tokens", r->tokens);
    note_clipped(r, out);
}

/* My variants have changed: announces the new root. */
static void close_again(struct reduce *r, const struct sink *out)
{
    uint8_t root[CRYPTO_DIGEST_BYTES];
    reduce_root(r, root);
    if (!memcmp(root, r->root, sizeof root)) return;
    memcpy(r->root, root, sizeof root);
    r->close++;
    reduce_say_stage_to_all(r, out);
}

/* Another root is certain: fetches it from a member that holds it, one after the other. */
static void take_over(struct reduce *r, const uint8_t *certain, const struct sink *out)
{
    if (r->adopting >= 0 && r->peers[r->adopting].examining) return;
    r->adopting = -1;
    for (uint32_t i = 0; i < r->group.count; i++) {
        const struct reduce_peer *p = &r->peers[i];
        if (i == reduce_self(r) || p->stage < REDUCE_STAGE_CLOSE || p->suspect || !p->linked ||
            p->examined == p->close || memcmp(p->root, certain, CRYPTO_DIGEST_BYTES))
            continue;
        r->adopting = (int)i;
        reduce_ask_vector(r, i, out);
        return;
    }
}

/* Is something to come still from a member that does not hold what I hold? */
static bool to_come(const struct reduce *r, uint32_t i)
{
    const struct reduce_peer *p = &r->peers[i];
    return !p->suspect && !reduce_still(r, i, instant_max(r->closed, p->news_at));
}

/* Nobody is certain yet: compares with all, and signs when all who are there hold the same, or when
 * those who do are a majority and nothing comes from the others. */
static void exchange(struct reduce *r, const struct sink *out)
{
    uint32_t alike = reduce_bit(reduce_self(r));
    bool wait = false;
    for (uint32_t i = 0; i < r->group.count; i++) {
        const struct reduce_peer *p = &r->peers[i];
        if (i == reduce_self(r)) continue;
        bool closed = p->stage >= REDUCE_STAGE_CLOSE;
        if (closed && !memcmp(p->root, r->root, CRYPTO_DIGEST_BYTES)) {
            alike |= reduce_bit(i);
            continue;
        }
        if (closed && p->examined != p->close && !p->suspect) reduce_ask_vector(r, i, out);
        wait = wait || to_come(r, i);
    }
    if (!reduce_majority(r, alike)) {
        r->alike_at = INSTANT_NEVER;
        return;
    }
    r->alike_at = instant_min(r->alike_at, r->now);
    instant since = instant_max(r->alike_at, r->moved_at);
    if (!wait || instant_reached(r->now, instant_after(since, T_ALIKE))) reduce_be_sure(r, out);
}

void reduce_compare(struct reduce *r, const struct sink *out)
{
    close_again(r, out);
    const uint8_t *certain = reduce_certain(r);
    if (!certain && !r->peers[reduce_self(r)].sure.said) {
        exchange(r, out);
        certain = reduce_certain(r);
    }
    if (!certain) return;
    if (!memcmp(certain, r->root, CRYPTO_DIGEST_BYTES)) agree(r, out);
    else take_over(r, certain, out);
}

/* Does a majority gather still? */
static bool gathering(const struct reduce *r)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect && r->peers[i].stage < REDUCE_STAGE_CLOSE)
            members |= reduce_bit(i);
    return reduce_majority(r, members);
}

bool reduce_close_over(const struct reduce *r)
{
    if (gathering(r) && !reduce_too_long(r)) return false;
    instant latest = instant_max(r->closed, reduce_latest_move(r));
    for (uint32_t i = 0; i < r->group.count; i++)
        if (i != reduce_self(r) && !r->peers[i].suspect)
            latest = instant_max(latest, r->peers[i].news_at);
    bool may = r->peers[reduce_self(r)].sure.said || reduce_majority(r, reduce_present(r));
    return instant_reached(r->now, instant_after(latest, may ? T_CLOSE : REDUCE_STILL));
}

/* ---- vectors of others ---- */

/* A peer's vector: fetches every chunk whose variant wins over mine; when I take over its root,
 * every chunk that differs. */
bool reduce_on_vector(struct reduce *r, uint32_t i, struct bytes vector, const struct sink *out)
{
    if (vector.count != reduce_vector_bytes(&r->config.layout)) return false;
    for (size_t at = 0; at < vector.count; at += REDUCE_VARIANT_BYTES)
        if (vector.data[at] >= r->group.count && vector.data[at] != REDUCE_NULL) return false;
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        struct reduce_variant v = reduce_variant_at(vector.data, c);
        int order = reduce_variant_compare(&v, &r->chunks[c].best);
        if (order == 0 || (order > 0 && r->adopting != (int)i)) continue;
        if (v.rank != REDUCE_NULL) reduce_want(r, c, i, &v);
        else r->chunks[c].best = v; /* nobody has made anything of it */
    }
    return true;
}

bool reduce_on_fetched(struct reduce *r, uint32_t c, uint32_t from, struct bytes bytes,
                       const struct sink *out)
{
    struct parcel p;
    if (!parcel_read(bytes, &r->config.layout, r->group.count, &p) || p.type != WIRE_RESULT ||
        p.chunk != c || memcmp(p.gid, r->group.gid, CRYPTO_DIGEST_BYTES))
        return false;
    struct reduce_variant v;
    if (!reduce_made(r, &p, &v)) return false;
    const struct reduce_chunk *chunk = &r->chunks[c];
    if (memcmp(v.digest, chunk->wanted.digest, CRYPTO_DIGEST_BYTES) || v.rank != chunk->wanted.rank)
        return false;
    if (!chunk->settled || r->adopting == (int)from || reduce_variant_compare(&v, &chunk->best) < 0)
        reduce_take_mean(r, &p, &v, out);
    return true;
}
