/* status.c -- `shoal status` and `shoal peers`: the swarm as one peer sees it. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/object.h"
#include "base/terminal.h"
#include "bin/command.h"
#include "bin/http_get.h"
#include "swarm/peer.h"

#define PEER_ROW(to)                                                                               \
    {                                                                                              \
        "PEER", .argument = true, .text = (to),                                                    \
                .missing = "name a peer: ID@host:port or host:port"                                \
    }

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "?";
}

static long long whole_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* The table's columns in the order in which they are given space; all but the last two fit into
 * 80. */
enum column { ID, HEALTH, EPOCH, LOSS, PHASE, RATE, AGE, ADDRESS, STEPS, LINEAGE, COLUMNS };

static const struct {
    const char *title, *key;
    int width; /* negative: left-aligned, as in printf */
} columns[COLUMNS] = {
    [ID] = {"id", "id", -8},
    [HEALTH] = {"health", "health", -7},
    [EPOCH] = {"epoch", "epoch", 5},
    [LOSS] = {"loss", "loss", 7},
    [PHASE] = {"phase", "phase", -8},
    [RATE] = {"tok/s", "tokens_per_s", 7},
    [AGE] = {"age", "age", 5}, /* of the latest news of it, in seconds */
    [ADDRESS] = {"address", "address", -21},
    [STEPS] = {"steps", "steps", 6},
    [LINEAGE] = {"lineage", "lineage", -8},
};

/* Adds a row; NULL: the titles. */
static void add_row(struct terminal_picture *to, const json_t *peer, size_t shown)
{
    char line[TERMINAL_LINE_BYTES] = "", text[80];
    size_t used = 0;
    for (size_t c = 0; c < shown; c++) {
        const json_t *v = json_object_get(peer, columns[c].key);
        if (!peer) snprintf(text, sizeof text, "%s", columns[c].title);
        else if (json_is_integer(v)) snprintf(text, sizeof text, "%lld", json_integer_value(v));
        else if (c == AGE) snprintf(text, sizeof text, "%.0f s", json_number_value(v));
        else if (json_is_real(v)) snprintf(text, sizeof text, "%.4f", json_real_value(v));
        else if (!json_is_string(v)) snprintf(text, sizeof text, "-");
        else if (c == ADDRESS) snprintf(text, sizeof text, "%s", json_string_value(v));
        else snprintf(text, sizeof text, "%.*s", abs(columns[c].width), json_string_value(v));
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%*s", c ? " " : "",
                                 columns[c].width, text);
    }
    while (used && line[used - 1] == ' ') line[--used] = 0;
    terminal_line(to, "%s%s", line, json_is_true(json_object_get(peer, "self")) ? " *" : "");
}

/* The completed share of the run, and the remaining time at the present rate: an epoch takes
 * `workers` x epoch_tokens, of which `tokens` are done in the present one. */
static size_t add_progress(const json_t *o, long long epoch, long long workers, double tokens,
                           double rate, char fields[2][80])
{
    char left[32];
    double all = (double)whole_of(o, "epochs"),
           owed = (double)whole_of(o, "epoch_tokens") * (double)workers;
    if (all <= 0 || owed <= 0) return 0;
    double done = fmin((double)epoch + fmin(tokens / owed, 1), all);
    snprintf(fields[0], 80, "%.1f %% done", 100 * done / all);
    if (rate <= 0 || done >= all) return 1;
    snprintf(fields[1], 80, "%s left", amount_time((all - done) * owed / rate, left));
    return 2;
}

static long long latest_epoch(const json_t *o)
{
    long long latest = 0;
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(o, "peers"), i, p)
    {
        if (whole_of(p, "epoch") > latest) latest = whole_of(p, "epoch");
    }
    return latest;
}

