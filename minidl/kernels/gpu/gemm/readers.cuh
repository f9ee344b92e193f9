// Readers of plain matrices: see product.cuh.
#pragma once

// Line n is row n of a C-contiguous matrix, k its column; `length` is that of a row in memory.
struct AlongK {
    static constexpr bool ALONG_K = true;
    const REAL* matrix;
    int lines, inner;
    long long length;
    typedef const REAL* Line;
    __device__ __forceinline__ Line line(int n) const { return n < lines ? matrix + n * length : nullptr; }
    __device__ __forceinline__ const REAL* base() const { return matrix; }
    __device__ __forceinline__ const REAL* at(Line line, int k) const { return line && k < inner ? line + k : nullptr; }
};

// Line n is column n, k the row.
struct AlongLines {
    static constexpr bool ALONG_K = false;
    const REAL* matrix;
    int lines, inner;
    long long length;
    typedef const REAL* Line;
    __device__ __forceinline__ Line line(int n) const { return n < lines ? matrix + n : nullptr; }
    __device__ __forceinline__ const REAL* base() const { return matrix; }
    __device__ __forceinline__ const REAL* at(Line line, int k) const {
        return line && k < inner ? line + k * length : nullptr;
    }
};
