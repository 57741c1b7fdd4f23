/* leftover.h -- temporary files of file_write_atomic left by killed processes: NAME.tmp-<process
 * ID>. */
#ifndef SHOAL_BASE_LEFTOVER_H
#define SHOAL_BASE_LEFTOVER_H

#include <stdbool.h>
#include <stddef.h>

/* Removes the folder's leftovers of files whose names `ours` accepts; returns their number. No
 * process may be writing such a file meanwhile: hold the folder's lock. */
size_t leftover_remove(const char *dir, bool (*ours)(const char *name));

#endif