/* Totals of the swarm, as known to the peer that was asked. */
static void add_sum(struct terminal_picture *to, const json_t *o, size_t width)
{
    char fields[11][80], bytes[32];
    const char *list[11];
    long long epoch = latest_epoch(o), rate = 0, alive = 0;
    double losses = 0, tokens = 0;
    size_t i, with_loss = 0, n = 0;
    json_t *p;
    json_array_foreach(json_object_get(o, "peers"), i, p)
    {
        if (strcmp(text_of(p, "health"), "alive")) continue;
        alive++;
        rate += whole_of(p, "tokens_per_s");
        if (whole_of(p, "epoch") == epoch) tokens += (double)whole_of(p, "tokens");
        if (!json_is_number(json_object_get(p, "loss"))) continue;
        losses += json_number_value(json_object_get(p, "loss"));
        with_loss++;
    }
    snprintf(fields[n++], 80, "%.60s", text_of(o, "experiment"));
    snprintf(fields[n++], 80, "run %.16s", text_of(o, "run"));
    snprintf(fields[n++], 80, "epoch %lld of %lld", epoch, whole_of(o, "epochs"));
    snprintf(fields[n++], 80, "%lld alive, %lld tokens/s", alive, rate);
    n += add_progress(o, epoch, alive, tokens, (double)rate, &fields[n]);
    if (with_loss) snprintf(fields[n++], 80, "mean loss %.4f", losses / (double)with_loss);
    snprintf(fields[n++], 80, "* asked: %s sent", amount_bytes((double)whole_of(o, "sent"), bytes));
    snprintf(fields[n++], 80, "%s received", amount_bytes((double)whole_of(o, "received"), bytes));
    if (whole_of(o, "relayed"))
        snprintf(fields[n++], 80, "%s relayed for others",
                 amount_bytes((double)whole_of(o, "relayed"), bytes));
    const json_t *strangers = json_object_get(o, "strangers");
    long long away = whole_of(strangers, "links") + whole_of(strangers, "refused") +
                     whole_of(strangers, "evicted");
    if (away) snprintf(fields[n++], 80, "%lld strangers turned away", away);
    for (i = 0; i < n; i++) list[i] = fields[i];
    terminal_flow(to, list, n, width - 1);
}

/* The members that the one asked speaks to through others. */
static void add_relayed(struct terminal_picture *to, const json_t *peers)
{
    size_t i;
    json_t *p;
    json_array_foreach(peers, i, p)
    {
        if (json_is_string(json_object_get(p, "via")))
            terminal_line(to, "it reaches %.8s through %.8s", text_of(p, "id"), text_of(p, "via"));
    }
}

/* The members that a member reports as unreachable; for the peer that was asked, with more
 * detail. */
static void add_unreached(struct terminal_picture *to, const json_t *peer, size_t width)
{
    char fields[NODE_GROUP_MAX][80];
    const char *list[NODE_GROUP_MAX];
    const json_t *u;
    size_t i, n = 0;
    if (json_is_true(json_object_get(peer, "self")) || strcmp(text_of(peer, "health"), "alive"))
        return;
    json_array_foreach(json_object_get(peer, "unreachable"), i, u)
    {
        if (n == NODE_GROUP_MAX) break;
        snprintf(fields[n], sizeof fields[n], "%.8s cannot reach %.8s (%.24s)", text_of(peer, "id"),
                 text_of(u, "id"), text_of(u, "reason"));
        list[n] = n ? fields[n] + strlen("01234567 cannot reach ") : fields[n];
        n++;
    }
    if (n) terminal_flow(to, list, n, width - 1);
}

static enum err picture_of(const char *text, const char *peer, const struct terminal *t,
                           struct terminal_picture *to, struct why *w)
{
    size_t i, width, rows, shown = 0, used = 0;
    json_error_t wrong;
    json_t *p, *o = json_loads(text, 0, &wrong);
    if (!json_is_object(o)) {
        json_decref(o);
        return why(w, ERR_WIRE, "%s answered with something that is not JSON: %s", peer,
                   wrong.text);
    }
    terminal_size(t, &width, &rows);
    add_sum(to, o, width);
    for (; shown < COLUMNS; shown++) {
        used += (size_t)abs(columns[shown].width) + (shown > 0);
        if (used + 2 > width - 1) break; /* " *" */
    }
    add_row(to, NULL, shown);
    json_array_foreach(json_object_get(o, "peers"), i, p) add_row(to, p, shown);
    json_array_foreach(json_object_get(o, "unreachable"), i, p)
        terminal_line(to, "it cannot reach %.8s at %s: %s", text_of(p, "id"), text_of(p, "address"),
                      text_of(p, "why"));
    json_array_foreach(json_object_get(o, "peers"), i, p) add_unreached(to, p, width);
    add_relayed(to, json_object_get(o, "peers"));
    json_decref(o);
    return ERR_OK;
}

