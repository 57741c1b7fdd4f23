/* manifest_fuzz.c -- a manifest.json from anywhere: it is refused, or it can be written and read
 * again. The first try takes the input as it is; the second puts the right checksum in, which no
 * mutation would guess. */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "data/manifest.h"

static void read_all(struct bytes json)
{
    struct manifest m, again;
    struct why w;
    if (manifest_parse("fuzz", json, &m, &w)) return;
    char *text = manifest_print(&m, "fuzz");
    assert(text);
    enum err e = manifest_parse("again", bytes_of(text, strlen(text)), &again, &w);
    assert(!e && again.shard_count == m.shard_count && again.vocab == m.vocab);
    free(text);
    manifest_fini(&again);
    manifest_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(bytes_of(data, size));
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(root)) {
        json_object_del(root, "checksum");
        char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS), sum[17];
        snprintf(sum, sizeof sum, "%016llx", (unsigned long long)XXH3_64bits(text, strlen(text)));
        free(text);
        json_object_set_new(root, "checksum", json_string(sum));
        text = json_dumps(root, JSON_COMPACT);
        read_all(bytes_of(text, strlen(text)));
        free(text);
    }
    json_decref(root);
    return 0;
}
