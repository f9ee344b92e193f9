// One tile of a matrix product, without tensor cores: BM x BN of c = a @ b by BM * BN / 64 threads.
//
// In each round a block brings BK of the inner length to shared memory: BM x BK of a, BK x BN of b. Each thread adds
// 8 x 8 products for each k in registers: 64 multiply-adds for 16 numbers that it loads from shared memory. While they
// are added, the next round's numbers are on their way to registers; two buffers let one barrier a round suffice.
//
// A reader says where the elements of an operand lie, so that the matrix of windows of a convolution need not exist. A
// line is a row of a, or a column of b:
//
//     static constexpr bool ALONG_K     whether neighbours in memory are neighbours along k; else they are along lines
//     Line line(int n)                  what is worth working out once for a line
//     const REAL* at(Line, int k)       the address of an element, or null for a zero
//
// With WIDE, four neighbours from a multiple of four on are neighbours in memory too, aligned, and zero together.
#pragma once
#include "real.cuh"

#ifndef BM
#define BM 64
#endif
#ifndef BN
#define BN 64
#endif
#ifndef WIDE
#define WIDE 0
#endif
constexpr int BK = 8, TILE_THREADS = BM * BN / 64;
constexpr int RESIDENT = (BN == 32 ? 256 : 384) / TILE_THREADS;                // blocks of a multiprocessor: no registers spill

template <int LINES> using Buffer = MATH[BK][LINES + 4];                       // padded against bank conflicts

// What one thread brings of one operand: pieces of four neighbours.
template <class Reader, int LINES> struct Feed {
    static constexpr int IN_ALL = LINES * BK / 4, PIECES = (IN_ALL + TILE_THREADS - 1) / TILE_THREADS;
    const Reader& reader;
    const int first;                             // line of the tile
    typename Reader::Line lines[PIECES];
    MATH held[PIECES][4];

    __device__ __forceinline__ Feed(const Reader& reader, int first) : reader(reader), first(first) {
#pragma unroll
        for (int p = 0; p < PIECES; p++) lines[p] = reader.line(first + line_of(p));
    }
    __device__ __forceinline__ static int piece(int p) { return threadIdx.x + p * TILE_THREADS; }
    __device__ __forceinline__ static int line_of(int p) {
        return Reader::ALONG_K ? piece(p) / (BK / 4) : piece(p) % (LINES / 4) * 4;
    }
    __device__ __forceinline__ static int k_of(int p) {
        return Reader::ALONG_K ? piece(p) % (BK / 4) * 4 : piece(p) / (LINES / 4);
    }
    __device__ __forceinline__ void fetch(int k0) {
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            const int k = k0 + k_of(p);
            if (WIDE) {
                const REAL* from = reader.at(lines[p], k);
                const Pack<REAL, 4> four = from ? load<4>(from, true) : Pack<REAL, 4>{};
#pragma unroll
                for (int e = 0; e < 4; e++) held[p][e] = widen(four.v[e]);
                continue;
            }
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const REAL* from = Reader::ALONG_K ? reader.at(lines[p], k + e)
                                                   : reader.at(reader.line(first + line_of(p) + e), k);
                held[p][e] = from ? widen(*from) : 0;
            }
        }
    }
    __device__ __forceinline__ void store(Buffer<LINES>& to) const {
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            if (IN_ALL % TILE_THREADS && piece(p) >= IN_ALL) continue;
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (Reader::ALONG_K) to[k_of(p) + e][line_of(p)] = held[p][e];
                else to[k_of(p)][line_of(p) + e] = held[p][e];
        }
    }
};

// Where the sums of a thread lie in its tile: two times 4 rows and 4 columns, half a tile apart, against bank conflicts.
__device__ __forceinline__ int tile_row(int i) { return threadIdx.x / (BN / 8) * 4 + i % 4 + i / 4 * (BM / 2); }
__device__ __forceinline__ int tile_column(int j) { return threadIdx.x % (BN / 8) * 4 + j % 4 + j / 4 * (BN / 2); }

// sum[8 * i + j] = the product for tile_row(i), tile_column(j), over the rounds from `begin` to `end`.
template <class A, class B>
__device__ __forceinline__ void multiply_tile(const A& a, const B& b, int m0, int n0, int begin, int end,
    Buffer<BM> (&as)[2], Buffer<BN> (&bs)[2], MATH (&sum)[64]) {
    Feed<A, BM> feed_a(a, m0);
    Feed<B, BN> feed_b(b, n0);
#pragma unroll
    for (int i = 0; i < 64; i++) sum[i] = 0;
    if (begin >= end) return;
    feed_a.fetch(begin * BK);
    feed_b.fetch(begin * BK);
    feed_a.store(as[0]);
    feed_b.store(bs[0]);
    __syncthreads();
    for (int round = begin; round < end; round++) {
        const int buffer = (round - begin) % 2;
        if (round + 1 < end) {
            feed_a.fetch((round + 1) * BK);
            feed_b.fetch((round + 1) * BK);
        }
#pragma unroll
        for (int k = 0; k < BK; k++) {
            Pack<MATH, 4> row[2], column[2];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                row[h] = load<4>(&as[buffer][k][tile_row(4 * h)], true);
                column[h] = load<4>(&bs[buffer][k][tile_column(4 * h)], true);
            }
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[8 * i + j] += row[i / 4].v[i % 4] * column[j / 4].v[j % 4];
        }
        if (round + 1 < end) {
            feed_a.store(as[1 - buffer]);
            feed_b.store(bs[1 - buffer]);
        }
        __syncthreads();
    }
}
