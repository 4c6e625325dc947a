// What ap_fixed has no operator for. Bits in, bits out; no hardware of its own.
#ifndef HWNORM_CELLS_H
#define HWNORM_CELLS_H

#include "ap_fixed.h"
#include "ap_int.h"

// The number whose code is `code`: code * 2^-(W - I).
template <int W, int I>
ap_fixed<W, I> hwnorm_from_code(const ap_int<W> &code) {
    ap_fixed<W, I> value;
    value.range(W - 1, 0) = code.range(W - 1, 0);
    return value;
}

// The code of a number, as an integer.
template <int W, int I>
ap_int<W> hwnorm_code(const ap_fixed<W, I> &value) {
    ap_int<W> code;
    code.range(W - 1, 0) = value.range(W - 1, 0);
    return code;
}

#endif
