// Weights as they are streamed: tiles of rows in the order of their use, and each for all tiles of tokens.
//
// A tile begins with a beat that says what it is: bits 31..0 its number in the image, 43..32 its words,
// 44 whether its rows have 8 bits, 45 whether it is the image's last, 55..48 its rows. Its words follow,
// in as many beats as their bits need, and then its rows: 64 bits each, as many as fit a beat. TLAST
// stands at the last beat of the image.
//
// Two tiles are held: one collects in the streams between fetch and replay while the other is used.
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "engine_types.h"

namespace engine {

// A beat, or zeros where the stream has ended: so that a stream which is too short holds nothing up.
inline ap_uint<BEAT> taken(hls::stream<WeightsBeat> &s_axis, bool &ended, bool &early) {
#pragma HLS INLINE
    if (ended) {
        early = true;
        return 0;
    }
    const WeightsBeat beat = s_axis.read();
    ended = beat.last;
    return beat.data;
}

// Beats to words and rows. What a tile says of itself must be what the program says of it.
inline void fetch(hls::stream<WeightsBeat> &s_axis, hls::stream<Tile> &expected, hls::stream<Tile> &tiles,
                  hls::stream<Word> &words, hls::stream<RowBits> &rows, hls::stream<ap_uint<5> > &faults) {
    bool ended = false, early = false, foreign = false, final_tile = false;
    ap_uint<32> number = 0;
fetch_tiles:
    while (true) {
        const Tile tile = expected.read();
        tiles.write(tile);
        if (tile.end) break;
        const ap_uint<BEAT> head = taken(s_axis, ended, early);
        foreign |= final_tile || head.range(31, 0) != number || head.range(43, 32) != tile.words ||
                   bool(head[44]) != tile.mode8 || head.range(55, 48) != tile.rows;
        final_tile = head[45];
        number++;

        const ap_uint<8> beats = tile.mode8 ? BEATS8 : BEATS4;
        ap_uint<8> beat = 0;
        ap_uint<12> word = 0;
        ap_uint<larger(BEATS8, BEATS4) * BEAT> gathered = 0;
    fetch_words:
        while (word != tile.words) {
#pragma HLS PIPELINE II=1
            const ap_uint<BEAT> data = taken(s_axis, ended, early);
            for (int n = 0; n < larger(BEATS8, BEATS4); n++) {
#pragma HLS UNROLL
                if (beat == n) gathered.range(n * BEAT + BEAT - 1, n * BEAT) = data;
            }
            beat++;
            if (beat == beats) {
                words.write(gathered.range(WORD - 1, 0));
                beat = 0;
                word++;
            }
        }

        ap_uint<BEAT> pair = 0;
    fetch_rows:
        for (ap_uint<8> row = 0; row != tile.rows; row++) {
#pragma HLS PIPELINE II=1
            const int place = row % ROWS_A_BEAT;
            if (place == 0) pair = taken(s_axis, ended, early);
            rows.write(pair.range(place * 64 + 63, place * 64));
        }
    }
    foreign |= !final_tile;
    faults.write((early ? WEIGHTS_EARLY : 0) | (ended ? 0 : WEIGHTS_LATE) | (foreign ? WEIGHTS_FOREIGN : 0));
}

// The words and rows of each tile as often as it is used: a pass after the other, rows beside words.
inline void replay(hls::stream<Tile> &tiles, hls::stream<Word> &words, hls::stream<RowBits> &rows,
                   hls::stream<Word> &used_words, hls::stream<RowBits> &used_rows) {
    Word word_buffer[WORDS];
    RowBits row_buffer[ROWS4];
replay_tiles:
    while (true) {
        const Tile tile = tiles.read();
        if (tile.end) break;
    replay_first:
        for (ap_uint<12> i = 0; i < tile.words || i < tile.rows; i++) {
#pragma HLS PIPELINE II=1
            if (i < tile.words) {
                const Word word = words.read();
                word_buffer[i] = word;
                used_words.write(word);
            }
            if (i < tile.rows) {
                const RowBits row = rows.read();
                row_buffer[i] = row;
                used_rows.write(row);
            }
        }
        if (tile.halves) {
        replay_half:
            for (ap_uint<12> i = 0; i < tile.words; i++) {
#pragma HLS PIPELINE II=1
                used_words.write(word_buffer[i]);
            }
        }
    replay_again:
        for (ap_uint<8> time = 1; time < tile.times; time++) {
            const ap_uint<13> uses = tile.halves ? ap_uint<13>(2 * tile.words) : ap_uint<13>(tile.words);
            for (ap_uint<13> i = 0; i < uses || i < tile.rows; i++) {
#pragma HLS PIPELINE II=1
                if (i < uses) used_words.write(word_buffer[i < tile.words ? int(i) : int(i - tile.words)]);
                if (i < tile.rows) used_rows.write(row_buffer[i]);
            }
        }
    }
}

}  // namespace engine

#endif
