// c[i] = a[i] @ b[i] + bias for matrices in C order, or, with A_TRANSPOSED or B_TRANSPOSED, in the order of columns.
// grid (tiles of rows, tiles of columns, matrices * slices); a_step and b_step lead from a matrix to the next, or are 0.
#include "gemm/product.cuh"

#ifndef A_TRANSPOSED
#define A_TRANSPOSED 0
#endif
#ifndef B_TRANSPOSED
#define B_TRANSPOSED 0
#endif
template <bool CONDITION, class A, class B> struct Either { typedef A Type; };
template <class A, class B> struct Either<false, A, B> { typedef B Type; };

extern "C" __global__ void __launch_bounds__(TILE_THREADS, RESIDENT) matmul(const REAL* __restrict__ a, const REAL* __restrict__ b,
    const REAL* __restrict__ bias, REAL* __restrict__ out, int rows, int columns, int inner, long long a_step,
    long long b_step, int relu, int slices, MATH* partial, unsigned* done) {
    DYNAMIC_SHARED(unsigned char, shared);
    const long long matrix = layer_of(slices);
    const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN, rounds = (inner + DEPTH - 1) / DEPTH;
    const Either<A_TRANSPOSED, AlongLines, AlongK>::Type of_a{a + matrix * a_step, rows, inner, A_TRANSPOSED ? rows : inner};
    const Either<B_TRANSPOSED, AlongK, AlongLines>::Type of_b{b + matrix * b_step, columns, inner, B_TRANSPOSED ? inner : columns};
    MATH sum[SUMS];
    multiply_tile(of_a, of_b, m0, n0, cut(rounds, slices), cut_end(rounds, slices), shared, sum);
    if (!add_slices(sum, slices, partial, done)) return;
    const Result result{out, bias, columns, relu != 0};
    write_tile(result, m0, n0, sum, [&](int m) { return m < rows ? out + (matrix * rows + m) * columns : nullptr; });
}
