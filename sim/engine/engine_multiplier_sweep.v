// Every combination of codes through an engine's multiplier, each product beside a plain one: first with
// weights of 4 bits, then with codes of 8 bits in their place. Counts how many of each were tried and how
// many were wrong. With LUTS it is that of LUTs.
//
// Weights of 4 bits are symmetric, so their lowest code is left out; those of 8 bits are any, since what
// attention multiplies stands there too.

`default_nettype none

module engine_multiplier_sweep #(
    parameter LUTS    = 0,
    parameter PAIR    = 1,
    parameter A_BITS  = 8,
    parameter A_GAP   = 0,
    parameter WEIGHTS = 27,
    parameter N4      = 3,
    parameter G4      = 11,
    parameter N8      = 2,
    parameter G8      = 18
) (
    input  wire        aclk,
    output reg  [31:0] tried4,
    output reg  [31:0] wrong4,
    output reg  [31:0] tried8,
    output reg  [31:0] wrong8,
    output wire        done
);

  localparam PRODUCT = 8 + A_BITS;
  localparam CODES4 = N4 * 4 + PAIR * A_BITS, CODES8 = N8 * 8 + PAIR * A_BITS;
  localparam CODES = CODES8 > CODES4 ? CODES8 : CODES4;
  // Registers from codes to products.
  localparam STAGES = 3;

  reg [CODES-1:0] codes;
  reg mode8;
  wire [PAIR*A_BITS-1:0] activations = codes[PAIR*A_BITS-1:0];
  wire [CODES-PAIR*A_BITS-1:0] weights = codes[CODES-1:PAIR*A_BITS];
  wire last = mode8 ? &codes[CODES8-1:0] : &codes[CODES4-1:0];

  // Weights at their places, and what their products are to be.
  reg signed [WEIGHTS-1:0] packed_weights;
  reg [PAIR*N4*PRODUCT-1:0] wanted;
  reg skipped;
  reg signed [7:0] weight;
  reg signed [WEIGHTS-1:0] extended;
  reg signed [A_BITS-1:0] activation;
  reg signed [PRODUCT-1:0] product;
  integer j, l;
  always @* begin
    packed_weights = 0;
    wanted = 0;
    skipped = 0;
    for (l = 0; l < N4; l = l + 1)
      if (!mode8 || l < N8) begin
        if (mode8) weight = weights[l*8+:8];
        else weight = {{4{weights[l*4+3]}}, weights[l*4+:4]};
        if (!mode8 && weight == -8) skipped = 1;
        extended = weight;
        packed_weights = packed_weights + (extended <<< (l * (mode8 ? G8 : G4)));
        for (j = 0; j < PAIR; j = j + 1) begin
          activation = activations[j*A_BITS+:A_BITS];
          product = weight * activation;
          wanted[(j*N4+l)*PRODUCT+:PRODUCT] = product;
        end
      end
  end

  // Activations at their places.
  localparam ACTIVATIONS = A_BITS + (PAIR - 1) * A_GAP + (PAIR > 1);
  reg signed [ACTIVATIONS-1:0] packed_activations, extended_activation;
  integer k;
  always @* begin
    packed_activations = 0;
    for (k = 0; k < PAIR; k = k + 1) begin
      extended_activation = $signed(activations[k*A_BITS+:A_BITS]);
      packed_activations = packed_activations + (extended_activation <<< (k * A_GAP));
    end
  end

  wire [PAIR*N4*PRODUCT-1:0] stands;
  wire [PAIR*N4-1:0] borrowed;
  generate
    if (LUTS) begin : g_luts
      // Digits of a weight in two parts of 4 bits, or of one in one of them: its multiples by base 4.
      localparam PARTS = N4 > 2 * N8 ? N4 : 2 * N8;
      reg [PARTS*6-1:0] digits;
      integer q, digit, rest;
      always @* begin
        digits = 0;
        for (q = 0; q < (mode8 ? 2 * N8 : N4); q = q + 1) begin
          // Of 4 bits the first N8 weights stand at even parts.
          rest = $signed(weights[q*4+:4]);
          if (mode8 && q % 2 == 1) rest = rest + {31'd0, weights[q/2*8+3]};
          for (digit = 0; digit < 2; digit = digit + 1)
            digits[(mode8 ? q : q < N8 ? 2 * q : 2 * (q - N8) + 1)*6+digit*3+:3] = code(rest, digit);
        end
      end
      engine_lut_multiplier #(
          .PAIR(PAIR), .A_BITS(A_BITS), .N4(N4), .G4(G4), .N8(N8)
      ) multiplier (
          .aclk(aclk), .s_mode8(mode8), .s_activations(activations),
          .s_weights(digits), .m_products(stands), .m_borrowed(borrowed)
      );
    end else begin : g_shared
      engine_multiplier #(
          .PAIR(PAIR), .A_BITS(A_BITS), .A_GAP(A_GAP), .WEIGHTS(WEIGHTS),
          .N4(N4), .G4(G4), .N8(N8), .G8(G8)
      ) multiplier (
          .aclk(aclk), .s_mode8(mode8), .s_activations(packed_activations),
          .s_weights(packed_weights), .m_products(stands), .m_borrowed(borrowed)
      );
    end
  endgenerate

  // The digits d0 + 4 d1 of a part, -2 to 2 each: negative, two, one.
  function [2:0] code(input integer value, input integer digit);
    integer low, d;
    begin
      low = value & 3;
      d = low > 1 ? low - 4 : low;
      if (digit == 1) d = (value - d) >>> 2;
      code = {d < 0, d == 2 || d == -2, d == 1 || d == -1};
    end
  endfunction

  // What is wanted moves beside what is computed.
  reg [PAIR*N4*PRODUCT-1:0] moving[1:STAGES];
  reg [STAGES:1] counts, modes;
  reg over;
  reg differs;
  reg signed [PRODUCT-1:0] found;
  integer m;
  always @* begin
    differs = 0;
    for (m = 0; m < PAIR * N4; m = m + 1)
      if (!modes[STAGES] || m % N4 < N8) begin
        found = stands[m*PRODUCT+:PRODUCT] + borrowed[m];
        if (found != $signed(moving[STAGES][m*PRODUCT+:PRODUCT])) differs = 1;
      end
  end
  assign done = over && counts == 0;
  integer n;
  initial begin
    codes = 0;
    mode8 = 0;
    counts = 0;
    modes = 0;
    over = 0;
    {tried4, wrong4, tried8, wrong8} = 0;
  end

  always @(posedge aclk) begin
    codes <= last ? 0 : codes + 1'b1;
    if (last) mode8 <= 1;
    if (last && mode8) over <= 1;
    moving[1] <= wanted;
    for (n = 2; n <= STAGES; n = n + 1) moving[n] <= moving[n-1];
    counts <= {counts[STAGES-1:1], !skipped && !over};
    modes  <= {modes[STAGES-1:1], mode8};
    if (counts[STAGES] && modes[STAGES]) begin
      tried8 <= tried8 + 1;
      wrong8 <= wrong8 + differs;
    end
    if (counts[STAGES] && !modes[STAGES]) begin
      tried4 <= tried4 + 1;
      wrong4 <= wrong4 + differs;
    end
  end

endmodule

`default_nettype wire
