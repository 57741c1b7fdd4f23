/* For every key of the schema, generated: the file with it passes, and the same file with this one
 * key misspelt, of a wrong type, below or above its range, twice or missing is refused at the right
 * place and by the right name. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/experiment.h"
#include "config/schema.h"

enum style { BLOCK, FLOW };

/* One key that is written otherwise than in the good file. */
struct change {
    size_t key;
    const char *name;  /* instead of its name; NULL: as it is */
    const char *value; /* instead of its value; NULL: as it is */
    bool twice, missing;
};

static const struct change none = {.key = SCHEMA_NONE};

struct sheet {
    char text[32768];
    size_t used;
    unsigned line, column;
    unsigned key_line, key_column, value_line,
        value_column; /* of the changed key; its second time if twice */
};

static void put(struct sheet *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct sheet *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->text + s->used, sizeof s->text - s->used, format, args);
    va_end(args);
    cr_assert(n >= 0 && s->used + (size_t)n < sizeof s->text);
    for (const char *c = s->text + s->used; *c; c++) {
        s->column = *c == '\n' ? 1 : s->column + 1;
        s->line += *c == '\n';
    }
    s->used += (size_t)n;
}

/* A value that is allowed and goes together with the others. */
static const char *sample(const struct schema_key *k)
{
    static const char *const values[][2] = {
        {"experiment.name", "sample"}, {"model.preset", "2m"},
        {"model.layers", "2"},         {"model.dim", "64"},
        {"model.heads", "2"},          {"model.kv_heads", "2"},
        {"model.ffn", "256"},          {"model.vocab", "1024"},
        {"data.corpus", "corpus"},     {"train.steps", "1000"},
        {"outer.every", "10"},         {"train.schedule.warmup", "9"},
        {"checkpoint.dir", "runs/x"},  {"checkpoint.every", "10"},
        {"evaluate.every", "10"},      {"metrics.log", "log.jsonl"},
        {"swarm.peers", "[a, \"b\"]"}, {"data.validation", "0.01"}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (!strcmp(values[i][0], k->path)) return values[i][1];
    cr_assert(k->initial, "%s needs a sample value in this test", k->path);
    return *k->initial ? k->initial : "\"\"";
}

/* Of swarm.access `open` stands for all forms; what belongs to another one is not printed. */
static bool left_out(const struct schema_key *k)
{
    return !strncmp(k->path, "swarm.access.", 13) || !strcmp(k->path, "swarm.ticket") ||
           !strcmp(k->path, "swarm.revoked");
}

static const char *name_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (; *path; path++) depth += *path == '.';
    return depth;
}

/* True when the first `level` + 1 words of both paths are the same. */
static bool same_mapping(const char *a, const char *b, size_t level)
{
    for (size_t dots = 0; dots <= level; a++, b++) {
        if (*a != *b || !*a) return false;
        dots += *a == '.';
    }
    return true;
}

static void put_key(struct sheet *s, const struct schema_key *k, const struct change *c,
                    enum style style)
{
    put(s, "%*s", style == BLOCK ? (int)(2 * depth_of(k->path)) : 0, "");
    if (c) {
        s->key_line = s->line;
        s->key_column = s->column;
    }
    put(s, "%s: ", c && c->name ? c->name : name_of(k->path));
    if (c) {
        s->value_line = s->line;
        s->value_column = s->column;
    }
    put(s, "%s%s", c && c->value ? c->value : sample(k), style == BLOCK ? "\n" : "");
}

/* Writes all keys in the schema's order. */
static void write_sheet(struct sheet *s, enum style style, const struct change *c)
{
    *s = (struct sheet){.line = 1, .column = 1};
    const char *last = "";
    size_t open = 0;
    if (style == FLOW) put(s, "{");
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        size_t depth = depth_of(k->path), same = 0;
        bool changed = i == c->key;
        if (left_out(k) || (changed && c->missing)) continue;
        while (same < depth && same < open && same_mapping(k->path, last, same)) same++;
        for (; style == FLOW && open > same; open--) put(s, "}");
        if (style == FLOW && *last) put(s, ", ");
        for (open = same; open < depth; open++) {
            const char *name = k->path;
            for (size_t d = 0; d < open; d++) name = strchr(name, '.') + 1;
            int n = (int)strcspn(name, ".");
            if (style == BLOCK) put(s, "%*s%.*s:\n", (int)(2 * open), "", n, name);
            else put(s, "%.*s: {", n, name);
        }
        if (changed && c->twice) {
            put_key(s, k, NULL, style);
            if (style == FLOW) put(s, ", ");
        }
        put_key(s, k, changed ? c : NULL, style);
        last = k->path;
    }
    for (; style == FLOW && open > 0; open--) put(s, "}");
    if (style == FLOW) put(s, "}\n");
}

