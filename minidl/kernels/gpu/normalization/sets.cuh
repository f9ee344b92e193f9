// Sets of elements that share a mean and a variance: an example of layer norm, a group of channels of an image.
//
// A set is `runs` runs of `length` neighbours, which begin `stride` apart: for layer norm one run, for group norm a run
// of channels in each pixel. A team of threads works on a set: a warp, or a block where sets are large. Bound by bytes
// where a set fits into the cache.
#pragma once
#include "real.cuh"

struct Set {
    long long number, start;
    unsigned length;                             // of a run
    long long stride;                            // from run to run
    unsigned size;
    bool exists;

    __device__ __forceinline__ long long at(unsigned i) const {
        return length == size ? start + i : start + i / length * stride + i % length;
    }
};

// sets_of_image sets follow one another, `length` apart, in each image of image_size elements.
struct Sets {
    long long count, sets_of_image, image_size, stride;
    int runs, length;
};

// A team is blockDim.x threads; blockDim.y teams are in a block.
__device__ __forceinline__ Set my_set(const Sets& s) {
    const long long number = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    return {number, number / s.sets_of_image * s.image_size + number % s.sets_of_image * s.length, (unsigned)s.length, s.stride,
            (unsigned)s.runs * s.length, number < s.count};
}

#define EACH_OF_SET(set, i) for (unsigned i = threadIdx.x; (set).exists && i < (set).size; i += blockDim.x)

// Adds up COUNT sums of all threads of a team; each gets them.
template <int COUNT> __device__ __forceinline__ void add_team(double (&sum)[COUNT]) {
    __shared__ double shared[COUNT][8];
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        for (int by = 16; by; by /= 2) sum[k] += __shfl_xor_sync(0xffffffffu, sum[k], by);
    if (blockDim.x == 32) return;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (threadIdx.x % 32 == 0) shared[k][threadIdx.x / 32] = sum[k];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < COUNT; k++) {
        sum[k] = 0;
        for (unsigned w = 0; w < blockDim.x / 32; w++) sum[k] += shared[k][w];
    }
    __syncthreads();
}
