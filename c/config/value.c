#include "config/value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "base/url.h"
#include "config/complain.h"

/* The value being stored; passed to every function that may report a mistake. */
struct take {
    const struct schema_key *k;
    const struct tree *d;
    struct experiment *x;
};

static size_t digits(const char *s)
{
    size_t n = 0;
    while (s[n] >= '0' && s[n] <= '9') n++;
    return n;
}

/* [+-] digits [. digits] [e [+-] digits]; no hexadecimal, no inf, no nan. */
static bool is_number(const char *s, bool *whole)
{
    if (*s == '+' || *s == '-') s++;
    size_t n = digits(s);
    s += n;
    *whole = n > 0 && !*s;
    if (*s == '.') {
        size_t after = digits(++s);
        s += after;
        n += after;
    }
    if (n == 0) return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-') s++;
        if (!(n = digits(s))) return false;
        s += n;
    }
    return !*s;
}

enum value_look value_look(const char *text, size_t bytes)
{
    bool whole;
    if (strlen(text) != bytes) return VALUE_WORD;
    if (!bytes || !strcmp(text, "~") || !strcasecmp(text, "null")) return VALUE_NOTHING;
    if (!strcasecmp(text, "true") || !strcasecmp(text, "false")) return VALUE_BOOL;
    if (is_number(text, &whole)) return whole ? VALUE_WHOLE : VALUE_NUMBER;
    return VALUE_WORD;
}

static enum value_look look(const struct tree_node *n)
{
    return n->quoted ? VALUE_WORD : value_look(n->text, n->bytes);
}

#define FOUND_BYTES (TREE_SHOWN_BYTES + 16)

static const char *found(const struct tree_node *n, char out[FOUND_BYTES])
{
    char shown[TREE_SHOWN_BYTES];
    if (n->kind == TREE_SEQUENCE) return n->first ? "a list" : "an empty list";
    if (n->kind == TREE_MAPPING) return n->first ? "a mapping" : "an empty mapping";
    if (look(n) == VALUE_NOTHING) return "nothing";
    if (n->quoted && n->bytes == 0) return "an empty text";
    tree_shown(n->text, n->bytes, shown);
    snprintf(out, FOUND_BYTES, "%s%s", n->quoted ? "the text " : "", shown);
    return out;
}

static bool unfit(const struct take *t, const struct tree_node *n, const char *advice)
{
    char was[FOUND_BYTES], allowed[SCHEMA_TEXT_BYTES];
    struct experiment_place at = t->x->places[t->k - schema_keys];
    at.line = n->at.line;
    at.column = n->at.column;
    complain(t->x, t->k, at, ERR_USAGE, "found %s, needs %s%s%s", found(n, was),
             schema_allowed(t->k, allowed), advice ? "; " : "", advice ? advice : "");
    return false;
}

static void *field(const struct take *t) { return (char *)t->x + t->k->offset; }

static bool take_whole(const struct take *t, const struct tree_node *n)
{
    const struct schema_key *k = t->k;
    if (n->kind != TREE_SCALAR) return unfit(t, n, NULL);
    bool automatic = k->automatic && !strcmp(n->text, "auto");
    if (!automatic && look(n) != VALUE_WHOLE)
        return unfit(t, n,
                     n->quoted && value_look(n->text, n->bytes) == VALUE_WHOLE
                         ? "leave out the quotes"
                         : NULL);
    errno = 0;
    uint64_t v = automatic ? 0 : strtoull(n->text, NULL, 10);
    bool negative = n->text[0] == '-' && v != 0;
    if (!automatic && (errno || negative || v < k->least || v > k->most)) return unfit(t, n, NULL);
    if (k->type == SCHEMA_U32) memcpy(field(t), &(uint32_t){(uint32_t)v}, sizeof(uint32_t));
    else memcpy(field(t), &v, sizeof v);
    return true;
}

