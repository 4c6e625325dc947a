// Images as they are streamed: bytes row by row, channel by channel, cut into patches on their way in.
//
// A beat has PIXELS bytes of one row of a patch, the first one lowest. TLAST stands at the last beat of an
// image. A pixel's code is its byte less 128. A word holds DEPTH inputs of each token of a tile.
#ifndef ENGINE_IMAGE_H
#define ENGINE_IMAGE_H

#include "engine_types.h"

namespace engine {

// Where a beat goes: tile and place of its token; word and lane of its inputs.
struct Corner {
    Address tile, word;
    Token place;
    Lane lane;
};

inline void next_token(Corner &at) {
#pragma HLS INLINE
    at.place++;
    if (at.place == TOKENS) {
        at.place = 0;
        at.tile++;
    }
}

inline void next_inputs(Corner &at, const int count) {
#pragma HLS INLINE
    const ap_uint<6> lane = at.lane + count % DEPTH;
    at.word += count / DEPTH + (lane >= DEPTH ? 1 : 0);
    at.lane = lane >= DEPTH ? ap_uint<6>(lane - DEPTH) : lane;
}

inline void cut(hls::stream<ImageBeat> &s_axis, Pixel pixels[PIXEL_WORDS][DEPTH][TOKENS],
                hls::stream<ap_uint<5> > &faults) {
    bool ended = false, early = false;
    // Of the first input of a channel, and of the first patch in a row of patches.
    Corner channel_begins = {FIRST / TOKENS, 0, FIRST % TOKENS, 0};
cut_channels:
    for (int channel = 0; channel < CHANNELS; channel++) {
        Corner row_begins = channel_begins;
    cut_rows:
        for (int row = 0; row < ROWS; row++) {
            Corner line = row_begins, at = row_begins;
        cut_lines:
            for (int y = 0; y < HEIGHT; y++) {
                at = line;
            cut_patches:
                for (int column = 0; column < LINE; column++) {
                    Corner inside = at;
                cut_beats:
                    for (int x = 0; x < WIDTH; x += PIXELS) {
#pragma HLS PIPELINE II=1
                        ImageBeat beat;
                        beat.data = 0;
                        early |= ended;
                        if (!ended) {
                            beat = s_axis.read();
                            ended = beat.last;
                        }
                        const int word = inside.tile * PATCH_WORDS + inside.word;
                        for (int p = 0; p < PIXELS; p++) {
#pragma HLS UNROLL
                            const ap_uint<8> byte = beat.data.range(p * 8 + 7, p * 8);
                            pixels[word][inside.lane + p][inside.place] = Pixel(byte ^ 0x80);
                        }
                        next_inputs(inside, PIXELS);
                    }
                    next_token(at);
                }
                next_inputs(line, WIDTH);
            }
            row_begins.tile = at.tile;
            row_begins.place = at.place;
        }
        next_inputs(channel_begins, HEIGHT * WIDTH);
    }
    faults.write((early ? IMAGE_EARLY : 0) | (ended ? 0 : IMAGE_LATE));
}

}  // namespace engine

#endif
