// Sums of the columns of a matrix in one launch, with the same bits each time.
//
// x (rows, columns), C-contiguous. A block of (columns, parts) threads takes up to 32 columns and a slice of the rows, of
// which each thread reads every parts-th. The threads of a block are added in a fixed order; so are the slices, by the
// last block of these columns to finish. COUNT sums of each column travel together.
#pragma once
#include "real.cuh"

constexpr int THREADS = 256;

// The rows of a thread: `for (row = first; row < end; row += step)`.
struct Slice { long long first, end, step; };

__device__ __forceinline__ Slice my_slice(long long rows) {
    long long begin = rows * blockIdx.y / gridDim.y;
    return {begin + threadIdx.y, rows * (blockIdx.y + 1) / gridDim.y, blockDim.y};
}

// Adds the sums of all parts of a block; the threads with threadIdx.y 0 get them.
template <int COUNT> __device__ __forceinline__ void add_parts(double (&sum)[COUNT]) {
    __shared__ double shared[COUNT][THREADS];
    const int at = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int k = 0; k < COUNT; k++) shared[k][at] = sum[k];
    __syncthreads();
    int parts = blockDim.y;
    while (parts > 1) {
        int half = (parts + 1) / 2;
        if (threadIdx.y + half < parts) {
#pragma unroll
            for (int k = 0; k < COUNT; k++) shared[k][at] += shared[k][at + half * blockDim.x];
        }
        __syncthreads();
        parts = half;
    }
#pragma unroll
    for (int k = 0; k < COUNT; k++) sum[k] = shared[k][threadIdx.x];
    __syncthreads();
}

// From the sums of each thread to those of whole columns. Returns whether this thread holds the sums of its column now.
// partial (slices, COUNT, columns); done (grid.x,) holds zeros before and after.
template <int COUNT> __device__ __forceinline__ bool add_slices(double (&sum)[COUNT], double* partial, unsigned* done,
    long long column, long long columns) {
    __shared__ unsigned last;
    const bool mine = threadIdx.y == 0 && column < columns;
    add_parts(sum);
    if (gridDim.y == 1) return mine;
    if (mine) {
#pragma unroll
        for (int k = 0; k < COUNT; k++) partial[((long long)blockIdx.y * COUNT + k) * columns + column] = sum[k];
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) last = atomicAdd(done + blockIdx.x, 1u) == gridDim.y - 1;
    __syncthreads();
    if (!last) return false;
    __threadfence();
#pragma unroll
    for (int k = 0; k < COUNT; k++) sum[k] = 0;
    if (column < columns) {
        for (unsigned s = threadIdx.y; s < gridDim.y; s += blockDim.y) {
            const volatile double* p = partial + (long long)s * COUNT * columns + column;
#pragma unroll
            for (int k = 0; k < COUNT; k++) sum[k] += p[(long long)k * columns];
        }
    }
    add_parts(sum);
    if (threadIdx.x == 0 && threadIdx.y == 0) done[blockIdx.x] = 0;
    return mine;
}
