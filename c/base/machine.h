/* machine.h -- what of this machine the process may use. A container or a service may have less
 * than the machine: its control groups (cgroups(7), version 2 and version 1) are looked at from the
 * process's own up to the outermost that it sees. */
#ifndef SHOAL_BASE_MACHINE_H
#define SHOAL_BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* What control groups leave. */
struct machine_limits {
    double processors; /* processor seconds a second; INFINITY where nothing limits them */
    uint64_t memory;   /* bytes left, cached pages of files counted in; UINT64_MAX likewise */
};

/* Reads "<root>/proc/self/cgroup" and what lies in "<root>/sys/fs/cgroup"; a root of "" is this
 * machine's. What cannot be read limits nothing. */
struct machine_limits machine_limits(const char *root);

/* Processors that the process may run on (sched_getaffinity(2)), no more than its limit rounded up;
 * at least 1. What machine.threads: auto means. */
size_t machine_processors(void);

/* Bytes that it could take without swapping, within its control groups and ulimit -v; UINT64_MAX
 * where the system does not say. */
uint64_t machine_memory_available(void);

/* The most bytes of it that ever were in memory at once (VmHWM of proc_pid_status(5); getrusage(2)
 * counts what was there before exec, too); 0 where the system does not say. */
uint64_t machine_memory_peak(void);

#endif
