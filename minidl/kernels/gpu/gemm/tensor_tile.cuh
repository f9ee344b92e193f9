// One tile of a matrix product on tensor cores: float32 as TF32, half and bfloat16 as they are; sums are float32.
//
// BN * 2 threads are 2 rows of BN / 32 warps; each warp makes BM / 2 x 32 out of the products of 16 x 8 that one
// instruction adds. STAGES buffers in shared memory are filled by asynchronous copies of 16 bytes: while one round is
// multiplied, the next ones are on their way. From compute capability 8.0 on.
#pragma once

constexpr int STAGES = 4, CHUNK = 16 / sizeof(REAL), DEPTH = 4 * CHUNK;        // elements of a copy, and of a round
constexpr int TILE_THREADS = 2 * BN, TALL = BM / 2 / 16, SUMS = TALL * 4 * 4, RESIDENT = 512 / TILE_THREADS;

// One operand of one round, in the order in which it lies in memory; padded so that rows begin in different banks.
template <bool ALONG_K, int LINES> struct Operand { REAL v[LINES][DEPTH + CHUNK]; };
template <int LINES> struct Operand<false, LINES> { REAL v[DEPTH][LINES + 8]; };

template <class A, class B> struct __align__(16) Stage {
    Operand<A::ALONG_K, BM> a;
    Operand<B::ALONG_K, BN> b;
};

// What one thread brings of one operand: chunks of 16 bytes.
template <class Reader, int LINES> struct Feed {
    static constexpr int PIECES = LINES * DEPTH / CHUNK / TILE_THREADS;
    const Reader& reader;
    typename Reader::Line lines[PIECES];

    __device__ __forceinline__ Feed(const Reader& reader, int first) : reader(reader) {
#pragma unroll
        for (int p = 0; p < PIECES; p++) lines[p] = reader.line(first + line_of(p));
    }
    __device__ __forceinline__ static int piece(int p) { return threadIdx.x + p * TILE_THREADS; }
    __device__ __forceinline__ static int line_of(int p) {
        return Reader::ALONG_K ? piece(p) / 4 : piece(p) % (LINES / CHUNK) * CHUNK;
    }
    __device__ __forceinline__ static int k_of(int p) {
        return Reader::ALONG_K ? piece(p) % 4 * CHUNK : piece(p) / (LINES / CHUNK);
    }
    __device__ __forceinline__ void fetch(int k0, Operand<Reader::ALONG_K, LINES>& to) const {
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            const REAL* from = reader.at(lines[p], k0 + k_of(p));
            REAL* place = Reader::ALONG_K ? &to.v[line_of(p)][k_of(p)] : &to.v[k_of(p)][line_of(p)];
            copy_async16(place, from ? from : reader.base(), from != nullptr);
        }
    }
};

__device__ __forceinline__ int lane() { return threadIdx.x % 32; }
__device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / (BN / 32) * (BM / 2); }
__device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % (BN / 32) * 32; }

// The parts of this lane in 16 lines of a from `line` on, and 8 or 16 of their inner length from k on.
template <bool ALONG_K>
__device__ __forceinline__ void load_a(const Operand<ALONG_K, BM>& a, int line, int k, unsigned (&part)[4], const float*) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int n = line + lane() / 4 + r % 2 * 8, at = k + lane() % 4 + r / 2 * 4;
        part[r] = to_tf32(widen(ALONG_K ? a.v[n][at] : a.v[at][n]));
    }
}
template <bool ALONG_K, class Half>
__device__ __forceinline__ void load_a(const Operand<ALONG_K, BM>& a, int line, int k, unsigned (&part)[4], const Half*) {
    const int l = lane();
    load_matrices<!ALONG_K>(part, ALONG_K ? &a.v[line + l % 16][k + l / 16 * 8] : &a.v[k + l % 8 + l / 16 * 8][line + l / 8 % 2 * 8]);
}

