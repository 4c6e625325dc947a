// The engine: an image and the weights of a network in, its logits out.
//
// hwnorm/engine has its numerics, its descriptors and its cycles. An image begins, with m_begins high for
// that cycle, when s_run is high, a whole image is there, and the logits before it have left; m_cycles
// counts from there until its last logit has been written. Where a stream is not as it should be, m_error
// says so and the image under way is given up; logits that are there still leave. s_clear forgets all but
// m_images.

`default_nettype none

module engine_core #(
    parameter TOKENS     = 7,
    parameter COLUMNS    = 4,
    parameter LUT_COLUMNS = 0,
    parameter DEPTH      = 8,
    parameter A_BITS     = 8,
    parameter PAIR       = 1,
    parameter A_GAP      = 0,
    parameter WEIGHTS    = 27,
    parameter N4         = 3,
    parameter G4         = 11,
    parameter N8         = 2,
    parameter G8         = 18,
    parameter SUM        = 26,
    parameter LANE_DSP   = 1,
    parameter TOTAL      = 52,
    parameter STREAM     = 16,
    parameter SCORE      = 12,
    parameter DIGITS     = 23,
    parameter BEAT       = 128,
    parameter PIXELS     = 4,
    parameter CHANNELS   = 1,
    parameter ROWS       = 7,
    parameter LINE       = 7,
    parameter HEIGHT     = 4,
    parameter WIDTH      = 4,
    parameter FIRST      = 0,
    parameter KEYS       = 49,
    parameter TILES      = 7,
    parameter CLASSES    = 10,
    parameter WORDS      = 36,
    parameter A_WORDS    = 512,
    parameter K_WORDS    = 128,
    parameter V_WORDS    = 128,
    parameter P_WORDS    = 128,
    parameter S_WORDS    = 1024,
    parameter PHASES     = 64,
    parameter DESCRIPTOR = 512,
    parameter F_LATENCY  = 4,
    parameter E_LATENCY  = 4,
    parameter NORMS      = 0,
    parameter NORM_D     = 96,
    parameter NORM_A     = 12,
    parameter NORM_GAMMA = 16,
    parameter NORM_BETA  = 16,
    parameter NORM_ADDED = 32,
    parameter NORM_DROP  = 18,
    parameter PROGRAM    = "program.mem",
    parameter TABLE      = "table.mem",
    parameter AFFINE     = "norms.mem"
) (
    input  wire                aclk,
    input  wire                aresetn,
    input  wire                s_clear,
    input  wire                s_run,
    output wire                m_begins,
    output wire                m_idle,
    output reg                 m_done,
    output wire [        31:0] m_error,
    output reg  [        31:0] m_cycles,
    output reg  [        31:0] m_busy,
    output reg  [        31:0] m_stall,
    output reg  [        31:0] m_images,
    input  wire [    BEAT-1:0] s_weights_tdata,
    input  wire                s_weights_tlast,
    input  wire                s_weights_tvalid,
    output wire                s_weights_tready,
    input  wire [PIXELS*8-1:0] s_image_tdata,
    input  wire                s_image_tlast,
    input  wire                s_image_tvalid,
    output wire                s_image_tready,
    output wire [        31:0] m_logits_tdata,
    output wire                m_logits_tlast,
    output reg                 m_logits_tvalid,
    input  wire                m_logits_tready
);

  localparam ROWS8 = N8 * COLUMNS, ROWS4 = N4 * COLUMNS;
  localparam WORD8 = ROWS8 * DEPTH * 8, WORD4 = ROWS4 * DEPTH * 4;
  localparam WORD = WORD8 > WORD4 ? WORD8 : WORD4;
  localparam PARTS_K = (TOKENS + ROWS8 - 1) / ROWS8;
  localparam PARTS_V = (TOKENS + DEPTH - 1) / DEPTH;
  localparam LINEAR = 3'd1, SCORES = 3'd2, CONTEXT = 3'd3, POOL = 3'd4;
  localparam TO_A = 3'd0, TO_K = 3'd1, TO_V = 3'd2, TO_SCORES = 3'd3, TO_LOGITS = 3'd4;
  localparam SELECT = 6;
  localparam LAST_CLASS = CLASSES - 1;

  // Elaboration stops at a module that is not there.
  generate
    if (SCORE > STREAM || STREAM > 31) begin : g_illegal_stream
      STREAM_must_hold_SCORE_within_31_bits stop ();
    end
    if (TILES > 255 || TILES * TOKENS < KEYS) begin : g_illegal_tiles
      TILES_must_hold_KEYS_and_be_at_most_255 stop ();
    end
    if (F_LATENCY < 1) begin : g_illegal_latency
      F_LATENCY_must_be_at_least_1 stop ();
    end
    if (WORDS > 4095) begin : g_illegal_words
      WORDS_must_be_at_most_4095 stop ();
    end
  endgenerate

  wire all_reset = aresetn && !s_clear;
  wire running_reset = all_reset && m_error == 32'd0;

  // ---- the sequencer ----
  wire idle, done, busy, stall, starts;
  wire [1:0] image_ready;
  wire [7:0] weights_loaded;
  wire [15:0] softmax_read, softmax_done;
  wire valid, first, last, mode8, image, second, lift, buffer, release_tile, keys_end, parity;
  wire first_rows, norm_starts, norm_done;
  wire [2:0] op;
  wire [15:0] a_address, b_address, b_token, b_from, b_to, offset, v_offset, stream_offset;
  wire [7:0] b_part, b_lanes, rows, tile;
  wire [11:0] word, high;
  wire [4:0] low;
  wire [DESCRIPTOR-1:0] phase;
  engine_sequencer #(
      .TOKENS(TOKENS), .DEPTH(DEPTH), .ROWS8(ROWS8), .ROWS4(ROWS4), .SETTLE(13 + F_LATENCY),
      .PHASES(PHASES), .DESCRIPTOR(DESCRIPTOR), .INIT(PROGRAM)
  ) sequencer (
      .aclk(aclk), .aresetn(running_reset), .s_start(starts), .m_idle(idle), .m_done(done),
      .m_busy(busy), .m_stall(stall), .s_weights_loaded(weights_loaded),
      .s_softmax_done(softmax_done), .s_softmax_read(softmax_read),
      .s_norm_done(norm_done), .m_norm(norm_starts), .m_first_rows(first_rows),
      .m_valid(valid), .m_first(first), .m_last(last), .m_mode8(mode8), .m_op(op), .m_image(image),
      .m_second(second), .m_lift(lift), .m_a_address(a_address), .m_b_address(b_address),
      .m_b_part(b_part), .m_b_lanes(b_lanes),
      .m_b_token(b_token), .m_b_from(b_from), .m_b_to(b_to), .m_buffer(buffer), .m_word(word),
      .m_rows(rows), .m_release(release_tile), .m_tile(tile), .m_offset(offset),
      .m_v_offset(v_offset), .m_stream_offset(stream_offset), .m_high(high), .m_low(low),
      .m_keys_end(keys_end), .m_parity(parity), .m_phase(phase)
  );

  reg image_turn;
  assign starts = s_run && idle && !m_logits_tvalid && image_ready[image_turn] && m_error == 32'd0;
  assign m_begins = starts;
  assign m_idle = idle;

  // ---- what the array reads: one cycle after its address ----
  wire write, stream_write, softmax_write;
  wire [2:0] target;
  wire [15:0] write_address, stream_address, softmax_address;
  wire [4:0] write_low, softmax_lane;
  wire [TOKENS*A_BITS-1:0] values, softmax_codes;
  wire [TOKENS*STREAM-1:0] codes, late_codes;
  wire [TOKENS*DEPTH*A_BITS-1:0] a_words, p_words;
  wire [TOKENS*DEPTH*8-1:0] i_words;
  wire [TOKENS*DEPTH*A_BITS-1:0] k_words;
  wire [WORD-1:0] w_word;

  reg valid1, first1, last1, mode8_1, image1, second1, lift1;
  reg [2:0] op1;
  reg [7:0] part1, lanes1;
  reg [15:0] token1, from1, to1;
  always @(posedge aclk) begin
    valid1 <= running_reset && valid;
    {first1, last1, mode8_1, op1} <= {first, last, mode8, op};
    {image1, second1, lift1} <= {image, second, lift};
    {part1, lanes1} <= {b_part, b_lanes};
    {token1, from1, to1} <= {b_token, b_from, b_to};
  end

  genvar d, t, r;
  generate
    for (d = 0; d < DEPTH; d = d + 1) begin : g_lanes
      wire [TOKENS*A_BITS-1:0] a, k, p;
      engine_memory #(
          .WORDS(A_WORDS), .BITS(TOKENS * A_BITS), .ADDRESS(16)
      ) activations (
          .aclk(aclk), .s_write(write && target == TO_A && write_low == d),
          .s_address(write_address), .s_data(values), .s_read(a_address), .m_data(a)
      );
      engine_memory #(
          .WORDS(K_WORDS), .BITS(TOKENS * A_BITS), .ADDRESS(16)
      ) keys (
          .aclk(aclk), .s_write(write && target == TO_K && write_low == d),
          .s_address(write_address), .s_data(values), .s_read(b_address), .m_data(k)
      );
      engine_memory #(
          .WORDS(P_WORDS), .BITS(TOKENS * A_BITS), .ADDRESS(16)
      ) exponentials (
          .aclk(aclk), .s_write(softmax_write && softmax_lane == d),
          .s_address(softmax_address), .s_data(softmax_codes), .s_read(a_address), .m_data(p)
      );
      for (t = 0; t < TOKENS; t = t + 1) begin : g_tokens
        assign a_words[(t*DEPTH+d)*A_BITS+:A_BITS] = a[t*A_BITS+:A_BITS];
        assign k_words[(t*DEPTH+d)*A_BITS+:A_BITS] = k[t*A_BITS+:A_BITS];
        assign p_words[(t*DEPTH+d)*A_BITS+:A_BITS] = p[t*A_BITS+:A_BITS];
      end
    end
  endgenerate

  // Where activations have fewer bits, a half of each pixel at a time.
  wire [TOKENS*DEPTH*A_BITS-1:0] i_codes;
  generate
    if (A_BITS < 5) begin : g_illegal_a_bits
      A_BITS_must_hold_half_a_pixel stop ();
    end
    for (t = 0; t < TOKENS * DEPTH; t = t + 1) begin : g_pixels
      if (A_BITS == 8) begin : g_whole
        assign i_codes[t*8+:8] = i_words[t*8+:8];
      end else begin : g_half
        wire [3:0] half = second1 ? i_words[t*8+:4] : i_words[t*8+4+:4];
        assign i_codes[t*A_BITS+:A_BITS] = {{(A_BITS - 4) {half[3] && !second1}}, half};
      end
    end
  endgenerate
  wire unused_halves = &{1'b0, second1, i_words};

  reg [TOKENS*DEPTH*A_BITS-1:0] a_operand;
  reg [WORD-1:0] b_operand;
  wire [WORD8-1:0] k_operand, v_operand;
  integer n;
  always @* begin
    a_operand = a_words;
    if (op1 == CONTEXT) a_operand = p_words;
    if (op1 == LINEAR && image1) a_operand = i_codes;
    for (n = 0; n < TOKENS * DEPTH; n = n + 1) begin
      if (op1 == POOL) a_operand[n*A_BITS+:A_BITS] = 1;
    end
    b_operand = w_word;
    if (op1 == SCORES) b_operand[WORD8-1:0] = k_operand;
    if (op1 == CONTEXT || op1 == POOL) b_operand[WORD8-1:0] = v_operand;
  end

  generate
    for (r = 0; r < ROWS8; r = r + 1) begin : g_rows
      // Keys: a part of a tile's tokens; what is behind a head's channels counts for nothing.
      reg [DEPTH*A_BITS-1:0] key, value;
      wire [PARTS_K*DEPTH*A_BITS-1:0] keys_of;
      for (t = 0; t < PARTS_K; t = t + 1) begin : g_parts
        if (t * ROWS8 + r < TOKENS) begin : g_key
          assign keys_of[t*DEPTH*A_BITS+:DEPTH*A_BITS] =
              k_words[(t*ROWS8+r)*DEPTH*A_BITS+:DEPTH*A_BITS];
        end else begin : g_none
          assign keys_of[t*DEPTH*A_BITS+:DEPTH*A_BITS] = {DEPTH * A_BITS{1'b0}};
        end
      end

      // Values: a channel of all tokens of a tile, of which a part is taken.
      wire [TOKENS*A_BITS-1:0] v;
      wire [PARTS_V*DEPTH*A_BITS-1:0] v_parts;
      assign v_parts[TOKENS*A_BITS-1:0] = v;
      if (PARTS_V * DEPTH > TOKENS) begin : g_behind
        assign v_parts[PARTS_V*DEPTH*A_BITS-1:TOKENS*A_BITS] =
            {(PARTS_V * DEPTH - TOKENS) * A_BITS{1'b0}};
      end

      // No multiplier is spent on where a part begins: each is named.
      integer part;
      always @* begin
        key = keys_of[DEPTH*A_BITS-1:0];
        for (part = 1; part < PARTS_K; part = part + 1)
          if (part1 == part[7:0]) key = keys_of[part*DEPTH*A_BITS+:DEPTH*A_BITS];
        value = v_parts[DEPTH*A_BITS-1:0];
        for (part = 1; part < PARTS_V; part = part + 1)
          if (part1 == part[7:0]) value = v_parts[part*DEPTH*A_BITS+:DEPTH*A_BITS];
      end

      engine_memory #(
          .WORDS(V_WORDS), .BITS(TOKENS * A_BITS), .ADDRESS(16)
      ) v_memory (
          .aclk(aclk), .s_write(write && target == TO_V && write_low == r),
          .s_address(write_address), .s_data(values), .s_read(b_address), .m_data(v)
      );
      for (d = 0; d < DEPTH; d = d + 1) begin : g_depth
        wire [15:0] at = token1 + d;
        // The last part that reaches so far within a tile's tokens, if one does.
        localparam LAST_PART = d < TOKENS ? (TOKENS - d - 1) / DEPTH : 0;
        wire there = d < TOKENS && part1 <= LAST_PART[7:0] && at >= from1 && at < to1;
        wire [A_BITS-1:0] k_code = d < lanes1 ? key[d*A_BITS+:A_BITS] : {A_BITS{1'b0}};
        wire [A_BITS-1:0] v_code = there ? value[d*A_BITS+:A_BITS] : {A_BITS{1'b0}};
        if (A_BITS == 8) begin : g_whole
          assign k_operand[(r*DEPTH+d)*8+:8] = k_code;
          assign v_operand[(r*DEPTH+d)*8+:8] = v_code;
        end else begin : g_extended
          assign k_operand[(r*DEPTH+d)*8+:8] = {{(8 - A_BITS) {k_code[A_BITS-1]}}, k_code};
          assign v_operand[(r*DEPTH+d)*8+:8] = {{(8 - A_BITS) {v_code[A_BITS-1]}}, v_code};
        end
      end
    end
  endgenerate

  // ---- the array ----
  wire load, next;
  wire [TOKENS*SUM-1:0] row_sums;
  engine_array #(
      .TOKENS(TOKENS), .COLUMNS(COLUMNS), .LUT_COLUMNS(LUT_COLUMNS), .DEPTH(DEPTH), .A_BITS(A_BITS),
      .PAIR(PAIR), .A_GAP(A_GAP),
      .WEIGHTS(WEIGHTS), .N4(N4), .G4(G4), .N8(N8), .G8(G8), .SUM(SUM), .WORD(WORD)
  ) array (
      .aclk(aclk), .aresetn(running_reset), .s_valid(valid1), .s_first(first1), .s_last(last1),
      .s_lift(lift1), .s_mode8(mode8_1), .s_activations(a_operand), .s_weights(b_operand), .s_next(next),
      .m_load(load), .m_row(row_sums)
  );

  // What the epilogue must know leaves the sequencer with the last word, and comes with the sums.
  localparam PASS = 8 + 1 + 1 + 8 + 3 * 16 + 12 + 5 + 1 + 1 + 1;
  localparam FLIGHT = 7;
  reg [PASS*FLIGHT-1:0] flight;
  always @(posedge aclk)
    flight <= {flight[PASS*(FLIGHT-1)-1:0], rows, buffer, release_tile, tile, offset, v_offset,
               stream_offset, high, low, keys_end, parity, first_rows};
  wire [7:0] p_rows, p_tile;
  wire p_buffer, p_release, p_keys_end, p_parity, p_first_rows;
  wire [15:0] p_offset, p_v_offset, p_stream_offset;
  wire [11:0] p_high;
  wire [4:0] p_low;
  assign {p_rows, p_buffer, p_release, p_tile, p_offset, p_v_offset, p_stream_offset, p_high, p_low,
          p_keys_end, p_parity, p_first_rows} = flight[PASS*(FLIGHT-1)+:PASS];

  // ---- the epilogue ----
  wire row_buffer, released, first_key, last_key, late_parity, slot;
  wire [7:0] row, drained_tile, late_tile;
  wire [63:0] parameters;
  wire [15:0] stream_read;
  wire [TOKENS*STREAM-1:0] stream_codes, table_codes;
  wire [TOKENS*17-1:0] reciprocals;
  wire [11:0] key;
  wire epilogue_write;
  wire [2:0] epilogue_target;
  wire [15:0] epilogue_address;
  wire [4:0] epilogue_low;
  wire [TOKENS*A_BITS-1:0] epilogue_values;
  wire [TOKENS*TOTAL-1:0] scaled;
  wire norms, norm_write;
  wire [2:0] norm_target;
  wire [15:0] norm_address, norm_read;
  wire [4:0] norm_low;
  wire [TOKENS*A_BITS-1:0] norm_values;
  wire [TOKENS*SUM-1:0] norm_sums;
  wire [TOKENS*17-1:0] roots;
  engine_epilogue #(
      .TOKENS(TOKENS), .DEPTH(DEPTH), .ROWS8(ROWS8), .SUM(SUM), .STREAM(STREAM), .A_BITS(A_BITS),
      .LATENCY(F_LATENCY), .SELECT(SELECT), .TOTAL(TOTAL), .DSP(LANE_DSP), .DESCRIPTOR(DESCRIPTOR)
  ) epilogue (
      .aclk(aclk), .aresetn(running_reset), .s_phase(phase), .s_load(load), .s_rows(p_rows),
      .s_buffer(p_buffer), .s_release(p_release), .s_tile(p_tile), .s_offset(p_offset),
      .s_v_offset(p_v_offset), .s_stream_offset(p_stream_offset), .s_high(p_high), .s_low(p_low),
      .s_keys_end(p_keys_end), .s_parity(p_parity), .m_next(next),
      .s_row(norms ? norm_sums : row_sums),
      .m_row_buffer(row_buffer), .m_row(row), .s_parameters(parameters), .m_release(released),
      .m_stream_read(stream_read), .s_stream(stream_codes), .s_table(table_codes),
      .m_tile(drained_tile), .s_reciprocals(norms ? roots : reciprocals),
      .m_scaled(scaled), .m_stream_write(stream_write),
      .m_stream_address(stream_address), .m_codes(codes), .m_write(epilogue_write),
      .m_target(epilogue_target), .m_address(epilogue_address), .m_key(key), .m_low(epilogue_low),
      .m_values(epilogue_values),
      .m_late_codes(late_codes), .m_first_key(first_key), .m_last_key(last_key),
      .m_parity(late_parity), .m_late_tile(late_tile)
  );

  engine_memory #(
      .WORDS(S_WORDS), .BITS(TOKENS * STREAM), .ADDRESS(16)
  ) stream (
      .aclk(aclk), .s_write(stream_write), .s_address(stream_address), .s_data(codes),
      .s_read(norms ? norm_read : stream_read), .m_data(stream_codes)
  );
  engine_memory #(
      .WORDS(S_WORDS), .BITS(TOKENS * STREAM), .ADDRESS(16), .INIT(TABLE), .ROM(1)
  ) table_memory (
      .aclk(aclk), .s_write(1'b0), .s_address(16'd0), .s_data({TOKENS * STREAM{1'b0}}),
      .s_read(stream_read), .m_data(table_codes)
  );

  // ---- norms: a unit of their own, where there are any ----
  generate
    if (NORMS > 0) begin : g_norms
      engine_norm #(
          .TOKENS(TOKENS), .DEPTH(DEPTH), .ROWS8(ROWS8), .STREAM(STREAM), .A_BITS(A_BITS), .SUM(SUM),
          .TOTAL(TOTAL), .TILES(TILES), .D(NORM_D), .A_FRAC(NORM_A), .GAMMA(NORM_GAMMA),
          .BETA(NORM_BETA), .OFFSET(NORM_ADDED), .DROP(NORM_DROP), .WORDS(NORMS),
          .DESCRIPTOR(DESCRIPTOR), .INIT(AFFINE)
      ) unit (
          .aclk(aclk), .aresetn(running_reset), .s_load(load), .s_tile(p_tile),
          .s_first(p_first_rows), .s_write(stream_write), .s_codes(codes), .s_phase(phase),
          .s_start(norm_starts), .m_done(norm_done), .m_busy(norms), .m_stream_read(norm_read),
          .s_stream(stream_codes), .m_sums(norm_sums), .m_roots(roots), .s_scaled(scaled),
          .m_write(norm_write), .m_target(norm_target), .m_address(norm_address), .m_low(norm_low),
          .m_values(norm_values)
      );
    end else begin : g_no_norms
      assign {norms, norm_done, norm_write} = 3'd0;
      assign {norm_target, norm_low, norm_address, norm_read} = {3'd0, 5'd0, 16'd0, 16'd0};
      assign {norm_values, norm_sums, roots} = {TOKENS * (A_BITS + SUM + 17) {1'b0}};
      wire unused_norms = &{1'b0, norm_starts, p_first_rows, scaled};
      wire unused_of_norms = &{1'b0, NORM_D[0], NORM_A[0], NORM_GAMMA[0], NORM_BETA[0], NORM_ADDED[0],
                               NORM_DROP[0]};
      wire unused_file = &{1'b0, AFFINE};
    end
  endgenerate
  // A phase of norms begins when all before it is written, and nothing else is under way.
  assign write = epilogue_write || norm_write;
  assign target = norm_write ? norm_target : epilogue_target;
  assign write_address = norm_write ? norm_address : epilogue_address;
  assign write_low = norm_write ? norm_low : epilogue_low;
  assign values = norm_write ? norm_values : epilogue_values;

  // ---- softmax ----
  wire [2:0] exponential;
  wire [15:0] softmax_keys;
  engine_phase_softmax fields (
      .s_phase(phase), .m_slot(slot), .m_exponential(exponential), .m_token_to(softmax_keys)
  );
  wire [TOKENS*SCORE-1:0] scores;
  // Scores have fewer bits than what late_codes has room for, and logits are those of one token.
  wire unused = &{1'b0, late_codes};
  generate
    for (t = 0; t < TOKENS; t = t + 1) begin : g_scores
      assign scores[t*SCORE+:SCORE] = late_codes[t*STREAM+:SCORE];
    end
  endgenerate
  engine_softmax #(
      .TOKENS(TOKENS), .DEPTH(DEPTH), .KEYS(KEYS), .SCORE(SCORE), .A_BITS(A_BITS),
      .LATENCY(E_LATENCY), .DIGITS(DIGITS), .TILES(TILES)
  ) softmax (
      .aclk(aclk), .aresetn(running_reset), .s_clear(starts),
      .s_write(write && target == TO_SCORES), .s_first_key(first_key), .s_last_key(last_key),
      .s_parity(late_parity), .s_key(key), .s_scores(scores), .s_address(write_address),
      .s_keys(softmax_keys), .s_exponential(exponential), .s_slot(slot), .s_tile(late_tile),
      .m_read(softmax_read), .m_done(softmax_done), .m_write(softmax_write),
      .m_address(softmax_address), .m_lane(softmax_lane), .m_codes(softmax_codes),
      .s_read_slot(slot), .s_read_tile(drained_tile), .m_reciprocals(reciprocals)
  );

  // ---- streams ----
  wire weights_early, weights_late, weights_foreign, image_early, image_late;
  engine_weights #(
      .WORD(WORD), .WORD4(WORD4), .WORD8(WORD8), .WORDS(WORDS), .ROWS(ROWS4), .BEAT(BEAT)
  ) weights (
      .aclk(aclk), .aresetn(aresetn), .s_clear(s_clear), .s_axis_tdata(s_weights_tdata),
      .s_axis_tlast(s_weights_tlast), .s_axis_tvalid(s_weights_tvalid),
      .s_axis_tready(s_weights_tready), .s_word_buffer(buffer), .s_word(word), .m_word(w_word),
      .s_row_buffer(row_buffer), .s_row(row), .m_row(parameters), .s_release(released),
      .m_loaded(weights_loaded), .m_early(weights_early), .m_late(weights_late),
      .m_foreign(weights_foreign)
  );
  engine_image #(
      .TOKENS(TOKENS), .DEPTH(DEPTH), .PIXELS(PIXELS), .CHANNELS(CHANNELS), .ROWS(ROWS),
      .COLUMNS(LINE), .HEIGHT(HEIGHT), .WIDTH(WIDTH), .FIRST(FIRST)
  ) images (
      .aclk(aclk), .aresetn(aresetn), .s_clear(s_clear), .s_axis_tdata(s_image_tdata),
      .s_axis_tlast(s_image_tlast), .s_axis_tvalid(s_image_tvalid), .s_axis_tready(s_image_tready),
      .s_done(done), .s_read(a_address), .m_data(i_words), .m_ready(image_ready),
      .m_early(image_early), .m_late(image_late)
  );
  assign m_error = {27'd0, weights_foreign, image_late, image_early, weights_late, weights_early};

  // ---- logits: written in any order, read in theirs ----
  reg [15:0] class_read;
  wire [STREAM-1:0] logit;
  wire [15:0] class_next = m_logits_tvalid && m_logits_tready ? class_read + 16'd1 : class_read;
  engine_memory #(
      .WORDS(CLASSES), .BITS(STREAM), .ADDRESS(16)
  ) logits (
      .aclk(aclk), .s_write(write && target == TO_LOGITS), .s_address(write_address),
      .s_data(late_codes[STREAM-1:0]), .s_read(class_next), .m_data(logit)
  );
  assign m_logits_tdata = {{(32 - STREAM) {logit[STREAM-1]}}, logit};
  assign m_logits_tlast = class_read == LAST_CLASS[15:0];

  // ---- counters; those of busy and stalled cycles count them a cycle later, behind a register ----
  reg was_busy, was_stalled;
  always @(posedge aclk) begin
    was_busy <= busy;
    was_stalled <= stall;
    m_done <= done;
    if (!all_reset) begin
      m_logits_tvalid <= 1'b0;
      class_read <= 16'd0;
      image_turn <= 1'b0;
      m_cycles <= 32'd0;
      m_busy <= 32'd0;
      m_stall <= 32'd0;
    end else begin
      class_read <= class_next;
      if (m_logits_tvalid && m_logits_tready && m_logits_tlast) begin
        m_logits_tvalid <= 1'b0;
        class_read <= 16'd0;
      end
      if (done) begin
        m_logits_tvalid <= 1'b1;
        image_turn <= ~image_turn;
      end
      if (starts) begin
        m_cycles <= 32'd0;
        m_busy <= 32'd0;
        m_stall <= 32'd0;
      end else if (!idle) begin
        m_cycles <= m_cycles + 32'd1;
        m_busy <= m_busy + {31'd0, was_busy};
        m_stall <= m_stall + {31'd0, was_stalled};
      end
    end
    if (!aresetn) m_images <= 32'd0;
    else if (done) m_images <= m_images + 32'd1;
  end

endmodule

`default_nettype wire
