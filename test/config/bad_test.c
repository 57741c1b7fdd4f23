/* Files that people write: each is refused with exactly this sentence. */
#include <criterion/criterion.h>
#include <string.h>

#include "config/experiment.h"

/* A file that passes, up to where a case goes on. */
#define START       "experiment: {name: a}\ndata: {corpus: c}\n" /* lines 1 and 2 */
#define RUN         "train: {steps: 100, batch_tokens: 1024}\nouter: {every: 10}\n"
#define MODEL       "model: {preset: 2m, context: 128}\n"
#define KNOWN       START RUN MODEL /* lines 1 to 5 */
#define SHAPE(rest) START RUN "model: {layers: 2, ffn: 64, vocab: 512, context: 128, " rest "}\n"
#define ID_63       "000000000000000000000000000000000000000000000000000000000000000"

struct bad {
    const char *text;
    size_t bytes; /* 0: up to the zero */
    enum err err;
    const char *story; /* after "b.yaml:" */
};

static const struct bad cases[] = {
    /* Not YAML, or more of it than an experiment is. */
    {"", 0, ERR_USAGE, "1:1: the file is empty: an experiment is a mapping of keys to values"},
    {"# nothing\n", 0, ERR_USAGE,
     "1:1: the file is empty: an experiment is a mapping of keys to values"},
    {"train\n", 0, ERR_USAGE,
     "1:1: an experiment is a mapping of keys to values, like `experiment: {name: mine}`"},
    {"\n- train\n", 0, ERR_USAGE,
     "2:1: an experiment is a mapping of keys to values, like `experiment: {name: mine}`"},
    {"train: {steps: 1\n", 0, ERR_USAGE,
     "1:8: this '{' is not closed: a ',' or the '}' is missing before line 2, column 1"},
    {"train: {steps: \"1\" \"a\"}\n", 0, ERR_USAGE,
     "1:20: not YAML: a ',' or the '}' is missing before this"},
    {"train:\n  steps:400\n  batch_tokens: 8192\n", 0, ERR_USAGE,
     "2:8: 'steps:400' needs a space after the colon: steps: 400"},
    {"train: {steps: 400, batch_tokens:8192}\n", 0, ERR_USAGE,
     "1:33: 'batch_tokens:8192' needs a space after the colon: batch_tokens: 8192"},
    {"train:\n  stesp:400\n  batch_tokens: 8192\n", 0, ERR_USAGE,
     "2:8: 'stesp:400' needs a space after the colon: stesp: 400"},
    {"train:\n  tokens:400\n  batch_tokens: 8192\nfoobar:5\nouter: {}\n", 0, ERR_USAGE,
     "2:9: 'tokens:400' needs a space after the colon: tokens: 400"},
    {"train: {}\nfoobar\nouter: {}\n", 0, ERR_USAGE,
     "2:1: not YAML: this is no key with a value: write the key, a colon, a space, the value"},
    {"train:\n  steps: 400 batch_tokens: 8192\n", 0, ERR_USAGE,
     "2:26: not YAML: a second ':' in one value: put the value in quotes, or begin a new line "
     "before the next key"},
    {"train:\n  steps: 400\n    batch_tokens: 8192\n", 0, ERR_USAGE,
     "3:17: not YAML: this key is indented below one that has a value already: line it up with "
     "that one"},
    {"data:\n  corpus: \"my\" texts\n", 0, ERR_USAGE,
     "2:16: not YAML: the value before this has ended already: put all of it in one pair of "
     "quotes"},
    {"data: {corpus: @c}\n", 0, ERR_USAGE,
     "1:16: not YAML: a value cannot begin with this character: put the value in quotes"},
    {"train:\n  steps: 1\n\tbatch_tokens: 8\n", 0, ERR_USAGE,
     "3:1: a tab indents this line: write spaces instead, YAML takes no tabs there"},
    {"train:\n  steps: 1\n optimizer: 2\n", 0, ERR_USAGE,
     "3:2: not YAML: this line is indented as none of the keys above it: line it up with one of "
     "them"},
    {"train:\n\tsteps: 1\n", 0, ERR_USAGE,
     "2:1: a tab indents this line: write spaces instead, YAML takes no tabs there"},
    {"data: {corpus: \"c}\n", 0, ERR_USAGE, "1:16: not YAML: this quote is never closed"},
    {KNOWN "---\ntrain: {}\n", 0, ERR_USAGE,
     "6:1: a second document starts here: an experiment is one document"},
    {"experiment: &e {name: a}\n", 0, ERR_USAGE,
     "1:13: anchors and aliases are not used in an experiment: write the value out"},
    {"experiment: {name: *e}\n", 0, ERR_USAGE,
     "1:20: anchors and aliases are not used in an experiment: write the value out"},
    {"experiment: {name: a, seed: !!int 7}\n", 0, ERR_USAGE,
     "1:29: tags are not used in an experiment: leave it out, keys know their type"},
    {"data: {corpus: caf\xe9}\n", 0, ERR_USAGE,
     "1:19: byte 0xe9 is not UTF-8: save the file as UTF-8"},
    {"data: {corpus: \"\xc3\xa9\xed\xa0\x80\"}\n", 0, ERR_USAGE,
     "1:18: byte 0xed is not UTF-8: save the file as UTF-8"}, /* a surrogate; columns are characters */
    {"data: {corpus: \xc0\xaf}\n", 0, ERR_USAGE,
     "1:16: byte 0xc0 is not UTF-8: save the file as UTF-8"}, /* an overlong '/' */
    {"data: {corpus: \xf4\x90\x80\x80}\n", 0, ERR_USAGE,
     "1:16: byte 0xf4 is not UTF-8: save the file as UTF-8"}, /* above U+10FFFF */
    {"data: {corpus: a}\n# \xe2\x82", 0, ERR_USAGE,
     "2:3: byte 0xe2 is not UTF-8: save the file as UTF-8"}, /* cut */
    {"\xff\xfe"
     "d\0",
     4, ERR_USAGE, "1:1: byte 0xff is not UTF-8: save the file as UTF-8"},
    {"data:\n  {corpus: a\0b}\n", 20, ERR_USAGE,
     "2:13: control character U+0000 is not allowed: delete it"},
    {"data: {corpus: \x1b[31m}\n", 0, ERR_USAGE,
     "1:16: control character U+001B is not allowed: delete it"},
    {"a: {b: {c: {d: {e: {f: {g: {h: {i: j}}}}}}}}\n", 0, ERR_USAGE,
     "1:32: nested more than 8 deep: no key of an experiment is there"},
    {KNOWN "? [a, b]\n: c\n", 0, ERR_USAGE, "6:3: a key is a word, not a list or a mapping"},

    /* Keys. */
    {KNOWN "learning_rate: 1\n", 0, ERR_USAGE,
     "6:1: an experiment has no key 'learning_rate': did you mean train.optimizer.lr?"},
    {START RUN "model: {preset: 2m, dropout: 0.1}\n", 0, ERR_USAGE,
     "5:21: model has no key 'dropout': it may hold preset, layers, dim, heads, kv_heads, ffn, "
     "vocab, context, rope_theta, rms_eps, tied"},
    {KNOWN "wandb: yes\n", 0, ERR_USAGE,
     "6:1: an experiment has no key 'wandb': it may hold experiment, model, data, train, outer, "
     "swarm, checkpoint, evaluate, metrics, machine"},
    {START RUN "model: {preset: 2m, lr: 4e-4}\n", 0, ERR_USAGE,
     "5:21: model has no key 'lr': did you mean train.optimizer.lr?"},
    {START "outer: {lr: 4e-4}\n", 0, ERR_USAGE,
     "3:9: outer has no key 'lr': did you mean outer.optimizer.lr?"},
    {KNOWN "swarm: {gruop: {min: 2}}\n", 0, ERR_USAGE,
     "6:9: swarm has no key 'gruop': did you mean swarm.group?"},
    {KNOWN "swarm: {access: {pks: f}}\n", 0, ERR_USAGE,
     "6:18: swarm.access has no key 'pks': did you mean swarm.access.psk?"},
    {KNOWN "model.dim: 64\n", 0, ERR_USAGE,
     "6:1: an experiment has no key 'model.dim': write it as model: {dim: ...}"},
    {KNOWN "\"\": 1\n", 0, ERR_USAGE,
     "6:1: an experiment has no key '': it may hold experiment, model, data, train, outer, swarm, "
     "checkpoint, "
     "evaluate, metrics, machine"},
    {KNOWN "\"train\\0x\": 1\n", 0, ERR_USAGE,
     "6:1: an experiment has no key 'train?x': did you mean train?"},
    {KNOWN "outer: {every: 10}\n", 0, ERR_USAGE,
     "6:1: the key 'outer' is here a second time: it stands in line 4 already"},
    {KNOWN "swarm:\n", 0, ERR_USAGE,
     "6:7: swarm needs a mapping of keys: it may hold listen, advertise, peers, identity, access, "
     "ticket, revoked, group, bandwidth_mbps, congestion"},
    {KNOWN "evaluate: [500, 65536]\n", 0, ERR_USAGE,
     "6:11: evaluate needs a mapping of keys: it may hold every, tokens"},

    /* What must be there. */
    {"data: {corpus: c}\n" RUN MODEL, 0, ERR_USAGE,
     "1:1: the key experiment.name is missing: letters, digits, '-', '_', '.'"},
    {"experiment:\n  seed: 7\n" RUN MODEL, 0, ERR_USAGE,
     "2:3: the key experiment.name is missing: letters, digits, '-', '_', '.'"},
    {START RUN, 0, ERR_USAGE,
     "1:1: the key model.layers is missing: blocks; or name a model.preset"},
    {START RUN "model: {layers: 2, heads: 2}\n", 0, ERR_USAGE,
     "5:8: the key model.dim is missing: width; a multiple of heads; or name a model.preset"},
    {"experiment: {name: a}\ndata: {}\n" RUN MODEL, 0, ERR_USAGE,
     "2:7: the key data.corpus is missing: folder made by `shoal prepare`"},
    {START MODEL "train:\n    batch_tokens: 1024\n", 0, ERR_USAGE,
     "5:5: the key train.steps is missing: inner steps of the whole run"},
    {START MODEL "train: {steps: 10}\n", 0, ERR_USAGE,
     "1:1: the key outer.every is missing: inner steps between averages; divides train.steps"},
    {KNOWN "swarm: {access: {}}\n", 0, ERR_USAGE,
     "6:17: swarm.access: found an empty mapping, needs open, {psk: FILE} or {ticket: KEY} (who "
     "may join)"},

    /* Values that are none. */
    {START RUN "model: {preset: 2M}\n", 0, ERR_USAGE,
     "5:17: model.preset: found '2M', needs 2m, 14m, 60m, 150m or 1b (a known shape; keys beside "
     "it override); did "
     "you mean 2m?"},
    {START "train: {schedule: {kind: cosin}}\n", 0, ERR_USAGE,
     "3:26: train.schedule.kind: found 'cosin', needs cosine, wsd or constant (of the learning "
     "rate, by global "
     "step); did you mean cosine?"},
    {START "train: {steps: \"100\"}\n", 0, ERR_USAGE,
     "3:16: train.steps: found the text '100', needs a whole number from 1 to 1000000000000 (inner "
     "steps of the "
     "whole run); leave out the quotes"},
    {START "train: {steps: 88_000}\n", 0, ERR_USAGE,
     "3:16: train.steps: found '88_000', needs a whole number from 1 to 1000000000000 (inner steps "
     "of the whole run)"},
    {START "train: {steps: 1e5}\n", 0, ERR_USAGE,
     "3:16: train.steps: found '1e5', needs a whole number from 1 to 1000000000000 (inner steps of "
     "the whole run)"},
    {START "train: {optimizer: {lr: 4e-4x}}\n", 0, ERR_USAGE,
     "3:25: train.optimizer.lr: found '4e-4x', needs a number above 0 and at most 10 (AdamW's "
     "learning rate at its "
     "highest)"},
    {START "train: {optimizer: {lr: 1e999}}\n", 0, ERR_USAGE,
     "3:25: train.optimizer.lr: found '1e999', needs a number above 0 and at most 10 (AdamW's "
     "learning rate at its "
     "highest)"},
    {START "train: {optimizer: {betas: [0.9, 0.95, 0.99]}}\n", 0, ERR_USAGE,
     "3:40: train.optimizer.betas: found '0.99', needs a list of 2 numbers, each of at least 0 and "
     "below 1 (decay of "
     "AdamW's moments); this one is too many"},
    {START "train: {optimizer: {betas: [0.9, 1]}}\n", 0, ERR_USAGE,
     "3:34: train.optimizer.betas: found '1', needs a list of 2 numbers, each of at least 0 and "
     "below 1 (decay of "
     "AdamW's moments)"},
    {"experiment: {name: ../a}\n", 0, ERR_USAGE,
     "1:20: experiment.name: found '../a', needs a text of 1 to 63 bytes (letters, digits, '-', "
     "'_', '.'); letters, "
     "digits, '-', '_' and '.' alone, a letter or digit first"},
    {"experiment: {name: 2026}\n", 0, ERR_USAGE,
     "1:20: experiment.name: found '2026', needs a text of 1 to 63 bytes (letters, digits, '-', "
     "'_', '.'); put it in "
     "quotes if it is meant as text"},
    {"swarm: {access: {ticket: \"a\\nb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\x7fb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\x85b\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\x9fb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\Lb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\Pb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\uFEFFb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"swarm: {access: {ticket: \"a\\uFFFEb\"}}\n", 0, ERR_USAGE,
     "1:26: swarm.access.ticket: found the text 'a?b', needs a text of 1 to 511 bytes (the "
     "experiment's public key); "
     "without control characters and line separators"},
    {"model: {tied: True}\n", 0, ERR_USAGE,
     "1:15: model.tied: found 'True', needs true or false (the head is the embedding)"},
    {"swarm: {listen: 4433}\n", 0, ERR_USAGE,
     "1:17: swarm.listen: found '4433', needs a text of 1 to 511 bytes (host:port, port 0 for "
     "any); put it in quotes "
     "if it is meant as text"},
    {"swarm: {listen: \"::1:4433\"}\n", 0, ERR_USAGE,
     "1:17: swarm.listen: found the text '::1:4433', needs a text of 1 to 511 bytes (host:port, "
     "port 0 for any); "
     "write host:port, an IPv6 address in []"},
    {"swarm: {advertise: \"example.org:0\"}\n", 0, ERR_USAGE,
     "1:20: swarm.advertise: found the text 'example.org:0', needs a text of 0 to 511 bytes "
     "(host:port as seen from "
     "outside; empty: what peers observe); write host:port, an IPv6 address in []"},
    {"swarm: {peers: [peers.txt, \"" ID_63 "@a:1\"]}\n", 0, ERR_USAGE,
     "1:28: swarm.peers: found the text '0000000000000000000000000000000000000000...', needs a "
     "list of at most 64 "
     "texts (files or https URLs of ID@host:port lines, or ID@host:port); ID@host:port has an ID "
     "of 64 "
     "hexadecimal digits and a "
     "port from 1 to 65535"},
    {"machine: {device: gpu}\n", 0, ERR_USAGE,
     "1:19: machine.device: found 'gpu', needs auto, cpu, cuda or cuda:N,N... with at most 16 "
     "different N from 0 to 1023 (what computes; cuda: all GPUs); a GPU is called cuda"},
    {"machine: {device: \"cuda:\"}\n", 0, ERR_USAGE,
     "1:19: machine.device: found the text 'cuda:', needs auto, cpu, cuda or cuda:N,N... with at "
     "most 16 different N from 0 to 1023 (what computes; cuda: all GPUs); did you mean cuda?"},
    {"machine: {device: \"cuda:1,0,1\"}\n", 0, ERR_USAGE,
     "1:19: machine.device: found the text 'cuda:1,0,1', needs auto, cpu, cuda or cuda:N,N... with "
     "at most 16 different N from 0 to 1023 (what computes; cuda: all GPUs)"},
    {"machine: {device: \"cuda:1,\"}\n", 0, ERR_USAGE,
     "1:19: machine.device: found the text 'cuda:1,', needs auto, cpu, cuda or cuda:N,N... with at "
     "most 16 different N from 0 to 1023 (what computes; cuda: all GPUs)"},

    /* Keys that contradict each other. */
    {SHAPE("dim: 66, heads: 4"), 0, ERR_USAGE,
     "5:60: model.dim: 66 is not a multiple of model.heads, which is 4"},
    {SHAPE("dim: 60, heads: 4"), 0, ERR_USAGE,
     "5:71: model.heads: 4 heads of model.dim 60 are 15 wide each, and rotary embedding needs an "
     "even width"},
    {SHAPE("dim: 64, heads: 4, kv_heads: 3"), 0, ERR_USAGE,
     "5:84: model.kv_heads: 3 does not divide model.heads, which is 4"},
    {START "outer: {every: 10}\ntrain: {steps: 100}\nmodel: {preset: 2m, context: 1000}\n", 0,
     ERR_USAGE,
     "4:8: train.batch_tokens: 524288 is not a multiple of model.context, which is 1000"},
    {START "outer: {every: 10}\n" MODEL "train: {steps: 100, batch_tokens: 1024, micro_batch: 9}\n",
     0, ERR_USAGE,
     "5:54: train.micro_batch: 9 sequences at once, but train.batch_tokens of 1024 makes only 8 "
     "sequences of "
     "model.context 128"},
    {START "outer: {every: 10}\n" MODEL
           "train:\n  steps: 100\n  batch_tokens: 1024\n  schedule: {warmup: 100}\n",
     0, ERR_USAGE,
     "8:22: train.schedule.warmup: 100 steps leave nothing of train.steps, which is 100"},
    {START
     "outer: {every: 10}\n" MODEL
     "train: {steps: 100, batch_tokens: 1024, schedule: {kind: wsd, warmup: 50, decay: 0.6}}\n",
     0, ERR_USAGE,
     "5:82: train.schedule.decay: 0.6 of train.steps 100 and train.schedule.warmup 50 are together "
     "longer than the "
     "run"},
    {START "train: {steps: 100, batch_tokens: 1024}\nouter:\n  every: 30\n" MODEL, 0, ERR_USAGE,
     "5:10: outer.every: 30 does not divide train.steps, which is 100: make that 90 or 120"},
    {START "train: {steps: 4294967296, batch_tokens: 1024}\nouter: {every: 1}\n" MODEL, 0,
     ERR_USAGE,
     "4:16: outer.every: 1 makes 4294967296 epochs of train.steps, more than 4294967295"},
    {START "train: {steps: 100, batch_tokens: 1024}\nouter: {every: 10, overlap: 10}\n" MODEL, 0,
     ERR_USAGE, "4:29: outer.overlap: 10 is not less than outer.every, which is 10"},
    {KNOWN "swarm: {group: {min: 5, max: 4}}\n", 0, ERR_USAGE,
     "6:22: swarm.group.min: 5 is more than swarm.group.max, which is 4"},
    {KNOWN "evaluate: {tokens: 100}\n", 0, ERR_USAGE,
     "6:20: evaluate.tokens: 100 are less than one sequence: model.context is 128"},
    {KNOWN "swarm: {access: {psk: a, ticket: b}}\n", 0, ERR_USAGE,
     "6:17: swarm.access: it holds psk and ticket: only one of them can be"},

    /* Described, but not built yet. */
    {START "train: {steps: 100, batch_tokens: 1024}\nouter: {every: 10, wire: int4}\n" MODEL, 0,
     ERR_UNSUPPORTED, "4:26: outer.wire: int4 is not built yet: write int8"},
    {START "train: {steps: 100, batch_tokens: 1024}\nouter: {every: 10, overlap: 5}\n" MODEL, 0,
     ERR_UNSUPPORTED,
     "4:29: outer.overlap: training on while an average is under way is not built yet: write 0"},
    {START "train: {steps: 100, batch_tokens: 1024}\nouter: {every: 10, fragments: 2}\n" MODEL, 0,
     ERR_UNSUPPORTED, "4:31: outer.fragments: averaging in parts is not built yet: write 1"},
    {KNOWN "swarm: {access: {ticket: abc}}\n", 0, ERR_USAGE,
     "6:26: swarm.access.ticket: found 'abc', needs the 64 hexadecimal digits that `shoal ticket "
     "key` prints"},
    {KNOWN "swarm:\n  peers:\n    - peers.txt\n    - http://example.org/peers.txt\n", 0, ERR_USAGE,
     "9:7: swarm.peers: http://example.org/peers.txt: over http anybody on the way can change a "
     "list: write https://"},
    {KNOWN "swarm: {peers: [\"https://exa mple.org/\"]}\n", 0, ERR_USAGE,
     "6:17: swarm.peers: a URL has no blanks and no letters beyond ASCII: write them as %20 and so "
     "on"},
    {KNOWN "metrics: {listen: \"127.0.0.1:9464\"}\n", 0, ERR_UNSUPPORTED,
     "6:19: metrics.listen: the metrics endpoint is not built yet: leave it out"},
    {KNOWN "swarm: {group: {max: 8}}\n", 0, ERR_UNSUPPORTED,
     "6:22: swarm.group.max: groups that leave members out are not built yet: leave it out, and "
     "all who are ready average, up to 20"},
};

Test(bad, each_of_these_files_is_refused_with_its_sentence)
{
    static struct experiment x;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bad *b = &cases[i];
        struct why w = {0};
        size_t bytes = b->bytes ? b->bytes : strlen(b->text);
        enum err e = experiment_parse("b.yaml", bytes_of(b->text, bytes), &x, &w);
        cr_expect_eq(e, b->err, "case %zu: %s", i, e ? w.text : "taken");
        cr_expect(!strncmp(w.text, "b.yaml:", 7) && !strcmp(w.text + 7, b->story),
                  "case %zu\nwanted %s\ngot    %s", i, b->story,
                  w.text + (strlen(w.text) > 7 ? 7 : 0));
    }
}

/* All that one try finds, in the order of the file. */
static void all_of(const char *text, const char *const *stories)
{
    static struct experiment x;
    struct why w = {0};
    cr_assert_eq(experiment_parse("b.yaml", bytes_of(text, strlen(text)), &x, &w), ERR_USAGE);
    mistakes_sort(&x.mistakes);
    size_t i = 0;
    for (; stories[i]; i++) {
        cr_assert_lt(i, x.mistakes.count, "missing: %s", stories[i]);
        cr_expect_str_eq(x.mistakes.all[i].text, stories[i]);
    }
    cr_assert_eq(i, x.mistakes.count, "too much: %s", x.mistakes.all[i].text);
}

Test(bad, several_mistakes_are_all_found_in_one_try)
{
    all_of(
        "experiment: {name: a b}\ndata: {corpus: c, validation: 0.9}\n"
        "model: {layers: 0, dim: 66, heads: 4, ffn: 64, vocab: 512, context: 128}\n"
        "train:\n  stesp: 100\n  batch_tokens: 1000\nouter: {every: 30, wire: int4}\n"
        "machine: {device: gpu}\nwandb: 1\n",
        (const char *const[]){
            "b.yaml:1:20: experiment.name: found 'a b', needs a text of 1 to 63 bytes (letters, "
            "digits, '-', '_', '.'); letters, digits, '-', '_' and '.' alone, a letter or digit "
            "first",
            "b.yaml:2:31: data.validation: found '0.9', needs a number above 0 and below 0.5 "
            "(share of documents held out; must be what `shoal prepare` was told)",
            "b.yaml:3:17: model.layers: found '0', needs a whole number from 1 to 256 (blocks)",
            "b.yaml:3:25: model.dim: 66 is not a multiple of model.heads, which is 4",
            "b.yaml:5:3: train has no key 'stesp': did you mean train.steps?",
            "b.yaml:6:17: train.batch_tokens: 1000 is not a multiple of model.context, which is "
            "128",
            "b.yaml:7:26: outer.wire: int4 is not built yet: write int8",
            "b.yaml:8:19: machine.device: found 'gpu', needs auto, cpu, cuda or cuda:N,N... with "
            "at most 16 different N from 0 to 1023 (what computes; cuda: all GPUs); a GPU is "
            "called cuda",
            "b.yaml:9:1: an experiment has no key 'wandb': it may hold experiment, model, data, "
            "train, outer, swarm, checkpoint, evaluate, metrics, machine",
            NULL});
}

Test(bad, what_follows_from_a_mistake_is_not_said_too)
{
    all_of("experiment: {name: a}\ndata: {corpus: c}\nmodel: {preset: 3m}\ntrian: {steps: 10}\n"
           "outer: 7\n",
           (const char *const[]){
               "b.yaml:3:17: model.preset: found '3m', needs 2m, 14m, 60m, 150m or 1b (a known "
               "shape; keys beside it override); did you mean 2m?",
               "b.yaml:4:1: an experiment has no key 'trian': did you mean train?",
               "b.yaml:5:8: outer needs a mapping of keys: it may hold every, count, optimizer, "
               "wire, overlap, fragments, robust",
               NULL});
    all_of(
        KNOWN "swarm: {group: {min: 99}}\nevaluate: {tokens:100}\n",
        (const char *const[]){
            "b.yaml:6:22: swarm.group.min: found '99', needs a whole number from 2 to 20 (fewest "
            "members that average)",
            "b.yaml:7:18: 'tokens:100' needs a space after the colon: tokens: 100",
            "b.yaml:7:20: evaluate.tokens: 100 are less than one sequence: model.context is 128",
            NULL});
    all_of(
        "train:\n\tsteps: 1\n\tbatch_tokens: 8\n",
        (const char *const[]){
            "b.yaml:2:1: a tab indents this line: write spaces instead, YAML takes no tabs there",
            "b.yaml:3:1: a tab indents this line: write spaces instead, YAML takes no tabs there",
            NULL});
}

Test(bad, beyond_twenty_mistakes_are_counted)
{
    static struct experiment x;
    char text[1024] = KNOWN "swarm: {peers: [";
    struct why w;
    for (int i = 0; i < 25; i++) strcat(text, "a@b, ");
    strcat(text, "]}\n");
    cr_assert_eq(experiment_parse("b.yaml", bytes_of(text, strlen(text)), &x, &w), ERR_USAGE);
    cr_assert_eq(x.mistakes.count, 20);
    cr_assert_eq(x.mistakes.more, 5);
}

Test(bad, the_file_that_they_go_wrong_from_passes)
{
    static struct experiment x;
    struct why w = {0};
    cr_assert_eq(experiment_parse("b.yaml", bytes_of(KNOWN, strlen(KNOWN)), &x, &w), ERR_OK, "%s",
                 w.text);
    const char *shape = SHAPE("dim: 64, heads: 4, kv_heads: 2");
    cr_assert_eq(experiment_parse("b.yaml", bytes_of(shape, strlen(shape)), &x, &w), ERR_OK, "%s",
                 w.text);
}

Test(bad, a_file_of_more_than_a_megabyte_is_refused)
{
    static char text[(1 << 20) + 1];
    static struct experiment x;
    struct why w = {0};
    memset(text, '\n', sizeof text);
    cr_assert_eq(experiment_parse("b.yaml", bytes_of(text, sizeof text), &x, &w), ERR_USAGE);
    cr_assert_str_eq(w.text,
                     "b.yaml:1:1: the file has 1048577 bytes, an experiment at most 1048576");
    memcpy(text, KNOWN, strlen(KNOWN));
    cr_assert_eq(experiment_parse("b.yaml", bytes_of(text, sizeof text - 1), &x, &w), ERR_OK, "%s",
                 w.text);
}
