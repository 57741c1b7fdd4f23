/* swarm_pair_fuzz.c -- two live nodes that mean well, and a path between them that changes what
 * they say.
 *
 * For each message on its way one byte says what becomes of it: most values leave it whole, some
 * drop or double it, or are followed by u16 place and u8 change, or by u16 new length. So the bytes
 * get as deep into matchmaking, averaging and state transfer as real ones do. Neither node may die
 * of it. */
#include "test/swarm/stage.h"

#include "test/sim/standin.c"

#define SLICE_MS   50
#define SLICES_MAX 240

struct side {
    struct stage stage;
    uint64_t steps;
    size_t carried; /* of its actions */
    struct {
        uint64_t ticket;
        bool open;
    } asked[256]; /* requests of this side, by handle */
    uint32_t asked_count;
    float anchor[STAGE_PARAMETERS];
};

static struct side sides[2];
static link_id link_now;
static uint8_t wire[2 * STAGE_PARAMETERS + 4096];
static struct reader fate;

static void open_link(void)
{
    link_now++;
    for (int i = 0; i < 2; i++) {
        struct event e = {.kind = EVENT_LINK_UP,
                          .link = link_now,
                          .address = {4, {10, 0, 0, (uint8_t)(2 - i)}, 1},
                          .dialled = i == 0};
        memcpy(e.id, sides[!i].stage.config.id, sizeof e.id);
        stage_give(&sides[i].stage, e);
    }
}

static void close_link(uint32_t code)
{
    for (int i = 0; i < 2; i++)
        stage_give(&sides[i].stage,
                   (struct event){.kind = EVENT_LINK_DOWN, .link = link_now, .code = code});
    open_link();
}

/* What becomes of a message; 0: it is lost, 2: it comes twice. */
static int meet_fate(uint8_t *bytes, size_t *count)
{
    if (reader_left(&fate) == 0) return 1;
    uint8_t what = reader_u8(&fate);
    if (what < 200) return 1;
    if (what < 215) return 0;
    if (what < 225) return 2;
    size_t at = reader_u16(&fate);
    if (*count == 0) return 1;
    if (what < 245) bytes[at % *count] ^= reader_u8(&fate);
    else *count = at % (*count + 1);
    return 1;
}

static void carry_parcel(int to, const struct action *a, struct event e, int times)
{
    e.kind = EVENT_PARCEL;
    for (int n = 0; n < times; n++) stage_give(&sides[to].stage, e);
    stage_give(&sides[!to].stage, (struct event){.kind = EVENT_PARCEL_DONE,
                                                 .link = a->link,
                                                 .ticket = a->ticket,
                                                 .ok = times > 0});
}

static void carry_request(int to, const struct action *a, struct event e)
{
    struct side *from = &sides[!to];
    if (from->asked_count == 256) return;
    e.kind = EVENT_REQUEST;
    e.ticket = from->asked_count;
    from->asked[from->asked_count].ticket = a->ticket;
    from->asked[from->asked_count++].open = true;
    stage_give(&sides[to].stage, e);
}

static void carry_reply(int to, const struct action *a, struct event e, int times)
{
    struct side *asker = &sides[to];
    if (a->ticket >= asker->asked_count || !asker->asked[a->ticket].open) return;
    asker->asked[a->ticket].open = false;
    e.kind = EVENT_REPLY;
    e.ticket = asker->asked[a->ticket].ticket;
    e.ok = times > 0;
    stage_give(&asker->stage, e);
}

