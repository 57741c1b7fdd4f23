#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hmac.h"
#include "net/identity.h"
#include "net/resolve.h"
#include "test/folder.h"

static char path[96];

static void make_folder(void)
{
    folder_make();
    snprintf(path, sizeof path, "%s/node.key", folder);
}

TestSuite(identity, .init = make_folder, .fini = folder_drop);

static void write_file(const char *text, unsigned mode)
{
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
    cr_assert_eq(chmod(path, mode), 0);
}

static void hex(const char *text, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned v;
        cr_assert_eq(sscanf(text + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t)v;
    }
}

Test(identity, is_made_once_and_read_again)
{
    struct identity *first, *second;
    struct why w = {0};
    struct stat s;
    cr_assert_eq(identity_open(path, true, &first, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(stat(path, &s), 0);
    cr_assert_eq(s.st_mode & 07777, 0600);
    cr_assert_eq(identity_open(path, true, &second, &w), ERR_OK, "%s", w.text);
    cr_assert(!memcmp(identity_id(first), identity_id(second), CRYPTO_KEY_BYTES));
    identity_close(second);
    cr_assert_eq(identity_create(path, &second, &w), ERR_IO);
    cr_assert(strstr(w.text, "never overwritten"), "%s", w.text);
    identity_close(first);
}

Test(identity, of_two_files_differ)
{
    struct identity *first, *second;
    struct why w = {0};
    cr_assert_eq(identity_create(path, &first, &w), ERR_OK);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(identity_create(path, &second, &w), ERR_OK);
    cr_assert(memcmp(identity_id(first), identity_id(second), CRYPTO_KEY_BYTES));
    identity_close(first);
    identity_close(second);
}

Test(identity, refuses_files_it_should_not_use_and_says_why)
{
    char good[512], seed[65] = {0}, id[65];
    struct identity *i;
    struct why w = {0};
    memset(seed, '5', 64);
    uint8_t bytes[32];
    memset(bytes, 0x55, 32);
    cr_assert_eq(identity_from_seed(bytes, &i, &w), ERR_OK);
    identity_print(identity_id(i), id);
    identity_close(i);
    snprintf(good, sizeof good, "shoal identity 1\nseed %s\nid %s\n", seed, id);
    write_file(good, 0600);
    cr_assert_eq(identity_open(path, false, &i, &w), ERR_OK, "%s", w.text);
    identity_close(i);

    cr_assert_eq(identity_open("/nowhere/node.key", false, &i, &w), ERR_IO);
    cr_assert(strstr(w.text, "shoal keygen -o /nowhere/node.key"), "%s", w.text);
    cr_assert_eq(identity_open("/nowhere/node.key", true, &i, &w), ERR_IO);

    unsigned modes[] = {0601, 0602, 0604, 0610, 0620, 0640, 0666, 0777};
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
        write_file(good, modes[k]);
        cr_assert_eq(identity_open(path, false, &i, &w), ERR_IO);
        cr_assert(strstr(w.text, "chmod 600"), "%s", w.text);
    }
    struct {
        const char *from, *to, *says;
    } bad[] = {
        {"shoal identity 1", "shoal identity 2", "first line"},
        {"shoal identity 1", "", "first line"},
        {"seed 5", "seed x", "second line"},
        {"seed 55", "seed 5", "second line"},
        {"seed 55", "seed 56", "do not belong together"},
        {"id ", "iq ", "third and last line"},
        {"\nid ", "\nid 0", "third and last line"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        char text[600], *at = strstr(good, bad[k].from);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, bad[k].to,
                 at + strlen(bad[k].from));
        write_file(text, 0600);
        cr_assert_eq(identity_open(path, false, &i, &w), ERR_FORMAT, "%s", text);
        cr_assert(strstr(w.text, bad[k].says) && strstr(w.text, path), "%s", w.text);
    }
    char longer[600];
    snprintf(longer, sizeof longer, "%smore\n", good);
    write_file(longer, 0600);
    cr_assert_eq(identity_open(path, false, &i, &w), ERR_FORMAT);
    for (size_t k = 0; k < strlen(good) - 1; k += 7) { /* cut short anywhere */
        snprintf(longer, k + 1, "%s", good);
        write_file(longer, 0600);
        cr_assert_eq(identity_open(path, false, &i, &w), ERR_FORMAT);
    }
}

Test(identity, signs_as_rfc_8032_says)
{
    /* RFC 8032, 7.1, TEST 3 */
    uint8_t seed[32], id[32], message[2] = {0xaf, 0x82}, want[64], got[64];
    hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", seed, 32);
    hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", id, 32);
    hex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        want, 64);
    struct identity *i;
    cr_assert_eq(identity_from_seed(seed, &i, NULL), ERR_OK);
    cr_assert(!memcmp(identity_id(i), id, 32));
    struct crypto c = identity_crypto(i);
    c.sign(c.self, bytes_of(message, 2), got);
    cr_assert(!memcmp(got, want, 64));
    cr_assert(c.verify(c.self, id, bytes_of(message, 2), got));
    message[0] ^= 1;
    cr_assert_not(c.verify(c.self, id, bytes_of(message, 2), got));
    message[0] ^= 1;
    for (size_t k = 0; k < 64; k++) {
        got[k] ^= 1;
        cr_assert_not(c.verify(c.self, id, bytes_of(message, 2), got));
        got[k] ^= 1;
    }
    id[0] ^= 1;
    cr_assert_not(c.verify(c.self, id, bytes_of(message, 2), got));
    identity_close(i);
}

