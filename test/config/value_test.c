#include <criterion/criterion.h>
#include <string.h>

#include "config/value.h"

#define ID "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789abcdef"

Test(value, an_address_is_a_host_and_a_port)
{
    static const char *const good[] = {"127.0.0.1:0",        "0.0.0.0:4433", "example.org:65535",
                                       "a-b_c.d:1",          "[::]:4433",    "[2001:db8::1]:4433",
                                       "[::ffff:1.2.3.4]:5", "localhost:80"};
    static const char *const bad[] = {"",      ":1",    "a",         "a:",        "a:65536",
                                      "a:-1",  "a:1x",  "a:000001",  "a:99999",   "::1:4433",
                                      "[]:1",  "[::1]", "[::1:4433", "::1]:4433", "[::g]:443",
                                      "a b:1", "a/b:1", "u@a:1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(value_is_address(good[i], 0), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(value_is_address(bad[i], 0), "%s", bad[i]);
    cr_expect_not(value_is_address("127.0.0.1:0", 1));
}

Test(value, a_peer_is_an_id_and_an_address)
{
    static const char *const bad[] = {ID,        "@a:1",        ID "@",     ID "@a",
                                      ID "@a:0", "0" ID "@a:1", "peers.txt"};
    cr_expect(value_is_peer(ID "@example.org:4433"));
    cr_expect(value_is_peer(ID "@[2001:db8::1]:4433"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(value_is_peer(bad[i]), "%s", bad[i]);
    char other[] = ID "@a:1";
    other[63] = 'g';
    cr_expect_not(value_is_peer(other), "%s", other);
}

Test(value, plain_words_look_like_what_yaml_would_make_of_them)
{
    static const struct {
        const char *text;
        enum value_look look;
    } cases[] = {{"", VALUE_NOTHING},     {"~", VALUE_NOTHING},   {"Null", VALUE_NOTHING},
                 {"true", VALUE_BOOL},    {"FALSE", VALUE_BOOL},  {"7", VALUE_WHOLE},
                 {"-7", VALUE_WHOLE},     {"+7", VALUE_WHOLE},    {"7.", VALUE_NUMBER},
                 {".5", VALUE_NUMBER},    {"4e-4", VALUE_NUMBER}, {"1E+3", VALUE_NUMBER},
                 {"-.5e3", VALUE_NUMBER}, {".", VALUE_WORD},      {"e5", VALUE_WORD},
                 {"1e", VALUE_WORD},      {"1e+", VALUE_WORD},    {"0x10", VALUE_WORD},
                 {"nan", VALUE_WORD},     {"inf", VALUE_WORD},    {"1 2", VALUE_WORD},
                 {"60m", VALUE_WORD},     {"--1", VALUE_WORD},    {"1.2.3", VALUE_WORD}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(value_look(cases[i].text, strlen(cases[i].text)), cases[i].look, "%s",
                     cases[i].text);
    cr_expect_eq(value_look("7\0008", 3), VALUE_WORD, "a zero byte ends no number");
}
