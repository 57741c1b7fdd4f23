#include "space.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan.h"

#define NET_FD_FIRST 300 /* of the namespaces: found in /proc by our process ID */

/* Declared in linux/ipv6.h, which cannot be included together with netinet/in.h. */
struct address6_request {
    struct in6_addr address;
    uint32_t prefix;
    int interface;
};

static enum err write_word(const char *path, const char *word, struct why *w)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);
    int code = errno;
    if (fd >= 0) close(fd);
    return good ? ERR_OK : why(w, ERR_UNSUPPORTED, "%s: %s", path, strerror(code));
}

/* Enters a user namespace in which we are root. */
static enum err become_root(struct why *w)
{
    char map[64];
    unsigned user = geteuid(), group = getegid();
    if (unshare(CLONE_NEWUSER))
        return why(w, ERR_UNSUPPORTED, "no user namespace: %s", strerror(errno));
    enum err e = write_word("/proc/self/setgroups", "deny", w);
    snprintf(map, sizeof map, "0 %u 1", user);
    if (!e) e = write_word("/proc/self/uid_map", map, w);
    snprintf(map, sizeof map, "0 %u 1", group);
    if (!e) e = write_word("/proc/self/gid_map", map, w);
    return e;
}

enum err space_begin(struct why *w)
{
    if (unshare(CLONE_NEWNET) == 0) return ERR_OK;
    if (errno != EPERM) return why(w, ERR_UNSUPPORTED, "no network namespace: %s", strerror(errno));
    return become_root(w);
}

static enum err up(int s, const char *name, struct why *w)
{
    struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (ioctl(s, SIOCSIFFLAGS, &r))
        return why(w, ERR_UNSUPPORTED, "switching %s on: %s", name, strerror(errno));
    return ERR_OK;
}

static struct sockaddr_in inet(uint32_t host_order)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(host_order)};
}

static uint32_t address4(const struct space *n)
{
    return n->natted ? plan_private(n->index) : plan_public(n->index);
}

static enum err address4_set(int s, const struct space *n, struct why *w)
{
    struct ifreq r = {.ifr_name = SPACE_TUN};
    struct sockaddr_in a = inet(address4(n)), mask = inet(PLAN_MASK);
    memcpy(&r.ifr_addr, &a, sizeof a);
    bool good = ioctl(s, SIOCSIFADDR, &r) == 0;
    memcpy(&r.ifr_netmask, &mask, sizeof mask);
    if (!good || ioctl(s, SIOCSIFNETMASK, &r))
        return why(w, ERR_UNSUPPORTED, "an address for %s: %s", SPACE_TUN, strerror(errno));
    return ERR_OK;
}

/* To the net in which the node has no address. */
static enum err route4_set(int s, const struct space *n, struct why *w)
{
    static char device[] = SPACE_TUN;
    struct rtentry r = {.rt_flags = RTF_UP, .rt_dev = device};
    struct sockaddr_in net = inet(n->natted ? PLAN_NET : PLAN_PRIVATE), mask = inet(PLAN_MASK);
    memcpy(&r.rt_dst, &net, sizeof net);
    memcpy(&r.rt_genmask, &mask, sizeof mask);
    if (ioctl(s, SIOCADDRT, &r))
        return why(w, ERR_UNSUPPORTED, "a route for %s: %s", SPACE_TUN, strerror(errno));
    return ERR_OK;
}

/* False if the kernel has no IPv6. */
static bool address6_set(const struct space *n)
{
    char text[SPACE_ADDRESS_BYTES];
    struct address6_request r = {.prefix = 64, .interface = (int)if_nametoindex(SPACE_TUN)};
    int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    space_address(n, true, text);
    bool good =
        s >= 0 && inet_pton(AF_INET6, text, &r.address) == 1 && ioctl(s, SIOCSIFADDR, &r) == 0;
    if (s >= 0) close(s);
    return good;
}

