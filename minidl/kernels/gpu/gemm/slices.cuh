// A long inner length is cut into slices, each summed by blocks of its own, so that small products fill the GPU.
//
// All blocks of a tile leave their sums in `partial`. The last one to finish adds them up in the order of the slices:
// the same bits every time, and no second launch. `done` holds zeros before and after.
#pragma once

__device__ __forceinline__ int slice_of(int slices) { return blockIdx.z % slices; }
__device__ __forceinline__ int layer_of(int slices) { return blockIdx.z / slices; }          // of the grid without slices

// The first round of this block's slice, and the round after its last one.
__device__ __forceinline__ int cut(int rounds, int slices) { return int((long long)rounds * slice_of(slices) / slices); }
__device__ __forceinline__ int cut_end(int rounds, int slices) {
    return int((long long)rounds * (slice_of(slices) + 1) / slices);
}

// From the sums of one slice to those of all. Returns whether this block has them now, and writes the result.
template <class Sum, int COUNT>
__device__ __forceinline__ bool add_slices(Sum (&sum)[COUNT], int slices, Sum* partial, unsigned* done) {
    if (slices == 1) return true;
    __shared__ unsigned last;
    const int tile = (layer_of(slices) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    Sum* of_tile = partial + (long long)tile * slices * COUNT * blockDim.x + threadIdx.x;
    const int stride = COUNT * blockDim.x;
#pragma unroll
    for (int i = 0; i < COUNT; i++) of_tile[(long long)slice_of(slices) * stride + i * blockDim.x] = sum[i];
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done + tile, 1u) == slices - 1;
    __syncthreads();
    if (!last) return false;
    __threadfence();
#pragma unroll
    for (int i = 0; i < COUNT; i++) sum[i] = 0;
    for (int s = 0; s < slices; s++)
#pragma unroll
        for (int i = 0; i < COUNT; i++) sum[i] += __ldcg(of_tile + (long long)s * stride + i * blockDim.x);
    if (threadIdx.x == 0) done[tile] = 0;
    return true;
}
