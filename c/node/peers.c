#include "node/peers.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define PATH_BYTES 600

static void say_fault(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "shoal: %s\n", text);
}

/* Peers met before are tried first: most of a long list may be gone. */
static enum err add_known(struct peers *p, struct why *w)
{
    char path[PATH_BYTES], warning[320];
    snprintf(path, sizeof path, "%s.peers", p->c.identity);
    enum err e = known_open(&p->known, path, p->c.run_id, p->c.self, warning, w);
    if (e) return e;
    if (warning[0]) p->c.warn(p->c.ctx, warning);
    size_t count;
    const struct peer_address *known = known_peers(p->known, &count);
    peerlist_put_first(&p->list, known, count);
    return ERR_OK;
}

static enum err read_advertised(struct peers *p, struct why *w)
{
    struct peerlist_name own = {0};
    if (!p->c.advertise || !p->c.advertise[0]) return ERR_OK;
    enum err e = resolve_read(p->c.advertise, &p->advertise, &own.name, w);
    if (!e && address_is_any(&p->advertise))
        e = why(w, ERR_USAGE,
                "'%s' is no address that a peer can dial: write the one that it sees, "
                "or leave the key out",
                p->c.advertise);
    if (e) return why_while(w, e, "swarm.advertise");
    memcpy(own.id, p->c.self, sizeof own.id);
    if (own.name.host[0]) peerlist_add_own_name(&p->list, &own);
    return ERR_OK;
}

enum err peers_open(struct peers *p, const struct peers_config *c, struct why *w)
{
    struct peerlist_faults faults = {.say = say_fault};
    char text[160];
    *p = (struct peers){.c = *c, .rng = rng_init(c->seed)};
    unreached_init(&p->unreached);
    enum err e = peerlist_init(&p->list, w);
    if (!e) e = peerlist_read(&p->list, c->sources, c->sources_count, c->self, &faults, w);
    if (e) return e;
    if ((e = read_advertised(p, w))) return e;
    p->c.sources = NULL;
    p->c.advertise = NULL;
    if (p->list.left_out) {
        snprintf(text, sizeof text,
                 "%zu entries of the peer lists are left out: %d is all it takes", p->list.left_out,
                 PEERLIST_MAX);
        p->c.warn(p->c.ctx, text);
    }
    peerlist_shuffle(&p->list, &p->rng);
    return add_known(p, w);
}

static enum err open_resolver(struct peers *p, const struct peerlist *list, size_t names_most,
                              struct resolver **out, struct why *w)
{
    struct resolver_config c = resolver_defaults(list);
    if (c.count > names_most) c.count = names_most;
    c.wake = p->c.wake;
    c.ctx = p->c.ctx;
    c.seed = rng_next(&p->rng);
    return resolver_open(out, &c, w);
}

enum err peers_start(struct peers *p, struct why *w)
{
    struct weblist_config c = weblist_defaults(&p->list);
    c.wake = p->c.wake;
    c.ctx = p->c.ctx;
    c.seed = rng_next(&p->rng);
    memcpy(c.self, p->c.self, sizeof c.self);
    enum err e = open_resolver(p, &p->list, PEERLIST_MAX + 1, &p->resolver, w);
    return e ? e : weblists_open(&p->web, &c, w);
}

void peers_tell(struct peers *p)
{
    for (size_t i = 0; i < p->list.more_count; i++)
        p->c.address(p->c.ctx, p->list.more[i].id, &p->list.more[i].address, 0);
}

/* ---- names ---- */

static void begin_answer(struct peers *p, const char *event, const struct resolver_answer *a)
{
    event_log_begin(p->c.log, event);
    event_log_hex(p->c.log, "id", a->of.id, sizeof a->of.id);
    event_log_text(p->c.log, "name", a->of.name.host);
}

/* The first failure is shown to the user; all are logged. */
static void no_answer(struct peers *p, const struct resolver_answer *a)
{
    const bool own = !memcmp(a->of.id, p->c.self, sizeof p->c.self);
    if (a->failures == 1 && own)
        fprintf(stderr,
                "shoal: swarm.advertise: %s; peers are told where they see this worker, and the "
                "name is looked up again\n",
                a->why);
    else if (a->failures == 1)
        fprintf(stderr, "shoal: %s; going on without that peer, and asking again\n", a->why);
    begin_answer(p, "unresolved", a);
    event_log_u64(p->c.log, "failures", a->failures);
    event_log_text(p->c.log, "why", a->why);
    event_log_end(p->c.log);
    if (!own)
        unreached_add(&p->unreached, a->of.id, &(struct address){0}, REACH_NAME, a->why,
                      clock_unix_ms());
}

static void take_names(struct peers *p, struct resolver *r, uint32_t list)
{
    struct resolver_answer a;
    char text[ADDRESS_TEXT_BYTES];
    while (resolver_take(r, &a)) {
        if (a.count) unreached_mend(&p->unreached, a.of.id, REACH_NAME);
        else no_answer(p, &a);
        for (size_t i = 0; i < a.count; i++) {
            if (a.changed) {
                begin_answer(p, "resolved", &a);
                event_log_text(p->c.log, "address", address_print(&a.addresses[i], text));
                event_log_end(p->c.log);
            }
            p->c.address(p->c.ctx, a.of.id, &a.addresses[i], list);
        }
    }
}

