// Copies of arrays of any dtype into a part of another one: bound by bytes.
//
// A thread moves BYTES at a time, 1 to 16: a Unit, neighbours in both arrays. Lengths and strides are in units.
#ifndef BYTES
#define BYTES 4
#endif
#define AXES 8
#define SOURCES 64

#if BYTES == 1
typedef unsigned char Unit;
#elif BYTES == 2
typedef unsigned short Unit;
#elif BYTES == 4
typedef unsigned Unit;
#elif BYTES == 8
typedef unsigned long long Unit;
#else
typedef uint4 Unit;
#endif

// Along one axis of the result: elements first, first + step, ... are those of the source, `count` of them.
struct Placed {
    const Unit* from;
    int axes;
    int n[AXES], first[AXES], step[AXES], count[AXES];
    long long stride[AXES];                      // of the source
    unsigned value[4];                           // 16 bytes of all other elements
};

__device__ __forceinline__ Unit unit_of(const unsigned (&value)[4]) {
    alignas(16) const unsigned words[4] = {value[0], value[1], value[2], value[3]};
    return *reinterpret_cast<const Unit*>(words);
}

template <class Index> __device__ __forceinline__ void place_all(const Placed& p, Unit* out, Index size) {
    const Index all = Index(gridDim.x) * blockDim.x;
    const Unit value = unit_of(p.value);
    for (Index at = Index(blockIdx.x) * blockDim.x + threadIdx.x; at < size; at += all) {
        Index rest = at;
        long long offset = 0;
        bool inside = true;
#pragma unroll
        for (int axis = AXES - 1; axis >= 0; axis--) {
            if (axis >= p.axes) continue;
            const int i = int(rest % p.n[axis]) - p.first[axis], k = i / p.step[axis];
            rest /= p.n[axis];
            inside = inside && k * p.step[axis] == i && k >= 0 && k < p.count[axis];
            offset += k * p.stride[axis];
        }
        out[at] = inside ? p.from[offset] : value;
    }
}

extern "C" __global__ void __launch_bounds__(256) place(const __grid_constant__ Placed placed, void* __restrict__ out,
    long long size) {
    if (size < 1ll << 31) place_all<unsigned>(placed, (Unit*)out, unsigned(size));
    else place_all<unsigned long long>(placed, (Unit*)out, size);
}

// Matrices (rows, width) side by side: matrix k has the columns from first[k] to first[k + 1] of the result.
struct Matrices {
    const Unit* from[SOURCES];
    int first[SOURCES + 1], count;
};

template <class Index> __device__ __forceinline__ void concatenate_all(const Matrices& m, Unit* out, Index size, int total) {
    const int begin = m.first[0], width = m.first[m.count] - begin;
    const Index all = Index(gridDim.x) * blockDim.x;
    for (Index at = Index(blockIdx.x) * blockDim.x + threadIdx.x; at < size; at += all) {
        const Index row = at / width;
        const int column = int(at - row * width) + begin;
        int low = 0, high = m.count - 1;
        while (low < high) {
            const int middle = (low + high + 1) / 2;
            if (m.first[middle] <= column) low = middle; else high = middle - 1;
        }
        const int own = m.first[low + 1] - m.first[low];
        out[(long long)row * total + column] = m.from[low][(long long)row * own + column - m.first[low]];
    }
}

// size: of the columns of these matrices; total: the columns of `out`
extern "C" __global__ void __launch_bounds__(256) concatenate(const __grid_constant__ Matrices matrices,
    void* __restrict__ out, long long size, int total) {
    if (size < 1ll << 31) concatenate_all<unsigned>(matrices, (Unit*)out, unsigned(size), total);
    else concatenate_all<unsigned long long>(matrices, (Unit*)out, size, total);
}
