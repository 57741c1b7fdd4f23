/* version.h -- of the program, as it stands in logs, manifests and `shoal version`. */
#ifndef SHOAL_BASE_VERSION_H
#define SHOAL_BASE_VERSION_H

#define SHOAL_VERSION "0.1.0"

#endif
