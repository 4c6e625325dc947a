// What engine_multiplier makes, of LUTs: for columns that no multiplier of the device is left for.
//
// s_activations holds PAIR codes side by side. s_weights holds weights as digits of base 4 from -2 to 2,
// three bits each: negative, two, one (A. D. Booth, 1951, as engine_array.v recodes them); two digits make
// 4 bits. Weights of 8 bits take parts 2 l and 2 l + 1, lower half first. Those of 4 bits take parts 2 l
// while l < N8, and then the others. m_products, m_borrowed and the registers between are those of
// engine_multiplier.

`default_nettype none

module engine_lut_multiplier #(
    parameter PAIR    = 1,
    parameter A_BITS  = 8,
    parameter N4      = 3,
    parameter G4      = 11,
    parameter N8      = 2,
    parameter PRODUCT = 8 + A_BITS,
    parameter PARTS   = N4 > 2 * N8 ? N4 : 2 * N8
) (
    input  wire                       aclk,
    input  wire                       s_mode8,
    input  wire [    PAIR*A_BITS-1:0] s_activations,
    input  wire [        PARTS*6-1:0] s_weights,
    output reg  [PAIR*N4*PRODUCT-1:0] m_products,
    output reg  [        PAIR*N4-1:0] m_borrowed
);

  generate
    if (N8 < 1 || N8 > N4) begin : g_illegal_lanes
      N8_must_be_from_1_to_N4 stop ();
    end
    if (G4 < A_BITS + 3 || G4 > PRODUCT) begin : g_illegal_gap
      G4_must_hold_a_product stop ();
    end
  endgenerate

  localparam SHORT = A_BITS + 4;

  reg [PAIR*A_BITS-1:0] activations;
  reg [PARTS*6-1:0] weights;
  reg [1:0] mode8;
  always @(posedge aclk) begin
    activations <= s_activations;
    weights <= s_weights;
    mode8 <= {mode8[0], s_mode8};
  end

  genvar j, k, l;
  generate
    for (j = 0; j < PAIR; j = j + 1) begin : g_activation
      wire signed [A_BITS-1:0] code = activations[j*A_BITS+:A_BITS];
      for (k = 0; k < PARTS; k = k + 1) begin : g_part
        // A digit's multiple of the code; a negative one is its complement, and one more.
        wire [2:0] first = weights[k*6+:3], second = weights[k*6+3+:3];
        wire [A_BITS:0] low = {(A_BITS + 1) {first[2]}} ^
            (({code[A_BITS-1], code} & {(A_BITS + 1) {first[0]}}) |
             ({code, 1'b0} & {(A_BITS + 1) {first[1]}}));
        wire [A_BITS:0] high = {(A_BITS + 1) {second[2]}} ^
            (({code[A_BITS-1], code} & {(A_BITS + 1) {second[0]}}) |
             ({code, 1'b0} & {(A_BITS + 1) {second[1]}}));
        wire [SHORT-1:0] sum;
        wire unused_carry;
        // The low digit's one more is the carry; the high digit's is left over.
        assign {sum, unused_carry} = {{3{low[A_BITS]}}, low, 1'b1} +
            {high[A_BITS], high, {2{second[2]}}, first[2]};
        reg signed [SHORT-1:0] product;
        reg over;
        always @(posedge aclk) begin
          product <= sum;
          over <= second[2];
        end
      end
      for (l = 0; l < N4; l = l + 1) begin : g_weight
        if (l < N8) begin : g_wide
          // The upper half of 8 bits, 16 times; what is left over of it is the carry, and that of the
          // lower half.
          wire [SHORT-1:0] below = g_part[2*l].product;
          wire [SHORT-1:0] above = g_part[2*l+1].product & {SHORT{mode8[1]}};
          wire over = g_part[2*l+1].over & mode8[1];
          wire [PRODUCT-1:0] both;
          wire unused_carry;
          assign {both, unused_carry} = {{(PRODUCT - SHORT) {below[SHORT-1]}}, below, 1'b1} +
              {above, {4{over}}, over};
          always @(posedge aclk) begin
            m_products[(j*N4+l)*PRODUCT+:PRODUCT] <= both;
            m_borrowed[j*N4+l] <= g_part[2*l].over;
          end
        end else begin : g_narrow
          wire [SHORT-1:0] only = g_part[2*(l-N8)+1].product;
          always @(posedge aclk) begin
            m_products[(j*N4+l)*PRODUCT+:PRODUCT] <= {{(PRODUCT - SHORT) {only[SHORT-1]}}, only};
            m_borrowed[j*N4+l] <= g_part[2*(l-N8)+1].over;
          end
        end
      end
    end
  endgenerate

endmodule

`default_nettype wire
