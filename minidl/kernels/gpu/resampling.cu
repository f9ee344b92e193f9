// out[n, oy, ox, c] = sum over s, t of v[oy, s] * w[ox, t] * x[n, i[oy, s], j[ox, t], c]; taps of weight 0 are skipped.
// Bound by bytes: neighbouring outputs read the same pixels, from the cache.
#include "pooling.cuh"

struct Taps { int h, w, oh, ow, rows, columns; };              // rows, columns: taps of each output

// grid (tiles of channels, pixels), block (channels, pixels)
extern "C" __global__ void __launch_bounds__(256, 4) resample(const REAL* __restrict__ x, REAL* __restrict__ out,
    const int* __restrict__ rows, const MATH* __restrict__ row_weights, const int* __restrict__ columns,
    const MATH* __restrict__ column_weights, Taps taps, unsigned pixels, int c) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, taps.oh, taps.ow);
        const REAL* image = x + p.image * taps.h * taps.w * c + channel;
        MATH sum = 0;
        for (int s = p.y * taps.rows; s < (p.y + 1) * taps.rows; s++) {
            const MATH v = row_weights[s];
            if (v == 0) continue;
            const REAL* line = image + (long long)rows[s] * taps.w * c;
            MATH of_row = 0;
            for (int t = p.x * taps.columns; t < (p.x + 1) * taps.columns; t++)
                if (column_weights[t] != 0) of_row += column_weights[t] * widen(line[(long long)columns[t] * c]);
            sum += v * of_row;
        }
        out[(long long)at * c + channel] = narrow<REAL>(sum);
    }
}
