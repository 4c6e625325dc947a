// Drains the sums of a pass row by row, one row of all tokens a cycle: rescales them, adds the stream,
// applies the function, and says where the row is written.
//
// s_load comes with the pass (its fields are there in that cycle); a cycle later the first row's sums are at
// s_row. What a row needs is read from the weights' rows for linear layers, and stands in the phase for all
// else. Codes for the stream leave six cycles after their sums, at m_stream_write; values for all other
// memories LATENCY cycles later, at m_write. A phase of norms takes the lanes' multipliers for itself: its
// factors come as sums and reciprocals, and m_scaled has the products, rounded, five cycles later.

`default_nettype none

module engine_epilogue #(
    parameter TOKENS     = 7,
    parameter DEPTH      = 8,
    parameter ROWS8      = 8,
    parameter SUM        = 26,
    parameter STREAM     = 16,
    parameter A_BITS     = 8,
    parameter LATENCY    = 4,
    parameter SELECT     = 6,
    parameter TOTAL      = 52,
    parameter DSP        = 1,
    parameter DESCRIPTOR = 512
) (
    input  wire                     aclk,
    input  wire                     aresetn,
    input  wire [   DESCRIPTOR-1:0] s_phase,
    input  wire                     s_load,
    input  wire [              7:0] s_rows,
    input  wire                     s_buffer,
    input  wire                     s_release,
    input  wire [              7:0] s_tile,
    input  wire [             15:0] s_offset,
    input  wire [             15:0] s_v_offset,
    input  wire [             15:0] s_stream_offset,
    input  wire [             11:0] s_high,
    input  wire [              4:0] s_low,
    input  wire                     s_keys_end,
    input  wire                     s_parity,
    // Sums, and what is read for them.
    output wire                     m_next,
    input  wire [   TOKENS*SUM-1:0] s_row,
    output wire                     m_row_buffer,
    output wire [              7:0] m_row,
    input  wire [             63:0] s_parameters,
    output wire                     m_release,
    output wire [             15:0] m_stream_read,
    input  wire [TOKENS*STREAM-1:0] s_stream,
    input  wire [TOKENS*STREAM-1:0] s_table,
    output wire [              7:0] m_tile,
    input  wire [    TOKENS*17-1:0] s_reciprocals,
    output wire [ TOKENS*TOTAL-1:0] m_scaled,
    // What is written.
    output wire                     m_stream_write,
    output wire [             15:0] m_stream_address,
    output wire [TOKENS*STREAM-1:0] m_codes,
    output wire                     m_write,
    output wire [              2:0] m_target,
    output wire [             15:0] m_address,
    output wire [             11:0] m_key,
    output wire [              4:0] m_low,
    output wire [TOKENS*A_BITS-1:0] m_values,
    output wire [TOKENS*STREAM-1:0] m_late_codes,
    output wire                     m_first_key,
    output wire                     m_last_key,
    output wire                     m_parity,
    output wire [              7:0] m_late_tile
);

  localparam LINEAR = 3'd1, SCORES = 3'd2, CONTEXT = 3'd3, NORM = 3'd5;
  localparam V = 3'd2;
  localparam BIAS = 29;
  // Stages from a row's sums to its values; the fields of a row move along with it.
  localparam END = 6 + LATENCY;

  wire [2:0] op;
  wire residual, table_residual;
  wire [5:0] lift;
  wire [15:0] first;
  wire [16:0] multiplier;
  wire [4*37-1:0] segments;
  engine_phase_epilogue fields (
      .s_phase(s_phase), .m_op(op), .m_residual(residual), .m_table(table_residual), .m_lift(lift),
      .m_first(first), .m_multiplier(multiplier), .m_segments(segments)
  );

  // ---- the pass that is drained ----
  reg [7:0] left, row, tile;
  reg buffer, releases, keys_end, parity;
  reg [15:0] offset, v_offset, stream_offset;
  reg [11:0] high;
  reg [4:0] low;
  wire active = left != 8'd0;
  wire last = left == 8'd1;

  assign m_next = active;
  assign m_row_buffer = s_load ? s_buffer : buffer;
  assign m_row = s_load ? 8'd0 : row + 8'd1;
  assign m_release = active && last && releases;

  wire wraps = {1'b0, low} + 6'd1 >= DEPTH[5:0];
  always @(posedge aclk) begin
    if (!aresetn) begin
      left <= 8'd0;
    end else if (s_load) begin
      left <= s_rows;
    end else if (active) begin
      left <= left - 8'd1;
    end
    row <= m_row;
    if (s_load) begin
      buffer <= s_buffer;
      releases <= s_release;
      tile <= s_tile;
      offset <= s_offset;
      v_offset <= s_v_offset;
      stream_offset <= s_stream_offset;
      high <= s_high;
      low <= s_low;
      keys_end <= s_keys_end;
      parity <= s_parity;
    end else if (active) begin
      high <= op == SCORES || wraps ? high + 12'd1 : high;
      low <= op == SCORES || wraps ? 5'd0 : low + 5'd1;
    end
  end

  // A product with a constant, of shifted terms: no multiplier is spent on an address.
  function [15:0] times(input [11:0] value, input [7:0] factor);
    integer bit_of;
    begin
      times = 16'd0;
      for (bit_of = 0; bit_of < 8; bit_of = bit_of + 1)
        if (factor[bit_of]) times = times + ({4'd0, value} << bit_of);
    end
  endfunction

  // ---- a row's fields ----
  wire streams = op == LINEAR;
  wire [BIAS-1:0] whole_bias = streams ? s_parameters[BIAS-1:0] : {BIAS{1'b0}};
  wire [SUM-1:0] bias;
  generate
    if (SUM > BIAS) begin : g_longer
      assign bias = {{(SUM - BIAS) {whole_bias[BIAS-1]}}, whole_bias};
    end else begin : g_shorter
      // What is left out are copies of the sign.
      wire unused = &{1'b0, whole_bias[BIAS-1:SUM-1]};
      assign bias = whole_bias[SUM-1:0];
    end
  endgenerate
  wire [1:0] segment = streams ? s_parameters[47:46] : 2'd0;
  wire [4:0] row_low = streams ? s_parameters[52:48] : low;
  wire [11:0] row_high = streams ? {1'b0, s_parameters[63:53]} : high;
  wire [36:0] chosen = segments[segment*37+:37];
  wire [15:0] base = chosen[15:0];
  wire [5:0] shift = chosen[21:16];
  wire [4:0] width = chosen[26:22];
  wire [2:0] target = chosen[29:27];
  wire [SELECT-1:0] select = chosen[35:30];
  wire writes_stream = chosen[36];
  wire to_v = target == V;
  wire [15:0] words = to_v ? times(row_high, ROWS8[7:0]) : times(row_high, DEPTH[7:0]);
  wire [15:0] flat = stream_offset + words + {11'd0, row_low};
  wire [15:0] address = base + (to_v ? v_offset : offset) + (op == SCORES ? 16'd0 : {4'd0, row_high});

  // ---- the fields move along ----
  reg [END:1] valid;
  always @(posedge aclk) begin
    if (!aresetn) valid <= {END{1'b0}};
    else valid <= {valid[END-1:1], active};
  end

  localparam FIELDS = 16 + 12 + 3 + 5 + 1 + 1 + 1 + 8;
  wire first_key = high == 12'd0;
  wire last_key = keys_end && last;
  reg [FIELDS*END-1:0] moving;
  always @(posedge aclk)
    moving <= {moving[FIELDS*(END-1)-1:0], address, high, target, row_low, first_key, last_key, parity, tile};
  assign {m_address, m_key, m_target, m_low, m_first_key, m_last_key, m_parity, m_late_tile} =
      moving[FIELDS*(END-1)+:FIELDS];
  assign m_write = valid[END];

  // Stages 1 to 6 of what lanes need.
  reg [16:0] multiplier1;
  reg reciprocal;
  reg [TOTAL-1:0] half2, half3;
  reg [5:0] shift1, shift2, shift3, shift4;
  reg [4:0] width1, width2, width3, width4;
  reg [STREAM-1:0] most5;
  reg [SELECT*6-1:0] selects;
  reg [17*6-1:0] streams_moving;
  reg [15:0] flat1;
  reg [TOKENS-1:0] present1, present2, present3;
  integer n;
  assign m_stream_read = flat1;
  assign m_tile = s_load ? s_tile : tile;
  assign {m_stream_write, m_stream_address} = {
      streams_moving[17*6-1] && valid[6], streams_moving[17*5+:16]};

  wire [15:0] tokens_before = times({4'd0, tile}, TOKENS[7:0]);
  always @(posedge aclk) begin
    multiplier1 <= streams ? s_parameters[45:29] : multiplier;
    reciprocal <= op == CONTEXT || op == NORM;
    {shift1, shift2, shift3, shift4} <= {shift, shift1, shift2, shift3};
    {width1, width2, width3, width4} <= {width, width1, width2, width3};
    half2 <= shift1 == 6'd0 ? {TOTAL{1'b0}} : {{(TOTAL - 1) {1'b0}}, 1'b1} << (shift1 - 6'd1);
    half3 <= half2;
    most5 <= ~({STREAM{1'b1}} << (width4 - 5'd1));
    selects <= {selects[SELECT*5-1:0], select};
    streams_moving <= {streams_moving[17*5-1:0], writes_stream, flat};
    flat1 <= flat;
    for (n = 0; n < TOKENS; n = n + 1) present1[n] <= tokens_before + n[15:0] >= first;
    present2 <= present1;
    present3 <= present2;
  end

  // The codes that scores are written from have passed no function.
  reg [TOKENS*STREAM*LATENCY-1:0] later;
  assign m_late_codes = later[TOKENS*STREAM*(LATENCY-1)+:TOKENS*STREAM];
  generate
    if (LATENCY > 1) begin : g_later
      always @(posedge aclk) later <= {later[TOKENS*STREAM*(LATENCY-1)-1:0], m_codes};
    end else begin : g_later
      always @(posedge aclk) later <= m_codes;
    end
  endgenerate

  genvar t;
  generate
    for (t = 0; t < TOKENS; t = t + 1) begin : g_lanes
      reg [16:0] reciprocal1;
      always @(posedge aclk) reciprocal1 <= s_reciprocals[t*17+:17];
      engine_lane #(
          .SUM(SUM), .STREAM(STREAM), .A_BITS(A_BITS), .LATENCY(LATENCY),
          .SELECT(SELECT), .TOTAL(TOTAL), .DSP(DSP)
      ) lane (
          .aclk(aclk),
          .s_sum(s_row[t*SUM+:SUM]),
          .s_bias(bias),
          .s1_multiplier(reciprocal ? reciprocal1 : multiplier1),
          .s2_added(residual),
          .s2_stream(table_residual ? s_table[t*STREAM+:STREAM] : s_stream[t*STREAM+:STREAM]),
          .s2_lift(lift),
          .s3_present(present3[t]),
          .s3_half(half3),
          .s4_shift(shift4),
          .s5_most(most5),
          .s6_function(selects[SELECT*5+:SELECT]),
          .m_shifted(m_scaled[t*TOTAL+:TOTAL]),
          .m_code(m_codes[t*STREAM+:STREAM]),
          .m_value(m_values[t*A_BITS+:A_BITS])
      );
    end
  endgenerate

endmodule

`default_nettype wire
