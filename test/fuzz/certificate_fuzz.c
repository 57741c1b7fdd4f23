/* certificate_fuzz.c -- a peer's certificate, and what people write as IDs and addresses. */
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "net/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct identity *self;
    const uint8_t seed[IDENTITY_SEED_BYTES] = {1};
    uint8_t id[CRYPTO_KEY_BYTES], whole[512];
    if (!self && identity_from_seed(seed, &self, NULL)) abort();
    identity_in_certificate(bytes_of(data, count), id);

    /* A real one with bytes replaced: position, value, position, value, ... */
    struct bytes real = identity_certificate(self);
    memcpy(whole, real.data, real.count);
    for (size_t i = 0; i + 1 < count; i += 2) whole[data[i] % real.count] = data[i + 1];
    identity_in_certificate(bytes_of(whole, real.count), id);

    char text[200];
    size_t n = count < sizeof text - 1 ? count : sizeof text - 1;
    memcpy(text, data, n);
    text[n] = 0;
    struct address a, back;
    char printed[ADDRESS_TEXT_BYTES];
    if (address_parse(text, &a) &&
        (!address_parse(address_print(&a, printed), &back) || !address_equal(&a, &back)))
        abort();
    char hex[IDENTITY_TEXT_BYTES];
    uint8_t again[CRYPTO_KEY_BYTES];
    if (identity_parse(text, id) &&
        (!identity_parse(identity_print(id, hex), again) || memcmp(id, again, sizeof id)))
        abort();
    return 0;
}
