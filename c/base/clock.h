/* clock.h -- the machine's clocks. Not for swarm/, which gets the time as an argument. */
#ifndef SHOAL_BASE_CLOCK_H
#define SHOAL_BASE_CLOCK_H

#include "base/instant.h"

instant clock_now(void);      /* CLOCK_MONOTONIC: never jumps, unspecified origin */
uint64_t clock_unix_ms(void); /* wall time, milliseconds since 1970; may jump */
span clock_cpu(void);         /* processor time of this process, all threads */

#endif