/* ---- lists on https servers ---- */

static void begin_list(struct peers *p, const char *event, const struct weblist_answer *a)
{
    char url[URL_BYTES];
    event_log_begin(p->c.log, event);
    event_log_text(p->c.log, "url", (url_show(&p->list.urls[a->index], url), url));
    event_log_u64(p->c.log, "ms", a->ms);
}

/* What is new is shown to the user; all is logged. */
static void no_list(struct peers *p, const struct weblist_answer *a)
{
    char url[URL_BYTES];
    url_show(&p->list.urls[a->index], url);
    if (a->changed)
        fprintf(stderr, "shoal: the peer list %s is not read: %s; going on, and asking again\n",
                url, a->why);
    begin_list(p, "list_failed", a);
    event_log_u64(p->c.log, "failures", a->failures);
    event_log_text(p->c.log, "why", a->why);
    event_log_end(p->c.log);
}

static void new_list(struct peers *p, const struct weblist_answer *a)
{
    struct why w = {0};
    struct peerlist **list = &p->later[a->index].list;
    struct resolver **names = &p->later[a->index].resolver;
    if (a->faults)
        fprintf(stderr, "shoal: %s; %zu line%s left out of this list\n", a->fault, a->faults,
                a->faults == 1 ? " is" : "s are");
    resolver_close(*names);
    weblist_free(*list);
    *names = NULL;
    *list = a->list;
    if (open_resolver(p, *list, PEERS_LATER_NAMES, names, &w)) p->c.warn(p->c.ctx, w.text);
}

/* In another order each time: of a list that is too long for the node, other entries. */
static void tell_list(struct peers *p, const struct weblist_answer *a)
{
    struct peerlist *l = p->later[a->index].list;
    const uint32_t number = (uint32_t)a->index + 1;
    peerlist_shuffle(l, &p->rng);
    for (size_t i = 0; i < l->count && i < NODE_LATER_MAX; i++)
        p->c.listed(p->c.ctx, &l->entries[i], number);
    for (size_t i = 0; i < l->more_count && i < 3 * NODE_LATER_MAX; i++)
        p->c.address(p->c.ctx, l->more[i].id, &l->more[i].address, number);
    begin_list(p, "list", a);
    event_log_u64(p->c.log, "peers", l->count);
    event_log_u64(p->c.log, "left_out", a->faults + l->left_out);
    event_log_bool(p->c.log, "unchanged", a->unchanged);
    event_log_end(p->c.log);
}

static void take_lists(struct peers *p)
{
    struct weblist_answer a;
    while (weblists_take(p->web, &a)) {
        if (a.list) new_list(p, &a);
        if (a.why[0]) no_list(p, &a);
        else if (p->later[a.index].list) tell_list(p, &a);
        if (a.first) p->c.list_read(p->c.ctx, (uint32_t)a.index + 1);
    }
}

void peers_answers(struct peers *p)
{
    take_names(p, p->resolver, 0);
    take_lists(p);
    for (uint32_t i = 0; i < PEERLIST_URLS_MAX; i++)
        if (p->later[i].resolver) take_names(p, p->later[i].resolver, i + 1);
}

/* ---- reached and unreached peers ---- */

void peers_ended(struct peers *p, const struct link_end *end)
{
    static const uint8_t nobody[CRYPTO_KEY_BYTES];
    char address[ADDRESS_TEXT_BYTES];
    if (end->code == CLOSE_OK || end->code == CLOSE_DUPLICATE) return;
    if (end->up && !end->dialled && !end->welcome) return;
    event_log_begin(p->c.log, end->up ? "link_down" : "dial_failed");
    event_log_hex(p->c.log, "id", end->id, sizeof end->id);
    event_log_text(p->c.log, "address", address_print(&end->address, address));
    event_log_u64(p->c.log, "code", end->code);
    event_log_text(p->c.log, "why", end->reason ? end->reason : "");
    event_log_bool(p->c.log, "by_peer", end->by_peer);
    event_log_end(p->c.log);
    enum reach_reason reason = reach_reason_of(end->code, end->up);
    if (reason != REACH_REASONS && memcmp(end->id, nobody, sizeof nobody))
        unreached_add(&p->unreached, end->id, &end->address, reason, end->reason, clock_unix_ms());
}

size_t peers_see(struct peers *p, const struct node_peer *all, size_t count, instant now)
{
    struct why w = {0};
    size_t linked = 0;
    if (!known_see(p->known, all, count, now, &w)) p->c.warn(p->c.ctx, w.text);
    for (size_t i = 0; i < count; i++) {
        if (!all[i].linked) continue;
        linked++;
        unreached_drop(&p->unreached, all[i].id);
    }
    weblists_alone(p->web, linked == 0);
    return linked;
}

size_t peers_unreached(struct peers *p, struct unreached *out, size_t room)
{
    return unreached_list(&p->unreached, out, room);
}

void peers_close(struct peers *p)
{
    struct why w = {0};
    resolver_close(p->resolver);
    weblists_close(p->web);
    for (size_t i = 0; i < PEERLIST_URLS_MAX; i++) {
        resolver_close(p->later[i].resolver);
        weblist_free(p->later[i].list);
    }
    if (known_close(p->known, &w)) p->c.warn(p->c.ctx, w.text);
    peerlist_free(&p->list);
    unreached_fini(&p->unreached);
}