static struct sheet sheet;
static struct experiment experiment;
static struct why story;

static enum err parse_sheet(void)
{
    return experiment_parse("s.yaml", bytes_of(sheet.text, sheet.used), &experiment, &story);
}

/* The sheet is refused at this place, and the story names the key. */
static void refused_at(unsigned line, unsigned column, const char *path)
{
    char begin[64];
    snprintf(begin, sizeof begin, "s.yaml:%u:%u: ", line, column);
    enum err e = parse_sheet();
    cr_assert_eq(e, ERR_USAGE, "%s should be refused, was: %s\n%s", path, e ? story.text : "taken",
                 sheet.text);
    cr_assert(!strncmp(story.text, begin, strlen(begin)), "wanted %s, got: %s\n%s", begin,
              story.text, sheet.text);
    cr_assert(strstr(story.text, path), "%s is not named: %s", path, story.text);
}

static void refused_value(size_t key, const char *value)
{
    for (enum style style = BLOCK; style <= FLOW; style++) {
        write_sheet(&sheet, style, &(struct change){.key = key, .value = value});
        refused_at(sheet.value_line, sheet.value_column, schema_keys[key].path);
    }
}

#define EACH_KEY(i)                                                                                \
    for (size_t i = 0; i < schema_count; i++)                                                      \
        if (!left_out(&schema_keys[i]))

Test(schema, the_file_with_every_key_passes_in_block_and_flow_style)
{
    for (enum style style = BLOCK; style <= FLOW; style++) {
        write_sheet(&sheet, style, &none);
        cr_assert_eq(parse_sheet(), ERR_OK, "%s\n%s", story.text, sheet.text);
        cr_assert_eq(experiment.train.steps, 1000);
        cr_assert_eq(experiment.swarm.peers_count, 2);
    }
}

static void refused_name(size_t key, const char *name)
{
    char meant[128];
    for (enum style style = BLOCK; style <= FLOW; style++) {
        write_sheet(&sheet, style, &(struct change){.key = key, .name = name});
        snprintf(meant, sizeof meant, "did you mean %s?", schema_keys[key].path);
        refused_at(sheet.key_line, sheet.key_column, meant);
        cr_assert(strstr(story.text, name), "%s is not shown: %s", name, story.text);
    }
}

Test(schema, a_misspelt_key_is_refused_with_the_key_that_was_meant)
{
    EACH_KEY(i)
    {
        char name[64];
        const char *right = name_of(schema_keys[i].path);
        size_t n = strlen(right);
        snprintf(name, sizeof name, "%s%c", right, right[n - 1]); /* a letter doubled */
        refused_name(i, name);
        snprintf(name, sizeof name, "%c%c%s", right[1], right[0], right + 2); /* two swapped */
        if (n > 2 && right[0] != right[1]) refused_name(i, name);
        snprintf(name, sizeof name, "%.*sx%s", (int)(n / 2), right,
                 right + n / 2 + 1); /* a wrong one */
        refused_name(i, name);
    }
}

Test(schema, a_misspelt_mapping_is_refused_with_the_one_that_was_meant)
{
    static const char *const mappings[][3] = {{"experiment:", "experimnet:", "experiment"},
                                              {"model:", "modle:", "model"},
                                              {"data:", "dat:", "data"},
                                              {"train:", "trian:", "train"},
                                              {"  optimizer:", "  optimiser:", "train.optimizer"},
                                              {"  schedule:", "  shedule:", "train.schedule"},
                                              {"outer:", "outter:", "outer"},
                                              {"swarm:", "swram:", "swarm"},
                                              {"  group:", "  gruop:", "swarm.group"},
                                              {"checkpoint:", "checkpiont:", "checkpoint"},
                                              {"evaluate:", "evalute:", "evaluate"},
                                              {"metrics:", "metrcs:", "metrics"},
                                              {"machine:", "machin:", "machine"}};
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++) {
        char good[64], meant[64], rest[sizeof sheet.text];
        write_sheet(&sheet, BLOCK, &none);
        snprintf(good, sizeof good, "\n%s\n", mappings[i][0]);
        char *at = i ? strstr(sheet.text, good) + 1 : sheet.text;
        unsigned line = 1;
        for (char *c = sheet.text; c < at; c++) line += *c == '\n';
        snprintf(rest, sizeof rest, "%s", at + strlen(mappings[i][0]));
        sheet.used = (size_t)(at - sheet.text);
        put(&sheet, "%s%s", mappings[i][1], rest);
        snprintf(meant, sizeof meant, "did you mean %s?", mappings[i][2]);
        refused_at(line, mappings[i][0][0] == ' ' ? 3 : 1, meant);
    }
}

