/* shared_fuzz.c -- another experiment's values, as a peer or a checkpoint of anybody's sends them:
 * the comparison ends in one short sentence of plain text. The input is compared with ours, ours
 * with it, and its halves with each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/shared.h"

static void check(struct bytes here, struct bytes there)
{
    char story[SHARED_STORY_BYTES];
    memset(story, 0x7f, sizeof story);
    size_t count = shared_compare(here, there, story);
    bool ended = memchr(story, 0, sizeof story) != NULL;
    bool plain = ended && *story;
    for (const char *c = story; plain && *c; c++) plain = *c >= 0x20 && *c < 0x7f;
    bool none = ended && (!strcmp(story, "which keys differ is not known") ||
                          !strcmp(story, "no key differs"));
    if (plain && none == (count == 0)) return;
    fprintf(stderr, "shared_fuzz: a story that is none\n");
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static const char ours[] = "experiment.seed: 1\nmodel.layers: 2\ntrain.optimizer.lr: 0.002\n"
                               "train.optimizer.betas: [0.9, 0.95]\ntrain.steps: 60\n"
                               "tokenizer: abcdef01\n";
    struct bytes mine = bytes_of(ours, sizeof ours - 1), all = bytes_of(data, count);
    check(mine, all);
    check(all, mine);
    check(bytes_of(data, count / 2), bytes_of(data + count / 2, count - count / 2));
    return 0;
}
