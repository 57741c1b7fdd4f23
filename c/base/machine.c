#include "base/machine.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/whole.h"

static FILE *open_in(const char *folder, const char *file)
{
    char path[PATH_MAX];
    const int bytes = snprintf(path, sizeof path, "%s/%s", folder, file);
    return bytes < (int)sizeof path ? fopen(path, "re") : NULL;
}

/* The number that follows `key` and spaces in the first line that begins with them. False if there
 * is none, and for words and -1, which mean no limit in control groups. */
static bool number_in(const char *folder, const char *file, const char *key, uint64_t *out)
{
    char line[256];
    bool there = false;
    FILE *f = open_in(folder, file);
    while (f && !there && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        const char *at = line + strlen(key);
        at += strspn(at, " \t");
        there = *at >= '0' && *at <= '9';
        if (there) *out = strtoull(at, NULL, 10);
    }
    if (f) fclose(f);
    return there;
}

static void limit_processors(struct machine_limits *l, uint64_t quota, uint64_t period)
{
    if (period) l->processors = fmin(l->processors, (double)quota / (double)period);
}

/* Applies the limit in these files of a group. The kernel drops cached pages of files (`cached` in
 * memory.stat) when it needs memory. */
static void limit_memory(struct machine_limits *l, const char *folder, const char *limit_file,
                         const char *used_file, const char *cached_key)
{
    uint64_t limit, used, cached = 0;
    if (!number_in(folder, limit_file, "", &limit) || !number_in(folder, used_file, "", &used))
        return;
    number_in(folder, "memory.stat", cached_key, &cached);
    used -= min_u64(used, cached);
    l->memory = min_u64(l->memory, limit - min_u64(limit, used));
}

/* One group: the files of versions 2 and 1 have different names. */
static void limit_by_group(const char *folder, struct machine_limits *l)
{
    char line[64];
    unsigned long long both[2];
    FILE *f = open_in(folder, "cpu.max");
    if (f && fgets(line, sizeof line, f) && sscanf(line, "%llu %llu", &both[0], &both[1]) == 2)
        limit_processors(l, both[0], both[1]);
    if (f) fclose(f);
    limit_memory(l, folder, "memory.max", "memory.current", "inactive_file ");

    uint64_t quota, period;
    if (number_in(folder, "cpu.cfs_quota_us", "", &quota) &&
        number_in(folder, "cpu.cfs_period_us", "", &period))
        limit_processors(l, quota, period);
    limit_memory(l, folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                 "total_inactive_file ");
}

/* A group and its ancestors. `group` is the path in a line of proc/self/cgroup, "/" for the root;
 * in a container it may name folders that exist only outside: their limits apply to the outermost
 * visible one. */
static void limit_by_groups(const char *root, const char *controller, const char *group,
                            struct machine_limits *l)
{
    char folder[PATH_MAX];
    const char *inner = strcmp(group, "/") ? group : "";
    const int bytes =
        snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s%s", root, controller, inner);
    if (bytes >= (int)sizeof folder) return;
    const size_t outermost = (size_t)bytes - strlen(inner);
    for (size_t end = (size_t)bytes;; end--) {
        if (folder[end] && folder[end] != '/') continue;
        folder[end] = 0;
        limit_by_group(folder, l);
        if (end == outermost) return;
    }
}

/* Is `name` in a comma-separated list? */
static bool listed(const char *list, const char *name)
{
    const size_t bytes = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += bytes)
        if ((at == list || at[-1] == ',') && (!at[bytes] || at[bytes] == ',')) return true;
    return false;
}

struct machine_limits machine_limits(const char *root)
{
    struct machine_limits l = {.processors = INFINITY, .memory = UINT64_MAX};
    char line[PATH_MAX + 256];
    FILE *f = open_in(root, "proc/self/cgroup");
    while (f && fgets(line, sizeof line, f)) { /* "4:cpu,cpuacct:/group"; version 2: "0::/group" */
        char *rest = line;
        strsep(&rest, ":");
        const char *controllers = strsep(&rest, ":"), *group = strsep(&rest, "\n");
        if (!controllers || !group || *group != '/') continue;
        if (!*controllers) limit_by_groups(root, "", group, &l);
        if (listed(controllers, "cpu")) limit_by_groups(root, "/cpu", group, &l);
        if (listed(controllers, "memory")) limit_by_groups(root, "/memory", group, &l);
    }
    if (f) fclose(f);
    return l;
}

size_t machine_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    const double limit = ceil(machine_limits("").processors);
    const size_t count = max_u64((uint64_t)CPU_COUNT(&set), 1);
    return limit < (double)count ? (size_t)max_u64((uint64_t)limit, 1) : count;
}

/* The address space left by ulimit -v. */
static uint64_t address_space_left(void)
{
    struct rlimit r;
    uint64_t kib;
    if (getrlimit(RLIMIT_AS, &r) || r.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    if (!number_in("/proc/self", "status", "VmSize:", &kib)) return r.rlim_cur;
    return r.rlim_cur - min_u64(r.rlim_cur, kib << 10);
}

uint64_t machine_memory_available(void)
{
    uint64_t kib;
    const uint64_t whole =
        number_in("/proc", "meminfo", "MemAvailable:", &kib) ? kib << 10 : UINT64_MAX;
    return min_u64(min_u64(whole, machine_limits("").memory), address_space_left());
}

uint64_t machine_memory_peak(void)
{
    uint64_t kib;
    return number_in("/proc/self", "status", "VmHWM:", &kib) ? kib << 10 : 0;
}
