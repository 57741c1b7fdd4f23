#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "swarm/relay_wire.h"
#include "test/swarm/stage.h"

/* The node; x, to whom it has a link; y, to whom it has none, at first. */
static struct stage stage;
static struct stranger x, y;
static uint32_t numbers[RELAY_FORMS];

static void set_up(void)
{
    stage_init(&stage);
    stranger_init(&x, &stage, 1);
    stranger_init(&y, &stage, 2);
    x.life = y.life = 500;
    memset(numbers, 0, sizeof numbers);
}

static void tear_down(void) { stage_fini(&stage); }

TestSuite(relay, .init = set_up, .fini = tear_down);

static sid self(void) { return wire_sid(stage.config.id); }

/* x is linked and gossips y's record. */
static void hear_of_y(void)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_says(&x, &stage, 0, bytes_of(bytes, stranger_peer(&y, &stage, bytes)));
}

/* x and y are linked. */
static void meet_both(void)
{
    stage_start(&stage);
    stranger_joins(&x, &stage);
    stranger_joins(&y, &stage);
    stage_forget(&stage);
}

static struct relay_envelope envelope(const struct stranger *from, sid to, enum relay_form form,
                                      uint8_t type)
{
    return (struct relay_envelope){.from = wire_sid(from->id),
                                   .to = to,
                                   .life = from->life,
                                   .seq = ++numbers[form],
                                   .form = form,
                                   .type = type};
}

/* The message with its envelope, as its carrier takes it. */
static struct bytes sealed(const struct stranger *by, struct relay_envelope *e, struct bytes b,
                           uint8_t *room, size_t size)
{
    struct writer w = writer_init(room, size);
    relay_seal(&by->crypto, stage.config.run_id, e, b, bytes_of(b.data, 0));
    if (e->form != RELAY_FRAME) writer_u8(&w, WIRE_RELAY);
    relay_write(e, &w);
    writer_copy(&w, b.data, b.count);
    cr_assert_not(w.full);
    return writer_bytes(&w);
}

/* `through` brings these bytes. */
static void bring(const struct stranger *through, enum relay_form form, struct bytes b)
{
    static const enum event_kind kinds[] = {EVENT_FRAME, EVENT_PARCEL, EVENT_REQUEST};
    stage_give(&stage, (struct event){.kind = kinds[form],
                                      .link = through->link,
                                      .type = WIRE_RELAY,
                                      .ticket = 77,
                                      .bytes = b});
}

/* y says this frame to the node, through x. */
static void y_says(uint8_t type, struct bytes body)
{
    uint8_t room[512];
    struct relay_envelope e = envelope(&y, self(), RELAY_FRAME, type);
    bring(&x, RELAY_FRAME, sealed(&y, &e, body, room, sizeof room));
}

static void echo(uint32_t nonce, bool back)
{
    uint8_t body[5];
    struct writer w = writer_init(body, sizeof body);
    writer_u32(&w, nonce);
    writer_u8(&w, back);
    y_says(WIRE_RELAY_ECHO, writer_bytes(&w));
}

/* The latest RELAY that the node sent on this link in this form; its message in *message. */
static bool sent(const struct stranger *through, enum relay_form form, struct relay_envelope *e,
                 struct bytes *message)
{
    static const enum action_kind kinds[] = {ACTION_FRAME, ACTION_PARCEL, ACTION_REQUEST};
    for (size_t i = stage.actions_count; i-- > 0;) {
        const struct action *a = &stage.actions[i];
        if (a->kind != kinds[form] || stage_type(a) != WIRE_RELAY || a->link != through->link)
            continue;
        struct reader r = reader_init(a->bytes);
        if (form != RELAY_FRAME) (void)reader_u8(&r);
        cr_assert(relay_read(&r, form, e));
        *message = bytes_of(r.at, reader_left(&r));
        return true;
    }
    return false;
}

static bool hung_up(const struct stranger *who)
{
    const struct action *a = stage_find(&stage, ACTION_HANG_UP, -1);
    return a && a->link == who->link && a->code == CLOSE_PROTOCOL;
}