static bool take_number(const struct take *t, const struct tree_node *n, double *to)
{
    const struct schema_key *k = t->k;
    if (n->kind != TREE_SCALAR) return unfit(t, n, NULL);
    enum value_look l = look(n);
    if (l != VALUE_WHOLE && l != VALUE_NUMBER) return unfit(t, n, NULL);
    double v = strtod(n->text, NULL) + 0.0; /* -0 becomes 0: they would name different swarms */
    bool fits = (k->above ? v > k->low : v >= k->low) && (k->below ? v < k->high : v <= k->high);
    if (!fits) return unfit(t, n, NULL);
    *to = v;
    return true;
}

static bool take_numbers(const struct take *t, const struct tree_node *n)
{
    double *to = field(t);
    if (t->k->count <= 1) return take_number(t, n, to);
    if (n->kind != TREE_SEQUENCE) return unfit(t, n, NULL);
    unsigned count = 0;
    for (size_t i = n->first; i; i = t->d->nodes[i].next) {
        if (count == t->k->count) return unfit(t, &t->d->nodes[i], "this one is too many");
        if (!take_number(t, &t->d->nodes[i], &to[count++])) return false;
    }
    return count == t->k->count || unfit(t, n, "this one is too short");
}

static bool take_bool(const struct take *t, const struct tree_node *n)
{
    bool yes = n->kind == TREE_SCALAR && !n->quoted && !strcmp(n->text, "true");
    bool no = n->kind == TREE_SCALAR && !n->quoted && !strcmp(n->text, "false");
    if (!yes && !no) return unfit(t, n, NULL);
    *(bool *)field(t) = yes;
    return true;
}

static bool unfit_word(const struct take *t, const struct tree_node *n, const char *const *words)
{
    char advice[64];
    const char *near = n->kind == TREE_SCALAR ? near_word(words, n->text, n->bytes) : NULL;
    snprintf(advice, sizeof advice, "did you mean %s?", near ? near : "");
    return unfit(t, n, near ? advice : NULL);
}

static bool is_word(const struct tree_node *n, const char *word)
{
    return n->kind == TREE_SCALAR && n->bytes == strlen(word) && !memcmp(n->text, word, n->bytes);
}

static bool take_word(const struct take *t, const struct tree_node *n)
{
    for (uint32_t i = 0; t->k->words[i]; i++) {
        if (!is_word(n, t->k->words[i])) continue;
        static_assert(sizeof(enum wire_format) == sizeof i,
                      "an enum of the experiment is kept as u32");
        memcpy(field(t), &i, sizeof i);
        return true;
    }
    return unfit_word(t, n, t->k->words);
}

static const char *const device_words[] = {"auto", "cpu", "cuda", NULL};

/* N, or N,N and so on. */
static enum value_fit take_gpus(struct experiment *x, const char *text, uint64_t most)
{
    uint32_t gpus[EXPERIMENT_GPUS_MAX], count = 0;
    for (const char *at = text;; at++) {
        size_t n = digits(at);
        errno = 0;
        uint64_t gpu = strtoull(at, NULL, 10);
        if (n == 0 || (at[n] && at[n] != ',')) return VALUE_OTHER;
        if (errno || gpu > most || count == EXPERIMENT_GPUS_MAX) return VALUE_OUTSIDE;
        for (uint32_t i = 0; i < count; i++)
            if (gpus[i] == gpu) return VALUE_OUTSIDE;
        gpus[count++] = (uint32_t)gpu;
        at += n;
        if (!*at) break;
    }
    x->machine.device = DEVICE_CUDA;
    x->machine.gpus_count = count;
    memcpy(x->machine.gpus, gpus, count * sizeof *gpus);
    return VALUE_FITS;
}

enum value_fit value_device(struct experiment *x, const char *text, uint64_t most)
{
    if (!strncmp(text, "cuda:", 5)) return take_gpus(x, text + 5, most);
    for (uint32_t i = 0; device_words[i]; i++) {
        if (strcmp(text, device_words[i])) continue;
        x->machine.device = (enum device_kind)i;
        x->machine.gpus_count = 0;
        return VALUE_FITS;
    }
    return VALUE_OTHER;
}