static const char *const *wrong_types(const struct schema_key *k)
{
    static const char *const whole[] = {"word",  "[1]",  "{a: 1}", "1.5",   "1e3",  "true",
                                        "\"7\"", "0x10", "~",      "1_000", "\"\"", NULL};
    static const char *const number[] = {"word", "[0.1]", "{a: 1}", "true",  "\"0.1\"", "nan",
                                         ".inf", "0x1p3", "~",      "0.1.2", "1e",      NULL};
    static const char *const numbers[] = {"0.9", "[]", "[0.9]", "word", "{a: 1}", "~", NULL};
    static const char *const truth[] = {"yes", "1", "\"true\"", "[true]", "{a: true}", "~", NULL};
    static const char *const word[] = {"nonsense", "7", "[x]", "true", "~", "\"\"", NULL};
    static const char *const text[] = {"7", "-1.5", "true", "~", "null", "[a]", "{a: b}", NULL};
    static const char *const peers[] = {"7", "true", "~", "{a: b}", NULL};
    switch (k->type) {
    case SCHEMA_U32:
    case SCHEMA_U64:
        return whole;
    case SCHEMA_F64:
        return k->count > 1 ? numbers : number;
    case SCHEMA_BOOL:
        return truth;
    case SCHEMA_WORD:
    case SCHEMA_DEVICE:
        return word;
    case SCHEMA_TEXT:
        return text;
    case SCHEMA_PEERS:
        return peers;
    }
    return NULL;
}

Test(schema, a_value_of_a_wrong_type_is_refused_where_it_stands)
{
    EACH_KEY(i)
    {
        for (const char *const *v = wrong_types(&schema_keys[i]); *v; v++) refused_value(i, *v);
    }
}

Test(schema, a_value_that_is_not_there_is_refused)
{
    EACH_KEY(i)
    {
        write_sheet(&sheet, BLOCK, &(struct change){.key = i, .value = ""});
        refused_at(sheet.value_line, sheet.value_column - 1,
                   schema_keys[i].path); /* after the colon */
        cr_assert(strstr(story.text, "found nothing"), "%s", story.text);
    }
}

/* Texts longer than a key may hold. */
static const char *too_long(const struct schema_key *k, char *out, size_t room)
{
    cr_assert_lt(k->most + 2, room);
    memset(out, 'a', k->most + 1);
    out[k->most + 1] = 0;
    return out;
}

static void refused_number(size_t i, double v)
{
    char text[64];
    snprintf(text, sizeof text, schema_keys[i].count > 1 ? "[0.5, %.17g]" : "%.17g", v);
    for (enum style style = BLOCK; style <= FLOW; style++) {
        write_sheet(&sheet, style, &(struct change){.key = i, .value = text});
        unsigned second = schema_keys[i].count > 1 ? 6 : 0; /* the place of the one that is wrong */
        refused_at(sheet.value_line, sheet.value_column + second, schema_keys[i].path);
    }
}

Test(schema, a_value_below_its_range_is_refused)
{
    EACH_KEY(i)
    {
        const struct schema_key *k = &schema_keys[i];
        char text[64];
        switch (k->type) {
        case SCHEMA_U32:
        case SCHEMA_U64:
            snprintf(text, sizeof text, "%" PRId64, (int64_t)k->least - 1);
            refused_value(i, text);
            refused_value(i, "-18446744073709551615"); /* what strtoull makes 1 of */
            break;
        case SCHEMA_F64:
            refused_number(i, k->above ? k->low : k->low - 1e-3);
            refused_number(i, -1e300);
            break;
        case SCHEMA_TEXT:
            if (k->least > 0) refused_value(i, "\"\"");
            break;
        case SCHEMA_PEERS:
            refused_value(i, "\"\"");
            break;
        case SCHEMA_DEVICE:
            refused_value(i, "cuda:-1");
            break;
        case SCHEMA_BOOL:
        case SCHEMA_WORD:
            break; /* all that is not one of the words is of a wrong type */
        }
    }
}