/* Time passes, and x answers its PINGs. Was it asked to relay? */
static bool x_is_asked_in(unsigned ms)
{
    struct relay_envelope e;
    struct bytes message;
    bool asked = false;
    for (unsigned at = 0; at < ms; at += 200) {
        stage_pass(&stage, span_ms(200));
        asked = asked || sent(&x, RELAY_FRAME, &e, &message);
        stranger_answers(&x, &stage);
        stage_forget(&stage);
    }
    return asked;
}

/* ---- a path ---- */

Test(relay, a_member_without_a_link_is_spoken_to_through_another_one)
{
    struct relay_envelope e;
    struct bytes message;
    hear_of_y();
    stage_pass(&stage, span_ms(900));
    cr_assert_not(sent(&x, RELAY_FRAME, &e, &message), "a dial may still succeed");
    stage_pass(&stage, span_ms(3000));
    cr_assert(sent(&x, RELAY_FRAME, &e, &message));
    cr_assert_eq(e.from, self());
    cr_assert_eq(e.to, wire_sid(y.id));
    cr_assert_eq(e.type, WIRE_RELAY_ECHO);
    cr_assert(relay_sealed(&stage.crypto, stage.config.run_id, &e, message, stage.config.id));
    cr_assert_null(stage_note(&stage, "relayed"));
    struct reader r = reader_init(message);
    uint32_t nonce = reader_u32(&r);
    stage_pass(&stage, span_ms(40));
    echo(nonce, true);
    cr_assert_not_null(stage_note(&stage, "relayed"));
    stage_pass(&stage, span_s(6)); /* its PROGRESS goes that way, too */
    size_t gossip = 0;
    for (size_t i = 0; i < stage.actions_count; i++) {
        const struct action *a = &stage.actions[i];
        struct reader in = reader_init(a->bytes);
        if (a->kind == ACTION_FRAME && a->type == WIRE_RELAY && relay_read(&in, RELAY_FRAME, &e))
            gossip += e.type == WIRE_GOSSIP;
    }
    cr_assert_geq(gossip, 1);
}

Test(relay, a_relay_that_brings_nothing_is_left_for_another_one)
{
    struct stranger z;
    struct relay_envelope e;
    struct bytes message;
    stranger_init(&z, &stage, 3);
    z.life = 500;
    hear_of_y();
    stranger_joins(&z, &stage);
    stage_pass(&stage, span_s(3));
    bool by_x = sent(&x, RELAY_FRAME, &e, &message);
    cr_assert_neq(by_x, sent(&z, RELAY_FRAME, &e, &message));
    stage_forget(&stage);
    stage_pass(&stage, span_s(3));
    cr_assert(sent(by_x ? &z : &x, RELAY_FRAME, &e, &message));
}

Test(relay, a_member_that_refuses_to_relay_is_not_asked_again_at_once)
{
    uint8_t body[8];
    struct writer w = writer_init(body, sizeof body);
    hear_of_y();
    cr_assert(x_is_asked_in(3000));
    writer_u64(&w, wire_sid(y.id));
    stranger_frame(&x, &stage, WIRE_RELAY_REFUSED, writer_bytes(&w));
    cr_assert_not(x_is_asked_in(4000));
    cr_assert(x_is_asked_in(4000));
}

Test(relay, what_comes_through_a_relay_opens_a_path_and_counts_once)
{
    uint8_t room[512], body[5] = {9, 0, 0, 0, 0};
    hear_of_y();
    stage_pass(&stage, span_ms(100));
    stage_forget(&stage);
    struct relay_envelope e = envelope(&y, self(), RELAY_FRAME, WIRE_RELAY_ECHO);
    struct bytes b = sealed(&y, &e, bytes_of(body, sizeof body), room, sizeof room);
    bring(&x, RELAY_FRAME, b);
    cr_assert_not_null(stage_note(&stage, "relayed"));
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 1, "the answer");
    bring(&x, RELAY_FRAME, b);
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 1);
    cr_assert_not(hung_up(&x), "a repetition is nobody's fault");
}

