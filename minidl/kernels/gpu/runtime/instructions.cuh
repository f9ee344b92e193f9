// Instructions by name: half precision, asynchronous copies, tensor cores. The emulator of the tests has them as C++.
//
// widen(x) is x in the type that sums are made in (float for half and bfloat16), narrow<T>(x) the way back.
#ifndef EMULATED

struct half { unsigned short bits; };            // only stored and converted: no header of CUDA's is needed
struct bfloat16 { unsigned short bits; };

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float((unsigned)x.bits << 16); }
__device__ __forceinline__ float widen(half x) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.bits));
    return f;
}
template <class T> __device__ __forceinline__ T narrow(float x) { return x; }
template <class T> __device__ __forceinline__ T narrow(double x) { return x; }
template <> __device__ __forceinline__ half narrow<half>(float x) {
    half h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(x));
    return h;
}
template <> __device__ __forceinline__ bfloat16 narrow<bfloat16>(float x) {
#if __CUDA_ARCH__ >= 800
    bfloat16 b;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b.bits) : "f"(x));
    return b;
#else
    unsigned u = __float_as_uint(x);
    return {(unsigned short)((u & 0x7fffffff) > 0x7f800000 ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16)};
#endif
}

#define DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) unsigned char shared_bytes[]; \
    type* name = reinterpret_cast<type*>(shared_bytes)

// From here on for compute capability 8.0 and later.
#if __CUDA_ARCH__ >= 800
__device__ __forceinline__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

// 16 or 4 bytes from global to shared memory, or zeros unless `inside`; they arrive once they are waited for.
__device__ __forceinline__ void copy_async16(void* to, const void* from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
        :: "r"(shared_address(to)), "l"(from), "r"(inside ? 16 : 0) : "memory");
}
__device__ __forceinline__ void copy_async4(void* to, const void* from, bool inside) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
        :: "r"(shared_address(to)), "l"(from), "r"(inside ? 4 : 0) : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING> __device__ __forceinline__ void await_copies() {        // all but the latest PENDING groups
    asm volatile("cp.async.wait_group %0;" :: "n"(PENDING) : "memory");
}

__device__ __forceinline__ unsigned to_tf32(float x) {
    unsigned u;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
    return u;
}

// d += a @ b of a warp: d (16, 8), a (16, 8) of TF32 or (16, 16) of 16 bits, b (8 or 16, 8); each lane holds a part.
#define MMA(shape_and_types) \
    asm volatile("mma.sync.aligned." shape_and_types " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}
__device__ __forceinline__ void mma_16(half, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    MMA("m16n8k16.row.col.f32.f16.f16.f32");
}
__device__ __forceinline__ void mma_16(bfloat16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}

// Four 8 x 8 matrices of 16 bits: lane l gives the address of row l % 8 of matrix l / 8.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(unsigned (&r)[4], const void* row) {
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
            : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
#endif
#endif
