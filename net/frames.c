#include "frames.h"

#include <stdlib.h>

#define ROOM_BYTES_MIN 512

void frames_init(struct frames *f, uint32_t body_max)
{
    *f = (struct frames){.body_max = body_max};
}

void frames_fini(struct frames *f)
{
    free(f->body);
    *f = (struct frames){0};
}

static size_t take(struct bytes *in, uint8_t *to, size_t want)
{
    size_t n = in->count < want ? in->count : want;
    if (n) memcpy(to, in->data, n);
    in->data += n;
    in->count -= n;
    return n;
}

static bool grow(struct frames *f, size_t need)
{
    if (need <= f->body_room) return true;
    size_t room = f->body_room ? f->body_room : ROOM_BYTES_MIN;
    while (room < need) room *= 2;
    uint8_t *body = realloc(f->body, room);
    if (!body) return false;
    f->body = body;
    f->body_room = room;
    return true;
}

enum frames_said frames_take(struct frames *f, struct bytes *in, uint8_t *type, struct bytes *body)
{
    if (f->head_count < FRAMES_HEAD_BYTES) {
        f->head_count += take(in, f->head + f->head_count, FRAMES_HEAD_BYTES - f->head_count);
        if (f->head_count < FRAMES_HEAD_BYTES) return FRAMES_MORE;
        f->body_want = (size_t)f->head[1] | (size_t)f->head[2] << 8 | (size_t)f->head[3] << 16;
        f->body_count = 0;
    }
    if (f->body_want > f->body_max) return FRAMES_TOO_LONG;
    size_t left = f->body_want - f->body_count, n = in->count < left ? in->count : left;
    if (!grow(f, f->body_count + n)) return FRAMES_NO_MEMORY;
    f->body_count += n ? take(in, f->body + f->body_count, n) : 0;
    if (f->body_count < f->body_want) return FRAMES_MORE;
    *type = f->head[0];
    *body = bytes_of(f->body, f->body_count);
    f->head_count = 0;
    return FRAMES_ONE;
}
