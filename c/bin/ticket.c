/* ticket.c -- `shoal ticket`: the experiment's key, and the tickets that it signs. */
#include "bin/ticket.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/object.h"
#include "bin/command.h"
#include "config/settings.h"
#include "config/shared.h"
#include "net/identity.h"
#include "node/start.h"

#define KEY_FILE        "owner.key"
#define TOKENIZER_BYTES ((size_t)256 << 20)

static const struct command actions[] = {
    {"key", ticket_key, "make the experiment's key, and say what to write into the experiment"},
    {"sign", ticket_sign, "sign a ticket: one ID may join the experiment's run for some time"},
    {"revoke", ticket_revoke, "take tickets back, before they end"},
    {"list", ticket_list, "which tickets a key has signed"},
    {"show", ticket_show, "what is in a ticket, or in a list of revoked ones"},
};

int ticket_main(int argc, char **argv)
{
    static const struct command_choice choice = {
        "ticket", "action", "key, sign, revoke, list",
        "show",   actions,  sizeof actions / sizeof *actions};
    return command_choose(&choice, argc, argv);
}

/* ---- the key ---- */

int ticket_key(int argc, char **argv)
{
    const char *path = KEY_FILE;
    bool json = false;
    const struct option_row rows[] = {
        {"out", 'o', .text = &path, .value = "FILE", .help = "where the key goes"},
        COMMAND_JSON(&json),
        {0}};
    struct options table = {
        .command = "shoal ticket key",
        .about = "Makes the key of an experiment's owner, readable by its owner alone, and prints "
                 "what to write into the experiment: whoever joins then needs a ticket signed with "
                 "this key. Keep it off the machines that train. A file that exists is never "
                 "overwritten.",
        .rows = rows};
    char id[IDENTITY_TEXT_BYTES];
    struct identity *self;
    struct why w = {0};
    int code;
    if (!command_options("ticket key", &table, argc, argv, &code)) return code;
    if (identity_create(path, &self, &w)) return command_failed("ticket key", &w);
    identity_print(identity_id(self), id);
    identity_close(self);
    if (!json) {
        printf("swarm: {access: {ticket: %s}}\n", id);
        return 0;
    }
    json_t *out = json_object();
    object_text(out, "key", id);
    object_text(out, "file", path);
    return object_print(out, &w) ? command_failed("ticket key", &w) : 0;
}

/* ---- the run ---- */

struct run_of {
    const char *experiment, *start;
    struct option_texts sets;
};

#define RUN_ROWS(r)                                                                                \
    COMMAND_EXPERIMENT(&(r)->experiment), COMMAND_SET(&(r)->sets),                                 \
    {                                                                                              \
        "start", .text = &(r)->start, .value = "CHECKPOINT",                                       \
                 .help = "the --from of shoal run, where the run began with a checkpoint"          \
    }

/* The run's ID, from the experiment and the tokenizer of its corpus; `key` must be the one that the
 * experiment names. */
static enum err name_run(const char *command, const struct run_of *r, const uint8_t *key,
                         uint8_t run_id[CRYPTO_DIGEST_BYTES], struct why *w)
{
    char path[EXPERIMENT_PATH_BYTES + 32];
    uint8_t *text, named[CRYPTO_KEY_BYTES], tokenizer[CRYPTO_HASH_BYTES];
    size_t count;
    const struct crypto hash = identity_crypto(NULL);
    struct settings s = {.path = r->experiment, .sets = r->sets.items, .sets_count = r->sets.count};
    struct experiment *x = calloc(1, sizeof *x);
    struct start start = {0};
    enum err e = x ? settings_read(command, &s, x, w) : why(w, ERR_MEMORY, "no memory to start");
    if (!e && x->swarm.access != ACCESS_TICKET)
        e = why(w, ERR_USAGE, "%s asks for no tickets: write swarm.access as shoal ticket key says",
                r->experiment);
    if (!e && (!identity_parse(x->swarm.access_key, named) || memcmp(named, key, sizeof named)))
        e = why(w, ERR_USAGE,
                "%s names another key in swarm.access.ticket, %.16s..., than the one that would "
                "sign",
                r->experiment, x->swarm.access_key);
    if (!e) snprintf(path, sizeof path, "%s/tokenizer.json", x->data.corpus);
    if (!e) e = file_read(path, TOKENIZER_BYTES, &text, &count, w);
    if (!e) {
        crypto_hash(&hash, bytes_of(text, count), tokenizer);
        free(text);
        e = start_open(&start, r->start, NULL, &hash, w);
    } else if (e == ERR_IO && x && x->data.corpus[0])
        e = why_while(w, e, "data.corpus, whose tokenizer is part of the run");
    if (!e) {
        struct shared_ids ids;
        shared_ids_of(x, tokenizer, start.given ? start.digest : NULL, &hash, &ids);
        memcpy(run_id, shared_run_id(&ids), CRYPTO_DIGEST_BYTES);
    }
    start_close(&start);
    free(x);
    return e;
}

