// TOKENS x COLUMNS x DEPTH shared multipliers, output-stationary: every cycle each token's DEPTH
// activations meet DEPTH weights of each row.
//
// The last LUT_COLUMNS columns multiply by LUTs, the others by the device's multipliers.
//
// A word of weights holds N8 * COLUMNS rows of 8 bits, or N4 * COLUMNS rows of 4 bits, row by row; row r
// is weight r / COLUMNS of column r % COLUMNS. From s_first to s_last products are summed, and what has
// been summed before s_lift counts 16 times. Six cycles
// after s_last m_load is high, and from the next cycle on m_row holds the sums of row 0, token by token;
// s_next brings those of the next row.

`default_nettype none

module engine_array #(
    parameter TOKENS  = 7,
    parameter COLUMNS = 4,
    parameter LUT_COLUMNS = 0,
    parameter DEPTH   = 8,
    parameter A_BITS  = 8,
    parameter PAIR    = 1,
    parameter A_GAP   = 0,
    parameter WEIGHTS = 27,
    parameter N4      = 3,
    parameter G4      = 11,
    parameter N8      = 2,
    parameter G8      = 18,
    parameter SUM     = 26,
    parameter WORD    = COLUMNS * DEPTH * (N8 * 8 > N4 * 4 ? N8 * 8 : N4 * 4)
) (
    input  wire                           aclk,
    input  wire                           aresetn,
    input  wire                           s_valid,
    input  wire                           s_first,
    input  wire                           s_last,
    input  wire                           s_lift,
    input  wire                           s_mode8,
    input  wire [TOKENS*DEPTH*A_BITS-1:0] s_activations,
    input  wire [               WORD-1:0] s_weights,
    input  wire                           s_next,
    output reg                            m_load,
    output wire [         TOKENS*SUM-1:0] m_row
);

  localparam PRODUCT = 8 + A_BITS;
  localparam TREE = PRODUCT + (DEPTH > 1 ? $clog2(DEPTH) : 0);
  localparam STAGES = 5;

  generate
    if (TOKENS % PAIR != 0) begin : g_illegal_pair
      TOKENS_must_be_a_multiple_of_PAIR stop ();
    end
    if (SUM < TREE) begin : g_illegal_sum
      SUM_must_hold_a_word_of_products stop ();
    end
    if (N8 > N4) begin : g_illegal_lanes
      N8_must_be_at_most_N4 stop ();
    end
    if (LUT_COLUMNS > COLUMNS) begin : g_illegal_lut_columns
      LUT_COLUMNS_must_be_at_most_COLUMNS stop ();
    end
  endgenerate

  // ---- control beside the data: operands, ports, product, lanes, tree, sums ----
  reg [STAGES-1:0] valid, first, last, lift;
  always @(posedge aclk) begin
    if (!aresetn) begin
      valid  <= {STAGES{1'b0}};
      m_load <= 1'b0;
    end else begin
      valid  <= {valid[STAGES-2:0], s_valid};
      m_load <= valid[STAGES-1] && last[STAGES-1];
    end
    first <= {first[STAGES-2:0], s_first};
    last  <= {last[STAGES-2:0], s_last};
    lift  <= {lift[STAGES-2:0], s_lift};
  end

  // ---- operands; weights are put beside each other once for all tokens, behind their register: what
  // reads them from their memory takes most of a cycle ----
  reg [TOKENS*DEPTH*A_BITS-1:0] activations;
  reg [WORD-1:0] word;
  reg mode8;
  always @(posedge aclk) begin
    activations <= s_activations;
    word        <= s_weights;
    mode8       <= s_mode8;
  end

  // Digits of base 4 from -2 to 2: negative, two, one, of two bits of a weight and the one below them.
  function [2:0] digit(input [2:0] bits);
    digit = {bits[2] & ~(bits[1] & bits[0]), bits == 3'b011 || bits == 3'b100, bits[1] ^ bits[0]};
  endfunction

  localparam PARTS = N4 > 2 * N8 ? N4 : 2 * N8;
  wire [COLUMNS*DEPTH*WEIGHTS-1:0] weights;
  genvar c, d, k;
  generate
    for (c = COLUMNS - LUT_COLUMNS; c < COLUMNS; c = c + 1) begin : g_recoded
      for (d = 0; d < DEPTH; d = d + 1) begin : g_depth
        wire [PARTS*6-1:0] digits;
        for (k = 0; k < PARTS; k = k + 1) begin : g_part
          // Which weight has this part: see engine_lut_multiplier.v.
          localparam ROW8 = k / 2;
          localparam ROW4 = k % 2 == 0 ? k / 2 : N8 + k / 2;
          wire [3:0] bits8, bits4;
          wire below8;
          if (ROW8 < N8) begin : g_eight
            assign bits8 = word[((ROW8*COLUMNS+c)*DEPTH+d)*8+(k%2)*4+:4];
            assign below8 = k % 2 == 1 && word[((ROW8*COLUMNS+c)*DEPTH+d)*8+3];
          end else begin : g_no_eight
            assign {bits8, below8} = 5'd0;
          end
          if ((k % 2 == 0 ? k / 2 < N8 : 1) && ROW4 < N4) begin : g_four
            assign bits4 = word[((ROW4*COLUMNS+c)*DEPTH+d)*4+:4];
          end else begin : g_no_four
            assign bits4 = 4'd0;
          end
          wire [3:0] bits = mode8 ? bits8 : bits4;
          wire below = mode8 && below8;
          assign digits[k*6+:6] = {digit(bits[3:1]), digit({bits[1:0], below})};
        end
        assign weights[(c*DEPTH+d)*WEIGHTS+:WEIGHTS] = {{(WEIGHTS - PARTS * 6) {1'b0}}, digits};
      end
    end
    for (c = 0; c < COLUMNS - LUT_COLUMNS; c = c + 1) begin : g_weights
      for (d = 0; d < DEPTH; d = d + 1) begin : g_depth
        reg signed [WEIGHTS-1:0] packed4, packed8;
        integer n;
        always @* begin
          packed4 = {WEIGHTS{1'b0}};
          packed8 = {WEIGHTS{1'b0}};
          for (n = 0; n < N4; n = n + 1)
            packed4 = packed4 + ({{(WEIGHTS - 4) {word[((n*COLUMNS+c)*DEPTH+d)*4+3]}},
                                  word[((n*COLUMNS+c)*DEPTH+d)*4+:4]} << (n * G4));
          for (n = 0; n < N8; n = n + 1)
            packed8 = packed8 + ({{(WEIGHTS - 8) {word[((n*COLUMNS+c)*DEPTH+d)*8+7]}},
                                  word[((n*COLUMNS+c)*DEPTH+d)*8+:8]} << (n * G8));
        end
        assign weights[(c*DEPTH+d)*WEIGHTS+:WEIGHTS] = mode8 ? packed8 : packed4;
      end
    end
  endgenerate

  genvar t;
  generate
    for (t = 0; t < TOKENS / PAIR; t = t + 1) begin : g_tokens
      engine_tokens #(
          .COLUMNS(COLUMNS), .LUT_COLUMNS(LUT_COLUMNS), .DEPTH(DEPTH), .A_BITS(A_BITS), .PAIR(PAIR),
          .A_GAP(A_GAP), .WEIGHTS(WEIGHTS), .N4(N4), .G4(G4), .N8(N8), .G8(G8), .SUM(SUM)
      ) tokens (
          .aclk(aclk),
          .s_mode8(mode8),
          .s_activations(activations[t*PAIR*DEPTH*A_BITS+:PAIR*DEPTH*A_BITS]),
          .s_weights(weights),
          .s_sum(valid[STAGES-1]),
          .s_first(first[STAGES-1]),
          .s_lift(lift[STAGES-1]),
          .s_load(m_load),
          .s_next(s_next),
          .m_row(m_row[t*PAIR*SUM+:PAIR*SUM])
      );
    end
  endgenerate

endmodule

`default_nettype wire
