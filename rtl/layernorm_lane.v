// One lane of a LayerNorm: y = (D x - sum) R 2^k / 2^(clog2(D) + IN_WIDTH) * gamma + beta, rounded
// half up and saturated.
//
// The number at the end of a name is the stage behind whose register the signal stands: x_1 comes
// in at stage 1, y stands at stage 10, without AFFINE at stage 8. `ce` loads every register.

`default_nettype none

module layernorm_lane #(
    parameter D           = 192,
    parameter IN_WIDTH    = 16,
    parameter OUT_WIDTH   = 16,
    parameter OUT_FRAC    = 10,
    parameter AFFINE      = 0,
    parameter GAMMA_WIDTH = 16,
    parameter GAMMA_FRAC  = 12,
    parameter BETA_WIDTH  = 16,
    parameter BETA_FRAC   = 12,
    parameter K_WIDTH     = 5,
    parameter R_WIDTH     = 17
) (
    input wire aclk,
    input wire ce,

    input wire signed [          IN_WIDTH-1:0] x_1,
    input wire signed [IN_WIDTH+$clog2(D)-1:0] sum_2,
    input wire        [           K_WIDTH-1:0] k_3,
    input wire        [           K_WIDTH-1:0] k_4,
    input wire        [           R_WIDTH-1:0] r_5,
    input wire signed [       GAMMA_WIDTH-1:0] gamma_7,
    input wire signed [        BETA_WIDTH-1:0] beta_7,

    output reg signed [OUT_WIDTH-1:0] y
);

  localparam SUM_WIDTH = IN_WIDTH + $clog2(D);
  localparam T_WIDTH = SUM_WIDTH + 1;
  localparam R_FRAC = R_WIDTH - 1;

  // |gamma| is at most 2^GAMMA_BITS; |A| is below 2^A_BITS, which is sqrt(D) or more.
  localparam GAMMA_ABOVE = GAMMA_WIDTH - 1 - GAMMA_FRAC;
  localparam GAMMA_BITS = AFFINE != 0 && GAMMA_ABOVE > 0 ? GAMMA_ABOVE : 0;
  localparam Z_FRAC = OUT_FRAC + GAMMA_BITS + 3;
  localparam A_FRAC = Z_FRAC + 2;
  localparam A_BITS = ($clog2(D) + 1) / 2;
  localparam A_WIDTH = 1 + A_BITS + A_FRAC;

  // T 2^k has SUM_WIDTH bits behind its point. A has A_FRAC: some are dropped, or zeros are added.
  localparam DROP = SUM_WIDTH > A_FRAC ? SUM_WIDTH - A_FRAC : 0;
  localparam ADD = SUM_WIDTH > A_FRAC ? 0 : A_FRAC - SUM_WIDTH;
  localparam SHIFT_WIDTH = A_WIDTH + DROP;
  // The upper digits of k shift first, the lower ones a register later.
  localparam K_LOW = K_WIDTH / 2;

  function signed [T_WIDTH-1:0] times_d;
    input signed [IN_WIDTH-1:0] value;
    integer i;
    begin
      times_d = {T_WIDTH{1'b0}};
      for (i = 0; i <= $clog2(D); i = i + 1)
      if (((D >> i) & 1) != 0)
        times_d = times_d + ({{(T_WIDTH - IN_WIDTH) {value[IN_WIDTH-1]}}, value} << i);
    end
  endfunction

  reg signed [T_WIDTH-1:0] dx_2;
  reg signed [T_WIDTH-1:0] t_3;
  reg [SHIFT_WIDTH-1:0] a_4;
  reg [SHIFT_WIDTH-1:0] a_5;
  reg signed [A_WIDTH+R_WIDTH:0] product_6;

  // T in the shifter's width: bits that it has too many repeat the sign once shifted.
  wire [SHIFT_WIDTH+T_WIDTH-1:0] t_extended = {{SHIFT_WIDTH{t_3[T_WIDTH-1]}}, t_3};
  wire [SHIFT_WIDTH-1:0] t_shift = t_extended[SHIFT_WIDTH-1:0] << ADD;
  wire [K_WIDTH-1:0] k_high = {k_3[K_WIDTH-1:K_LOW], {K_LOW{1'b0}}};
  wire [K_LOW-1:0] k_low = k_4[K_LOW-1:0];
  wire signed [A_WIDTH-1:0] a = a_5[SHIFT_WIDTH-1-:A_WIDTH];
  wire signed [R_WIDTH:0] r = {1'b0, r_5};
  wire unused = &{1'b0, t_extended, a_5, k_3, k_4};

  always @(posedge aclk) begin
    if (ce) begin
      dx_2      <= times_d(x_1);
      t_3       <= dx_2 - {sum_2[SUM_WIDTH-1], sum_2};
      a_4       <= t_shift << k_high;
      a_5       <= a_4 << k_low;
      product_6 <= a * r;
    end
  end

  localparam PRODUCT_FRAC = A_FRAC + R_FRAC;
  // The result before the last rounding, with the half added that makes it half up.
  localparam Y_FRAC = AFFINE != 0 ? Z_FRAC + GAMMA_FRAC : PRODUCT_FRAC;
  localparam Z_WIDTH = A_BITS + 2 + Z_FRAC;
  localparam ZG_WIDTH = Z_WIDTH + GAMMA_WIDTH;
  localparam B_WIDTH = BETA_WIDTH + (Y_FRAC > BETA_FRAC ? Y_FRAC - BETA_FRAC : 0);
  localparam ZGB_WIDTH = (ZG_WIDTH > B_WIDTH ? ZG_WIDTH : B_WIDTH) + 2;
  localparam Y_WIDTH = AFFINE != 0 ? ZGB_WIDTH : A_WIDTH + R_WIDTH + 2;
  localparam Y_DROP = Y_FRAC - OUT_FRAC;
  localparam signed [Y_WIDTH-1:0] HALF = {{(Y_WIDTH - 1) {1'b0}}, 1'b1} << (Y_DROP - 1);
  reg signed [Y_WIDTH-1:0] exact;

  generate
    if (AFFINE != 0) begin : g_affine
      if (BETA_FRAC > Y_FRAC) begin : g_illegal
        BETA_FRAC_must_be_at_most_OUT_FRAC_and_GAMMA_WIDTH_and_2 stop ();
      end
      localparam Z_DROP = PRODUCT_FRAC - Z_FRAC;
      localparam signed [A_WIDTH+R_WIDTH:0] ONE = 1;
      localparam signed [A_WIDTH+R_WIDTH:0] Z_HALF = ONE << (Z_DROP - 1);
      reg signed [A_WIDTH+R_WIDTH:0] z_7;
      reg signed [ZG_WIDTH-1:0] zg_8;
      wire signed [Z_WIDTH-1:0] z = z_7[Z_DROP+:Z_WIDTH];
      wire [Y_WIDTH-1:0] beta_wide = {{(Y_WIDTH - BETA_WIDTH) {beta_7[BETA_WIDTH-1]}}, beta_7};
      reg signed [Y_WIDTH-1:0] beta_8;
      wire signed [Y_WIDTH-1:0] zg = {{(Y_WIDTH - ZG_WIDTH) {zg_8[ZG_WIDTH-1]}}, zg_8};
      wire unused_z = &{1'b0, z_7};
      always @(posedge aclk) begin
        if (ce) begin
          z_7    <= product_6 + Z_HALF;
          zg_8   <= z * gamma_7;
          beta_8 <= (beta_wide << (Y_FRAC - BETA_FRAC)) + HALF;
          exact  <= zg + beta_8;
        end
      end
    end else begin : g_plain
      wire unused_affine = &{1'b0, gamma_7, beta_7};
      always @(posedge aclk) begin
        if (ce) exact <= {product_6[A_WIDTH+R_WIDTH], product_6} + HALF;
      end
    end
  endgenerate

  // Saturate where the bits above the result are not all its sign.
  localparam ABOVE = Y_WIDTH - Y_DROP - OUT_WIDTH;
  wire sign = exact[Y_WIDTH-1];
  wire unused_exact = &{1'b0, exact};

  generate
    if (ABOVE > 0) begin : g_saturate
      wire [ABOVE:0] above = exact[Y_WIDTH-1-:ABOVE+1];
      always @(posedge aclk) begin
        if (ce) begin
          if (above == {(ABOVE + 1) {sign}}) y <= exact[Y_DROP+:OUT_WIDTH];
          else y <= {sign, {(OUT_WIDTH - 1) {~sign}}};
        end
      end
    end else begin : g_fits
      wire [Y_WIDTH+OUT_WIDTH-1:0] extended = {{OUT_WIDTH{sign}}, exact};
      wire unused_extended = &{1'b0, extended};
      always @(posedge aclk) begin
        if (ce) y <= extended[Y_DROP+:OUT_WIDTH];
      end
    end
  endgenerate

endmodule

`default_nettype wire
