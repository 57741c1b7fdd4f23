#include "cpu/product.h"

#include <assert.h>

#include "base/whole.h"

#define PACK_STRIPS     4 /* strips per piece of packing */
#define TILES_OF_THREAD 2 /* minimum tiles per thread, if tiles can be narrower */

/* The present block: rows [row, row + rows) of the product; columns and steps likewise. */
struct block {
    const struct kernels *kernels;
    const struct product_room *room;
    const struct product *p;
    size_t row, rows, column, columns, k, depth;
    size_t strip; /* words of one strip */
    size_t tile_columns, tiles_down, tiles_across;
    /* The pool gives each thread a part of all pieces: adjacent rows, as in the operations around a
     * product. */
    size_t threads;
    bool pack_a, pack_b;
    bool a_lies; /* a is not packed */
    float *sums; /* at the block's first row and column; NULL if there is only one block of steps */
    size_t sums_stride;
    bool add, last; /* add: to `sums`; last: this is the last block of steps */
};

/* Packs strips [first, first + PACK_STRIPS) of the left or right operand, of which the block uses
 * `rows` rows from `row` on. */
static void pack(const struct block *b, bool left, const void *x, size_t stride, bool along,
                 bool floats, size_t row, size_t rows, size_t first, uint32_t *to)
{
    const size_t lanes = b->kernels->lanes, done = first * lanes;
    const size_t at = along ? (row + done) * stride + b->k : b->k * stride + row + done;
    b->kernels->pack(
        &(struct kernel_pack){.strips = to + first * b->strip,
                              .x = floats ? (const float *)x + at : kernels_at(b->kernels, x, at),
                              .stride = stride,
                              .along = along,
                              .floats = floats,
                              .left = left,
                              .rows = min_u64(PACK_STRIPS * lanes, rows - done),
                              .depth = b->depth});
}

static size_t pack_pieces(const struct block *b, size_t rows)
{
    return ceil_div(rows, PACK_STRIPS * b->kernels->lanes);
}

/* Start of part `t` when n items are divided into `parts`. */
static size_t part(size_t n, size_t t, size_t parts) { return n * t / parts; }

static void pack_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct block *b = ctx;
    const struct product *p = b->p;
    const size_t of_a = b->pack_a ? pack_pieces(b, b->rows) : 0;
    const size_t of_b = b->pack_b ? pack_pieces(b, b->columns) : 0;
    for (size_t t = 0; t < b->threads; t++) { /* a part of a and one of b for each thread */
        const size_t first_a = part(of_a, t, b->threads), first_b = part(of_b, t, b->threads);
        const size_t some_a = part(of_a, t + 1, b->threads) - first_a;
        const size_t some_b = part(of_b, t + 1, b->threads) - first_b;
        if (index < some_a)
            pack(b, true, p->a, p->a_stride, p->a_along, false, b->row, b->rows,
                 (first_a + index) * PACK_STRIPS, b->room->a);
        else if (index < some_a + some_b)
            pack(b, false, p->b, p->b_stride, p->b_along, p->b_floats, b->column, b->columns,
                 (first_b + index - some_a) * PACK_STRIPS, b->room->b);
        if (index < some_a + some_b) return;
        index -= some_a + some_b;
    }
}

/* The tile of piece `index`. Pieces are ordered by thread (rows), then by columns, so that b's
 * strips stay in the cache. */
static void tile_at(const struct block *b, size_t index, size_t *down, size_t *across)
{
    for (size_t t = 0;; t++) {
        const size_t first = part(b->tiles_down, t, b->threads);
        const size_t rows = part(b->tiles_down, t + 1, b->threads) - first;
        if (index < rows * b->tiles_across) {
            *down = first + index % rows;
            *across = index / rows;
            return;
        }
        index -= rows * b->tiles_across;
    }
}

