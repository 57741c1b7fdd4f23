#include "base/url.h"

#include <criterion/criterion.h>
#include <string.h>

static struct url u;
static struct why w;

Test(url, reads_host_port_and_target)
{
    static const struct {
        const char *text, *host, *target, *shown;
        uint16_t port;
        bool numeric;
    } all[] = {
        {"https://x.org", "x.org", "/", "https://x.org/", 443, false},
        {"https://x.org/", "x.org", "/", "https://x.org/", 443, false},
        {"https://x.org/a/b.txt", "x.org", "/a/b.txt", "https://x.org/a/b.txt", 443, false},
        {"https://x.org:8443/a", "x.org", "/a", "https://x.org:8443/a", 8443, false},
        {"https://x.org:443?a=b", "x.org", "/?a=b", "https://x.org/?...", 443, false},
        {"https://x.org/a?key=c/d#e", "x.org", "/a?key=c/d", "https://x.org/a?...", 443, false},
        {"https://x.org#e", "x.org", "/", "https://x.org/", 443, false},
        {"https://192.0.2.1/a", "192.0.2.1", "/a", "https://192.0.2.1/a", 443, true},
        {"https://[2001:db8::1]/a", "2001:db8::1", "/a", "https://[2001:db8::1]/a", 443, true},
        {"https://[::1]:99/a", "::1", "/a", "https://[::1]:99/a", 99, true},
        {"https://a_b-c.example/%20", "a_b-c.example", "/%20", "https://a_b-c.example/%20", 443,
         false},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char shown[URL_BYTES];
        cr_assert_eq(url_read(all[i].text, &u, &w), ERR_OK, "%s: %s", all[i].text, w.text);
        cr_assert_str_eq(u.host, all[i].host, "%s", all[i].text);
        cr_assert_str_eq(u.target, all[i].target, "%s", all[i].text);
        cr_assert_eq(u.port, all[i].port, "%s", all[i].text);
        cr_assert_eq(u.numeric, all[i].numeric, "%s", all[i].text);
        url_show(&u, shown);
        cr_assert_str_eq(shown, all[i].shown);
    }
}

static void refuses(const char *text, const char *story)
{
    cr_assert_eq(url_read(text, &u, &w), ERR_USAGE, "%s", text);
    cr_assert(strstr(w.text, story), "%s: %s", text, w.text);
    for (const char *c = w.text; *c; c++) cr_assert(*c >= ' ' && *c <= '~', "%s", w.text);
}

Test(url, says_what_is_wrong_with_others)
{
    char text[3000] = "https://x.org/", host[400] = "https://";
    memset(text + 14, 'a', 2500);
    memset(host + 8, 'a', 300);
    refuses("http://x.org/", "over http anybody on the way can change a list: write https://");
    refuses("HTTPS://x.org/", "is no URL of https");
    refuses("file:///etc/passwd", "is no URL of https");
    refuses("https://me:word@x.org/", "leave out what is before the @");
    refuses("https://x.org/a b", "no blanks");
    refuses("https://x.org/\x1b[2J", "no blanks");
    refuses("https://x.org/\xc3\xa4", "no letters beyond ASCII");
    refuses(text, "more than 2047 characters");
    refuses(host, "names no host");
    static const char *const none[] = {
        "https://",        "https:///a",        "https://:443/",        "https://x.org:/",
        "https://x.org:0", "https://x.org:1x/", "https://x.org:65536/", "https://1.2.3/",
        "https://10/",     "https://[::1/",     "https://[x]/",         "https://[::1]x/",
        "https://::1/",    "https://.x/",       "https://-x/",          "https://x;y/"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) refuses(none[i], "names no host");
}

static void leads(const char *location, const char *where)
{
    struct url from, to;
    char shown[URL_BYTES];
    cr_assert_eq(url_read("https://x.org:8443/a/b?c", &from, &w), ERR_OK);
    enum err e = url_follow(&from, location, &to, &w);
    cr_assert_eq(e, where ? ERR_OK : ERR_WIRE, "%s: %s", location, w.text);
    if (!where) return;
    url_show(&to, shown);
    cr_assert_str_eq(shown, where, "%s", location);
}

Test(url, follows_where_an_answer_leads_but_to_nothing_without_tls)
{
    leads("https://y.org/z", "https://y.org/z");
    leads("/z", "https://x.org:8443/z");
    leads("z", "https://x.org:8443/a/z");
    leads("/z?at=https://y.org/", "https://x.org:8443/z?...");
    leads("http://x.org/z", NULL);
    leads("ftp://x.org/z", NULL);
    leads("//y.org/z", NULL);
    leads("", NULL);
    leads("/\x1b", NULL);
}