Test(relay, what_was_said_in_a_former_life_does_not_count)
{
    hear_of_y();
    y.life = 600;
    echo(1, false);
    stage_forget(&stage);
    y.life = 500;
    echo(2, false);
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 0);
    y.life = 700; /* it has started again: its path is a new one */
    numbers[RELAY_FRAME] = 0;
    echo(3, false);
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 1);
    cr_assert_not_null(stage_note(&stage, "relayed"));
}

Test(relay, a_parcel_has_an_answer)
{
    uint8_t room[512], body[] = {WIRE_CONTRIBUTION, 2, 3, 4};
    struct relay_envelope e;
    struct bytes message;
    hear_of_y();
    e = envelope(&y, self(), RELAY_PARCEL, 0);
    bring(&x, RELAY_PARCEL, sealed(&y, &e, bytes_of(body, sizeof body), room, sizeof room));
    uint32_t number = e.seq;
    cr_assert(sent(&x, RELAY_FRAME, &e, &message));
    cr_assert_eq(e.type, WIRE_RELAY_DONE);
    struct reader r = reader_init(message);
    cr_assert_eq(reader_u32(&r), number);
}

Test(relay, a_request_that_is_of_no_use_has_an_answer_too)
{
    uint8_t room[512], body[] = {WIRE_VEC, 2, 3, 4};
    hear_of_y();
    struct relay_envelope e = envelope(&y, self(), RELAY_REQUEST, 0);
    struct bytes b = sealed(&y, &e, bytes_of(body, sizeof body), room, sizeof room);
    stage_forget(&stage);
    bring(&x, RELAY_REQUEST, b);
    bring(&x, RELAY_REQUEST, b); /* it has come before */
    cr_assert_eq(stage_count(&stage, ACTION_REPLY, -1), 2);
}

Test(relay, a_changed_message_ends_the_link_of_who_brought_it)
{
    uint8_t room[512], body[5] = {9, 0, 0, 0, 0};
    hear_of_y();
    struct relay_envelope e = envelope(&y, self(), RELAY_FRAME, WIRE_RELAY_ECHO);
    struct bytes b = sealed(&y, &e, bytes_of(body, sizeof body), room, sizeof room);
    room[b.count - 1] ^= 1;
    stage_forget(&stage);
    bring(&x, RELAY_FRAME, b);
    cr_assert(hung_up(&x));
    cr_assert_null(stage_note(&stage, "relayed"));
}

Test(relay, no_part_of_an_envelope_is_one)
{
    uint8_t room[512];
    struct relay_envelope e = envelope(&y, self(), RELAY_REQUEST, 0), again;
    struct writer w = writer_init(room, sizeof room);
    relay_write(&e, &w);
    for (size_t n = 0; n < w.used; n++) {
        struct reader r = reader_init(bytes_of(room, n));
        cr_assert_not(relay_read(&r, RELAY_REQUEST, &again));
    }
    struct reader r = reader_init(writer_bytes(&w));
    cr_assert(relay_read(&r, RELAY_REQUEST, &again));
}

/* ---- for others ---- */

static struct bytes x_sends_y(enum relay_form form, uint8_t *room, size_t size, size_t count)
{
    static uint8_t body[RELAY_FORMS << 20];
    struct relay_envelope e =
        envelope(&x, wire_sid(y.id), form, form == RELAY_FRAME ? WIRE_STAGE : 0);
    struct bytes b = sealed(&x, &e, bytes_of(body, count), room, size);
    bring(&x, form, b);
    return b;
}

Test(relay, a_message_is_carried_as_it_is)
{
    static const enum action_kind kinds[] = {ACTION_FRAME, ACTION_PARCEL, ACTION_REQUEST};
    uint8_t room[512];
    meet_both();
    for (int form = 0; form < RELAY_FORMS; form++) {
        struct bytes b = x_sends_y((enum relay_form)form, room, sizeof room, 45);
        const struct action *a = stage_find(&stage, kinds[form], WIRE_RELAY);
        cr_assert_not_null(a);
        cr_assert_eq(a->link, y.link);
        cr_assert_eq(a->bytes.count, b.count);
        cr_assert_eq(memcmp(a->bytes.data, b.data, b.count), 0);
    }
}