Test(identity, hashes_as_fips_180_4_says)
{
    uint8_t want[32], got[32];
    struct crypto c = identity_crypto(NULL);
    hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want, 32);
    crypto_hash(&c, bytes_of("abc", 3), got);
    cr_assert(!memcmp(got, want, 32));
    struct bytes parts[] = {bytes_of("a", 1), bytes_of(NULL, 0), bytes_of("bc", 2)};
    c.hash(c.self, parts, 3, got);
    cr_assert(!memcmp(got, want, 32));
    hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", want, 32);
    c.hash(c.self, NULL, 0, got);
    cr_assert(!memcmp(got, want, 32));
}

/* RFC 4231, 4.2, 4.3 and 4.7. */
Test(identity, authenticates_as_rfc_4231_says)
{
    static const struct {
        const char *key, *text, *mac;
        size_t key_bytes;
    } cases[] = {{"\x0b", "Hi There",
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 20},
                 {"Jefe", "what do ya want for nothing?",
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 0},
                 {"\xaa", "Test Using Larger Than Block-Size Key - Hash Key First",
                  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", 131}};
    const struct crypto c = identity_crypto(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t key[131], wanted[CRYPTO_HASH_BYTES], mac[CRYPTO_HASH_BYTES];
        size_t count = cases[i].key_bytes ? cases[i].key_bytes : strlen(cases[i].key);
        for (size_t k = 0; k < count; k++)
            key[k] = (uint8_t)cases[i].key[cases[i].key_bytes ? 0 : k];
        struct bytes halves[] = {bytes_of(cases[i].text, 3),
                                 bytes_of(cases[i].text + 3, strlen(cases[i].text) - 3)};
        cr_assert(identity_parse(cases[i].mac, wanted));
        hmac(&c, bytes_of(key, count), halves, 2, mac);
        cr_assert(hmac_equal(mac, wanted), "case %zu", i);
        mac[31] ^= 0x80;
        cr_assert_not(hmac_equal(mac, wanted));
    }
}

Test(identity, draws_chance_that_does_not_repeat)
{
    uint8_t first[32], second[32];
    struct crypto c = identity_crypto(NULL);
    c.random(c.self, first, 32);
    c.random(c.self, second, 32);
    cr_assert(memcmp(first, second, 32));
}

Test(identity, has_secrets_that_differ_by_purpose_and_stay)
{
    uint8_t seed[32] = {1}, x[32], y[32], z[32];
    struct identity *i;
    cr_assert_eq(identity_from_seed(seed, &i, NULL), ERR_OK);
    identity_secret(i, "one", x);
    identity_secret(i, "two", y);
    identity_secret(i, "one", z);
    cr_assert(memcmp(x, y, 32));
    cr_assert(!memcmp(x, z, 32));
    identity_close(i);
}

Test(identity, is_found_in_its_certificate_and_in_no_other_bytes)
{
    uint8_t seed[32] = {1}, id[32];
    struct identity *i;
    cr_assert_eq(identity_from_seed(seed, &i, NULL), ERR_OK);
    struct bytes der = identity_certificate(i);
    cr_assert(identity_in_certificate(der, id));
    cr_assert(!memcmp(id, identity_id(i), 32));
    for (size_t k = 0; k < der.count; k += 5)
        cr_assert_not(identity_in_certificate(bytes_of(der.data, k), id));
    cr_assert_not(identity_in_certificate(identity_private_key(i), id));
    identity_close(i);
}

/* Their multiples are few: an attacker finds a signature that holds for any message. */
Test(identity, is_weak_where_anybody_can_sign_in_its_name)
{
    static const char *const weak[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    uint8_t id[32], seed[32] = {3};
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        cr_assert(identity_parse(weak[i], id));
        cr_assert(identity_weak(id), "%s", weak[i]);
        id[7] ^= 1;
        cr_assert_not(identity_weak(id));
    }
    struct identity *i;
    cr_assert_eq(identity_from_seed(seed, &i, NULL), ERR_OK);
    cr_assert_not(identity_weak(identity_id(i)));
    identity_close(i);
}

Test(identity, parses_what_it_prints)
{
    uint8_t id[32], back[32];
    char text[IDENTITY_TEXT_BYTES + 1];
    for (size_t k = 0; k < 32; k++) id[k] = (uint8_t)(k * 37);
    identity_print(id, text);
    cr_assert(identity_parse(text, back));
    cr_assert(!memcmp(id, back, 32));
    text[5] = 'g';
    cr_assert_not(identity_parse(text, back));
    identity_print(id, text);
    strcat(text, "0");
    cr_assert_not(identity_parse(text, back));
    cr_assert_not(identity_parse("", back));
}

Test(resolve, reads_lines_of_a_peer_list)
{
    char line[200], id_text[IDENTITY_TEXT_BYTES];
    uint8_t id[32] = {0xab, 0xcd}, got[32];
    struct address a;
    struct why w = {0};
    identity_print(id, id_text);
    snprintf(line, sizeof line, "%s@192.0.2.1:4433", id_text);
    cr_assert_eq(resolve_peer(line, got, &a, &w), ERR_OK, "%s", w.text);
    cr_assert(!memcmp(id, got, 32));
    cr_assert_eq(a.family, 4);
    cr_assert_eq(a.port, 4433);
    cr_assert(!memcmp(a.ip, "\xc0\0\2\1", 4));
    snprintf(line, sizeof line, "%s@[2001:db8::1]:1", id_text);
    cr_assert_eq(resolve_peer(line, got, &a, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(a.family, 6);
    const char *bad[] = {"192.0.2.1:4433", "@192.0.2.1:4433", "abc@192.0.2.1:4433", ""};
    for (size_t k = 0; k < 4; k++) {
        cr_assert_eq(resolve_peer(bad[k], got, &a, &w), ERR_USAGE);
        cr_assert(strstr(w.text, "ID@host:port"), "%s", w.text);
    }
}

Test(resolve, names_what_is_no_address)
{
    struct address a;
    struct why w = {0};
    cr_assert_eq(resolve_address("localhost:99", &a, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(a.family, 4);
    cr_assert_eq(a.port, 99);
    const char *bad[] = {"", ":", "4433", "host", "host:", "host:x", "1.2.3.4:", "1:2:3"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        cr_assert_eq(resolve_address(bad[k], &a, &w), ERR_USAGE, "%s", bad[k]);
        cr_assert(strstr(w.text, "host:port"), "%s", w.text);
    }
    cr_assert_eq(resolve_address("localhost:70000", &a, &w), ERR_USAGE, "%s", w.text);
}
