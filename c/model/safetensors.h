/* safetensors.h -- a model's parameters as Hugging Face's safetensors file.
 *
 *     0    u64, little-endian: bytes of the header
 *     8    header: a JSON object, name -> {"dtype", "shape", "data_offsets"}, padded with spaces
 *          to a multiple of 8
 *     ...  the tensors, fp32, without gaps; offsets count from here
 *
 * The flat vector of layout.h already has the tensors in this order, so it is written unchanged. */
#ifndef SHOAL_MODEL_SAFETENSORS_H
#define SHOAL_MODEL_SAFETENSORS_H

#include "base/err.h"
#include "model/layout.h"

/* Writes `parameters` [layout.parameters], in host memory, to `path`; a crash leaves the old file
 * or the new one. A tied model's head is not written. ERR_IO, ERR_MEMORY. */
enum err safetensors_write(const char *path, const struct layout *l, const float *parameters,
                           struct why *w);

#endif