Test(relay, the_answer_to_a_request_goes_back)
{
    uint8_t room[512];
    meet_both();
    x_sends_y(RELAY_REQUEST, room, sizeof room, 20);
    const struct action *a = stage_find(&stage, ACTION_REQUEST, WIRE_RELAY);
    struct event e = {.kind = EVENT_REPLY, .link = y.link, .ok = true, .ticket = a->ticket};
    e.bytes = bytes_of("as it is", 8);
    stage_give(&stage, e);
    stage_give(&stage, e); /* once */
    cr_assert_eq(stage_count(&stage, ACTION_REPLY, -1), 1);
    a = stage_find(&stage, ACTION_REPLY, -1);
    cr_assert_eq(a->link, x.link);
    cr_assert_eq(a->ticket, 77);
    cr_assert_eq(memcmp(a->bytes.data, "as it is", 8), 0);
}

Test(relay, what_cannot_be_carried_is_refused)
{
    uint8_t room[512];
    meet_both();
    x_sends_y(RELAY_PARCEL, room, sizeof room, 20);
    const struct action *a = stage_find(&stage, ACTION_PARCEL, WIRE_RELAY);
    stage_give(&stage,
               (struct event){.kind = EVENT_PARCEL_DONE, .link = y.link, .ticket = a->ticket});
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY_REFUSED), 1, "it did not arrive");
    stage_give(&stage, (struct event){.kind = EVENT_LINK_DOWN, .link = y.link});
    stage_forget(&stage);
    x_sends_y(RELAY_FRAME, room, sizeof room, 20);
    x_sends_y(RELAY_REQUEST, room, sizeof room, 20);
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY_REFUSED), 2);
    a = stage_find(&stage, ACTION_REPLY, -1);
    cr_assert_not_null(a, "nobody waits for an answer");
    cr_assert_eq(a->bytes.count, 0);
}

Test(relay, nobody_is_carried_for_without_end)
{
    static uint8_t room[2 << 20];
    meet_both();
    for (int i = 0; i < 100; i++) x_sends_y(RELAY_PARCEL, room, sizeof room, 100);
    cr_assert_eq(stage_count(&stage, ACTION_PARCEL, WIRE_RELAY), 32);
    stage_forget(&stage);
    for (int i = 0; i < 100; i++) x_sends_y(RELAY_FRAME, room, sizeof room, 60000);
    size_t most = ((1 << 20) + (128 << 10)) / 60000;
    cr_assert_leq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), most);
    cr_assert_geq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 10);
    stage_forget(&stage);
    stage_pass(&stage, span_s(4));
    x_sends_y(RELAY_FRAME, room, sizeof room, 60000);
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 1, "time fills the bucket");
}

Test(relay, only_what_its_sender_made_is_carried)
{
    uint8_t room[512], body[4] = {1};
    meet_both();
    struct relay_envelope e = envelope(&y, 12345, RELAY_FRAME, WIRE_STAGE);
    bring(&x, RELAY_FRAME, sealed(&y, &e, bytes_of(body, 4), room, sizeof room));
    cr_assert(hung_up(&x), "what was relayed is not relayed again");
}

Test(relay, what_its_sender_did_not_sign_is_not_carried)
{
    uint8_t room[512], body[4] = {1};
    meet_both();
    struct relay_envelope e = envelope(&x, wire_sid(y.id), RELAY_FRAME, WIRE_STAGE);
    struct bytes b = sealed(&x, &e, bytes_of(body, 4), room, sizeof room);
    room[b.count - 1] ^= 1;
    bring(&x, RELAY_FRAME, b);
    cr_assert(hung_up(&x));
    cr_assert_eq(stage_count(&stage, ACTION_FRAME, WIRE_RELAY), 0);
}
