/* The tests of swarm/ also use the simulator's cryptography; it is compiled here, once. */
#include "test/sim/standin.c"

#include <criterion/criterion.h>

Test(standin, a_signature_holds_for_its_key_and_message_alone)
{
    struct standin a = {.key = {1}, .world = 7, .rng = rng_init(1)};
    struct standin b = {.key = {2}, .world = 7, .rng = rng_init(2)};
    struct crypto of_a = standin_crypto(&a), of_b = standin_crypto(&b);
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    of_a.sign(of_a.self, bytes_of("yes", 3), signature);
    cr_assert(of_b.verify(of_b.self, a.key, bytes_of("yes", 3), signature));
    cr_assert_not(of_b.verify(of_b.self, b.key, bytes_of("yes", 3), signature));
    cr_assert_not(of_b.verify(of_b.self, a.key, bytes_of("yet", 3), signature));
    signature[63] ^= 1;
    cr_assert_not(of_b.verify(of_b.self, a.key, bytes_of("yes", 3), signature));
}