/* ---- sign ---- */

struct wishes {
    struct run_of run;
    const char *key, *id, *rights, *from, *until, *out;
    uint64_t days;
    bool json;
};

static const char *const rights_words[] = {"train", "observe", NULL};

/* "2026-12-01" or "2026-12-01T08:00:00Z", in UTC. */
static enum err read_time(const char *name, const char *text, uint64_t *out, struct why *w)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"};
    for (size_t i = 0; i < 2; i++) {
        struct tm t = {0};
        const char *end = strptime(text, forms[i], &t);
        if (!end || *end) continue;
        const time_t s = timegm(&t);
        char back[TICKET_TIME_BYTES];
        if (s < 0 || (uint64_t)s > TICKET_TIME_MAX) continue;
        ticket_time((uint64_t)s, back);
        if (strncmp(back, text, 10) != 0) continue; /* the 31st of February */
        *out = (uint64_t)s;
        return ERR_OK;
    }
    return why(w, ERR_USAGE,
               "--%s '%.40s': needs a time as 2026-12-01 or 2026-12-01T08:00:00Z (UTC)", name,
               text);
}

static enum err read_times(const struct wishes *o, struct ticket *t, struct why *w)
{
    t->from_s = clock_unix_ms() / 1000;
    enum err e = o->from ? read_time("from", o->from, &t->from_s, w) : ERR_OK;
    if (e) return e;
    t->until_s = t->from_s + o->days * 86400;
    if (o->until) e = read_time("until", o->until, &t->until_s, w);
    if (!e && t->until_s <= t->from_s)
        e = why(w, ERR_USAGE, "--until %s is not after the ticket's beginning", o->until);
    if (!e && t->until_s > TICKET_TIME_MAX)
        e = why(w, ERR_USAGE, "a ticket ends before the year 10000: give fewer --days");
    return e;
}

static enum err read_wishes(const struct wishes *o, struct ticket *t, struct why *w)
{
    if (o->rights && strcmp(o->rights, "train") != 0)
        return why(w, ERR_UNSUPPORTED,
                   "members that only observe are not built yet: leave --rights out");
    t->rights = TICKET_TRAIN;
    if (!identity_parse(o->id, t->id) || identity_weak(t->id))
        return why(w, ERR_USAGE,
                   "--id '%.70s': needs the 64 hexadecimal digits that shoal keygen --show prints "
                   "at the holder's",
                   o->id);
    return read_times(o, t, w);
}

static enum err sign(const struct wishes *o, struct ticket_file *f, char out[TICKET_PATH_BYTES],
                     struct why *w)
{
    struct identity *owner = NULL;
    struct ticket_book book = {.lock = -1};
    struct ticket t = {0};
    *f = (struct ticket_file){.kind = TICKET_FILE_TICKET, .count = TICKET_BYTES};
    enum err e = read_wishes(o, &t, w);
    if (!e) e = identity_open(o->key, false, &owner, w);
    if (!e) e = name_run("ticket sign", &o->run, identity_id(owner), f->run_id, w);
    if (!e) e = ticket_book_open(&book, o->key, true, w);
    if (!e) {
        const struct crypto c = identity_crypto(owner);
        t.serial = ticket_book_next(&book);
        memcpy(f->key, identity_id(owner), sizeof f->key);
        ticket_write(&c, f->run_id, &t, f->bytes);
        f->ticket = t;
        /* First the book: what it does not know could not be found to be revoked. */
        e = ticket_book_add(&book, f, w);
    }
    char digits[2 * 4 + 1];
    if (o->out) snprintf(out, TICKET_PATH_BYTES, "%s", o->out);
    else snprintf(out, TICKET_PATH_BYTES, "%s.ticket", bytes_hex(t.id, 4, digits));
    if (!e) e = ticket_file_write(out, f, w);
    ticket_book_close(&book);
    identity_close(owner);
    return e;
}

/* What is in a ticket, as fields of a JSON object. */
static void describe_ticket(json_t *out, const struct ticket_file *f)
{
    const struct ticket *t = &f->ticket;
    object_u64(out, "serial", t->serial);
    object_hex(out, "id", t->id, sizeof t->id);
    object_u64(out, "from", t->from_s);
    object_u64(out, "until", t->until_s);
    object_bool(out, "train", t->rights & TICKET_TRAIN);
    object_hex(out, "run", f->run_id, sizeof f->run_id);
    object_hex(out, "key", f->key, sizeof f->key);
}

