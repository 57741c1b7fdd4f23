/* peerlist_fuzz.c -- a peer list from anywhere: no line of it breaks anything, and what was read
 * can be written as a list that reads back to the same. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/identity.h"
#include "node/peerlist.h"

static void say(void *ctx, const char *text) { assert(text[0] && !strpbrk(text, "\n\r\x1b")); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t self[CRYPTO_KEY_BYTES] = {1};
    struct peerlist list, again;
    struct peerlist_faults faults = {.say = say}, none = {0};
    if (peerlist_init(&list, NULL) || peerlist_init(&again, NULL)) abort();
    peerlist_parse(&list, "fuzz", bytes_of(data, size), self, &faults);
    for (size_t i = 0; i < list.count; i++) {
        char id[IDENTITY_TEXT_BYTES], address[ADDRESS_TEXT_BYTES], line[200];
        if (!list.entries[i].address.family) continue;
        int n = snprintf(line, sizeof line, "%s@%s\n", identity_print(list.entries[i].id, id),
                         address_print(&list.entries[i].address, address));
        peerlist_parse(&again, "again", bytes_of(line, (size_t)n), self, &none);
        assert(!none.count && again.count);
        assert(address_equal(&again.entries[again.count - 1].address, &list.entries[i].address));
    }
    for (size_t i = 0; i < list.names_count; i++) assert(list.names[i].name.port);
    peerlist_free(&list);
    peerlist_free(&again);
    return 0;
}
