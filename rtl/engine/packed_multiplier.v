// Products of WIDE_COUNT codes by NARROW_COUNT codes in one signed multiplication: hwnorm/engine/packing.py.
//
// Codes are two's complement, the first one lowest. Product k, the inner codes' index first, is GAP bits of
// m_products from k * GAP on. INNER_WIDE says whether the inner codes are those of the wide port. The
// multiplication is a plain one, which synthesis gives to one DSP block; there are no registers.

`default_nettype none

module packed_multiplier #(
    parameter WIDE_PORT    = 27,
    parameter NARROW_PORT  = 18,
    parameter WIDE_COUNT   = 3,
    parameter WIDE_BITS    = 4,
    parameter NARROW_COUNT = 1,
    parameter NARROW_BITS  = 8,
    parameter GAP          = 11,
    parameter INNER_WIDE   = 1
) (
    input  wire [             WIDE_COUNT*WIDE_BITS-1:0] s_wide,
    input  wire [         NARROW_COUNT*NARROW_BITS-1:0] s_narrow,
    output wire [      WIDE_COUNT*NARROW_COUNT*GAP-1:0] m_products
);

  localparam LANES = WIDE_COUNT * NARROW_COUNT;
  localparam WIDE_STEP = INNER_WIDE ? GAP : GAP * NARROW_COUNT;
  localparam NARROW_STEP = INNER_WIDE ? GAP * WIDE_COUNT : GAP;
  localparam TOTAL = WIDE_PORT + NARROW_PORT;

  // Elaboration stops at a module that is not there.
  generate
    if (WIDE_COUNT < 1 || NARROW_COUNT < 1) begin : g_illegal_count
      counts_must_be_at_least_1 stop ();
    end
    if (GAP < WIDE_BITS + NARROW_BITS - 1) begin : g_illegal_gap
      GAP_must_hold_a_product stop ();
    end
    if ((WIDE_COUNT - 1) * WIDE_STEP + WIDE_BITS > WIDE_PORT
        || (NARROW_COUNT - 1) * NARROW_STEP + NARROW_BITS > NARROW_PORT) begin : g_illegal_port
      codes_must_fit_their_port stop ();
    end
  endgenerate

  // Sums of codes at their places: a negative code borrows from those above it.
  reg signed [WIDE_PORT-1:0] wide;
  reg signed [NARROW_PORT-1:0] narrow;
  integer i, j;
  always @* begin
    wide = {WIDE_PORT{1'b0}};
    for (i = 0; i < WIDE_COUNT; i = i + 1)
      wide = wide + ({{(WIDE_PORT-WIDE_BITS){s_wide[i*WIDE_BITS+WIDE_BITS-1]}},
                      s_wide[i*WIDE_BITS+:WIDE_BITS]} << (i * WIDE_STEP));
    narrow = {NARROW_PORT{1'b0}};
    for (j = 0; j < NARROW_COUNT; j = j + 1)
      narrow = narrow + ({{(NARROW_PORT-NARROW_BITS){s_narrow[j*NARROW_BITS+NARROW_BITS-1]}},
                          s_narrow[j*NARROW_BITS+:NARROW_BITS]} << (j * NARROW_STEP));
  end

  wire signed [TOTAL-1:0] total = wide * narrow;

  // The products below one, if their sum is negative, have borrowed from it.
  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin : g_lane
      if (lane == 0) begin : g_first
        assign m_products[0+:GAP] = total[0+:GAP];
      end else begin : g_above
        assign m_products[lane*GAP+:GAP] = total[lane*GAP+:GAP] + {{(GAP-1){1'b0}}, total[lane*GAP-1]};
      end
    end
    if (LANES * GAP < TOTAL) begin : g_unused
      wire unused = &{1'b0, total[TOTAL-1:LANES*GAP]};
    end
  endgenerate

endmodule

`default_nettype wire
