// LayerNorms of the stream, a lane a token: hwnorm.integers.operations.IntegerNorm, bit for bit.
//
// While the epilogue writes the stream, sums of each token's codes and of their squares are made, and kept
// by tile of tokens. A phase of norms begins with s_start. For each tile of tokens
//
//  - its sums go through one variance and one reciprocal root, a token a cycle (rtl/layernorm.v has the
//    arithmetic), while the tile before is normalized,
//  - then the stream's words are read, a channel of all tokens a cycle. A lane's D x - S, shifted, is
//    multiplied by the root in the epilogue's lane; z = s_scaled comes back, times gamma, and beta.
//
// m_done is high for a cycle three before the last codes are written: the sequencer needs as many to have
// the next phase's first word asked for. A phase takes TOKENS + K_WIDTH + 30 + D cycles, and for each
// further tile the larger of D and TOKENS + K_WIDTH + 16: hwnorm/engine/norm_unit.py.

`default_nettype none

module engine_norm #(
    parameter TOKENS     = 7,
    parameter DEPTH      = 8,
    parameter ROWS8      = 8,
    parameter STREAM     = 16,
    parameter A_BITS     = 8,
    parameter SUM        = 26,
    parameter TOTAL      = 52,
    parameter TILES      = 7,
    parameter D          = 96,
    parameter A_FRAC     = 12,
    parameter GAMMA      = 16,
    parameter BETA       = 16,
    parameter OFFSET     = 32,
    parameter DROP       = 18,
    parameter WORDS      = 96,
    parameter DESCRIPTOR = 512,
    parameter INIT       = "norms.mem"
) (
    input  wire                     aclk,
    input  wire                     aresetn,
    // The stream while it is written: a pass's tile with s_load, whether its rows are the tile's first ones;
    // the codes seven cycles later and on.
    input  wire                     s_load,
    input  wire [              7:0] s_tile,
    input  wire                     s_first,
    input  wire                     s_write,
    input  wire [TOKENS*STREAM-1:0] s_codes,
    // A phase.
    input  wire [   DESCRIPTOR-1:0] s_phase,
    input  wire                     s_start,
    output wire                     m_done,
    // High while stream and multipliers are this unit's.
    output reg                      m_busy,
    output reg  [             15:0] m_stream_read,
    input  wire [TOKENS*STREAM-1:0] s_stream,
    output wire [   TOKENS*SUM-1:0] m_sums,
    output wire [    TOKENS*17-1:0] m_roots,
    input  wire [ TOKENS*TOTAL-1:0] s_scaled,
    // Codes of a channel.
    output wire                     m_write,
    output wire [              2:0] m_target,
    output wire [             15:0] m_address,
    output wire [              4:0] m_low,
    output wire [TOKENS*A_BITS-1:0] m_values
);

  localparam GUARD = 12;
  localparam SUM_WIDTH = STREAM + $clog2(D);
  localparam SQUARES = 2 * STREAM + $clog2(D);
  localparam V_WIDTH = 2 * SUM_WIDTH + GUARD;
  localparam K_WIDTH = $clog2(V_WIDTH / 2);
  localparam R_WIDTH = A_BITS < 15 ? A_BITS + 3 : 17;
  localparam HELD = SUM_WIDTH + SQUARES;
  localparam [15:0] LAST = D[15:0] - 16'd1;
  localparam V = 3'd2;
  // Stages from a word of the stream that is asked for to its codes.
  localparam END = 15;

  generate
    if (D < 2 || D > 4095) begin : g_illegal_d
      D_must_be_from_2_to_4095 stop ();
    end
    if (TILES > 255 || TOKENS > 255 || DEPTH > 16 || ROWS8 > 32) begin : g_illegal_size
      TILES_TOKENS_DEPTH_and_ROWS8_must_be_at_most_255_255_16_and_32 stop ();
    end
    if (STREAM != 16) begin : g_illegal_stream
      STREAM_must_be_16 stop ();
    end
  endgenerate

  wire [7:0] tiles;
  wire [11:0] offset_stride, v_stride;
  wire [15:0] b_base;
  wire [4*37-1:0] segments;
  engine_phase_norm fields (
      .s_phase(s_phase), .m_tiles(tiles), .m_b_base(b_base), .m_offset_stride(offset_stride),
      .m_v_stride(v_stride), .m_segments(segments)
  );
  wire unused = &{1'b0, segments};
  wire [15:0] base = segments[15:0];
  assign m_target = segments[29:27];
  wire to_v = m_target == V;
  wire [V_WIDTH-1:0] eps;
  wire [4:0] less;
  wire [5:0] up;
  engine_norm_formats formats (
      .s_norm(segments[35:30]), .m_eps(eps), .m_less(less), .m_up(up)
  );

  // ---- sums while the stream is written: codes are squared two cycles after they are there ----
  reg [6:0] loads;
  reg [9*7-1:0] passes;
  reg [7:0] tile0, tile1, tile2;
  reg first0, first1, first2, begun1, begun2, valid1, valid2, fresh0;
  wire [TOKENS*HELD-1:0] held, held_next;
  reg [7:0] fed;
  always @(posedge aclk) begin
    passes <= {passes[9*6-1:0], s_tile, s_first};
    {tile1, tile2} <= {tile0, tile1};
    {first1, first2} <= {first0, first1};
    // Whether a row is its pass's first one: then the tile may be another than before.
    begun1 <= fresh0;
    begun2 <= begun1;
    if (!aresetn) begin
      loads  <= 7'd0;
      valid1 <= 1'b0;
      valid2 <= 1'b0;
    end else begin
      loads  <= {loads[5:0], s_load};
      valid1 <= s_write;
      valid2 <= valid1;
    end
  end
  // In the cycle of a pass's first row its tile is the one that comes with it.
  reg [7:0] tile_held;
  reg first_held;
  always @* begin
    fresh0 = loads[6];
    {tile0, first0} = loads[6] ? passes[9*7-1-:9] : {tile_held, first_held};
  end
  always @(posedge aclk) {tile_held, first_held} <= {tile0, first0};
  // Between rows of a tile's first pass the sums go on.
  reg [7:0] tile_summed;
  always @(posedge aclk) if (valid2) tile_summed <= tile2;
  engine_memory #(
      .WORDS(TILES), .BITS(TOKENS * HELD), .ADDRESS(8)
  ) sums_of_tiles (
      .aclk(aclk), .s_write(valid2), .s_address(tile2), .s_data(held_next),
      .s_read(m_busy ? fed : tile1), .m_data(held)
  );
  wire other = begun2 && tile2 != tile_summed;

  // ---- a tile's tokens, one after the other, to their roots ----
  reg feed0, feed1;
  reg [7:0] feeding;
  reg [TOKENS*HELD-1:0] tokens;
  wire variance_valid, root_valid;
  wire [SUM_WIDTH-1:0] variance_sum, root_sum;
  wire [V_WIDTH-1:0] variance;
  wire [K_WIDTH-1:0] root_k;
  wire [R_WIDTH-1:0] root_r;
  layernorm_variance #(
      .D(D), .IN_WIDTH(STREAM), .GUARD(GUARD)
  ) u_variance (
      .aclk(aclk), .aresetn(m_busy), .s_valid(feeding != 8'd0),
      .s_sum(tokens[SQUARES+:SUM_WIDTH]), .s_squares(tokens[SQUARES-1:0]), .s_eps(eps),
      .m_valid(variance_valid), .m_sum(variance_sum), .m_v(variance)
  );
  layernorm_rsqrt #(
      .V_WIDTH(V_WIDTH), .K_WIDTH(K_WIDTH), .R_WIDTH(R_WIDTH), .USER_WIDTH(SUM_WIDTH)
  ) u_root (
      .aclk(aclk), .aresetn(m_busy), .s_valid(variance_valid), .s_v(variance),
      .s_user(variance_sum), .m_valid(root_valid), .m_k(root_k), .m_r(root_r), .m_user(root_sum)
  );

  // Statistics of the tile that comes next, the first token lowest once all are there.
  localparam STATISTICS = SUM_WIDTH + K_WIDTH + R_WIDTH;
  reg [TOKENS*STATISTICS-1:0] coming;
  wire [(TOKENS+1)*STATISTICS-1:0] pushed = {root_sum, root_k, root_r, coming};
  wire unused_pushed = &{1'b0, pushed};
  reg [7:0] got;
  wire there = got == TOKENS[7:0];

  // ---- tiles ----
  reg [7:0] left;  // that have not begun
  reg reading;
  reg [15:0] channel;
  wire last = channel == LAST;
  wire starts = m_busy && there && (!reading || last);
  reg [5:0] begun;
  reg [END:0] valid, final_channel;
  assign m_done = valid[12] && final_channel[12];

  always @(posedge aclk) begin
    if (!aresetn) begin
      m_busy <= 1'b0;
      feed0 <= 1'b0;
      feed1 <= 1'b0;
      feeding <= 8'd0;
      got <= 8'd0;
      reading <= 1'b0;
      begun <= 6'd0;
    end else begin
      feed0 <= s_start || (starts && left != 8'd1);
      feed1 <= feed0;
      feeding <= feed1 ? TOKENS[7:0] : feeding != 8'd0 ? feeding - 8'd1 : 8'd0;
      got <= s_start || starts ? 8'd0 : root_valid ? got + 8'd1 : got;
      begun <= {begun[4:0], starts};
      if (starts) reading <= 1'b1;
      else if (last) reading <= 1'b0;
      if (s_start) m_busy <= 1'b1;
      else if (m_done) m_busy <= 1'b0;
    end
    if (s_start) begin
      left <= tiles;
      fed <= 8'd0;
      m_stream_read <= 16'd0;
    end else begin
      if (starts) left <= left - 8'd1;
      if (feed1) fed <= fed + 8'd1;
      if (reading) m_stream_read <= m_stream_read + 16'd1;
    end
    channel <= starts ? 16'd0 : channel + 16'd1;
    tokens <= feed1 ? held : tokens >> HELD;
    if (root_valid) coming <= pushed[(TOKENS+1)*STATISTICS-1:STATISTICS];
  end

  // ---- along the lanes: stage 0 is the word that is asked for ----
  always @* begin
    valid[0] = reading;
    final_channel[0] = last && left == 8'd0;
  end
  always @(posedge aclk) begin
    if (!aresetn) valid[END:1] <= {END{1'b0}};
    else valid[END:1] <= valid[END-1:0];
    final_channel[END:1] <= final_channel[END-1:0];
  end
  wire unused_final = &{1'b0, final_channel[END:13]};

  // gamma and what is added, beta and half of what is dropped: asked for at stage 10.
  reg [15:0] place, channel10;
  wire [GAMMA+BETA-1:0] affine;
  wire [OFFSET-1:0] beta = {{(OFFSET - BETA) {affine[GAMMA+BETA-1]}}, affine[GAMMA+:BETA]};
  localparam [OFFSET-1:0] HALF = {{(OFFSET - 1) {1'b0}}, 1'b1} << (DROP - 1);
  reg [OFFSET-1:0] offset12, offset13;
  wire last10 = channel10 == LAST;
  always @(posedge aclk) begin
    if (s_start) begin
      place <= b_base;
      channel10 <= 16'd0;
    end else if (valid[10]) begin
      place <= last10 ? b_base : place + 16'd1;
      channel10 <= last10 ? 16'd0 : channel10 + 16'd1;
    end
    offset12 <= beta << up;
    offset13 <= offset12 + HALF;
  end
  engine_memory #(
      .WORDS(WORDS), .BITS(GAMMA + BETA), .ADDRESS(16), .INIT(INIT), .ROM(1)
  ) affines (
      .aclk(aclk), .s_write(1'b0), .s_address(16'd0), .s_data({(GAMMA + BETA) {1'b0}}),
      .s_read(place), .m_data(affine)
  );

  // ---- where codes go: a word of channels after the other ----
  reg [15:0] word, offset;
  reg [4:0] low;
  reg [15:0] channel15;
  wire last15 = channel15 == LAST;
  wire [5:0] lanes = to_v ? ROWS8[5:0] : DEPTH[5:0];
  wire wraps = {1'b0, low} + 6'd1 == lanes;
  always @(posedge aclk) begin
    if (s_start) begin
      word <= 16'd0;
      offset <= 16'd0;
      low <= 5'd0;
      channel15 <= 16'd0;
    end else if (valid[END]) begin
      channel15 <= last15 ? 16'd0 : channel15 + 16'd1;
      low <= wraps || last15 ? 5'd0 : low + 5'd1;
      word <= last15 ? 16'd0 : wraps ? word + 16'd1 : word;
      if (last15) offset <= offset + {4'd0, to_v ? v_stride : offset_stride};
    end
  end
  assign m_write = valid[END];
  assign m_address = base + offset + word;
  assign m_low = low;

  genvar t;
  generate
    for (t = 0; t < TOKENS; t = t + 1) begin : g_lanes
      // Each stage takes a tile's statistics when the tile's first channel gets there.
      reg [SUM_WIDTH-1:0] sum;
      reg [K_WIDTH-1:0] k_first, k_last;
      reg [R_WIDTH-1:0] root;
      wire [STATISTICS-1:0] statistics = coming[t*STATISTICS+:STATISTICS];
      always @(posedge aclk) begin
        if (begun[1]) sum <= statistics[R_WIDTH+K_WIDTH+:SUM_WIDTH];
        if (begun[2]) k_first <= statistics[R_WIDTH+:K_WIDTH];
        if (begun[3]) k_last <= statistics[R_WIDTH+:K_WIDTH];
        if (begun[5]) root <= statistics[0+:R_WIDTH];
      end
      if (R_WIDTH < 17) begin : g_narrow
        assign m_roots[t*17+:17] = {{(17 - R_WIDTH) {1'b0}}, root};
      end else begin : g_whole
        assign m_roots[t*17+:17] = root;
      end
      engine_norm_lane #(
          .D(D), .STREAM(STREAM), .A_BITS(A_BITS), .SUM(SUM), .TOTAL(TOTAL), .K_WIDTH(K_WIDTH),
          .A_FRAC(A_FRAC), .GAMMA(GAMMA), .OFFSET(OFFSET), .DROP(DROP)
      ) lane (
          .aclk(aclk),
          .s_norms(m_busy),
          .s_code(s_codes[t*STREAM+:STREAM]),
          .s2_valid(valid2),
          .s2_first(first2 && begun2),
          .s2_other(other),
          .s2_held(held[t*HELD+:HELD]),
          .m2_held(held_next[t*HELD+:HELD]),
          .s1_x(s_stream[t*STREAM+:STREAM]),
          .s2_sum(sum),
          .s3_k(k_first),
          .s4_k(k_last),
          .s_less(less),
          .m_a(m_sums[t*SUM+:SUM]),
          .s11_z(s_scaled[t*TOTAL+:TOTAL]),
          .s11_gamma(affine[GAMMA-1:0]),
          .s13_offset(offset13),
          .m_value(m_values[t*A_BITS+:A_BITS])
      );
    end
  endgenerate

endmodule

`default_nettype wire
