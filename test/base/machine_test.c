#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/machine.h"
#include "test/folder.h"

TestSuite(machine, .init = folder_make, .fini = folder_drop);

/* A file under the root, and the folders it lies in. */
static void given(const char *path, const char *text)
{
    char whole[256], command[512];
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\"", whole);
    cr_assert_eq(system(command), 0);
    FILE *f = fopen(whole, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

#define V2 "sys/fs/cgroup/"

static void nothing_limits(void)
{
    const struct machine_limits l = machine_limits(folder);
    cr_assert(isinf(l.processors));
    cr_assert_eq(l.memory, UINT64_MAX);
}

Test(machine, nothing_limits_where_nothing_can_be_read) { nothing_limits(); }

Test(machine, words_and_minus_one_limit_nothing)
{
    given("proc/self/cgroup", "2:memory:/a\n1:cpu:/a\n0::/a\n");
    given(V2 "a/cpu.max", "max 100000\n");
    given(V2 "a/memory.max", "max\n");
    given(V2 "a/memory.current", "1000\n");
    given(V2 "cpu/a/cpu.cfs_quota_us", "-1\n");
    given(V2 "cpu/a/cpu.cfs_period_us", "100000\n");
    nothing_limits();
}

Test(machine, version_2_the_tightest_of_the_groups_around_counts)
{
    given("proc/self/cgroup", "0::/slice/service\n");
    given(V2 "slice/service/cpu.max", "400000 100000\n");
    given(V2 "slice/cpu.max", "150000 100000\n");
    given(V2 "slice/service/memory.max", "5000\n");
    given(V2 "slice/service/memory.current", "4000\n");
    given(V2 "slice/service/memory.stat", "anon 3000\ninactive_file 700\nactive_file 300\n");
    given(V2 "slice/memory.max", "100000\n");
    given(V2 "slice/memory.current", "5000\n");
    const struct machine_limits l = machine_limits(folder);
    cr_assert_float_eq(l.processors, 1.5, 1e-9);
    cr_assert_eq(l.memory, 5000 - (4000 - 700));
}

/* A container sees its own group as the outermost, and may be told the path it has outside. */
Test(machine, version_1_in_a_container)
{
    given("proc/self/cgroup", "9:name=systemd:/docker/1f\n4:memory:/docker/1f\n"
                              "3:cpu,cpuacct:/docker/1f\n2:cpuset:/other\n0::/\n");
    given(V2 "cpu/cpu.cfs_quota_us", "250000\n");
    given(V2 "cpu/cpu.cfs_period_us", "100000\n");
    given(V2 "memory/memory.limit_in_bytes", "9000\n");
    given(V2 "memory/memory.usage_in_bytes", "8000\n");
    given(V2 "memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
    given(V2 "cpu/other/cpu.cfs_quota_us", "1\n"); /* of another hierarchy's path */
    given(V2 "cpu/other/cpu.cfs_period_us", "100000\n");
    const struct machine_limits l = machine_limits(folder);
    cr_assert_float_eq(l.processors, 2.5, 1e-9);
    cr_assert_eq(l.memory, 9000 - (8000 - 500));
}

Test(machine, more_used_than_allowed_leaves_nothing)
{
    given("proc/self/cgroup", "0::/\n");
    given(V2 "memory.max", "1000\n");
    given(V2 "memory.current", "2000\n");
    cr_assert_eq(machine_limits(folder).memory, 0);
}

Test(machine, broken_files_limit_nothing)
{
    given("proc/self/cgroup", "0\n:\n::\n4:memory\n1:cpu:relative\n0::/a");
    given(V2 "a/cpu.max", "\n");
    given(V2 "a/memory.max", "");
    given(V2 "a/memory.current", "1");
    nothing_limits();
}

Test(machine, says_of_this_one_what_the_system_says)
{
    const size_t count = machine_processors();
    cr_assert(count >= 1 && count <= (size_t)sysconf(_SC_NPROCESSORS_CONF));
    const uint64_t whole = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    cr_assert(machine_memory_available() > 0 && machine_memory_available() <= whole);
    cr_assert(machine_memory_peak() > 0 && machine_memory_peak() <= whole);
}
