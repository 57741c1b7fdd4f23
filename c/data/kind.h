/* kind.h -- recognizes a file by its first bytes: text, compressed text, or something that no model
 * should be trained on.
 *
 * A file is text unless it begins like one of the known kinds, or is noise: UTF-16 and UTF-32
 * without a byte order mark, other encodings that are mostly not UTF-8, programs, images. A few
 * bytes that are not UTF-8 do not matter. */
#ifndef SHOAL_DATA_KIND_H
#define SHOAL_DATA_KIND_H

#include <stdbool.h>

#include "base/bytes.h"

#define KIND_HEAD_BYTES 8192u /* bytes examined */

enum kind { KIND_TEXT, KIND_GZIP, KIND_ZSTD, KIND_FOREIGN };

struct kind_found {
    enum kind kind;
    const char *what, *remedy; /* of a foreign one: "a Parquet file", and what to do about it */
};

/* `head`: the first KIND_HEAD_BYTES of the file, or all of a shorter one. */
struct kind_found kind_of(struct bytes head);

/* Does text from the middle of a file have too many control characters to be text? */
bool kind_noise(struct bytes text);

#endif