static void carry(int to, const struct action *a)
{
    static uint8_t room[1 << 20];
    size_t count = a->bytes.count + a->more.count;
    if (count > sizeof room) abort();
    if (a->bytes.count) memcpy(room, a->bytes.data, a->bytes.count);
    if (a->more.count) memcpy(room + a->bytes.count, a->more.data, a->more.count);
    if (a->link != link_now) return;
    int times = meet_fate(room, &count);
    uint8_t *copy = malloc(count ? count : 1); /* so that reading past its end is seen */
    if (count) memcpy(copy, room, count);
    struct event e = {.link = link_now, .type = a->type, .bytes = bytes_of(copy, count)};
    switch (a->kind) {
    case ACTION_DATAGRAM:
    case ACTION_FRAME:
        e.kind = a->kind == ACTION_FRAME ? EVENT_FRAME : EVENT_DATAGRAM;
        for (int n = 0; n < times; n++) stage_give(&sides[to].stage, e);
        break;
    case ACTION_PARCEL:
        carry_parcel(to, a, e, times);
        break;
    case ACTION_REQUEST:
        carry_request(to, a, e);
        break;
    default:
        carry_reply(to, a, e, times);
    }
    free(copy);
}

/* The trainer does at once what it is told. */
static void obey(struct side *s, const struct order *o)
{
    if (o->kind == ORDER_APPLY || o->kind == ORDER_ADOPT) s->steps = 0;
    stage_obey(&s->stage, o, bytes_of(wire, outer_wire_bytes(STAGE_PARAMETERS)));
}

static void act_on(int i)
{
    struct side *s = &sides[i];
    while (s->carried < s->stage.actions_count) {
        struct action a = s->stage.actions[s->carried++];
        switch (a.kind) {
        case ACTION_DATAGRAM:
        case ACTION_FRAME:
        case ACTION_PARCEL:
        case ACTION_REQUEST:
        case ACTION_REPLY:
            carry(!i, &a);
            break;
        case ACTION_HANG_UP:
            if (a.link == link_now) close_link(a.code);
            break;
        case ACTION_ORDER:
            obey(s, &a.order);
            break;
        default:
            break;
        }
    }
}

/* Some time for the sides from `first` on. */
static void slice(uint64_t number, int first)
{
    for (int i = first; i < 2; i++) {
        stage_pass(&sides[i].stage, span_ms(SLICE_MS));
        if (number % 2 == 0) {
            sides[i].steps++;
            stage_give(&sides[i].stage, (struct event){.kind = EVENT_STEP,
                                                       .round = {.steps = sides[i].steps,
                                                                 .tokens = 100 * sides[i].steps,
                                                                 .tokens_per_s = 1000,
                                                                 .step_ms = 100}});
        }
    }
    for (int n = 0; n < 20; n++) {
        act_on(0);
        act_on(1);
        if (sides[0].carried == sides[0].stage.actions_count) break;
    }
    for (int i = 0; i < 2; i++)
        if (sides[i].carried == sides[i].stage.actions_count) {
            stage_forget(&sides[i].stage);
            sides[i].carried = 0;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    fate = reader_init(bytes_of(data, count));
    uint8_t ahead = reader_u8(&fate);
    link_now = 0;
    for (int i = 0; i < 2; i++) {
        struct stage *s = &sides[i].stage;
        stage_init(s);
        sides[i].steps = sides[i].carried = sides[i].asked_count = 0;
        s->standin.key[0] = (uint8_t)(0x80 + i);
        memcpy(s->config.id, s->standin.key, CRYPTO_KEY_BYTES);
        s->config.rng = rng_init((uint64_t)i);
        if (i == 1 && ahead % 2) { /* further on: the other has to fetch its state */
            s->state.epoch = 3;
            s->state.lineage[0] ^= 1;
            s->state.lineage_tokens = 3000;
        }
        stage_start(s);
    }
    if (ahead % 4 == 2) /* it did rounds alone: the other has to replay them */
        for (uint64_t n = 0; n < 60; n++) slice(n, 1);
    open_link();
    for (uint64_t n = 0; n < SLICES_MAX && (reader_left(&fate) || n < 60); n++) slice(n, 0);
    for (int i = 0; i < 2; i++) stage_fini(&sides[i].stage);
    return 0;
}