int ticket_sign(int argc, char **argv)
{
    static struct wishes o = {.key = KEY_FILE, .days = 30};
    const struct option_row rows[] = {
        RUN_ROWS(&o.run),
        {"key", .text = &o.key, .value = "FILE", .help = "the experiment's key"},
        {"id", .text = &o.id, .value = "ID", .missing = "say who may join, with --id ID",
         .help = "of whoever may join: what shoal keygen --show node.key prints there"},
        {"rights", .text = &o.rights, .value = "WHAT", .words = rights_words,
         .help = "train; observe is not built yet", .otherwise = "train"},
        {"from", .text = &o.from, .value = "TIME", .otherwise = "now",
         .help = "its beginning, in UTC, as 2026-12-01 or 2026-12-01T08:00:00Z"},
        {"until", .text = &o.until, .value = "TIME",
         .help = "its end, likewise, instead of --days"},
        {"days", .whole = &o.days, .least = 1, .most = 1000000, .value = "N",
         .help = "how long it is good"},
        {"out", 'o', .text = &o.out, .value = "FILE", .help = "where the ticket goes",
         .otherwise = "8 digits of the ID, and .ticket"},
        COMMAND_JSON(&o.json),
        {0}};
    struct options table = {
        .command = "shoal ticket sign",
        .about = "Signs a ticket, with which the worker of this ID may join the experiment's run. "
                 "Its holder puts it where its experiment's swarm.ticket says: node.ticket, beside "
                 "the experiment or in --dir. A ticket is no secret: it is good for that ID alone. "
                 "The run follows from experiment, corpus and start; so a changed one needs new "
                 "tickets.",
        .rows = rows};
    struct why w = {0};
    struct ticket_file f;
    char out[TICKET_PATH_BYTES], until[TICKET_TIME_BYTES], id[IDENTITY_TEXT_BYTES];
    int code;
    if (!command_options("ticket sign", &table, argc, argv, &code)) return code;
    if (sign(&o, &f, out, &w)) return command_failed("ticket sign", &w);
    if (!o.json) {
        printf("%s: serial %u, good for %.16s... until %s\n", out, f.ticket.serial,
               identity_print(f.ticket.id, id), ticket_time(f.ticket.until_s, until));
        return 0;
    }
    json_t *said = json_object();
    describe_ticket(said, &f);
    object_text(said, "file", out);
    return object_print(said, &w) ? command_failed("ticket sign", &w) : 0;
}

/* ---- revoke ---- */

static int rising(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Adds these serials and this bound to the list. */
static enum err extend(struct record_revoked *v, const struct option_texts *serials, uint64_t below,
                       struct why *w)
{
    uint32_t all[RECORD_REVOKED_MAX + OPTION_TEXTS_MAX];
    size_t count = 0;
    if (below > v->below) v->below = (uint32_t)below;
    for (size_t i = 0; i < v->count; i++) all[count++] = v->serials[i];
    for (size_t i = 0; i < serials->count; i++) {
        char *end;
        const char *text = serials->items[i];
        unsigned long long n = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || n == 0 || n > UINT32_MAX)
            return why(w, ERR_USAGE,
                       "--serial '%.40s': needs a number that shoal ticket list shows", text);
        all[count++] = (uint32_t)n;
    }
    qsort(all, count, sizeof *all, rising);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i] < v->below || (kept && all[kept - 1] == all[i])) continue;
        all[kept++] = all[i];
    }
    if (kept > RECORD_REVOKED_MAX)
        return why(w, ERR_USAGE,
                   "a list names %d tickets at most, this would be %zu: revoke all below a serial "
                   "with --below N, and sign new ones for who is to stay",
                   RECORD_REVOKED_MAX, kept);
    v->count = (uint8_t)kept;
    memcpy(v->serials, all, kept * sizeof *all);
    return ERR_OK;
}

static enum err known(const struct ticket_book *b, const struct option_texts *serials,
                      uint64_t below, struct why *w)
{
    const uint32_t next = ticket_book_next(b);
    for (size_t i = 0; i < serials->count; i++)
        if (strtoull(serials->items[i], NULL, 10) >= next)
            return why(w, ERR_USAGE, "--serial %.40s: %s knows no such ticket (shoal ticket list)",
                       serials->items[i], b->path);
    if (below > next)
        return why(w, ERR_USAGE, "--below %llu: the next ticket's serial will be %u",
                   (unsigned long long)below, next);
    return ERR_OK;
}

