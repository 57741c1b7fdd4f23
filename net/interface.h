/* interface.h -- the address of this host at which others can reach it. */
#ifndef SHOAL_NET_INTERFACE_H
#define SHOAL_NET_INTERFACE_H

#include "base/address.h"

/* The address at which others can reach a socket that listens at `listen`. For a wildcard: the
 * first address of an interface that is up and not the loopback, IPv4 first, never link-local;
 * 127.0.0.1 when there is none. */
struct address interface_reachable(const struct address *listen);

#endif
