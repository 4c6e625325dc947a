// What the parts of the engine hand to one another. Every width is that of the Verilog's wire.
#ifndef ENGINE_TYPES_H
#define ENGINE_TYPES_H

#include "ap_int.h"
#include "engine_parameters.h"
#include "engine_phase.h"
#include "hls_stream.h"
#include "hwnorm_axis.h"

namespace engine {

// Bits of a number from 0 to n - 1.
constexpr int clog2(int n) { return n > 1 ? 1 + clog2((n + 1) / 2) : 0; }
constexpr int larger(int a, int b) { return a > b ? a : b; }
constexpr int parts(int whole, int part) { return (whole + part - 1) / part; }

// Rows of a tile: of weights of 8 bits, or of what stands in their place, and of weights of 4 bits.
const int ROWS8 = N8 * COLUMNS, ROWS4 = N4 * COLUMNS;
// A word of weights, and the beats that bring it.
const int WORD8 = ROWS8 * DEPTH * 8, WORD4 = ROWS4 * DEPTH * 4, WORD = larger(WORD8, WORD4);
const int BEATS8 = parts(WORD8, BEAT), BEATS4 = parts(WORD4, BEAT), ROWS_A_BEAT = BEAT / 64;
// A tile of tokens takes so many tiles of keys' rows, and so many words of values' depth.
const int PARTS_K = parts(TOKENS, ROWS8), PARTS_V = parts(TOKENS, DEPTH);
// Words of a patch, of which a tile of tokens has as many.
const int PATCH_WORDS = parts(CHANNELS * HEIGHT * WIDTH, DEPTH), PIXEL_WORDS = TILES * PATCH_WORDS;
// A bias, a multiplier without its sign, and a reciprocal, as a row's parameters hold them.
const int BIAS_BITS = 29, MULTIPLIER_BITS = 17;

typedef ap_uint<16> Address;
typedef ap_uint<8> Token;                // a token of a tile, a row of a tile
typedef ap_uint<5> Lane;                 // a place in a word
typedef ap_uint<MULTIPLIER_BITS> Factor;
typedef ap_int<8> Pixel;
typedef ap_int<A_BITS> Code;             // what is multiplied
typedef ap_int<STREAM> StreamCode;       // what a row comes to, before its function
typedef ap_int<SCORE> Score;
typedef ap_int<SUM> Sum;                 // of products, and a bias
typedef ap_int<TOTAL> Total;             // of all that is added before the only rounding
typedef ap_uint<WORD> Word;
typedef ap_uint<64> RowBits;             // bias, multiplier, segment and place of a row
typedef ap_uint<DESCRIPTOR> Descriptor;

typedef ap_axiu<BEAT, 0, 0, 0> WeightsBeat;
typedef ap_axiu<PIXELS * 8, 0, 0, 0> ImageBeat;
typedef ap_axiu<32, 0, 0, 0> LogitBeat;

// A tile of weights: what the program says of it, and over how many tiles of tokens it is used.
struct Tile {
    ap_uint<12> words;
    ap_uint<8> rows, times;
    bool mode8, halves;
    bool end;  // none comes any more
};

// Bits of the error word: those of the Verilog's register.
enum Fault { WEIGHTS_EARLY = 1, WEIGHTS_LATE = 2, IMAGE_EARLY = 4, IMAGE_LATE = 8, WEIGHTS_FOREIGN = 16 };

}  // namespace engine

#endif