Test(schema, a_value_above_its_range_is_refused)
{
    EACH_KEY(i)
    {
        const struct schema_key *k = &schema_keys[i];
        char text[8192];
        switch (k->type) {
        case SCHEMA_U32:
        case SCHEMA_U64:
            refused_value(i, "18446744073709551616");
            snprintf(text, sizeof text, "%" PRIu64, k->most + 1);
            if (k->most < UINT64_MAX) refused_value(i, text);
            break;
        case SCHEMA_F64:
            refused_number(i, k->below ? k->high : k->high * 1.001);
            refused_number(i, 1e300);
            break;
        case SCHEMA_TEXT:
            refused_value(i, too_long(k, text, sizeof text));
            break;
        case SCHEMA_PEERS:
            refused_value(i, too_long(k, text, sizeof text));
            break;
        case SCHEMA_DEVICE:
            refused_value(i, "cuda:1024");
            refused_value(i, "\"cuda:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\"");
            break;
        case SCHEMA_BOOL:
        case SCHEMA_WORD:
            break;
        }
    }
}

/* What a bound means: itself is in, unless the schema says otherwise; it may still contradict other
 * keys. */
static void in_range(size_t i, const char *value)
{
    write_sheet(&sheet, BLOCK, &(struct change){.key = i, .value = value});
    enum err e = parse_sheet();
    cr_assert(!e || !strstr(story.text, ": found "), "%s", story.text);
}

Test(schema, the_bounds_themselves_are_in_the_range)
{
    EACH_KEY(i)
    {
        const struct schema_key *k = &schema_keys[i];
        char text[64];
        double low = k->above ? k->low + 1e-6 : k->low, high = k->below ? k->high - 1e-6 : k->high;
        switch (k->type) {
        case SCHEMA_U32:
        case SCHEMA_U64:
            snprintf(text, sizeof text, "%" PRIu64, k->least);
            in_range(i, text);
            snprintf(text, sizeof text, "%" PRIu64, k->most);
            in_range(i, text);
            if (k->automatic) in_range(i, "auto");
            else refused_value(i, "auto");
            break;
        case SCHEMA_F64:
            snprintf(text, sizeof text, k->count > 1 ? "[%.17g, %.17g]" : "%.17g", low, low);
            in_range(i, text);
            snprintf(text, sizeof text, k->count > 1 ? "[%.17g, %.17g]" : "%.17g", high, high);
            in_range(i, text);
            break;
        case SCHEMA_DEVICE:
            in_range(i, "cuda:1023");
            in_range(i, "\"cuda:15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,0\"");
            break;
        default:
            break;
        }
    }
}

Test(schema, a_key_that_stands_twice_is_refused_at_its_second_place)
{
    EACH_KEY(i)
    {
        for (enum style style = BLOCK; style <= FLOW; style++) {
            write_sheet(&sheet, style, &(struct change){.key = i, .twice = true});
            refused_at(sheet.key_line, sheet.key_column, name_of(schema_keys[i].path));
            cr_assert(strstr(story.text, "second time"), "%s", story.text);
        }
    }
}

Test(schema, a_required_key_that_is_missing_is_named_and_others_have_defaults)
{
    EACH_KEY(i)
    {
        const struct schema_key *k = &schema_keys[i];
        write_sheet(&sheet, FLOW, &(struct change){.key = i, .missing = true});
        bool required = k->required && strncmp(k->path, "model.", 6); /* the preset gives those */
        enum err e = parse_sheet();
        cr_assert_eq(e, required ? ERR_USAGE : ERR_OK, "%s: %s", k->path, e ? story.text : "taken");
        if (required) cr_assert(strstr(story.text, k->path), "%s", story.text);
    }
}

Test(schema, keys_of_one_mapping_stand_together)
{
    /* schema_child relies on it. */
    for (size_t i = 0; i < schema_count; i++)
        for (size_t j = i + 2; j < schema_count; j++)
            for (size_t d = 0; d < depth_of(schema_keys[i].path); d++)
                if (same_mapping(schema_keys[i].path, schema_keys[j].path, d))
                    cr_assert(same_mapping(schema_keys[i].path, schema_keys[j - 1].path, d),
                              "%s and %s", schema_keys[i].path, schema_keys[j].path);
}

/* The table against what experiment_fields.h and the format's description promise, written down a
 * second time. */
