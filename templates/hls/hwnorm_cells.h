// What ap_fixed has no operator for. Bits in, bits out; no hardware of its own.
#ifndef HWNORM_CELLS_H
#define HWNORM_CELLS_H

#include "ap_fixed.h"
#include "ap_int.h"

// The number whose code is `code`: code * 2^-(W - I).
template <int W, int I>
ap_fixed<W, I> hwnorm_from_code(const ap_int<W> &code) {
    ap_fixed<W, I> value;
#ifdef __SYNTHESIS__
    value.range(W - 1, 0) = code.range(W - 1, 0);
#else
    value.V = code.V;  // the same, several times as fast in simulation
#endif
    return value;
}

// The same of a port without a sign.
template <int W, int I>
ap_ufixed<W, I> hwnorm_from_unsigned(const ap_uint<W> &code) {
    ap_ufixed<W, I> value;
    value.range(W - 1, 0) = code.range(W - 1, 0);
    return value;
}

template <int W, int I>
ap_uint<W> hwnorm_code(const ap_ufixed<W, I> &value) {
    ap_uint<W> code;
    code.range(W - 1, 0) = value.range(W - 1, 0);
    return code;
}

// The code of a number, as an integer.
template <int W, int I>
ap_int<W> hwnorm_code(const ap_fixed<W, I> &value) {
    ap_int<W> code;
#ifdef __SYNTHESIS__
    code.range(W - 1, 0) = value.range(W - 1, 0);
#else
    code.V = value.V;
#endif
    return code;
}

// Bits HIGH..LOW of a number's code; above its sign bit they are copies of it.
template <int HIGH, int LOW, int W, int I>
unsigned long long hwnorm_bits(const ap_fixed<W, I> &value) {
#ifdef __SYNTHESIS__
    const ap_int<(HIGH < W ? W : HIGH + 1)> code = hwnorm_code(value);
    return code.range(HIGH, LOW).to_uint64();
#else
    return (unsigned long long)(hwnorm_code(value).to_int64() >> LOW) & ((2ULL << (HIGH - LOW)) - 1);
#endif
}

// An unsigned number of BITS bits as exponent (the place of its leading one, from 1; 0 of zero) and mantissa.
template <int BITS> unsigned long long hwnorm_float_code(unsigned long long u) {
#pragma HLS INLINE
    const unsigned long long one = 1ULL << (BITS - 1);
    unsigned long long exponent = BITS;
    if (u == 0) return 0;
    for (int step = 0; step < BITS - 1; step++) {
#pragma HLS UNROLL
        if (!(u & one)) {
            u <<= 1;
            exponent--;
        }
    }
    return exponent * one + (u - one);
}

#endif
