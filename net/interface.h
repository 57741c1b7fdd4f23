/* interface.h -- which address of this host others may try. */
#ifndef SHOAL_NET_INTERFACE_H
#define SHOAL_NET_INTERFACE_H

#include "base/address.h"

/* Where others may reach a socket that listens at `listen`. A wildcard is no address: of it the
 * first address of an interface that is up and not the loopback, IPv4 first, link-local ones never;
 * 127.0.0.1 where there is none. */
struct address interface_reachable(const struct address *listen);

#endif
