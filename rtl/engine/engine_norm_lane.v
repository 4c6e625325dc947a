// One token of the LayerNorm unit: sums of its codes and their squares, and codes from its statistics.
//
// A single multiplier squares codes while the stream is written, and multiplies by gamma in a phase of
// norms; the product with the reciprocal root is the epilogue's: m_a leaves for it at stage 6 and s11_z is
// back five cycles later. The number in a name is the cycles since the stream's word was asked for (or,
// with s_code, since the code was written).
//
//    A = floor((D x - S) 2^k / 2^(clog2(D) + STREAM)) of A_FRAC - less bits behind the point
//    y = sat((z gamma + offset) >> DROP), offset = beta and the half of what is dropped

`default_nettype none

module engine_norm_lane #(
    parameter D       = 96,
    parameter STREAM  = 16,
    parameter A_BITS  = 8,
    parameter SUM     = 26,
    parameter TOTAL   = 52,
    parameter K_WIDTH = 5,
    parameter A_FRAC  = 12,
    parameter GAMMA   = 16,
    parameter OFFSET  = 32,
    parameter DROP    = 18
) (
    input  wire                                 aclk,
    // High while the multiplier is gamma's.
    input  wire                                 s_norms,
    // A code that is written to the stream; two cycles later how it is summed.
    input  wire [                   STREAM-1:0] s_code,
    input  wire                                 s2_valid,
    input  wire                                 s2_first,
    input  wire                                 s2_other,
    input  wire [   3*STREAM+2*$clog2(D)-1:0] s2_held,
    output wire [   3*STREAM+2*$clog2(D)-1:0] m2_held,
    // A code that is normalized.
    input  wire [                   STREAM-1:0] s1_x,
    input  wire [         STREAM+$clog2(D)-1:0] s2_sum,
    input  wire [                  K_WIDTH-1:0] s3_k,
    input  wire [                  K_WIDTH-1:0] s4_k,
    input  wire [                          4:0] s_less,
    output wire [                      SUM-1:0] m_a,
    input  wire [                    TOTAL-1:0] s11_z,
    input  wire [                    GAMMA-1:0] s11_gamma,
    input  wire [                   OFFSET-1:0] s13_offset,
    output reg  [                   A_BITS-1:0] m_value
);

  localparam SUM_WIDTH = STREAM + $clog2(D);
  localparam SQUARES = 2 * STREAM + $clog2(D);
  localparam T_WIDTH = SUM_WIDTH + 1;
  localparam A_HIGH = ($clog2(D) + 1) / 2;
  localparam A_WIDTH = 1 + A_HIGH + A_FRAC;
  localparam DROPPED = SUM_WIDTH > A_FRAC ? SUM_WIDTH - A_FRAC : 0;
  localparam ADDED = SUM_WIDTH > A_FRAC ? 0 : A_FRAC - SUM_WIDTH;
  localparam SHIFTED = A_WIDTH + DROPPED;
  // The upper digits of k shift first, the lower ones a register later.
  localparam K_LOW = K_WIDTH / 2;
  localparam Z_WIDTH = A_HIGH + A_FRAC;
  localparam WIDE = Z_WIDTH > STREAM ? Z_WIDTH : STREAM;
  localparam NARROW = GAMMA > STREAM ? GAMMA : STREAM;
  localparam PRODUCT = WIDE + NARROW;
  localparam EXACT = (PRODUCT > OFFSET ? PRODUCT : OFFSET) + 1;
  localparam Y_WIDTH = EXACT - DROP;

  generate
    if (SUM < A_WIDTH || TOTAL < Z_WIDTH) begin : g_illegal_sum
      SUM_and_TOTAL_must_hold_what_norms_multiply stop ();
    end
    if (DROP < 1 || Y_WIDTH <= A_BITS) begin : g_illegal_drop
      DROP_must_leave_more_than_A_BITS stop ();
    end
  endgenerate

  function signed [T_WIDTH-1:0] times_d;
    input signed [STREAM-1:0] value;
    integer i;
    begin
      times_d = {T_WIDTH{1'b0}};
      for (i = 0; i <= $clog2(D); i = i + 1)
      if (((D >> i) & 1) != 0)
        times_d = times_d + ({{(T_WIDTH - STREAM) {value[STREAM-1]}}, value} << i);
    end
  endfunction

  // ---- the multiplier ----
  wire signed [STREAM-1:0] code = s_code;
  wire signed [Z_WIDTH-1:0] z = s11_z[Z_WIDTH-1:0];
  wire signed [GAMMA-1:0] gamma = s11_gamma;
  reg signed [WIDE-1:0] wide;
  reg signed [NARROW-1:0] narrow;
  reg signed [PRODUCT-1:0] product;
  wire unused = &{1'b0, s11_z, product};
  always @(posedge aclk) begin
    wide <= s_norms ? {{(WIDE - Z_WIDTH + 1) {z[Z_WIDTH-1]}}, z[Z_WIDTH-2:0]}
        : {{(WIDE - STREAM + 1) {code[STREAM-1]}}, code[STREAM-2:0]};
    narrow <= s_norms ? {{(NARROW - GAMMA + 1) {gamma[GAMMA-1]}}, gamma[GAMMA-2:0]}
        : {{(NARROW - STREAM + 1) {code[STREAM-1]}}, code[STREAM-2:0]};
    product <= wide * narrow;
  end

  // ---- sums of a token, kept elsewhere while another tile's are made ----
  reg signed [STREAM-1:0] code1, code2;
  reg [SUM_WIDTH-1:0] sum;
  reg [SQUARES-1:0] squares;
  wire [SUM_WIDTH+SQUARES-1:0] so_far = s2_first ? {(SUM_WIDTH + SQUARES) {1'b0}}
      : s2_other ? s2_held : {sum, squares};
  wire [SUM_WIDTH-1:0] sum_next =
      so_far[SQUARES+:SUM_WIDTH] + {{(SUM_WIDTH - STREAM) {code2[STREAM-1]}}, code2};
  wire [SQUARES-1:0] squares_next =
      so_far[SQUARES-1:0] + {{(SQUARES - 2 * STREAM) {1'b0}}, product[2*STREAM-1:0]};
  assign m2_held = {sum_next, squares_next};
  always @(posedge aclk) begin
    code1 <= code;
    code2 <= code1;
    if (s2_valid) {sum, squares} <= m2_held;
  end

  // ---- D x - S, shifted ----
  reg signed [T_WIDTH-1:0] dx_2, t_3;
  reg [SHIFTED-1:0] a_4, a_5;
  reg signed [A_WIDTH-1:0] a_6;
  wire [SHIFTED+T_WIDTH-1:0] t_extended = {{SHIFTED{t_3[T_WIDTH-1]}}, t_3};
  wire [SHIFTED-1:0] t_shift = t_extended[SHIFTED-1:0] << ADDED;
  wire [K_WIDTH-1:0] k_high = {s3_k[K_WIDTH-1:K_LOW], {K_LOW{1'b0}}};
  wire [K_LOW-1:0] k_low = s4_k[K_LOW-1:0];
  wire signed [A_WIDTH-1:0] a_whole = a_5[SHIFTED-1-:A_WIDTH];
  wire unused_a = &{1'b0, t_extended, a_5, s3_k, s4_k};
  always @(posedge aclk) begin
    dx_2 <= times_d(s1_x);
    t_3 <= dx_2 - {s2_sum[SUM_WIDTH-1], s2_sum};
    a_4 <= t_shift << k_high;
    a_5 <= a_4 << k_low;
    a_6 <= a_whole >>> s_less;
  end
  assign m_a = {{(SUM - A_WIDTH + 1) {a_6[A_WIDTH-1]}}, a_6[A_WIDTH-2:0]};

  // ---- beta, rounding, saturation ----
  wire signed [OFFSET-1:0] offset = s13_offset;
  reg signed [EXACT-1:0] exact;
  wire signed [Y_WIDTH-1:0] y = exact[EXACT-1:DROP];
  wire unused_exact = &{1'b0, exact[DROP-1:0]};
  always @(posedge aclk) begin
    exact <= {{(EXACT - PRODUCT) {product[PRODUCT-1]}}, product}
        + {{(EXACT - OFFSET) {offset[OFFSET-1]}}, offset};
    m_value <= y[Y_WIDTH-1:A_BITS-1] == {(Y_WIDTH - A_BITS + 1) {y[Y_WIDTH-1]}} ? y[A_BITS-1:0]
        : {y[Y_WIDTH-1], {(A_BITS - 1) {~y[Y_WIDTH-1]}}};
  end

endmodule

`default_nettype wire
