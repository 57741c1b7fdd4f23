/* ticket_fuzz.c -- tickets and lists of revoked ones, whatever their bytes.
 *
 *     u8 what, bytes
 *         0 a file's text: what is read can be written, and reads back to the same
 *         1 shown in HELLO to a node of a swarm with tickets
 *         2 the same, signed rightly by the owner: who is let in has a ticket for its ID, now
 *         3 the fields of a list, signed rightly by the owner: who is on it is out */
#include "test/swarm/stage.h"

#include "test/sim/standin.c"

#include "node/ticket_file.h"
#include "swarm/access.h"

#define NOW_S 1764000000u

static void as_text(struct bytes text)
{
    struct ticket_file f, again;
    char printed[TICKET_FILE_BYTES_MAX];
    struct why w;
    if (ticket_file_parse("fuzz", text, &f, &w)) {
        assert(w.text[0] && !strpbrk(w.text, "\n\r\x1b"));
        return;
    }
    size_t n = ticket_file_print(&f, printed);
    assert(n < sizeof printed && !ticket_file_parse("fuzz", bytes_of(printed, n), &again, &w));
    assert(f.kind == again.kind && f.count == again.count &&
           !memcmp(f.bytes, again.bytes, f.count) &&
           !memcmp(f.run_id, again.run_id, sizeof f.run_id) &&
           !memcmp(f.key, again.key, sizeof f.key));
}

static struct stage stage;
static struct stranger x;
static struct standin owner_standin = {.world = 5, .key = {0xee, 1, 2, 3}};
static struct crypto owner;

static void give(struct event e)
{
    e.wall_ms = NOW_S * 1000ull;
    stage_give(&stage, e);
}

static void joins(struct bytes shown)
{
    static uint8_t whole[66000];
    struct event e = {.kind = EVENT_LINK_UP, .link = x.link, .address = {4, {10, 0, 0, 1}, 4433}};
    memcpy(e.id, x.id, sizeof e.id);
    give(e);
    x.shown = shown;
    size_t n = stranger_hello(&x, &stage, WIRE_MAJOR, stage.config.run_id, whole, sizeof whole);
    give((struct event){
        .kind = EVENT_FRAME, .link = x.link, .type = WIRE_HELLO, .bytes = bytes_of(whole, n)});
}

static bool inside(void)
{
    const struct node_peer *p = stage_view(&stage, &x);
    return p && p->linked && p->health == HEALTH_ALIVE;
}

static void is_shown(struct bytes b, bool right)
{
    static uint8_t bytes[60000];
    struct ticket t;
    const size_t body = TICKET_BYTES - CRYPTO_SIGNATURE_BYTES;
    size_t n = b.count < sizeof bytes ? b.count : sizeof bytes;
    if (right && n < body) return;
    if (n) memcpy(bytes, b.data, n);
    if (right) {
        if (n > body && bytes[body] % 2) memcpy(bytes, x.id, sizeof x.id);
        wire_sign(&owner, stage.config.run_id, TICKET_KIND, bytes_of(bytes, body), bytes + body);
        n = TICKET_BYTES;
    }
    joins(bytes_of(bytes, n));
    if (!inside()) return;
    assert(ticket_read(bytes_of(bytes, n), &t));
    assert(!memcmp(t.id, x.id, sizeof t.id) && t.rights & TICKET_TRAIN);
    assert(t.from_s <= NOW_S + 300 && t.until_s + 300 > NOW_S);
}

static void is_revoked(struct bytes fields)
{
    uint8_t bytes[TICKET_BYTES], list[RECORD_BYTES_MAX + 64] = {RECORD_REVOKED};
    struct ticket t = {.until_s = NOW_S + 99, .rights = TICKET_TRAIN, .serial = 7};
    struct record r;
    if (1 + fields.count + CRYPTO_SIGNATURE_BYTES > sizeof list) return;
    memcpy(t.id, x.id, sizeof t.id);
    ticket_write(&owner, stage.config.run_id, &t, bytes);
    joins(bytes_of(bytes, sizeof bytes));
    assert(inside());
    if (fields.count) memcpy(list + 1, fields.data, fields.count);
    wire_sign(&owner, stage.config.run_id, RECORD_REVOKED, fields, list + 1 + fields.count);
    struct bytes all = bytes_of(list, 1 + fields.count + CRYPTO_SIGNATURE_BYTES);
    give((struct event){.kind = EVENT_REVOKED, .bytes = all});
    bool out = record_read(all, &r) && ticket_revoked(&r.revoked, 7);
    assert(inside() == !out);
    stage_pass(&stage, span_s(1));
    assert(inside() == !out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static uint8_t mine[TICKET_BYTES];
    if (count == 0) return 0;
    struct bytes rest = bytes_of(data + 1, count - 1);
    if (data[0] % 4 == 0) {
        as_text(rest);
        return 0;
    }
    stage_init(&stage);
    owner = standin_crypto(&owner_standin);
    struct ticket t = {.until_s = NOW_S + 9, .rights = TICKET_TRAIN, .serial = 1};
    memcpy(t.id, stage.config.id, sizeof t.id);
    ticket_write(&owner, stage.config.run_id, &t, mine);
    stage.config.ticket_key = owner_standin.key;
    stage.config.ticket = bytes_of(mine, sizeof mine);
    stage_start(&stage);
    stranger_init(&x, &stage, 1);
    if (data[0] % 4 == 3) is_revoked(rest);
    else is_shown(rest, data[0] % 4 == 2);
    stage_fini(&stage);
    return 0;
}
