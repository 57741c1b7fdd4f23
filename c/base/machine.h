/* machine.h -- the resources of this machine that the process may use. A container or a service may
 * have less than the machine: its control groups (cgroups(7), version 2 and version 1) are read
 * from the process's own up to the outermost visible one. */
#ifndef SHOAL_BASE_MACHINE_H
#define SHOAL_BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Limits by control groups. */
struct machine_limits {
    double processors; /* processor seconds per second; INFINITY if unlimited */
    uint64_t memory;   /* bytes left, including cached pages of files; UINT64_MAX if unlimited */
};

/* Reads "<root>/proc/self/cgroup" and the files in "<root>/sys/fs/cgroup"; a root of "" is this
 * machine's. Unreadable files set no limit. */
struct machine_limits machine_limits(const char *root);

/* Processors that the process may run on (sched_getaffinity(2)), no more than its limit rounded up;
 * at least 1. Used for machine.threads: auto. */
size_t machine_processors(void);

/* Bytes that the process could allocate without swapping, within its control groups and ulimit -v;
 * UINT64_MAX if unknown. */
uint64_t machine_memory_available(void);

/* The process's peak resident memory in bytes (VmHWM of proc_pid_status(5); getrusage(2) would
 * include that before exec); 0 if unknown. */
uint64_t machine_memory_peak(void);

#endif
