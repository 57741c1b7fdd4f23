#include "base/amount.h"

#include <math.h>
#include <stdio.h>

const char *amount_count(uint64_t n, const char *one, const char *several, char out[64])
{
    snprintf(out, 64, "%llu %s", (unsigned long long)n, n == 1 ? one : several);
    return out;
}

const char *amount_time(double seconds, char out[32])
{
    const double minutes = seconds / 60, hours = minutes / 60;
    if (!(seconds < 1e9)) snprintf(out, 32, "?");
    else if (seconds < 99.5) snprintf(out, 32, "%.0f s", seconds);
    else if (minutes < 99.5) snprintf(out, 32, "%.0f min", minutes);
    else if (hours < 48)
        snprintf(out, 32, "%d h %d min", (int)hours, (int)(minutes - 60 * floor(hours)));
    else snprintf(out, 32, "%.1f days", hours / 24);
    return out;
}

const char *amount_bytes(double bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;
    for (; bytes >= 999.5 && u + 1 < sizeof units / sizeof units[0]; u++) bytes /= 1000;
    snprintf(out, 32, u && bytes < 99.95 ? "%.1f %s" : "%.0f %s", bytes, units[u]);
    return out;
}