static enum err print_json(const char *text, const char *peer, struct why *w)
{
    json_error_t wrong;
    json_t *o = json_loads(text, 0, &wrong);
    if (json_is_object(o)) return object_print(o, w);
    json_decref(o);
    return why(w, ERR_WIRE, "%s answered with something that is not JSON: %s", peer, wrong.text);
}

/* `text`: lines of ID@address. */
static enum err print_peers_json(const char *text, struct why *w)
{
    json_t *list = json_array(), *out = json_object();
    char *copy = strdup(text), *rest = copy, *line;
    while ((line = strsep(&rest, "\n"))) {
        char *address = strchr(line, '@');
        if (!address) continue;
        *address++ = 0;
        json_t *peer = json_object();
        object_text(peer, "id", line);
        object_text(peer, "address", address);
        json_array_append_new(list, peer);
    }
    free(copy);
    json_object_set_new(out, "peers", list);
    return object_print(out, w);
}

/* Prints permanent lines; text from peers is cleaned. */
static void print_picture(struct terminal *t, const struct terminal_picture *p)
{
    fflush(stdout);
    for (size_t i = 0; i < p->count; i++) {
        char line[TERMINAL_LINE_BYTES];
        terminal_clean(t, p->lines[i], sizeof line, line, sizeof line);
        printf("%s\n", line);
    }
}

static struct terminal screen;

static void on_end(int number)
{
    (void)number;
    terminal_clear(&screen);
    _exit(0);
}

/* Asks repeatedly. A peer that does not answer may come back. */
static enum err watch_peer(const char *peer, bool raw, struct why *w)
{
    for (;;) {
        char *text = NULL;
        struct terminal_picture p = {.count = 0};
        struct why failed = {0};
        enum err e = http_get(peer, "/status", &text, &failed);
        if (e == ERR_USAGE) return why(w, e, "%s", failed.text);
        if (e && (raw || !screen.live)) fprintf(stderr, "shoal status: %s\n", failed.text);
        else if (e) {
            terminal_line(&p, "no answer; asking again");
            terminal_line(&p, "%s", failed.text);
        } else if (raw && (e = print_json(text, peer, w))) return free(text), e;
        else if (!raw && (e = picture_of(text, peer, &screen, &p, w))) return free(text), e;
        if (raw || !screen.live) print_picture(&screen, &p);
        else terminal_draw(&screen, &p);
        free(text);
        if (fflush(stdout)) return why(w, ERR_IO, "writing the status: %s", strerror(errno));
        sleep(1);
    }
}

int status_main(int argc, char **argv)
{
    struct why w = {0};
    const char *peer;
    bool watch = false, json = false;
    const struct option_row rows[] = {
        PEER_ROW(&peer),
        {"watch", .flag = &watch, .help = "ask again every second, until Ctrl-C"},
        COMMAND_JSON(&json),
        {0}};
    struct options table = {.command = "shoal status",
                            .about = "Asks PEER (ID@host:port or host:port) for its view of the "
                                     "swarm. * marks the one that was asked.",
                            .rows = rows};
    int code;
    if (!command_options("status", &table, argc, argv, &code)) return code;
    terminal_init(&screen, STDOUT_FILENO);
    enum err e = ERR_OK;
    char *text = NULL;
    struct terminal_picture p = {.count = 0};
    if (watch) {
        if (screen.live) signal(SIGINT, on_end);
        e = watch_peer(peer, json, &w);
    } else e = http_get(peer, "/status", &text, &w);
    if (!e && json) e = print_json(text, peer, &w);
    else if (!e) e = picture_of(text, peer, &screen, &p, &w);
    print_picture(&screen, &p);
    free(text);
    return e ? command_failed("status", &w) : 0;
}

int peers_main(int argc, char **argv)
{
    struct why w = {0};
    char *text = NULL;
    const char *peer;
    bool json = false;
    const struct option_row rows[] = {PEER_ROW(&peer), COMMAND_JSON(&json), {0}};
    struct options table = {
        .command = "shoal peers",
        .about = "Prints the peers that PEER (ID@host:port or host:port) knows to be alive, as a "
                 "list that a newcomer can start from: shoal run EXPERIMENT.yaml --peers FILE",
        .rows = rows};
    int code;
    if (!command_options("peers", &table, argc, argv, &code)) return code;
    enum err e = http_get(peer, "/peers", &text, &w);
    if (!e && json) e = print_peers_json(text, &w);
    else if (!e) fputs(text, stdout);
    free(text);
    return e ? command_failed("peers", &w) : 0;
}
