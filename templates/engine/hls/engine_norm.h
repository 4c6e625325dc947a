// LayerNorms of the stream, a lane a token: what rtl/engine_norm.v makes of it, bit for bit.
//
// While the epilogue writes the stream, sums of each token's codes and of their squares are made. In a phase
// of norms one variance and one reciprocal root serve all tokens of a tile, one after the other, while the
// tile before is normalized: a channel of all tokens a cycle.
#ifndef ENGINE_NORM_H
#define ENGINE_NORM_H

#include "engine_epilogue.h"
#include "engine_norm_formats.h"
#include "engine_types.h"

namespace engine {

const int GUARD = 12, D_BITS = clog2(NORM_D);
const int SUM_WIDTH = STREAM + D_BITS, SQUARES = 2 * STREAM + D_BITS, V_WIDTH = 2 * SUM_WIDTH + GUARD;
const int K_WIDTH = clog2(V_WIDTH / 2), R_WIDTH = A_BITS < 15 ? A_BITS + 3 : 17;
const int A_HIGH = (D_BITS + 1) / 2, A_WIDTH = 1 + A_HIGH + NORM_A, Z_WIDTH = A_HIGH + NORM_A;
const int DROPPED = larger(0, SUM_WIDTH - NORM_A), ADDED = larger(0, NORM_A - SUM_WIDTH);
const int M_WIDTH = R_WIDTH + 5, TABLE_BITS = R_WIDTH / 2, Y_FRAC = TABLE_BITS + 4;
const int U_FRAC = R_WIDTH + 5, H_FRAC = R_WIDTH + 3, R_DROP = Y_FRAC + H_FRAC + 1 - (R_WIDTH - 1);
const int SCALED = larger(Z_WIDTH, STREAM) + larger(NORM_GAMMA, STREAM);
const int EXACT = 1 + larger(SCALED, NORM_ADDED);

static_assert(SUM >= A_WIDTH && TOTAL >= Z_WIDTH, "SUM and TOTAL must hold what norms multiply");
static_assert(NORM_DROP >= 1 && EXACT - NORM_DROP > A_BITS, "NORM_DROP must leave more than A_BITS");

typedef ap_int<SUM_WIDTH> CodeSum;
typedef ap_uint<SQUARES> SquareSum;
typedef ap_uint<NORM_GAMMA + NORM_BETA> Affine;

// Of a token: the sum of its codes, and 1 / sqrt(V) as root 2^k.
struct Statistics {
    CodeSum sum;
    ap_uint<K_WIDTH> k;
    ap_uint<R_WIDTH> root;
};

// Codes that are written to the stream: the first rows of a tile of tokens begin its sums.
inline void sum_up(const bool first, const StreamCode codes[TOKENS], CodeSum sums[TOKENS],
                   SquareSum squares[TOKENS]) {
#pragma HLS INLINE
    for (int t = 0; t < TOKENS; t++) {
#pragma HLS UNROLL
        const ap_uint<2 * STREAM> square = codes[t] * codes[t];
        sums[t] = (first ? CodeSum(0) : sums[t]) + codes[t];
        squares[t] = (first ? SquareSum(0) : squares[t]) + square;
    }
}

// V 4^k = m 2^V_WIDTH with m in [1/4, 1), root = rsqrt(m) in (1, 2): a table's value, and one Newton step.
inline Statistics statistics(const CodeSum sum, const SquareSum squares, const ap_uint<V_WIDTH> eps) {
#pragma HLS INLINE
    const ap_uint<2 * SUM_WIDTH> squared = sum * sum, of_squares = squares * ap_uint<D_BITS + 1>(NORM_D);
    ap_uint<V_WIDTH> v = (ap_uint<V_WIDTH>(of_squares - squared) << GUARD) + eps;
    ap_uint<K_WIDTH> k = 0;
    for (int step = K_WIDTH - 1; step >= 0; step--) {
#pragma HLS UNROLL
        const int shift = 2 << step;
        if ((v >> (V_WIDTH - shift)) == 0) {
            v <<= shift;
            k += 1 << step;
        }
    }
    const ap_uint<M_WIDTH> m = v >> (V_WIDTH - M_WIDTH);
    // Whether m is 1/2 or more, then the bits behind its leading one; of those not looked at, the middle.
    const bool half = m[M_WIDTH - 1];
    const ap_uint<TABLE_BITS> behind = m >> (M_WIDTH - 2 - TABLE_BITS + (half ? 1 : 0));
    const ap_uint<9> address =
        (ap_uint<9>(half) << 8) + (ap_uint<9>(behind) << (8 - TABLE_BITS)) + ((1 << (8 - TABLE_BITS)) >> 1);

    const ap_uint<Y_FRAC + 1> y = (ap_uint<Y_FRAC + 1>(1) << Y_FRAC) + (RSQRT[address] >> (12 - Y_FRAC));
    const ap_uint<M_WIDTH + Y_FRAC + 1> my = m * y;
    const ap_uint<U_FRAC + 1> u = my >> (M_WIDTH + Y_FRAC - U_FRAC);
    const ap_int<U_FRAC + Y_FRAC + 2> error = (ap_int<U_FRAC + Y_FRAC + 2>(1) << (U_FRAC + Y_FRAC)) - u * y;
    const ap_int<H_FRAC - TABLE_BITS + 1> h = error >> (U_FRAC + Y_FRAC - H_FRAC);
    const ap_int<R_WIDTH + 2 + R_DROP> full = (ap_int<R_WIDTH + 2 + R_DROP>(y) << (H_FRAC + 1)) + h * y +
                                              (ap_int<R_WIDTH + 2 + R_DROP>(1) << (R_DROP - 1));
    Statistics found;
    found.sum = sum;
    found.k = k;
    found.root = full[R_WIDTH + R_DROP] ? ap_uint<R_WIDTH>(-1) : ap_uint<R_WIDTH>(full >> R_DROP);
    return found;
}

// A code of the stream and its token's statistics to what is multiplied by the root:
// floor((D x - S) 2^k / 2^SUM_WIDTH) of NORM_A - less bits behind the point.
inline ap_int<A_WIDTH> centred(const StreamCode x, const Statistics &token, const ap_uint<5> less) {
#pragma HLS INLINE
    const ap_int<SUM_WIDTH + 1> t = x * ap_int<D_BITS + 2>(NORM_D) - token.sum;
    const ap_int<A_WIDTH + DROPPED> shifted = (ap_int<A_WIDTH + DROPPED>(t) << ADDED) << token.k.to_int();
    return ap_int<A_WIDTH>(shifted >> DROPPED) >> less.to_int();
}

// z gamma + beta, rounded and saturated.
inline Code scaled(const ap_int<Z_WIDTH> z, const Affine &affine, const ap_uint<6> up) {
#pragma HLS INLINE
    ap_int<NORM_GAMMA> gamma;
    ap_int<NORM_BETA> beta;
    gamma.range(NORM_GAMMA - 1, 0) = affine.range(NORM_GAMMA - 1, 0);
    beta.range(NORM_BETA - 1, 0) = affine.range(NORM_GAMMA + NORM_BETA - 1, NORM_GAMMA);
    const ap_int<NORM_ADDED> offset =
        (ap_int<NORM_ADDED>(beta) << up.to_int()) + (ap_int<NORM_ADDED>(1) << (NORM_DROP - 1));
    const ap_int<SCALED> product = z * gamma;
    const ap_int<EXACT> exact = ap_int<EXACT>(product) + offset;
    const ap_int<EXACT - NORM_DROP> y = exact >> NORM_DROP;
    const ap_int<A_BITS + 1> most = (1 << (A_BITS - 1)) - 1;
    return y > most ? Code(most) : y < ~most ? Code(~most) : Code(y);
}

inline void roots(const Phase phase, const int tile, const CodeSum sums[TILES][TOKENS],
                  const SquareSum squares[TILES][TOKENS], Statistics tokens[TOKENS]) {
    const NormFormat format = norm_format(phase.segments[0].function);
roots_of_tokens:
    for (int t = 0; t < TOKENS; t++) {
#pragma HLS PIPELINE II=1
        tokens[t] = statistics(sums[tile][t], squares[tile][t], format.eps);
    }
}

inline void normalize(const Phase phase, const int tile, const Statistics tokens[TOKENS],
                      const StreamCode stream[S_WORDS][TOKENS], const Affine affine[NORMS],
                      Code activations[A_WORDS][DEPTH][TOKENS], Code keys[K_WORDS][DEPTH][TOKENS],
                      Code values[V_WORDS][ROWS8][TOKENS]) {
    const Segment segment = phase.segments[0];
    const NormFormat format = norm_format(segment.function);
    const bool to_v = segment.target == TO_VALUES;
    Address address = segment.base + tile * (to_v ? phase.v_stride : phase.offset_stride);
    ap_uint<6> lane = 0;
normalize_channels:
    for (int channel = 0; channel < NORM_D; channel++) {
#pragma HLS PIPELINE II=1
        const Affine own = affine[phase.b_base + channel];
        for (int t = 0; t < TOKENS; t++) {
#pragma HLS UNROLL
            const ap_int<A_WIDTH> a = centred(stream[tile * NORM_D + channel][t], tokens[t], format.less);
            const ap_int<Z_WIDTH> z = rescaled(a, 0, tokens[t].root, true, 0, segment.shift);
            const Code code = scaled(z, own, format.up);
            if (segment.target == TO_ACTIVATIONS) activations[address][lane][t] = code;
            if (segment.target == TO_KEYS) keys[address][lane][t] = code;
            if (to_v) values[address][lane][t] = code;
        }
        lane++;
        if (lane == (to_v ? ROWS8 : DEPTH)) {
            lane = 0;
            address++;
        }
    }
}

// A phase of norms: all tiles of tokens.
inline void norms(const Phase phase, const CodeSum sums[TILES][TOKENS],
                  const SquareSum squares[TILES][TOKENS], const StreamCode stream[S_WORDS][TOKENS],
                  const Affine affine[NORMS],
                  Code activations[A_WORDS][DEPTH][TOKENS], Code keys[K_WORDS][DEPTH][TOKENS],
                  Code values[V_WORDS][ROWS8][TOKENS]) {
    const int tiles = phase.tiles;
norm_tiles:
    for (int tile = 0; tile < tiles; tile++) {
#pragma HLS DATAFLOW
        Statistics tokens[TOKENS];
#pragma HLS ARRAY_PARTITION variable=tokens dim=1 complete
        roots(phase, tile, sums, squares, tokens);
        normalize(phase, tile, tokens, stream, affine, activations, keys, values);
    }
}

}  // namespace engine

#endif
