// Walks the descriptors of an image: what weights they use, and which words the array reads in each phase.
//
// A pass is one tile of rows by one tile of tokens over the whole depth. Tiles of tokens lie within tiles of
// rows; for scores, keys within tiles of tokens.
#ifndef ENGINE_SEQUENCER_H
#define ENGINE_SEQUENCER_H

#include "engine_types.h"

namespace engine {

// All phases of an image up to END, and the tiles of weights that they use.
inline void walk(const Descriptor program[PHASES], hls::stream<Descriptor> &phases,
                 hls::stream<Tile> &tiles) {
    bool ends = false;
walk_phases:
    for (int pc = 0; !ends; pc++) {
        const Descriptor bits = pc < PHASES ? program[pc] : Descriptor(END);
        const Phase phase = phase_of(bits);
        ends = phase.op == END;
        phases.write(bits);
        ap_uint<11> count = 0;
        if (phase.op == LINEAR) count = phase.tiles8 + phase.tiles4;
    walk_tiles:
        for (ap_uint<11> n = 0; n < count; n++) {
            Tile tile;
            tile.mode8 = n < phase.tiles8;
            if (tile.mode8) tile.rows = n + 1 == phase.tiles8 ? phase.rows8 : ap_uint<8>(ROWS8);
            else tile.rows = n + 1 == count ? phase.rows4 : ap_uint<8>(ROWS4);
            tile.halves = phase.halves;
            tile.words = phase.halves ? ap_uint<12>(phase.words >> 1) : phase.words;
            tile.times = phase.tiles;
            tile.end = false;
            tiles.write(tile);
        }
    }
    Tile tile = {0, 0, 0, false, false, true};
    tiles.write(tile);
}

// A word that the array reads.
struct Read {
    bool first, last, mode8;
    bool second, lift;      // low halves of pixels; what was summed before counts 16 times
    Address a, b;
    ap_uint<8> part, lanes;  // of keys or values; lanes of them that count
    ap_uint<16> token;      // of the values' first lane
};

// What the epilogue must know of a pass.
struct Pass {
    ap_uint<8> rows, tile;
    Address offset, v_offset, stream_offset;
    ap_uint<12> high;
    Lane low;
    bool first_rows, begins, keys_end;  // the first tile of rows; no row is drained yet; the last keys
};

struct Sequencer {
    bool done, in8;
    ap_uint<12> word, high;
    ap_uint<10> row_tile;
    ap_uint<8> tile, key_tile, key_part, keys_left, part;
    Address a_offset, b_offset, row_offset, offset, v_offset, stream_offset, token;
    Lane low;

    // Tokens of a tile of keys.
    static ap_uint<8> keys_of(const Phase &phase, const ap_uint<8> tile) {
#pragma HLS INLINE
        return tile + 1 == phase.keys ? phase.keys_last : ap_uint<8>(TOKENS);
    }

    void begin(const Phase &phase) {
#pragma HLS INLINE
        done = false;
        in8 = phase.tiles8 != 0;
        word = row_tile = tile = key_tile = key_part = part = 0;
        keys_left = keys_of(phase, 0);
        a_offset = b_offset = row_offset = offset = v_offset = stream_offset = token = 0;
        high = phase.op == SCORES ? ap_uint<12>(0) : phase.high;
        low = phase.op == SCORES ? Lane(0) : phase.low;
    }

    bool last_word(const Phase &phase) const {
#pragma HLS INLINE
        return word + 1 == phase.words;
    }

    // Whether the next word begins the scores of a tile of tokens.
    bool begins_scores(const Phase &phase) const {
#pragma HLS INLINE
        return phase.op == SCORES && word == 0 && key_tile == 0 && key_part == 0;
    }

    Read read(const Phase &phase) const {
#pragma HLS INLINE
        const ap_uint<12> half = phase.words >> 1;
        Read found;
        found.first = word == 0;
        found.last = last_word(phase);
        found.mode8 = phase.op != LINEAR || in8;
        found.second = phase.halves && word >= half;
        found.lift = phase.halves && word == half;
        found.a = phase.a_base + a_offset + (found.second ? ap_uint<12>(word - half) : word);
        found.b = phase.b_base + b_offset + (phase.op == SCORES ? Address(word) : row_offset);
        found.part = phase.op == SCORES ? key_part : part;
        found.lanes = phase.op == SCORES && found.last ? phase.lanes : ap_uint<8>(DEPTH);
        found.token = token;
        return found;
    }

    Pass pass(const Phase &phase) const {
#pragma HLS INLINE
        const bool last_part = keys_left <= ROWS8;
        Pass found;
        if (phase.op == SCORES) found.rows = last_part ? keys_left : ap_uint<8>(ROWS8);
        else if (in8) found.rows = row_tile + 1 == phase.tiles8 ? phase.rows8 : ap_uint<8>(ROWS8);
        else found.rows = row_tile + 1 == phase.tiles4 ? phase.rows4 : ap_uint<8>(ROWS4);
        found.tile = tile;
        found.offset = offset;
        found.v_offset = v_offset;
        found.stream_offset = stream_offset;
        found.high = high;
        found.low = low;
        found.first_rows = row_offset == 0;
        found.begins = true;
        found.keys_end = phase.op == SCORES && last_part && key_tile + 1 == phase.keys;
        return found;
    }

    // To the next word.
    void advance(const Phase &phase) {
#pragma HLS INLINE
        if (!last_word(phase)) {
            word++;
            if (phase.op == CONTEXT || phase.op == POOL) next_values(phase);
            return;
        }
        word = part = 0;
        token = 0;
        const bool ends = phase.op != SCORES || next_keys(phase);
        if (phase.op != SCORES) b_offset = 0;
        if (!ends) return;
        tile++;
        a_offset += phase.a_stride;
        offset += phase.offset_stride;
        v_offset += phase.v_stride;
        stream_offset += phase.stream_stride;
        if (tile != phase.tiles) return;
        if (phase.op == SCORES) done = true;
        else next_rows(phase);
    }

private:
    void next_values(const Phase &phase) {
#pragma HLS INLINE
        const bool last = part == PARTS_V - 1;
        token += last ? TOKENS - (PARTS_V - 1) * DEPTH : DEPTH;
        part = last ? ap_uint<8>(0) : ap_uint<8>(part + 1);
        if (last) b_offset += phase.b_stride;
    }

    // True behind the last keys.
    bool next_keys(const Phase &phase) {
#pragma HLS INLINE
        if (keys_left > ROWS8) {
            high += ROWS8;
            keys_left -= ROWS8;
            key_part++;
            return false;
        }
        high += keys_left;
        key_part = 0;
        key_tile++;
        b_offset += phase.b_stride;
        const bool ends = key_tile == phase.keys;
        if (ends) {
            key_tile = 0;
            b_offset = 0;
            high = 0;
        }
        keys_left = keys_of(phase, key_tile);
        return ends;
    }

    void next_rows(const Phase &phase) {
#pragma HLS INLINE
        const ap_uint<6> next = low + ROWS8 % DEPTH;
        tile = 0;
        a_offset = offset = v_offset = stream_offset = 0;
        row_offset++;
        row_tile++;
        high += ROWS8 / DEPTH + (next >= DEPTH ? 1 : 0);
        low = next >= DEPTH ? ap_uint<6>(next - DEPTH) : next;
        if (in8 && row_tile == phase.tiles8) {
            in8 = false;
            row_tile = 0;
        }
        if (!in8 && row_tile == phase.tiles4) done = true;
    }
};

}  // namespace engine

#endif
