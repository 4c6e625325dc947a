// 2^(score - largest score of the row), their sum, and its reciprocal rnd(2^DIGITS / sum): one key of all
// tokens of a tile a step, while the array goes on.
//
// Scores of two tiles of tokens are held; while one is read the other is written. A tile is read once its
// last key has been written. A division takes a step a bit, and goes on beside the next tile's codes.
#ifndef ENGINE_SOFTMAX_H
#define ENGINE_SOFTMAX_H

#include "engine_exponentials.h"
#include "engine_types.h"

namespace engine {

const int STEPS = DIGITS + 1, EXPONENTIALS = A_BITS + clog2(KEYS);
typedef ap_uint<EXPONENTIALS> Exponents;  // a sum of 2^x
static_assert(DIGITS >= 16 && DIGITS >= EXPONENTIALS, "DIGITS must hold a sum");

// A tile whose scores are there.
struct Scored {
    Address address;  // its codes'
    ap_uint<12> keys;
    ap_uint<3> exponential;
    ap_uint<1> slot;
    Token tile;
};

struct Softmax {
    // Control: tiles begun and not read yet; those whose reciprocals are there, since the image began.
    ap_uint<2> held;
    ap_uint<16> finished;
    Scored waiting[2], now, divided;
    bool waits[2], reading;
    ap_uint<1> turn, parity;
    ap_uint<12> key;
    Address word;
    Lane lane;
    Token token;
    ap_uint<8> left;  // steps of the division
    ap_uint<1> writes;  // the tile that the next scores are of

    void clear() {
#pragma HLS INLINE
        held = 0;
        finished = 0;
        waits[0] = waits[1] = reading = false;
        turn = writes = 0;
        left = 0;
    }

    // Whether a tile is read or divided, or is about to be.
    bool busy() const {
#pragma HLS INLINE
        return reading || waits[0] || waits[1] || left != 0;
    }

    // A tile's last key is written.
    void scored(const Scored &tile) {
#pragma HLS INLINE
        waiting[writes] = tile;
        waits[writes] = true;
        writes = !writes;
    }
};

// Scores of a key, and the largest of its tile so far.
inline void score(const ap_uint<1> parity, const ap_uint<12> key, const StreamCode codes[TOKENS],
                  Score scores[2][KEYS][TOKENS], Score most[2][TOKENS]) {
#pragma HLS INLINE
    for (int t = 0; t < TOKENS; t++) {
#pragma HLS UNROLL
        const Score code = codes[t];
        scores[parity][key][t] = code;
        if (key == 0 || code > most[parity][t]) most[parity][t] = code;
    }
}

// A bit of each token's quotient; true with the last one.
inline bool divide(Softmax &unit, Exponents divisor[TOKENS], Exponents rest[TOKENS],
                   ap_uint<DIGITS + 1> numerator[TOKENS], Factor quotient[TOKENS]) {
#pragma HLS INLINE
    if (unit.left == 0) return false;
    for (int t = 0; t < TOKENS; t++) {
#pragma HLS UNROLL
        const ap_uint<EXPONENTIALS + 1> moved = rest[t], tried = (moved << 1) + numerator[t][DIGITS];
        const bool fits = tried >= divisor[t];
        rest[t] = fits ? ap_uint<EXPONENTIALS + 1>(tried - divisor[t]) : tried;
        numerator[t] <<= 1;
        quotient[t] = (quotient[t] << 1) + (fits ? 1 : 0);
    }
    unit.left--;
    if (unit.left != 0) return false;
    unit.finished++;
    return true;
}

// A step of the whole unit.
inline void soften(Softmax &unit, const Score scores[2][KEYS][TOKENS], const Score most[2][TOKENS],
                   Exponents sum[TOKENS], Exponents divisor[TOKENS], Exponents rest[TOKENS],
                   ap_uint<DIGITS + 1> numerator[TOKENS], Factor quotient[TOKENS],
                   Code probabilities[P_WORDS][DEPTH][TOKENS], Factor reciprocals[2][TILES][TOKENS]) {
#pragma HLS INLINE
    if (divide(unit, divisor, rest, numerator, quotient)) {
        for (int t = 0; t < TOKENS; t++) {
#pragma HLS UNROLL
            reciprocals[unit.divided.slot][unit.divided.tile][t] = quotient[t];
        }
    }
    if (!unit.reading && unit.waits[unit.turn]) {
        unit.reading = true;
        unit.now = unit.waiting[unit.turn];
        unit.waits[unit.turn] = false;
        unit.parity = unit.turn;
        unit.turn = !unit.turn;
        unit.word = unit.now.address;
        unit.key = 0;
        unit.lane = 0;
        unit.token = 0;
    }
    const bool last = unit.key + 1 == unit.now.keys;
    // The last key waits for the division of the tile before.
    if (!unit.reading || (last && unit.left != 0)) return;
    for (int t = 0; t < TOKENS; t++) {
#pragma HLS UNROLL
        // No lower than the lowest code.
        const ap_int<SCORE + 1> below = scores[unit.parity][unit.key][t] - most[unit.parity][t];
        const ap_int<SCORE + 1> least = -(1 << (SCORE - 1));
        const Code code = engine_exponential(unit.now.exponential, below < least ? least : below);
        const ap_uint<A_BITS> positive = code;
        probabilities[unit.word][unit.lane][t] = code;
        sum[t] = unit.key == 0 ? Exponents(positive) : Exponents(sum[t] + positive);
        if (last) {
            divisor[t] = sum[t];
            rest[t] = 0;
            numerator[t] = (ap_uint<DIGITS + 1>(1) << DIGITS) + (sum[t] >> 1);
        }
    }
    unit.key++;
    unit.token++;
    unit.lane++;
    // Each tile of keys begins a word.
    if (unit.lane == DEPTH || unit.token == TOKENS) {
        unit.lane = 0;
        unit.word++;
    }
    if (unit.token == TOKENS) unit.token = 0;
    if (last) {
        unit.divided = unit.now;
        unit.left = STEPS;
        unit.reading = false;
        unit.held--;
    }
}

}  // namespace engine

#endif