// The parts of this lane in 16 columns of b, as two times 8.
template <bool ALONG_K>
__device__ __forceinline__ void load_b(const Operand<ALONG_K, BN>& b, int line, int k, unsigned (&part)[2][2], const float*) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int n = line + lane() / 4 + r / 2 * 8, at = k + lane() % 4 + r % 2 * 4;
        part[r / 2][r % 2] = to_tf32(widen(ALONG_K ? b.v[n][at] : b.v[at][n]));
    }
}
template <bool ALONG_K, class Half>
__device__ __forceinline__ void load_b(const Operand<ALONG_K, BN>& b, int line, int k, unsigned (&part)[2][2], const Half*) {
    const int l = lane();
    unsigned four[4];
    load_matrices<!ALONG_K>(four, ALONG_K ? &b.v[line + l % 8 + l / 16 * 8][k + l / 8 % 2 * 8] : &b.v[k + l % 16][line + l / 16 * 8]);
#pragma unroll
    for (int r = 0; r < 4; r++) part[r / 2][r % 2] = four[r];
}

__device__ __forceinline__ void mma(const float*, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_tf32(d, a, b);
}
template <class Half>
__device__ __forceinline__ void mma(const Half*, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_16(Half{}, d, a, b);
}

// Adds the products of one round to the sums of this warp: acc[i][j] is the product of 16 lines and 8 columns.
template <class Round> __device__ __forceinline__ void multiply_round(const Round& round, float (&acc)[TALL][4][4]) {
    constexpr int K = 2 * CHUNK;                 // of one instruction: 8 of TF32, 16 of 16 bits
    const REAL* kind = nullptr;
#pragma unroll
    for (int k = 0; k < DEPTH; k += K) {
        unsigned a[TALL][4], b[2][2][2];
#pragma unroll
        for (int i = 0; i < TALL; i++) load_a(round.a, warp_row() + 16 * i, k, a[i], kind);
#pragma unroll
        for (int j = 0; j < 2; j++) load_b(round.b, warp_column() + 16 * j, k, b[j], kind);
#pragma unroll
        for (int i = 0; i < TALL; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) mma(kind, acc[i][j], a[i], b[j / 2][j % 2]);
    }
}

// sum[16 * i + 4 * j + r]: register r of the product (i, j) of this warp, over the rounds from `begin` to `end`.
template <class A, class B>
__device__ __forceinline__ void multiply_tile(const A& a, const B& b, int m0, int n0, int begin, int end,
    unsigned char* shared, float (&sum)[SUMS]) {
    Stage<A, B>* stages = reinterpret_cast<Stage<A, B>*>(shared);
    const Feed<A, BM> feed_a(a, m0);
    const Feed<B, BN> feed_b(b, n0);
    auto fetch = [&](int round) {                // also after the last round, as an empty group: groups are counted
        if (round < end) {
            feed_a.fetch(round * DEPTH, stages[(round - begin) % STAGES].a);
            feed_b.fetch(round * DEPTH, stages[(round - begin) % STAGES].b);
        }
        commit_copies();
    };
    float acc[TALL][4][4] = {};
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) fetch(begin + s);
    for (int round = begin; round < end; round++) {
        await_copies<STAGES - 2>();              // this thread's copies for this round have arrived
        __syncthreads();                         // and those of all others; and all are done with the round before
        fetch(round + STAGES - 1);
        multiply_round(stages[(round - begin) % STAGES], acc);
    }
#pragma unroll
    for (int i = 0; i < SUMS; i++) sum[i] = acc[i / 16][i / 4 % 4][i % 4];
}

// Writes the tile that begins at (m0, n0); row(m) is where row m begins, or null.
template <class Row>
__device__ __forceinline__ void write_tile(const Result& result, int m0, int n0, const float (&sum)[SUMS], Row row) {
#pragma unroll
    for (int i = 0; i < 2 * TALL; i++) {
        REAL* to = row(m0 + warp_row() + 8 * i + lane() / 4);
        if (!to) continue;
#pragma unroll
        for (int j = 0; j < 4; j++)
            result.write<2>(to, n0 + warp_column() + 8 * j + lane() % 4 * 2, &sum[i / 2 * 16 + j * 4 + i % 2 * 2]);
    }
}
