// TOKENS x COLUMNS x DEPTH shared multipliers, output-stationary: each token's DEPTH activations meet DEPTH
// weights of each row. Row r is weight r / COLUMNS of column r % COLUMNS.
//
// One multiplier makes the products of PAIR activations by N4 weights of 4 bits, or by N8 codes of 8 bits:
// activations stand A_GAP bits apart at its one port, weights G4 or G8 bits apart at the other
// (hwnorm/engine/packing.py). In the last LUT_COLUMNS columns LUTs make each product by itself.
#ifndef ENGINE_ARRAY_H
#define ENGINE_ARRAY_H

#include "engine_sequencer.h"
#include "engine_types.h"

namespace engine {

const int ACTIVATIONS = A_BITS + (PAIR - 1) * A_GAP + (PAIR > 1 ? 1 : 0), PRODUCT = 8 + A_BITS;
const int TREE = PRODUCT + clog2(DEPTH);
typedef ap_int<ACTIVATIONS> ActivationPort;
typedef ap_int<WEIGHTS> WeightPort;
typedef ap_int<ACTIVATIONS + WEIGHTS> SharedProduct;

static_assert((N4 - 1) * G4 + 4 <= WEIGHTS && (N8 - 1) * G8 + 8 <= WEIGHTS, "weights must fit their port");
static_assert(G4 >= A_BITS + 3 && G4 <= PRODUCT && G8 >= A_BITS + 7, "G4 and G8 must hold a product");
static_assert(PAIR == 1 || (A_GAP >= N4 * G4 && A_GAP >= N8 * G8), "A_GAP must hold its products");
static_assert(SUM >= TREE && N8 <= N4 && TOKENS % PAIR == 0, "SUM, N8 and PAIR must be as in Verilog");

// The weights of a multiplier, of 4 bits or of 8: those that are not there are 0.
inline void chosen(const ap_int<8> codes8[ROWS8][DEPTH], const Word &word, const bool mode8, const int column,
                   const int d, ap_int<8> weights[N4]) {
#pragma HLS INLINE
    for (int n = 0; n < N4; n++) {
#pragma HLS UNROLL
        const int row = n * COLUMNS + column, at = (row * DEPTH + d) * 4;
        ap_int<4> code4;
        code4.range(3, 0) = word.range(at + 3, at);
        if (mode8) weights[n] = n < N8 ? codes8[row][d] : ap_int<8>(0);
        else weights[n] = code4;
    }
}

// Beside one another: once for all tokens.
inline WeightPort packed(const ap_int<8> weights[N4], const bool mode8) {
#pragma HLS INLINE
    WeightPort both = 0;
    for (int n = 0; n < N4; n++) {
#pragma HLS UNROLL
        if (!mode8) both += WeightPort(weights[n]) << n * G4;
        else if (n < N8) both += WeightPort(weights[n]) << n * G8;
    }
    return both;
}

// What stands in WIDTH bits of a product from a place on. Products below it that are negative have borrowed
// from it: the bit below says so.
template <int WIDTH> ap_int<WIDTH> lane_of(const SharedProduct &product, const int place) {
#pragma HLS INLINE
    const ap_int<WIDTH> bits = product >> place;
    if (place == 0) return bits;
    return product[place - 1] ? ap_int<WIDTH>(bits + 1) : bits;
}

// The products of PAIR activations by the weights of a column: by one multiplier of the device, or by LUTs.
inline void products_of(const Code pair[PAIR], const WeightPort &port, const bool mode8,
                        ap_int<PRODUCT> products[PAIR][N4]) {
#pragma HLS INLINE
    ActivationPort activations = 0;
    for (int j = 0; j < PAIR; j++) {
#pragma HLS UNROLL
        activations += ActivationPort(pair[j]) << j * A_GAP;
    }
    const SharedProduct product = activations * port;
#pragma HLS BIND_OP variable=product op=mul impl=dsp
    for (int j = 0; j < PAIR; j++) {
#pragma HLS UNROLL
        for (int n = 0; n < N4; n++) {
#pragma HLS UNROLL
            const ap_int<PRODUCT> narrow = lane_of<G4>(product, j * A_GAP + n * G4);
            const ap_int<PRODUCT> wide = n < N8 ? lane_of<PRODUCT>(product, j * A_GAP + n * G8)
                                                : ap_int<PRODUCT>(0);
            products[j][n] = mode8 ? wide : narrow;
        }
    }
}

inline void products_of(const Code pair[PAIR], const ap_int<8> weights[N4],
                        ap_int<PRODUCT> products[PAIR][N4]) {
#pragma HLS INLINE
    for (int j = 0; j < PAIR; j++) {
#pragma HLS UNROLL
        for (int n = 0; n < N4; n++) {
#pragma HLS UNROLL
            const ap_int<PRODUCT> product = pair[j] * weights[n];
#pragma HLS BIND_OP variable=product op=mul impl=fabric
            products[j][n] = product;
        }
    }
}

// A word's products of all tokens by all rows, summed over the depth and added to what a pass has so far.
inline void multiply(const Read &read, const Code activations[DEPTH][TOKENS],
                     const ap_int<8> codes8[ROWS8][DEPTH], const Word &word, Sum totals[TOKENS][ROWS4]) {
#pragma HLS INLINE
    ap_int<8> weights[COLUMNS][DEPTH][N4];
    WeightPort ports[COLUMNS][DEPTH];
#pragma HLS ARRAY_PARTITION variable=weights dim=0 complete
#pragma HLS ARRAY_PARTITION variable=ports dim=0 complete
    for (int column = 0; column < COLUMNS; column++) {
#pragma HLS UNROLL
        for (int d = 0; d < DEPTH; d++) {
#pragma HLS UNROLL
            chosen(codes8, word, read.mode8, column, d, weights[column][d]);
            ports[column][d] = packed(weights[column][d], read.mode8);
        }
    }
    for (int first = 0; first < TOKENS; first += PAIR) {
#pragma HLS UNROLL
        for (int column = 0; column < COLUMNS; column++) {
#pragma HLS UNROLL
            ap_int<TREE> tree[PAIR][N4];
#pragma HLS ARRAY_PARTITION variable=tree dim=0 complete
            for (int d = 0; d < DEPTH; d++) {
#pragma HLS UNROLL
                Code pair[PAIR];
                ap_int<PRODUCT> products[PAIR][N4];
#pragma HLS ARRAY_PARTITION variable=pair complete
#pragma HLS ARRAY_PARTITION variable=products dim=0 complete
                for (int j = 0; j < PAIR; j++) {
#pragma HLS UNROLL
                    pair[j] = activations[d][first + j];
                }
                if (column < COLUMNS - LUT_COLUMNS) products_of(pair, ports[column][d], read.mode8, products);
                else products_of(pair, weights[column][d], products);
                for (int j = 0; j < PAIR; j++) {
#pragma HLS UNROLL
                    for (int n = 0; n < N4; n++) {
#pragma HLS UNROLL
                        const ap_int<TREE> found = products[j][n];
                        tree[j][n] = d == 0 ? found : ap_int<TREE>(tree[j][n] + found);
                    }
                }
            }
            for (int j = 0; j < PAIR; j++) {
#pragma HLS UNROLL
                for (int n = 0; n < N4; n++) {
#pragma HLS UNROLL
                    Sum &total = totals[first + j][n * COLUMNS + column];
                    const Sum kept = read.first ? Sum(0) : read.lift ? Sum(total << 4) : total;
                    total = kept + tree[j][n];
                }
            }
        }
    }
}

}  // namespace engine

#endif