static void tile_piece(void *ctx, size_t index, size_t thread)
{
    (void)thread;
    const struct block *b = ctx;
    const struct product *p = b->p;
    size_t down, across;
    tile_at(b, index, &down, &across);
    const size_t row = down * b->kernels->tile_rows, column = across * b->tile_columns;
    const size_t at = (b->row + row) * p->n + b->column + column;
    const size_t steps = b->strip / b->kernels->lanes;
    struct kernel_tile t = {.a = b->room->a + row * steps,
                            .b = b->room->b + column * steps,
                            .along = b->a_lies,
                            .a_stride = b->a_lies ? p->a_stride : b->strip,
                            .b_stride = b->strip,
                            .rows = min_u64(b->kernels->tile_rows, b->rows - row),
                            .columns = min_u64(b->tile_columns, b->columns - column),
                            .steps = steps,
                            .sum = b->sums ? b->sums + row * b->sums_stride + column : NULL,
                            .sum_stride = b->sums_stride,
                            .add = b->add};
    if (b->a_lies) t.a = kernels_at(b->kernels, p->a, (b->row + row) * p->a_stride + b->k);
    if (b->last && p->out) {
        t.out = kernels_at(b->kernels, p->out, at);
        t.out_stride = p->n;
    }
    kernels_enter(b->kernels);
    b->kernels->multiply(&t);
    kernels_leave(b->kernels);
}

/* Columns of a tile: chosen for the caches, fewer if the threads would have too few tiles. Pairs of
 * strips stay together: a kernel may sum pairs and single strips differently, and bits must not
 * depend on the number of threads. */
static size_t tile_columns(const struct block *b)
{
    const struct kernels *k = b->kernels;
    const size_t down = ceil_div(b->rows, k->tile_rows), wanted = TILES_OF_THREAD * b->threads;
    if (!k->tile_words) return k->tile_strips * k->lanes;
    size_t pairs = k->tile_words / b->strip / 2;
    while (pairs > 1 && down * ceil_div(b->columns, 2 * pairs * k->lanes) < wanted) pairs /= 2;
    return 2 * pairs * k->lanes;
}

static void run_block(struct pool *pool, struct block *b)
{
    const size_t packs =
        (b->pack_a ? pack_pieces(b, b->rows) : 0) + (b->pack_b ? pack_pieces(b, b->columns) : 0);
    if (packs) pool_run(pool, pack_piece, b, packs);
    b->tile_columns = tile_columns(b);
    b->tiles_down = ceil_div(b->rows, b->kernels->tile_rows);
    b->tiles_across = ceil_div(b->columns, b->tile_columns);
    pool_run(pool, tile_piece, b, b->tiles_down * b->tiles_across);
}

static_assert((PRODUCT_WORDS / PRODUCT_STEPS) * (PRODUCT_WORDS / PRODUCT_STEPS) <= PRODUCT_SUMS,
              "sums of a block of the most steps have room");

/* Maximum rows of a packed operand, a multiple of `tile`. */
static size_t rows_at_most(size_t steps, size_t tile)
{
    return PRODUCT_WORDS / steps / tile * tile;
}

void product_run(struct pool *pool, const struct kernels *kernels, const struct product_room *room,
                 const struct product *p)
{
    const size_t numbers = kernels->numbers_of_step;
    const size_t steps = min_u64(kernels_steps(kernels, p->k), PRODUCT_STEPS);
    const size_t depth = min_u64(steps * numbers, p->k);
    const bool deep = depth < p->k;
    const bool a_lies = kernels->unpacked && p->a_along && p->k % kernels->unpacked == 0;
    const size_t rows =
        a_lies && !deep ? p->m : min_u64(p->m, rows_at_most(steps, kernels->tile_rows));
    const size_t columns = min_u64(p->n, rows_at_most(steps, kernels->lanes));
    struct block b = {
        .kernels = kernels, .room = room, .p = p, .threads = pool_threads(pool), .a_lies = a_lies};
    for (b.column = 0; b.column < p->n; b.column += columns) {
        b.columns = min_u64(columns, p->n - b.column);
        for (b.row = 0; b.row < p->m; b.row += rows) {
            b.rows = min_u64(rows, p->m - b.row);
            for (b.k = 0; b.k < p->k; b.k += depth) {
                b.depth = min_u64(depth, p->k - b.k);
                b.strip = kernels_steps(kernels, b.depth) * kernels->lanes;
                b.pack_a = !a_lies && (deep || rows < p->m || b.column == 0);
                b.pack_b = deep || b.row == 0;
                b.last = b.k + b.depth == p->k;
                b.add = p->add || b.k > 0;
                b.sums = p->out ? deep ? room->sums : NULL : p->sums + b.row * p->n + b.column;
                b.sums_stride = p->out ? columns : p->n;
                run_block(pool, &b);
            }
        }
    }
}
