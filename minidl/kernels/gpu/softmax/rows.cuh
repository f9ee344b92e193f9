// Rows of n elements that lie `inner` apart: x (outer, n, inner), C-contiguous. Bound by bytes, because what a row reads
// again is in the cache.
//
// A row is worked on by blockDim.x lanes of one warp, a power of 2; where `inner` is not 1 by one thread, so that
// neighbouring threads read neighbours in memory.
#pragma once
#include "real.cuh"

struct Row {
    long long number, start;
    int n;
    long long inner;
    bool exists;

    __device__ __forceinline__ long long at(int i) const { return start + i * inner; }
};

__device__ __forceinline__ Row my_row(long long rows, int n, long long inner) {
    const long long number = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    return {number, number / inner * n * inner + number % inner, n, inner, number < rows};
}

// For each element i of the row that belongs to this lane.
#define EACH_OF(row, i) for (int i = threadIdx.x; (row).exists && i < (row).n; i += blockDim.x)

template <class T> __device__ __forceinline__ T sum_of_lanes(T v) {
    for (int by = blockDim.x / 2; by; by /= 2) v += __shfl_xor_sync(0xffffffffu, v, by);
    return v;
}

__device__ __forceinline__ MATH largest_of_lanes(MATH v) {
    for (int by = blockDim.x / 2; by; by /= 2) {
        const MATH other = __shfl_xor_sync(0xffffffffu, v, by);
        v = other > v ? other : v;
    }
    return v;
}

// The largest element of a row, and the logarithm's argument: the sum of exp(x - largest). NaN makes the sum NaN.
__device__ __forceinline__ void exponentials(const REAL* x, const Row& row, MATH& largest, MATH& sum) {
    MATH best = -infinity();
    EACH_OF(row, i) {
        const MATH v = widen(x[row.at(i)]);
        best = v > best ? v : best;
    }
    largest = largest_of_lanes(best);
    double total = 0;
    EACH_OF(row, i) total += exp(widen(x[row.at(i)]) - largest);
    sum = MATH(sum_of_lanes(total));
}
