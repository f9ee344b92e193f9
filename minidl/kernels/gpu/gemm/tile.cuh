// One tile of a matrix product, without tensor cores: BM x BN of c = a @ b by BM * BN / 64 threads.
//
// In each round a block brings DEPTH of the inner length to shared memory: BM x DEPTH of a, DEPTH x BN of b. Each thread adds
// 8 x 8 products for each k in registers: 64 multiply-adds for 16 numbers that it loads from shared memory. While they
// are added, the next round's numbers are on their way to registers; two buffers let one barrier a round suffice.
//
// With WIDE, four neighbours are loaded at once.
#pragma once

constexpr int DEPTH = 8, SUMS = 64, TILE_THREADS = BM * BN / SUMS;
// Blocks on a multiprocessor: as many as leave each thread enough registers.
constexpr int RESIDENT = (sizeof(MATH) == 8 || BN == 32 ? 256 : 384) / TILE_THREADS;

template <int LINES> using Buffer = MATH[DEPTH][LINES + 4];                    // padded against bank conflicts
struct __align__(16) Buffers {
    Buffer<BM> a;
    Buffer<BN> b;
};

// What one thread brings of one operand: pieces of four neighbours.
template <class Reader, int LINES> struct Feed {
    static constexpr int IN_ALL = LINES * DEPTH / 4, PIECES = (IN_ALL + TILE_THREADS - 1) / TILE_THREADS;
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
        return Reader::ALONG_K ? piece(p) / (DEPTH / 4) : piece(p) % (LINES / 4) * 4;
    }
    __device__ __forceinline__ static int k_of(int p) {
        return Reader::ALONG_K ? piece(p) % (DEPTH / 4) * 4 : piece(p) / (LINES / 4);
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
    unsigned char* shared, MATH (&sum)[SUMS]) {
    Buffers* buffers = reinterpret_cast<Buffers*>(shared);
    Feed<A, BM> feed_a(a, m0);
    Feed<B, BN> feed_b(b, n0);
#pragma unroll
    for (int i = 0; i < SUMS; i++) sum[i] = 0;
    if (begin >= end) return;
    feed_a.fetch(begin * DEPTH);
    feed_b.fetch(begin * DEPTH);
    feed_a.store(buffers[0].a);
    feed_b.store(buffers[0].b);
    __syncthreads();
    for (int round = begin; round < end; round++) {
        Buffers &now = buffers[(round - begin) % 2], &next = buffers[1 - (round - begin) % 2];
        if (round + 1 < end) {
            feed_a.fetch((round + 1) * DEPTH);
            feed_b.fetch((round + 1) * DEPTH);
        }
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            Pack<MATH, 4> row[2], column[2];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                row[h] = load<4>(&now.a[k][tile_row(4 * h)], true);
                column[h] = load<4>(&now.b[k][tile_column(4 * h)], true);
            }
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[8 * i + j] += row[i / 4].v[i % 4] * column[j / 4].v[j % 4];
        }
        if (round + 1 < end) {
            feed_a.store(next.a);
            feed_b.store(next.b);
        }
        __syncthreads();
    }
}

// Writes the tile that begins at (m0, n0); row(m) is where row m begins, or null.
template <class Row>
__device__ __forceinline__ void write_tile(const Result& result, int m0, int n0, const MATH (&sum)[SUMS], Row row) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        REAL* to = row(m0 + tile_row(i));
        if (!to) continue;
        result.write<4>(to, n0 + tile_column(0), &sum[8 * i]);
        result.write<4>(to, n0 + tile_column(4), &sum[8 * i + 4]);
    }
}
