// ReLU and the activations with their gradients, elementwise: bound by bytes. `scalar_functions.py` of kernels/cpu has
// the same formulas, and kernels/plain explains them. No formula overflows; NaN stays NaN.
#include "real.cuh"

enum { ELU, GELU, GELU_TANH, HARDSWISH, LEAKY_RELU, SIGMOID, SILU, SOFTPLUS, TANH };      // as in activation.py

__device__ __forceinline__ MATH sigmoid(MATH x) {
    MATH e = exp(-fabs(x));                       // no digits are lost on either side
    return (x >= 0 ? MATH(1) : e) / (1 + e);
}
__device__ __forceinline__ MATH normal_cdf(MATH x) { return MATH(0.5) * erfc(x * MATH(-0.70710678118654752440)); }

// gelu_tanh = x * sigmoid(x * (A + B * x * x))
constexpr MATH A = 1.5957691216057308, B = 0.07135481627260025;

template <int name> __device__ __forceinline__ MATH value(MATH x, MATH a, MATH b) {
    if (name == ELU) return x > 0 ? x : expm1(x) * a;
    if (name == GELU) return x * normal_cdf(x);
    if (name == GELU_TANH) return x * sigmoid(x * (A + B * x * x));
    if (name == HARDSWISH) {
        MATH y = x + 3;
        return x * (y < 0 ? 0 : y > 6 ? 6 : y) * MATH(1.0 / 6);
    }
    if (name == LEAKY_RELU) return x > 0 ? x : x * a;
    if (name == SIGMOID) return sigmoid(x);
    if (name == SILU) return x * sigmoid(x);
    if (name == SOFTPLUS) {
        MATH z = x * a;
        return z > b ? x : ((z < 0 ? 0 : z) + log1p(exp(-fabs(z)))) / a;
    }
    return tanh(x);
}

// grad times the derivative, from the output for SIGMOID and TANH, else from the input.
template <int name> __device__ __forceinline__ MATH slope(MATH grad, MATH x, MATH a, MATH b) {
    if (name == ELU) return x > 0 ? grad : grad * exp(x) * a;
    if (name == GELU) return grad * (normal_cdf(x) + x * exp(MATH(-0.5) * x * x) * MATH(0.39894228040143267794));
    if (name == GELU_TANH) {
        MATH p = sigmoid(x * (A + B * x * x));
        return grad * p * (1 + x * (1 - p) * (A + 3 * B * x * x));
    }
    if (name == HARDSWISH) return x <= -3 ? 0 : x >= 3 ? grad : grad * (x * MATH(1.0 / 3) + MATH(0.5));
    if (name == LEAKY_RELU) return x > 0 ? grad : grad * a;
    if (name == SIGMOID) return grad * x * (1 - x);
    if (name == SILU) {
        MATH p = sigmoid(x);
        return grad * p * (1 + x * (1 - p));
    }
    if (name == SOFTPLUS) return x * a > b ? grad : grad * sigmoid(x * a);
    return grad * (1 - x * x);
}

extern "C" __global__ void __launch_bounds__(256, 4) relu(const REAL* __restrict__ x, REAL* __restrict__ out,
    long long size, MATH ceiling) {
    elementwise(size, [=](MATH v) { return v < 0 ? 0 : v > ceiling ? ceiling : v; }, out, x);
}

// With a ceiling, NaN lets no gradient pass.
extern "C" __global__ void __launch_bounds__(256, 4) relu_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ kept, REAL* __restrict__ dx, long long size, int capped, MATH ceiling) {
    if (capped)
        elementwise(size, [=](MATH g, MATH v) { return v > 0 && v < ceiling ? g : 0; }, dx, grad, kept);
    else
        elementwise(size, [=](MATH g, MATH v) { return v <= 0 ? 0 : g; }, dx, grad, kept);
}

#define EACH_NAME(run) \
    switch (name) { \
        case ELU: run(ELU); break; \
        case GELU: run(GELU); break; \
        case GELU_TANH: run(GELU_TANH); break; \
        case HARDSWISH: run(HARDSWISH); break; \
        case LEAKY_RELU: run(LEAKY_RELU); break; \
        case SIGMOID: run(SIGMOID); break; \
        case SILU: run(SILU); break; \
        case SOFTPLUS: run(SOFTPLUS); break; \
        case TANH: run(TANH); break; \
    }

extern "C" __global__ void __launch_bounds__(256, 4) activation(int name, const REAL* __restrict__ x,
    REAL* __restrict__ out, long long size, MATH a, MATH b) {
#define VALUES(n) elementwise(size, [=](MATH v) { return value<n>(v, a, b); }, out, x)
    EACH_NAME(VALUES)
}

extern "C" __global__ void __launch_bounds__(256, 4) activation_gradient(int name, const REAL* __restrict__ grad,
    const REAL* __restrict__ kept, REAL* __restrict__ dx, long long size, MATH a, MATH b) {
#define SLOPES(n) elementwise(size, [=](MATH g, MATH v) { return slope<n>(g, v, a, b); }, dx, grad, kept)
    EACH_NAME(SLOPES)
}
