// What CUDA C knows beside C++: its functions, and the instructions of minidl/kernels/gpu/runtime/instructions.cuh.
#pragma once

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T atomicAdd(T* p, T v) { T old = *p; *p += v; return old; }
template <class T> T atomicMax(T* p, T v) { T old = *p; *p = old < v ? v : old; return old; }
template <class T> T atomicMin(T* p, T v) { T old = *p; *p = v < old ? v : old; return old; }
template <class T> T atomicOr(T* p, T v) { T old = *p; *p |= v; return old; }
template <class T> T atomicExch(T* p, T v) { T old = *p; *p = v; return old; }
template <class T> T atomicCAS(T* p, T expected, T v) { T old = *p; if (old == expected) *p = v; return old; }
inline unsigned atomicInc(unsigned* p, unsigned end) { unsigned old = *p; *p = old >= end ? 0 : old + 1; return old; }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, 4); return u; }
inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
inline float __uint_as_float(unsigned u) { float x; memcpy(&x, &u, 4); return x; }
inline float __int_as_float(int u) { return __uint_as_float((unsigned)u); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned __int128)a * b >> 64; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class A, class B> auto max(A a, B b) -> decltype(a + b) { return a < b ? b : a; }
template <class A, class B> auto min(A a, B b) -> decltype(a + b) { return b < a ? b : a; }

struct half { unsigned short bits; };
struct bfloat16 { unsigned short bits; };
inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(bfloat16 x) { return __uint_as_float((unsigned)x.bits << 16); }
inline float widen(half x) {
    unsigned sign = (x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent) return __uint_as_float(sign | exponent + 112 << 23 | fraction << 13);
    return (sign ? -1.0f : 1.0f) * fraction / 16777216.0f;
}

template <class T> T narrow(float x) { return x; }
template <class T> T narrow(double x) { return x; }
template <> inline bfloat16 narrow<bfloat16>(float x) {                        // to nearest, ties to even
    unsigned u = __float_as_uint(x);
    return {(unsigned short)((u & 0x7fffffff) > 0x7f800000 ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16)};
}
template <> inline half narrow<half>(float x) {                                // likewise
    unsigned u = __float_as_uint(x), sign = u >> 16 & 0x8000, all = u & 0x7fffffff;
    if (all > 0x7f800000) return {0x7fff};
    if (all >= 0x47800000) return {(unsigned short)(sign | 0x7c00)};           // 65536 and above
    if (all < 0x38800000) return {(unsigned short)(sign | (unsigned)rintf(fabsf(x) * 16777216.0f))};
    unsigned rounded = all + 0xfff + (all >> 13 & 1) - (112u << 23);
    return {(unsigned short)(sign | rounded >> 13)};                           // 65520 and above carry into infinity
}

#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(emulate::dynamic_shared())

inline void copy_async16(void* to, const void* from, bool inside) { emulate::async_copy(to, from, 16, !inside); }
inline void copy_async4(void* to, const void* from, bool inside) { emulate::async_copy(to, from, 4, !inside); }
inline void commit_copies() { emulate::async_commit(); }
template <int PENDING> inline void await_copies() { emulate::async_wait(PENDING); }

// d += a @ b for matrices of which each lane holds some elements, where the PTX ISA says (mma.m16n8k8 and m16n8k16): of
// d (16, 8) and, for each register of 32 bits, `PACKED` neighbours along k of a (16, K) and b (K, 8).
template <int PACKED, class Get>
inline void multiply_together(emulate::Place place, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], Get get) {
    struct Sent { float* d; const unsigned *a, *b; } sent{d, a, b};
    emulate::together(0xffffffffu, place, sent, [get](Sent** lane) {
        constexpr int K = 8 * PACKED;
        float A[16][K], B[K][8];
        for (int l = 0; l < 32; l++) {
            int g = l / 4, t = l % 4 * PACKED;
            for (int i = 0; i < PACKED; i++) {
                for (int r = 0; r < 4; r++) A[g + r % 2 * 8][t + i + r / 2 * 4 * PACKED] = get(lane[l]->a[r], i);
                for (int r = 0; r < 2; r++) B[t + i + r * 4 * PACKED][g] = get(lane[l]->b[r], i);
            }
        }
        for (int l = 0; l < 32; l++)
            for (int r = 0; r < 4; r++)
                for (int k = 0; k < K; k++) lane[l]->d[r] += A[l / 4 + r / 2 * 8][k] * B[k][l % 4 * 2 + r % 2];
    });
}
inline unsigned to_tf32(float x) { return (__float_as_uint(x) + 0x1000u) & 0xffffe000u; }
inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_together<1>(PLACE, d, a, b, [](unsigned u, int) { return __uint_as_float(u & 0xffffe000u); });
}
inline void mma_16(half, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_together<2>(PLACE, d, a, b, [](unsigned u, int i) { return widen(half{(unsigned short)(u >> 16 * i)}); });
}
inline void mma_16(bfloat16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_together<2>(PLACE, d, a, b, [](unsigned u, int i) { return widen(bfloat16{(unsigned short)(u >> 16 * i)}); });
}

// ldmatrix.x4: four 8x8 matrices of 16 bits; lane l gives the address of row l % 8 of matrix l / 8, and gets from each
// matrix the two neighbours (l / 4, 2 * (l % 4)), or, transposed, (2 * (l % 4), l / 4) and the one below it.
template <bool TRANSPOSED> inline void load_matrices(unsigned (&r)[4], const void* row) {
    if ((size_t)row % 16) emulate::fail("ldmatrix: a row is not aligned to 16 bytes");
    struct Sent { unsigned* r; const char* row; } sent{r, (const char*)row};
    emulate::together(0xffffffffu, PLACE, sent, [](Sent** lane) {
        for (int l = 0; l < 32; l++)
            for (int m = 0; m < 4; m++)
                for (int i = 0; i < 2; i++) {
                    int y = l / 4, x = 2 * (l % 4) + i;
                    if (TRANSPOSED) std::swap(y, x);
                    memcpy((char*)&lane[l]->r[m] + 2 * i, lane[m * 8 + y]->row + 2 * x, 2);
                }
    });
}
