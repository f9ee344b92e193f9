// Sums of x (sets, length, columns), C-contiguous, along its length: bound by bytes.
//
// Each thread adds eight elements in MATH, and such sums in double: the error does not grow with the length.
#include "columns.cuh"

// One element in `step`, eight at a time, from `first` to `end`.
__device__ __forceinline__ double sum_of_some(const REAL* x, long long first, long long end, long long step, long long stride) {
    double sum = 0;
    for (long long at = first; at < end; at += 8 * step) {
        MATH eight = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) eight += at + i * step < end ? widen(x[(at + i * step) * stride]) : MATH(0);
        sum += eight;
    }
    return sum;
}

// grid (sets * tiles of columns, slices); block (columns, parts)
extern "C" __global__ void __launch_bounds__(256) sum_columns(const REAL* __restrict__ x, double* __restrict__ partial,
    unsigned* __restrict__ done, MATH* __restrict__ out, long long sets, long long length, int columns) {
    const int tiles = (columns + blockDim.x - 1) / blockDim.x;
    const int column = blockIdx.x % tiles * blockDim.x + threadIdx.x;
    const long long set = blockIdx.x / tiles, all = sets * columns, at = column < columns ? set * columns + column : all;
    const Slice slice = my_slice(length);
    double sum[1] = {0};
    if (at < all) sum[0] = sum_of_some(x + set * length * columns + column, slice.first, slice.end, slice.step, columns);
    if (add_slices(sum, partial, done, at, all)) out[at] = MATH(sum[0]);
}

// Sets of few elements and one column: block (lanes, sets), where the lanes of a set, a power of 2, are in one warp.
extern "C" __global__ void __launch_bounds__(256) sum_rows(const REAL* __restrict__ x, MATH* __restrict__ out,
    long long sets, long long length) {
    const long long set = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    double sum = set < sets ? sum_of_some(x + set * length, threadIdx.x, length, blockDim.x, 1) : 0;
    for (int by = blockDim.x / 2; by; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
    if (threadIdx.x == 0 && set < sets) out[set] = MATH(sum);
}