static bool take_device(const struct take *t, const struct tree_node *n)
{
    enum value_fit fit = VALUE_OTHER;
    if (n->kind == TREE_SCALAR && strlen(n->text) == n->bytes)
        fit = value_device(t->x, n->text, t->k->most);
    if (fit == VALUE_FITS) return true;
    bool gpu = n->kind == TREE_SCALAR &&
               (!strcasecmp(n->text, "gpu") || !strncasecmp(n->text, "gpu:", 4) ||
                !strcasecmp(n->text, "nvidia"));
    if (gpu) return unfit(t, n, "a GPU is called cuda");
    return fit == VALUE_OUTSIDE ? unfit(t, n, NULL) : unfit_word(t, n, device_words);
}

bool value_is_address(const char *text, uint32_t port_least)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text) return false;
    size_t host = (size_t)(colon - text), n = digits(colon + 1);
    if (n == 0 || n > 5 || colon[1 + n]) return false;
    uint32_t port = (uint32_t)strtoul(colon + 1, NULL, 10);
    if (port < port_least || port > 65535) return false;
    bool bracketed = text[0] == '[';
    if (bracketed && (host < 4 || text[host - 1] != ']')) return false;
    for (size_t i = bracketed; i < host - bracketed; i++) {
        bool ok = bracketed ? isxdigit((unsigned char)text[i]) || strchr(":.", text[i])
                            : isalnum((unsigned char)text[i]) || strchr("-._", text[i]);
        if (!ok) return false;
    }
    return true;
}

bool value_is_listen(const char *text)
{
    char host[] = "0:65535";
    if (strncmp(text, "*:", 2)) return value_is_address(text, 0);
    snprintf(host, sizeof host, "0%.6s", text + 1); /* every address of this machine */
    return strlen(text) < sizeof host && value_is_address(host, 0);
}

bool value_is_peer(const char *text)
{
    const char *at = strchr(text, '@');
    if (!at || at - text != 64) return false;
    for (const char *c = text; c < at; c++)
        if (!isxdigit((unsigned char)*c)) return false;
    return value_is_address(at + 1, 1);
}

static bool is_name(const char *s)
{
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c)) return false;
    return isalnum((unsigned char)*s);
}

static const char *form_advice(enum schema_form form, const char *s)
{
    switch (form) {
    case SCHEMA_FORM_NAME:
        return is_name(s) ? NULL
                          : "letters, digits, '-', '_' and '.' alone, a letter or digit first";
    case SCHEMA_FORM_LISTEN:
        return !*s || value_is_listen(s) ? NULL : "write host:port, an IPv6 address in []";
    case SCHEMA_FORM_ADDRESS:
        return !*s || value_is_address(s, 1) ? NULL : "write host:port, an IPv6 address in []";
    default:
        return NULL;
    }
}

/* A text that is allowed in a path, an address or a name: one line. */
static bool text_check(const struct take *t, const struct tree_node *n)
{
    if (n->kind != TREE_SCALAR) return unfit(t, n, NULL);
    enum value_look l = look(n);
    if (l == VALUE_NOTHING) return unfit(t, n, NULL);
    if (l != VALUE_WORD) return unfit(t, n, "put it in quotes if it is meant as text");
    if (n->bytes < t->k->least || n->bytes > t->k->most) return unfit(t, n, NULL);
    /* A folder may have any name, but it must read back unchanged when printed. */
    bool path = t->k->form == SCHEMA_FORM_PATH && strlen(n->text) == n->bytes;
    if (!path && !tree_fits_line(n->text, n->bytes))
        return unfit(t, n, "without control characters and line separators");
    return true;
}

static bool preset_check(const struct take *t, const struct tree_node *n)
{
    const char *words[16] = {NULL};
    for (size_t i = 0; schema_presets[i].name; i++) {
        words[i] = schema_presets[i].name;
        if (is_word(n, words[i])) return true;
    }
    return unfit_word(t, n, words);
}

static bool take_text(const struct take *t, const struct tree_node *n)
{
    if (!text_check(t, n) || (t->k->form == SCHEMA_FORM_PRESET && !preset_check(t, n)))
        return false;
    const char *advice = form_advice(t->k->form, n->text);
    if (t->k->form == SCHEMA_FORM_PATH && !strncmp(n->text, "~/", 2))
        advice = "write the home folder out: ~ means nothing here";
    if (advice) return unfit(t, n, advice);
    memcpy(field(t), n->text, n->bytes + 1);
    return true;
}