struct revocation {
    struct run_of run;
    struct option_texts serials;
    const char *key, *out;
    uint64_t below;
    bool json;
};

static enum err revoke(const struct revocation *o, struct ticket_file *f, struct ticket_book *b,
                       struct why *w)
{
    struct identity *owner = NULL;
    *f = (struct ticket_file){.kind = TICKET_FILE_REVOKED};
    enum err e = identity_open(o->key, false, &owner, w);
    if (!e) e = name_run("ticket revoke", &o->run, identity_id(owner), f->run_id, w);
    if (!e) e = ticket_book_open(b, o->key, true, w);
    struct record r = {.kind = RECORD_REVOKED};
    if (!e && b->has_list) r.revoked = b->list.revoked;
    if (!e) e = extend(&r.revoked, &o->serials, o->below, w);
    if (!e) e = known(b, &o->serials, o->below, w);
    if (!e && r.revoked.number == UINT32_MAX)
        e = why(w, ERR_USAGE, "%s has the last number that a list can have", b->revoked);
    if (!e) {
        const struct crypto c = identity_crypto(owner);
        r.revoked.number++;
        memcpy(f->key, identity_id(owner), sizeof f->key);
        f->count = record_write(&c, f->run_id, &r, f->bytes);
        f->revoked = r.revoked;
        e = ticket_file_write(b->revoked, f, w);
    }
    if (!e && o->out) e = ticket_file_write(o->out, f, w);
    identity_close(owner);
    return e;
}

static void describe_list(json_t *out, const struct ticket_file *f)
{
    json_t *serials = json_array();
    for (size_t i = 0; i < f->revoked.count; i++)
        json_array_append_new(serials, json_integer(f->revoked.serials[i]));
    object_u64(out, "number", f->revoked.number);
    object_u64(out, "below", f->revoked.below);
    json_object_set_new(out, "serials", serials);
    object_hex(out, "run", f->run_id, sizeof f->run_id);
    object_hex(out, "key", f->key, sizeof f->key);
}

static void print_list(const struct ticket_file *f)
{
    printf("list %u of revoked tickets:", f->revoked.number);
    if (f->revoked.below > 1) printf(" all below %u", f->revoked.below);
    for (size_t i = 0; i < f->revoked.count; i++) printf(" %u", f->revoked.serials[i]);
    putchar('\n');
}

int ticket_revoke(int argc, char **argv)
{
    static struct revocation o = {.key = KEY_FILE};
    const struct option_row rows[] = {
        RUN_ROWS(&o.run),
        {"key", .text = &o.key, .value = "FILE", .help = "the experiment's key"},
        {"serial", .texts = &o.serials, .value = "N",
         .help = "revoke this one; may be given several times"},
        {"below", .whole = &o.below, .least = 1, .most = UINT32_MAX, .value = "N",
         .help = "revoke all with a serial below N"},
        {"out", 'o', .text = &o.out, .value = "FILE",
         .help = "write the list there, too: a running worker's swarm.revoked"},
        COMMAND_JSON(&o.json),
        {0}};
    struct options table = {
        .command = "shoal ticket revoke",
        .about = "Revokes tickets, beside those that were revoked before, and writes the list, to "
                 "FILE.revoked beside the key. Put it where the swarm.revoked of one running "
                 "worker says: node.revoked, beside the experiment or in --dir. That worker tells "
                 "all others within a second or two; whose ticket is on it is out.",
        .rows = rows};
    struct why w = {0};
    struct ticket_file f;
    static struct ticket_book b;
    int code;
    b.lock = -1;
    if (!command_options("ticket revoke", &table, argc, argv, &code)) return code;
    if (!o.serials.count && !o.below) why(&w, ERR_USAGE, "say which: --serial N, or --below N");
    enum err e = w.err ? w.err : revoke(&o, &f, &b, &w);
    ticket_book_close(&b);
    if (e) return command_failed("ticket revoke", &w);
    if (!o.json) {
        printf("%s: ", o.out ? o.out : b.revoked);
        print_list(&f);
        return 0;
    }
    json_t *said = json_object();
    describe_list(said, &f);
    object_text(said, "file", o.out ? o.out : b.revoked);
    return object_print(said, &w) ? command_failed("ticket revoke", &w) : 0;
}

/* ---- list ---- */

static const char *state_of(const struct ticket_book *b, const struct ticket *t, uint64_t now_s)
{
    if (b->has_list && ticket_revoked(&b->list.revoked, t->serial)) return "revoked";
    return now_s < t->from_s ? "not yet" : now_s >= t->until_s ? "ended" : "good";
}

