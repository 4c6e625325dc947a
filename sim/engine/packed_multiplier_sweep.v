// Every combination of codes through a packed multiplier, each product beside a plain one.
//
// `wrong` counts the combinations that differ, `tried` all of them; weights are symmetric, so their lowest
// code is left out. WEIGHTS_WIDE says whether the wide port has the weights.

`default_nettype none

module packed_multiplier_sweep #(
    parameter WIDE_PORT    = 27,
    parameter NARROW_PORT  = 18,
    parameter WIDE_COUNT   = 3,
    parameter WIDE_BITS    = 4,
    parameter NARROW_COUNT = 1,
    parameter NARROW_BITS  = 8,
    parameter GAP          = 11,
    parameter INNER_WIDE   = 1,
    parameter WEIGHTS_WIDE = 1
) (
    input  wire        aclk,
    output reg  [31:0] tried,
    output reg  [31:0] wrong,
    output reg         done
);

  localparam WIDE = WIDE_COUNT * WIDE_BITS;
  localparam NARROW = NARROW_COUNT * NARROW_BITS;
  localparam LANES = WIDE_COUNT * NARROW_COUNT;

  reg [WIDE+NARROW-1:0] codes;
  wire [WIDE-1:0] wide = codes[WIDE-1:0];
  wire [NARROW-1:0] narrow = codes[WIDE+NARROW-1:WIDE];
  wire [LANES*GAP-1:0] found;

  packed_multiplier #(
      .WIDE_PORT(WIDE_PORT), .NARROW_PORT(NARROW_PORT),
      .WIDE_COUNT(WIDE_COUNT), .WIDE_BITS(WIDE_BITS),
      .NARROW_COUNT(NARROW_COUNT), .NARROW_BITS(NARROW_BITS),
      .GAP(GAP), .INNER_WIDE(INNER_WIDE)
  ) u_packed (
      .s_wide(wide), .s_narrow(narrow), .m_products(found)
  );

  wire [LANES*GAP-1:0] wanted;
  wire [WIDE_COUNT-1:0] wide_lowest;
  wire [NARROW_COUNT-1:0] narrow_lowest;
  genvar i, j;
  generate
    for (i = 0; i < WIDE_COUNT; i = i + 1) begin : g_wide
      wire signed [WIDE_BITS-1:0] a = wide[i*WIDE_BITS+:WIDE_BITS];
      assign wide_lowest[i] = a == {1'b1, {(WIDE_BITS-1){1'b0}}};
      for (j = 0; j < NARROW_COUNT; j = j + 1) begin : g_narrow
        wire signed [NARROW_BITS-1:0] b = narrow[j*NARROW_BITS+:NARROW_BITS];
        localparam LANE = INNER_WIDE ? j * WIDE_COUNT + i : i * NARROW_COUNT + j;
        wire signed [GAP-1:0] product = a * b;
        assign wanted[LANE*GAP+:GAP] = product;
      end
    end
    for (j = 0; j < NARROW_COUNT; j = j + 1) begin : g_lowest
      assign narrow_lowest[j] = narrow[j*NARROW_BITS+:NARROW_BITS] == {1'b1, {(NARROW_BITS-1){1'b0}}};
    end
  endgenerate
  wire skipped = WEIGHTS_WIDE ? |wide_lowest : |narrow_lowest;

  initial begin
    codes = 0;
    tried = 0;
    wrong = 0;
    done = 0;
  end

  always @(posedge aclk)
    if (!done) begin
      codes <= codes + 1'b1;
      done  <= &codes;
      if (!skipped) begin
        tried <= tried + 1;
        if (found != wanted) wrong <= wrong + 1;
      end
    end

endmodule

`default_nettype wire
