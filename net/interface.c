#include "interface.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stddef.h>

#include "udp.h"

/* Could another host use this address? */
static bool usable(const struct ifaddrs *i, struct address *out)
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || i->ifa_flags & IFF_LOOPBACK) return false;
    *out = udp_address_of(i->ifa_addr);
    bool link_local = out->family == 6 ? out->ip[0] == 0xfe && (out->ip[1] & 0xc0) == 0x80
                                       : out->ip[0] == 169 && out->ip[1] == 254;
    return out->family && !link_local; /* those need an interface name (RFC 4007, 6) */
}

struct address interface_reachable(const struct address *listen)
{
    if (!address_is_any(listen)) return *listen;
    struct address found = {.family = 4, .ip = {127, 0, 0, 1}}, a;
    struct ifaddrs *all;
    if (!getifaddrs(&all)) {
        for (int family = 6; family >= 4; family -= 2) { /* the last one found stays: IPv4 */
            for (struct ifaddrs *i = all; i; i = i->ifa_next) {
                if (!usable(i, &a) || a.family != family) continue;
                found = a;
                break;
            }
        }
        freeifaddrs(all);
    }
    found.port = listen->port;
    return found;
}