int ticket_list(int argc, char **argv)
{
    const char *key = KEY_FILE;
    bool json = false;
    const struct option_row rows[] = {
        {"key", .text = &key, .value = "FILE", .help = "the experiment's key"},
        COMMAND_JSON(&json),
        {0}};
    struct options table = {.command = "shoal ticket list",
                            .about = "Lists the tickets that the key has signed, from FILE.tickets "
                                     "beside it, and which of them are revoked.",
                            .rows = rows};
    struct why w = {0};
    static struct ticket_book b;
    int code;
    if (!command_options("ticket list", &table, argc, argv, &code)) return code;
    b.lock = -1;
    if (!file_exists(key)) why(&w, ERR_IO, "there is no key %s: name one with --key", key);
    enum err e = w.err ? w.err : ticket_book_open(&b, key, false, &w);
    const uint64_t now_s = clock_unix_ms() / 1000;
    json_t *all = json_array();
    for (size_t i = 0; i < b.count && !e; i++) {
        const struct ticket *t = &b.tickets[i].ticket;
        char from[TICKET_TIME_BYTES], until[TICKET_TIME_BYTES], id[IDENTITY_TEXT_BYTES],
            run[2 * CRYPTO_DIGEST_BYTES + 1];
        json_t *one = json_object();
        describe_ticket(one, &b.tickets[i]);
        object_text(one, "state", state_of(&b, t, now_s));
        json_array_append_new(all, one);
        if (json) continue;
        if (!i)
            puts("serial  ID                from                  until                 state    "
                 "run");
        printf("%6u  %.16s  %s  %s  %-7s  %.8s\n", t->serial, identity_print(t->id, id),
               ticket_time(t->from_s, from), ticket_time(t->until_s, until), state_of(&b, t, now_s),
               bytes_hex(b.tickets[i].run_id, CRYPTO_DIGEST_BYTES, run));
    }
    if (!e && !json && !b.count) puts("no ticket was signed with this key yet");
    ticket_book_close(&b);
    json_t *out = json_object();
    json_object_set_new(out, "tickets", all);
    if (!e && json) e = object_print(out, &w);
    else json_decref(out);
    return e ? command_failed("ticket list", &w) : 0;
}

/* ---- show ---- */

static void print_ticket(const struct ticket_file *f)
{
    const struct ticket *t = &f->ticket;
    char from[TICKET_TIME_BYTES], until[TICKET_TIME_BYTES], id[IDENTITY_TEXT_BYTES];
    printf("serial  %u\nID      %s\nfrom    %s\nuntil   %s\nrights  %s\n", t->serial,
           identity_print(t->id, id), ticket_time(t->from_s, from), ticket_time(t->until_s, until),
           !(t->rights & TICKET_TRAIN)  ? "observe"
           : t->rights & TICKET_OBSERVE ? "train, observe"
                                        : "train");
}

int ticket_show(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    const struct option_row rows[] = {{"FILE", .argument = true, .text = &path,
                                       .help = "a ticket, or a list of revoked ones",
                                       .missing = "name a ticket's file"},
                                      COMMAND_JSON(&json),
                                      {0}};
    struct options table = {.command = "shoal ticket show",
                            .about =
                                "Shows what is in a ticket or in a list of revoked ones, whose "
                                "signature must be good.",
                            .rows = rows};
    struct why w = {0};
    struct ticket_file f;
    char text[IDENTITY_TEXT_BYTES];
    const struct crypto c = identity_crypto(NULL);
    int code;
    if (!command_options("ticket show", &table, argc, argv, &code)) return code;
    enum err e = ticket_file_read(path, &f, &w);
    if (!e && !ticket_file_signed(&c, &f))
        e = why(&w, ERR_FORMAT, "%s is not signed by the key that it names", path);
    if (e) return command_failed("ticket show", &w);
    if (json) {
        json_t *out = json_object();
        object_text(out, "kind", f.kind == TICKET_FILE_TICKET ? "ticket" : "revoked");
        if (f.kind == TICKET_FILE_TICKET) describe_ticket(out, &f);
        else describe_list(out, &f);
        return object_print(out, &w) ? command_failed("ticket show", &w) : 0;
    }
    if (f.kind == TICKET_FILE_TICKET) print_ticket(&f);
    else print_list(&f);
    printf("run     %s\n", bytes_hex(f.run_id, sizeof f.run_id, text));
    printf("key     %s\n", identity_print(f.key, text));
    return 0;
}