/* Addresses are set once the device is up: only then may it have IPv6 ones. */
static enum err configure(struct space *n, uint32_t mtu, struct why *w)
{
    struct ifreq r = {.ifr_name = SPACE_TUN, .ifr_mtu = (int)mtu};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0) return why(w, ERR_UNSUPPORTED, "no socket: %s", strerror(errno));
    enum err e = ERR_OK;
    if (ioctl(s, SIOCSIFMTU, &r)) e = why(w, ERR_UNSUPPORTED, "mtu %u: %s", mtu, strerror(errno));
    r.ifr_qlen = 10000; /* we may be late by some ms: only the matrix may cause losses */
    /* Not allowed in a user namespace: then 500 packets. */
    if (!e) (void)ioctl(s, SIOCSIFTXQLEN, &r);
    if (!e) e = up(s, "lo", w);
    if (!e) e = up(s, SPACE_TUN, w);
    if (!e) e = address4_set(s, n, w);
    if (!e) e = route4_set(s, n, w);
    if (!e) n->six = !n->natted && address6_set(n);
    close(s);
    return e;
}

enum err space_open(struct space *s, uint32_t index, bool natted, uint32_t mtu, struct why *w)
{
    struct ifreq r = {.ifr_name = SPACE_TUN, .ifr_flags = IFF_TUN | IFF_NO_PI};
    *s = (struct space){.index = index, .natted = natted};
    if (unshare(CLONE_NEWNET))
        return why(w, ERR_UNSUPPORTED, "no network namespace: %s", strerror(errno));
    s->tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (s->tun < 0 || ioctl(s->tun, TUNSETIFF, &r))
        return why(w, ERR_UNSUPPORTED, "no TUN device (/dev/net/tun): %s", strerror(errno));
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    s->net = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, NET_FD_FIRST + (int)index);
    if (fd >= 0) close(fd);
    if (s->net != NET_FD_FIRST + (int)index)
        return why(w, ERR_IO, "keeping namespace %u: %s", index, strerror(errno));
    return configure(s, mtu, w);
}

enum err space_enter(const struct space *s, struct why *w)
{
    if (setns(s->net, CLONE_NEWNET))
        return why(w, ERR_IO, "entering a namespace: %s", strerror(errno));
    return ERR_OK;
}

static enum err enter_path(const char *path, int kind, struct why *w)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && setns(fd, kind) == 0;
    int code = errno;
    if (fd >= 0) close(fd);
    return good ? ERR_OK : why(w, ERR_IO, "entering %s: %s", path, strerror(code));
}

enum err space_enter_of(pid_t pid, uint32_t index, struct why *w)
{
    char path[64];
    struct stat ours, theirs;
    enum err e = ERR_OK;
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    if (stat("/proc/self/ns/user", &ours) || stat(path, &theirs))
        return why(w, ERR_USAGE, "%s: %s", path, strerror(errno));
    if (ours.st_ino != theirs.st_ino) e = enter_path(path, CLONE_NEWUSER, w);
    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, NET_FD_FIRST + index);
    return e ? e : enter_path(path, CLONE_NEWNET, w);
}

uint64_t space_unread(const struct space *s)
{
    struct why w;
    char line[256];
    unsigned long dropped = 0;
    FILE *f = space_enter(s, &w) ? NULL : fopen("/proc/thread-self/net/dev", "r");
    /* After the name eight numbers of what came in, then bytes, packets, errors and drops. */
    while (f && fgets(line, sizeof line, f))
        sscanf(line, " " SPACE_TUN ": %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu", &dropped);
    if (f) fclose(f);
    return dropped;
}

void space_address(const struct space *s, bool six, char out[SPACE_ADDRESS_BYTES])
{
    struct in_addr four = {htonl(address4(s))};
    struct in6_addr of_six = {{{PLAN_NET6, [15] = (uint8_t)(s->index + 1)}}};
    inet_ntop(six ? AF_INET6 : AF_INET, six ? (void *)&of_six : (void *)&four, out,
              SPACE_ADDRESS_BYTES);
}

bool space_destination(const uint8_t *packet, size_t bytes, uint32_t nodes, uint32_t *out)
{
    static const uint8_t net6[15] = {PLAN_NET6};
    if (bytes >= 20 && packet[0] >> 4 == 4) {
        uint32_t address;
        memcpy(&address, packet + 16, sizeof address);
        *out = ntohl(address) - plan_public(0);
    } else if (bytes >= 40 && packet[0] >> 4 == 6 && !memcmp(packet + 24, net6, sizeof net6)) {
        *out = packet[39] - 1u;
    } else return false;
    return *out < nodes;
}
