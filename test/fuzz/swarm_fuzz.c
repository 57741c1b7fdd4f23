/* swarm_fuzz.c -- bytes from peers into a live node, which must live on, within its memory.
 *
 *     a line of orders: u8 what, u8 who, u16 length, bytes; again and again
 *         0 datagram   1 frame, its type first   2 parcel   3 request   4 let time pass, that many 10 ms
 *         5 frame whose record is signed rightly: kind, then fields   6 link down   7 link up and HELLO
 *         8 an inner step   9 answer the latest request with these bytes   10 a snapshot, an outer step, an adoption
 *         11 what is relayed, signed rightly: form, type, to whom, through whom, then the message */
#include "swarm/relay_wire.h"
#include "test/swarm/stage.h"

#include "test/sim/standin.c"

#define STRANGERS 4

static struct stage stage;
static struct stranger strangers[STRANGERS];
static bool up[STRANGERS];
static uint8_t wire[2 * STAGE_PARAMETERS + 4096];

static void join(int i)
{
    if (up[i]) return;
    strangers[i].link += STRANGERS;
    up[i] = true;
    stranger_joins(&strangers[i], &stage);
}

static void part(int i)
{
    if (!up[i]) return;
    up[i] = false;
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = strangers[i].link});
}

/* The node hung up: the link is gone. */
static void hung_up(void)
{
    for (size_t a = 0; a < stage.actions_count; a++)
        for (int i = 0; i < STRANGERS; i++)
            if (stage.actions[a].kind == ACTION_HANG_UP &&
                stage.actions[a].link == strangers[i].link)
                up[i] = false;
}

static void sign_and_say(int i, struct bytes b)
{
    uint8_t record[RECORD_BYTES_MAX + 64];
    if (b.count < 1 || b.count > RECORD_BYTES_MAX - CRYPTO_SIGNATURE_BYTES) return;
    memcpy(record, b.data, b.count);
    record[0] = (uint8_t)(RECORD_PEER + b.data[0] % 6);
    wire_sign(&strangers[i].crypto, stage.config.run_id, record[0],
              bytes_of(record + 1, b.count - 1), record + b.count);
    stranger_says(&strangers[i], &stage, 7, bytes_of(record, b.count + CRYPTO_SIGNATURE_BYTES));
}

static void relay(int i, struct bytes b)
{
    static const enum event_kind kinds[] = {EVENT_FRAME, EVENT_PARCEL, EVENT_REQUEST};
    static uint8_t room[1 << 16];
    static uint32_t seq;
    if (b.count < 4 || b.count > sizeof room / 2) return;
    int through = b.data[3] % STRANGERS;
    struct relay_envelope e = {
        .from = wire_sid(strangers[i].id),
        .to = wire_sid(b.data[2] % 2 ? stage.config.id : strangers[b.data[2] / 2 % STRANGERS].id),
        .life = 500 + b.data[3] / STRANGERS % 2,
        .seq = ++seq,
        .form = b.data[0] % RELAY_FORMS,
        .type = b.data[1]};
    struct bytes message = bytes_of(b.data + 4, b.count - 4);
    if (e.form != RELAY_FRAME) e.type = 0;
    relay_seal(&strangers[i].crypto, stage.config.run_id, &e, message, bytes_of(room, 0));
    struct writer w = writer_init(room, sizeof room);
    if (e.form != RELAY_FRAME) writer_u8(&w, WIRE_RELAY);
    relay_write(&e, &w);
    writer_copy(&w, message.data, message.count);
    if (up[through])
        stage_give(&stage, (struct event){.kind = kinds[e.form],
                                          .link = strangers[through].link,
                                          .type = WIRE_RELAY,
                                          .ticket = 1,
                                          .bytes = writer_bytes(&w)});
}

static void reply_to_latest(struct bytes b)
{
    const struct action *a = stage_find(&stage, ACTION_REQUEST, -1);
    if (a)
        stage_give(
            &stage,
            (struct event){
                .kind = EVENT_REPLY, .link = a->link, .ticket = a->ticket, .ok = true, .bytes = b});
}

/* The trainer does what it was told last. */
static void obey(void)
{
    for (size_t i = stage.actions_count; i-- > 0;) {
        if (stage.actions[i].kind != ACTION_ORDER) continue;
        struct order o = stage.actions[i].order;
        struct bytes all = bytes_of(wire, outer_wire_bytes(STAGE_PARAMETERS));
        if (o.kind < ORDER_SNAPSHOT || o.kind > ORDER_ADOPT || o.kind == ORDER_RESUME) continue;
        stage.actions[i] = (struct action){.kind = ACTION_NOTE, .note.name = ""}; /* once */
        stage_obey(&stage, &o, all);
        return;
    }
}

static void carry_out(uint8_t what, int i, struct bytes b)
{
    struct event e = {.link = strangers[i].link, .ticket = 1, .bytes = b};
    static uint64_t steps;
    if (stage.actions_count > STAGE_ACTIONS / 2 || stage.pool_used > STAGE_POOL / 2)
        stage_forget(&stage);
    switch (what % 12) {
    case 0:
        e.kind = EVENT_DATAGRAM;
        break;
    case 1:
        if (b.count == 0) return;
        e.kind = EVENT_FRAME;
        e.type = b.data[0];
        e.bytes = bytes_of(b.data + 1, b.count - 1);
        break;
    case 2:
        e.kind = EVENT_PARCEL;
        break;
    case 3:
        e.kind = EVENT_REQUEST;
        break;
    case 4:
        stage_pass(&stage, span_ms(10 * b.count));
        return;
    case 5:
        if (up[i]) sign_and_say(i, b);
        return;
    case 6:
        part(i);
        return;
    case 7:
        join(i);
        return;
    case 8:
        e.kind = EVENT_STEP;
        e.round = (struct round_progress){.steps = ++steps % 30, .tokens = 100 * (steps % 30)};
        break;
    case 9:
        reply_to_latest(b);
        return;
    case 11:
        relay(i, b);
        return;
    default:
        obey();
        return;
    }
    if (what % 12 < 4 && !up[i]) return;
    stage_give(&stage, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    stage_init(&stage);
    stage_start(&stage);
    for (int i = 0; i < STRANGERS; i++) {
        stranger_init(&strangers[i], &stage, (uint8_t)(i + 1));
        up[i] = false;
    }
    join(0);
    join(1);
    struct reader r = reader_init(bytes_of(data, count));
    while (reader_left(&r) >= 4) {
        uint8_t what = reader_u8(&r);
        int who = reader_u8(&r) % STRANGERS;
        size_t length = reader_u16(&r);
        if (length > reader_left(&r)) length = reader_left(&r);
        carry_out(what, who, reader_bytes(&r, length));
        hung_up();
    }
    stage_pass(&stage, span_s(1));
    stage_fini(&stage);
    return 0;
}
