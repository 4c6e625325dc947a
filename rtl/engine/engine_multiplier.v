// One multiplier of the array: products of PAIR activations by weights of 4 or of 8 bits that share it.
//
// Activations stand A_GAP bits apart at their port, and s_activations is their sum. At the other stand the
// weights: N4 of 4 bits G4 bits apart, or N8 of 8 bits G8 bits apart, as s_mode8 says
// (hwnorm/engine/packing.py); s_weights is their sum. m_products holds N4 products of every activation,
// PRODUCT bits each, the weights' index first: in each place what stands there, to which m_borrowed is to
// be added. Whoever sums them has a carry to spare for that. Of a product that no weight of 8 bits makes,
// G4 bits are defined. Three registers are between, and one is that of the multiplier's output.

`default_nettype none

module engine_multiplier #(
    parameter PAIR    = 1,
    parameter A_BITS  = 8,
    parameter A_GAP   = 0,
    parameter WEIGHTS = 27,
    parameter N4      = 3,
    parameter G4      = 11,
    parameter N8      = 2,
    parameter G8      = 18,
    parameter PRODUCT = 8 + A_BITS,
    parameter ACTIVATIONS = A_BITS + (PAIR - 1) * A_GAP + (PAIR > 1)
) (
    input  wire                       aclk,
    input  wire                       s_mode8,
    input  wire [    ACTIVATIONS-1:0] s_activations,
    input  wire [        WEIGHTS-1:0] s_weights,
    output reg  [PAIR*N4*PRODUCT-1:0] m_products,
    output reg  [        PAIR*N4-1:0] m_borrowed
);

  localparam TOTAL = ACTIVATIONS + WEIGHTS;

  generate
    if (PAIR < 1 || PAIR > 2) begin : g_illegal_pair
      PAIR_must_be_1_or_2 stop ();
    end
    if (N8 < 1 || N8 > N4) begin : g_illegal_lanes
      N8_must_be_from_1_to_N4 stop ();
    end
    if (A_BITS > 8 || G4 < A_BITS + 3 || G8 < A_BITS + 7 || G4 > PRODUCT) begin : g_illegal_gap
      G4_and_G8_must_hold_a_product stop ();
    end
    if ((N4 - 1) * G4 + 4 > WEIGHTS || (N8 - 1) * G8 + 8 > WEIGHTS) begin : g_illegal_port
      weights_must_fit_their_port stop ();
    end
    if (N4 * G4 + (PAIR - 1) * A_GAP > TOTAL) begin : g_illegal_product
      G4_must_end_within_the_product stop ();
    end
    if (PAIR > 1 && (A_GAP < N4 * G4 || A_GAP < N8 * G8)) begin : g_illegal_a_gap
      A_GAP_must_hold_the_products_of_an_activation stop ();
    end
  endgenerate

  reg signed [ACTIVATIONS-1:0] activations;
  reg signed [WEIGHTS-1:0] weights;
  reg signed [TOTAL-1:0] product;
  reg [1:0] mode8;

  always @(posedge aclk) begin
    activations <= s_activations;
    weights <= s_weights;
    mode8 <= {mode8[0], s_mode8};
    product <= activations * weights;
  end

  // The last product may end before that of the ports does.
  wire unused = &{1'b0, product};

  // Products below a place that are negative have borrowed from it: the bit below says so.
  genvar j, l;
  generate
    for (j = 0; j < PAIR; j = j + 1) begin : g_activation
      for (l = 0; l < N4; l = l + 1) begin : g_weight
        localparam P4 = j * A_GAP + l * G4;
        localparam P8 = j * A_GAP + l * G8;
        wire [PRODUCT-1:0] narrow = {{(PRODUCT - G4) {product[P4+G4-1]}}, product[P4+:G4]};
        wire [PRODUCT-1:0] wide;
        wire below4, below8;
        if (P4 > 0) begin : g_below4
          assign below4 = product[P4-1];
        end else begin : g_below4
          assign below4 = 1'b0;
        end
        if (l >= N8) begin : g_wide
          assign {wide, below8} = {narrow, below4};
        end else if (P8 > 0) begin : g_wide
          assign {wide, below8} = product[P8-1+:PRODUCT+1];
        end else begin : g_wide
          assign {wide, below8} = {product[0+:PRODUCT], 1'b0};
        end
        always @(posedge aclk) begin
          m_products[(j*N4+l)*PRODUCT+:PRODUCT] <= mode8[1] ? wide : narrow;
          m_borrowed[j*N4+l] <= mode8[1] ? below8 : below4;
        end
      end
    end
  endgenerate

endmodule

`default_nettype wire
