// 2^(score - largest score of the row), their sum, and its reciprocal, one key of all tokens of a tile a
// cycle: hwnorm.integers.operations.Exponentials, and what IntegerContext makes of the sums.
//
// Scores of two tiles of tokens are held; while one is read the other is written. A tile is read once its
// last key has been written: s_last_key. m_read counts the tiles whose scores may be overwritten, m_done
// those whose reciprocals are there, rnd(2^DIGITS / sum); s_clear, between images, begins both anew.

`default_nettype none

module engine_softmax #(
    parameter TOKENS  = 7,
    parameter DEPTH   = 8,
    parameter KEYS    = 64,
    parameter SCORE   = 12,
    parameter A_BITS  = 8,
    parameter LATENCY = 4,
    parameter DIGITS  = 23,
    parameter TILES   = 16,
    parameter SELECT  = 3
) (
    input  wire                    aclk,
    input  wire                    aresetn,
    input  wire                    s_clear,
    // Scores of a key.
    input  wire                    s_write,
    input  wire                    s_first_key,
    input  wire                    s_last_key,
    input  wire                    s_parity,
    input  wire [            11:0] s_key,
    input  wire [TOKENS*SCORE-1:0] s_scores,
    // What becomes of the tile: where its codes go, keys that there are, the exponential, its reciprocals'
    // place.
    input  wire [            15:0] s_address,
    input  wire [            15:0] s_keys,
    input  wire [      SELECT-1:0] s_exponential,
    input  wire                    s_slot,
    input  wire [             7:0] s_tile,
    output reg  [            15:0] m_read,
    output reg  [            15:0] m_done,
    // Codes of a key: word and lane of it.
    output wire                    m_write,
    output wire [            15:0] m_address,
    output wire [             4:0] m_lane,
    output wire [TOKENS*A_BITS-1:0] m_codes,
    // Reciprocals of a tile, a cycle later.
    input  wire                    s_read_slot,
    input  wire [             7:0] s_read_tile,
    output wire [   TOKENS*17-1:0] m_reciprocals
);

  // A division takes a cycle a bit of its numerator; tiles end no faster than that.
  localparam STEPS = DIGITS + 1;
  localparam LEAST = STEPS + 3, DIVIDING = STEPS + 1;
  localparam LAST_LANE = DEPTH - 1, LAST_TOKEN = TOKENS - 1;
  localparam SUM = A_BITS + $clog2(KEYS);
  localparam MOVING = 2 + LATENCY;
  // Where the scores of the second tile begin, and the reciprocals of the second head.
  localparam [15:0] SECOND_KEY = KEYS[15:0];
  localparam [8:0] SECOND_TILE = TILES[8:0];

  generate
    if (DEPTH > 16 || TOKENS > 255 || TILES > 256 || KEYS > 4096) begin : g_illegal_size
      DEPTH_TOKENS_TILES_and_KEYS_must_be_at_most_16_255_256_4096 stop ();
    end
    if (STEPS > 254 || DIGITS < 16 || DIGITS < SUM) begin : g_illegal_digits
      DIGITS_must_be_from_16_and_the_bits_of_a_sum_to_253 stop ();
    end
    if (LATENCY < 1) begin : g_illegal_latency
      LATENCY_must_be_at_least_1 stop ();
    end
  endgenerate

  // ---- tiles that wait, the one that is read ----
  localparam JOB = 16 + 16 + SELECT + 1 + 8;
  reg [JOB-1:0] jobs[0:1];
  reg [1:0] pending;
  reg turn, reading, parity;
  reg [11:0] key;
  reg [15:0] left, keys, word;
  reg [4:0] lane;
  reg [7:0] token;
  reg [SELECT-1:0] exponential;
  reg slot;
  reg [7:0] tile;
  wire [JOB-1:0] job = jobs[turn];
  wire last = reading && {4'd0, key} + 16'd1 == keys;
  // What is left of the tile before and of its division when this one would end.
  wire [15:0] job_keys = job[JOB-17-:16];
  wire starts = pending[turn] && left <= job_keys && (!reading || last);

  always @(posedge aclk) begin
    if (s_write && s_last_key) jobs[s_parity] <= {s_address, s_keys, s_exponential, s_slot, s_tile};
    if (!aresetn || s_clear) begin
      pending <= 2'b00;
      turn <= 1'b0;
      reading <= 1'b0;
      left <= 16'd0;
      m_read <= 16'd0;
    end else begin
      if (s_write && s_last_key) pending[s_parity] <= 1'b1;
      if (left != 16'd0) left <= left - 16'd1;
      if (last) begin
        reading <= 1'b0;
        m_read  <= m_read + 16'd1;
      end
      if (starts) begin
        pending[turn] <= 1'b0;
        turn <= ~turn;
        reading <= 1'b1;
        left <= job_keys + LEAST[15:0] - 16'd1;
      end
    end
    if (starts) begin
      {word, keys, exponential, slot, tile} <= job;
      parity <= turn;
      key <= 12'd0;
      token <= 8'd0;
      lane <= 5'd0;
    end else if (reading) begin
      key <= key + 12'd1;
      token <= token + 8'd1;
      lane <= lane + 5'd1;
      if (lane == LAST_LANE[4:0] || token == LAST_TOKEN[7:0]) begin
        lane <= 5'd0;
        word <= word + 16'd1;
      end
      if (token == LAST_TOKEN[7:0]) token <= 8'd0;
    end
  end

  // ---- what moves along: scores are there after one cycle, differences after two ----
  reg [MOVING:1] valid, first, final_key;
  localparam PLACE = 16 + 5;
  reg [PLACE*MOVING-1:0] places;
  reg [SELECT-1:0] exponential1, exponential2;
  always @(posedge aclk) begin
    if (!aresetn || s_clear) valid <= {MOVING{1'b0}};
    else valid <= {valid[MOVING-1:1], reading};
    first <= {first[MOVING-1:1], key == 12'd0};
    final_key <= {final_key[MOVING-1:1], last};
    places <= {places[PLACE*(MOVING-1)-1:0], word, lane};
    exponential1 <= exponential;
    exponential2 <= exponential1;
  end
  assign m_write = valid[MOVING];
  assign {m_address, m_lane} = places[PLACE*(MOVING-1)+:PLACE];

  wire [TOKENS*SCORE-1:0] scores;
  engine_memory #(
      .WORDS(2 * KEYS), .BITS(TOKENS * SCORE), .ADDRESS(16)
  ) buffer (
      .aclk(aclk),
      .s_write(s_write),
      .s_address((s_parity ? SECOND_KEY : 16'd0) + {4'd0, s_key}),
      .s_data(s_scores),
      .s_read((parity ? SECOND_KEY : 16'd0) + {4'd0, key}),
      .m_data(scores)
  );

  // ---- reciprocals: one division for all tokens at a time ----
  reg [7:0] step;
  reg ended;
  reg parity1;
  reg [8:0] place, divided;
  always @(posedge aclk) begin
    parity1 <= parity;
    ended <= valid[MOVING] && final_key[MOVING];
    // The tile that is read may be the next one by the time the last codes of this one are written.
    if (last) place <= {slot, tile};
    if (ended) divided <= place;
    if (!aresetn || s_clear) begin
      step <= 8'd0;
      m_done <= 16'd0;
    end else begin
      if (ended) step <= DIVIDING[7:0];
      else if (step != 8'd0) step <= step - 8'd1;
      if (step == 8'd1) m_done <= m_done + 16'd1;
    end
  end

  wire [TOKENS*17-1:0] quotients;
  engine_memory #(
      .WORDS(2 * TILES), .BITS(TOKENS * 17), .ADDRESS(9)
  ) reciprocals (
      .aclk(aclk),
      .s_write(step == 8'd1),
      .s_address((divided[8] ? SECOND_TILE : 9'd0) + {1'b0, divided[7:0]}),
      .s_data(quotients),
      .s_read((s_read_slot ? SECOND_TILE : 9'd0) + {1'b0, s_read_tile}),
      .m_data(m_reciprocals)
  );

  genvar t;
  generate
    for (t = 0; t < TOKENS; t = t + 1) begin : g_tokens
      // The largest score of each of the two tiles.
      reg signed [SCORE-1:0] most[0:1];
      wire signed [SCORE-1:0] written = s_scores[t*SCORE+:SCORE];
      wire signed [SCORE-1:0] score = scores[t*SCORE+:SCORE];
      wire signed [SCORE:0] below = score - most[parity1];
      reg signed [SCORE-1:0] difference;
      always @(posedge aclk) begin
        if (s_write && (s_first_key || written > most[s_parity])) most[s_parity] <= written;
        // No lower than the lowest code.
        difference <= below[SCORE] && !below[SCORE-1] ? {1'b1, {(SCORE - 1) {1'b0}}} : below[SCORE-1:0];
      end

      wire [A_BITS-1:0] code;
      engine_exponentials #(
          .SCORE(SCORE), .A_BITS(A_BITS), .LATENCY(LATENCY), .SELECT(SELECT)
      ) exponentials (
          .aclk(aclk), .s_exponential(exponential2), .s_difference(difference), .m_code(code)
      );
      assign m_codes[t*A_BITS+:A_BITS] = code;

      reg [SUM-1:0] sum, divisor;
      reg [DIGITS:0] numerator;
      reg [SUM-1:0] rest;
      reg [16:0] quotient;
      // The rest is less than the divisor, so what is tried is less than two of it: the sign tells.
      wire [SUM:0] tried = {rest, numerator[DIGITS]};
      wire [SUM:0] less = tried - {1'b0, divisor};
      wire fits = !less[SUM];
      wire [DIGITS:0] half = {{(DIGITS + 1 - SUM) {1'b0}}, sum} >> 1;
      always @(posedge aclk) begin
        if (valid[MOVING])
          sum <= first[MOVING] ? {{(SUM - A_BITS) {1'b0}}, code} :
              sum + {{(SUM - A_BITS) {1'b0}}, code};
        if (ended) begin
          divisor <= sum;
          numerator <= {1'b1, {DIGITS{1'b0}}} + half;
          rest <= {SUM{1'b0}};
        end else begin
          numerator <= numerator << 1;
          rest <= fits ? less[SUM-1:0] : tried[SUM-1:0];
          quotient <= {quotient[15:0], fits};
        end
      end
      assign quotients[t*17+:17] = quotient;
    end
  endgenerate

endmodule

`default_nettype wire