Test(schema, whole_numbers_have_the_bounds_of_the_manual)
{
    static const struct {
        const char *path;
        uint64_t least, most;
    } bounds[] = {{"experiment.seed", 0, UINT64_MAX},
                  {"model.layers", 1, 256},
                  {"model.dim", 16, 16384},
                  {"model.heads", 1, 256},
                  {"model.kv_heads", 1, 256},
                  {"model.ffn", 16, 65536},
                  {"model.vocab", 257, 262144},
                  {"model.context", 8, 32768},
                  {"train.steps", 1, 1000000000000},
                  {"train.batch_tokens", 8, 1073741824},
                  {"train.micro_batch", 1, 65536},
                  {"train.schedule.warmup", 0, 1000000000000},
                  {"outer.every", 1, 1000000000000},
                  {"outer.overlap", 0, 1000000},
                  {"outer.fragments", 1, 256},
                  {"swarm.group.min", 2, 20},
                  {"swarm.group.max", 2, 20},
                  {"swarm.bandwidth_mbps", 1, 1000000},
                  {"checkpoint.every", 1, 1000000000000},
                  {"checkpoint.keep", 1, 1000000},
                  {"evaluate.every", 1, 1000000000000},
                  {"evaluate.tokens", 8, 1000000000000},
                  {"machine.threads", 1, 1024}};
    size_t whole = 0;
    for (size_t i = 0; i < schema_count; i++)
        whole += schema_keys[i].type == SCHEMA_U32 || schema_keys[i].type == SCHEMA_U64;
    cr_assert_eq(whole, sizeof bounds / sizeof *bounds);
    for (size_t i = 0; i < whole; i++) {
        const struct schema_key *k = &schema_keys[schema_index(bounds[i].path)];
        cr_assert(k->least == bounds[i].least && k->most == bounds[i].most, "%s", k->path);
    }
}

Test(schema, numbers_have_the_bounds_of_the_manual)
{
    static const struct {
        const char *path;
        double low, high;
        bool above, below;
    } bounds[] = {{"model.rope_theta", 1, 1e9, true, false},
                  {"model.rms_eps", 0, 0.1, true, false},
                  {"data.validation", 0, 0.5, true, true},
                  {"train.optimizer.lr", 0, 10, true, false},
                  {"train.optimizer.betas", 0, 1, false, true},
                  {"train.optimizer.eps", 0, 1, true, false},
                  {"train.optimizer.weight_decay", 0, 10, false, false},
                  {"train.optimizer.clip", 0, 1e6, false, false},
                  {"train.schedule.final", 0, 1, false, false},
                  {"train.schedule.decay", 0, 1, false, false},
                  {"outer.optimizer.lr", 0, 10, true, false},
                  {"outer.optimizer.momentum", 0, 1, false, true}};
    size_t numbers = 0;
    for (size_t i = 0; i < schema_count; i++) numbers += schema_keys[i].type == SCHEMA_F64;
    cr_assert_eq(numbers, sizeof bounds / sizeof *bounds);
    for (size_t i = 0; i < numbers; i++) {
        const struct schema_key *k = &schema_keys[schema_index(bounds[i].path)];
        cr_assert(k->low == bounds[i].low && k->high == bounds[i].high &&
                      k->above == bounds[i].above && k->below == bounds[i].below,
                  "%s", k->path);
    }
}

Test(schema, what_is_allowed_is_said_in_full)
{
    for (size_t i = 0; i < schema_count; i++) {
        char text[SCHEMA_TEXT_BYTES];
        schema_allowed(&schema_keys[i], text);
        cr_assert_lt(strlen(text), sizeof text - 1, "%s is cut", schema_keys[i].path);
        cr_assert(strstr(text, schema_keys[i].what));
    }
}

/* What `shoal plan --keys` marks as not built yet is what check.c refuses. */
Test(schema, what_is_not_built_is_what_is_refused)
{
    static struct experiment x;
    static const char *const others[] = {"fp32", "bf16", "int4",           "7",    "0",      "1",
                                         "open", "auto", "127.0.0.1:9464", "true", "cosine", "cuda",
                                         "none"};
    const char *base = "experiment: {name: a}\nmodel: {preset: 2m}\ndata: {corpus: c}\n"
                       "train: {steps: 60, batch_tokens: 1024}\nouter: {every: 20}\n";
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        size_t refused = 0;
        for (size_t v = 0; v < sizeof others / sizeof *others; v++) {
            char set[128];
            const char *sets[] = {set};
            struct why w;
            snprintf(set, sizeof set, "%s=%s", k->path, others[v]);
            enum err e = experiment_parse_with("e.yaml", bytes_of(base, strlen(base)), sets, 1,
                                               NULL, &x, &w);
            cr_assert(e != ERR_UNSUPPORTED || (k->built && strcmp(k->built, others[v])), "%s: %s",
                      set, w.text);
            cr_assert(e || !k->built || !strcmp(k->built, others[v]), "%s is taken", set);
            refused += e == ERR_UNSUPPORTED;
        }
        cr_assert_eq(refused > 0, k->built != NULL, "%s: %zu refused", k->path, refused);
    }
}