/* False when it looks like a URL and is none that a list can be read from. */
static bool url_check(const struct take *t, const struct tree_node *n)
{
    struct experiment_place at = t->x->places[t->k - schema_keys];
    struct why w;
    struct url u;
    if (!url_like(n->text) || !url_read(n->text, &u, &w)) return true;
    at.line = n->at.line;
    at.column = n->at.column;
    complain(t->x, t->k, at, ERR_USAGE, "%s", w.text);
    return false;
}

static bool take_peer(const struct take *t, const struct tree_node *n)
{
    struct experiment *x = t->x;
    if (!text_check(t, n) || !url_check(t, n)) return false;
    size_t i = x->swarm.peers_count;
    if (i == EXPERIMENT_PEERS_MAX) return unfit(t, n, "put more into a file and name that");
    const char *at = strchr(n->text, '@'), *slash = strchr(n->text, '/');
    if (at && (!slash || at < slash) && !value_is_peer(n->text))
        return unfit(t, n,
                     "ID@host:port has an ID of 64 hexadecimal digits and a port from 1 to 65535");
    memcpy(x->swarm.peers[i], n->text, n->bytes + 1);
    x->peers_places[i] = x->places[t->k - schema_keys];
    x->peers_places[i].line = n->at.line;
    x->peers_places[i].column = n->at.column;
    x->swarm.peers_count++;
    return true;
}

static bool take_peers(const struct take *t, const struct tree_node *n)
{
    if (n->kind == TREE_MAPPING) return unfit(t, n, NULL);
    t->x->swarm.peers_count = 0;
    if (n->kind == TREE_SCALAR) return take_peer(t, n);
    bool good = true;
    for (size_t i = n->first; i; i = t->d->nodes[i].next)
        good = take_peer(t, &t->d->nodes[i]) && good;
    return good;
}

bool value_store(const struct schema_key *k, const struct tree *d, const struct tree_node *node,
                 struct experiment *x)
{
    struct take t = {k, d, x};
    switch (k->type) {
    case SCHEMA_U32:
    case SCHEMA_U64:
        return take_whole(&t, node);
    case SCHEMA_F64:
        return take_numbers(&t, node);
    case SCHEMA_BOOL:
        return take_bool(&t, node);
    case SCHEMA_WORD:
        return take_word(&t, node);
    case SCHEMA_TEXT:
        return take_text(&t, node);
    case SCHEMA_PEERS:
        return take_peers(&t, node);
    case SCHEMA_DEVICE:
        return take_device(&t, node);
    }
    return true;
}

/* Only a list needs YAML; anything else is one scalar, and a text needs only the shell's quotes. */
bool value_set(const struct schema_key *k, const char *text, struct experiment *x)
{
    char name[96];
    struct tree d = {0};
    bool list = *text == '[' && (k->type == SCHEMA_PEERS || k->count > 1);
    bool quoted = k->type == SCHEMA_TEXT || k->type == SCHEMA_PEERS;
    struct tree_node scalar = {.quoted = quoted, .text = (char *)text, .bytes = strlen(text)};
    struct mistakes unread = {0};
    if (!list) return value_store(k, &d, &scalar, x);
    snprintf(name, sizeof name, "--set %s", k->path);
    if (!tree_parse(name, bytes_of(text, strlen(text)), NULL, &d, &unread)) {
        mistakes_add(&x->mistakes, name, 0, 0, ERR_USAGE, "%s cannot be read as a list", text);
        return false;
    }
    bool good = value_store(k, &d, &d.nodes[0], x);
    tree_fini(&d);
    return good;
}

void value_store_initial(const struct schema_key *k, struct experiment *x)
{
    if (!*k->initial || !strcmp(k->initial, "[]")) return; /* already zeros */
    bool good = value_set(k, k->initial, x);
    assert(good);
}
