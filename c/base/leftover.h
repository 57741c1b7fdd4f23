/* leftover.h -- what file_write_atomic left behind when its process was killed: NAME.tmp-<process
 * ID>. */
#ifndef SHOAL_BASE_LEFTOVER_H
#define SHOAL_BASE_LEFTOVER_H

#include <stdbool.h>
#include <stddef.h>

/* Removes the folder's leftovers of files whose name `ours` says yes to; returns how many. Nobody
 * may be writing such a file meanwhile: hold the folder's lock. */
size_t leftover_remove(const char *dir, bool (*ours)(const char *name));

#endif
