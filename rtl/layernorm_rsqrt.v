// 1 / sqrt(V) as R 2^k: V 4^k = m 2^V_WIDTH with m in [1/4, 1), R = rsqrt(m) in (1, 2).
//
// A table gives y from the R_WIDTH / 2 bits behind m's leading one, wrong by e =
// 2^-(R_WIDTH / 2 + 2) of itself or little more; the Newton step y + y (1 - m y^2) / 2 leaves
// 1.5 e^2. R has one bit before its point, is rounded half up and kept below 2: tried over every m,
// it is wrong by at most 1.2 * 2^-R_WIDTH of itself.
// Of V = 0, R and k mean nothing.
// A result a cycle, never stalled, K_WIDTH + 9 cycles after V.

`default_nettype none

module layernorm_rsqrt #(
    parameter V_WIDTH    = 60,
    parameter K_WIDTH    = 5,
    parameter R_WIDTH    = 17,
    parameter USER_WIDTH = 1
) (
    input wire aclk,
    input wire aresetn,

    input wire                  s_valid,
    input wire [   V_WIDTH-1:0] s_v,
    input wire [USER_WIDTH-1:0] s_user,

    output wire                  m_valid,
    output wire [   K_WIDTH-1:0] m_k,
    output reg  [   R_WIDTH-1:0] m_r,
    output wire [USER_WIDTH-1:0] m_user
);

  localparam LATENCY = K_WIDTH + 9;

  // TVALID's like, and what goes along; `user` and `k` need no reset.
  reg [LATENCY-1:0] valid;
  reg [LATENCY*USER_WIDTH-1:0] user;
  always @(posedge aclk) begin
    if (!aresetn) valid <= {LATENCY{1'b0}};
    else valid <= {valid[LATENCY-2:0], s_valid};
    user <= {user[(LATENCY-1)*USER_WIDTH-1:0], s_user};
  end
  assign m_valid = valid[LATENCY-1];
  assign m_user  = user[LATENCY*USER_WIDTH-1-:USER_WIDTH];

  // Normalize: shift left by 2 * 2^step where so many top bits are zero, the largest step first.
  localparam M_WIDTH = R_WIDTH + 5;
  genvar step;
  generate
    for (step = K_WIDTH; step >= 0; step = step - 1) begin : g_step
      wire [V_WIDTH-1:0] v;
      wire [K_WIDTH-1:0] k;
      if (step == K_WIDTH) begin : g_from
        assign v = s_v;
        assign k = {K_WIDTH{1'b0}};
      end else begin : g_shift
        localparam SHIFT = 2 << step;
        localparam [K_WIDTH-1:0] DIGIT = 1 << step;
        reg [V_WIDTH-1:0] shifted;
        reg [K_WIDTH-1:0] digits;
        wire zero = g_step[step+1].v[V_WIDTH-1-:SHIFT] == {SHIFT{1'b0}};
        always @(posedge aclk) begin
          shifted <= zero ? g_step[step+1].v << SHIFT : g_step[step+1].v;
          digits  <= g_step[step+1].k | (zero ? DIGIT : {K_WIDTH{1'b0}});
        end
        assign v = shifted;
        assign k = digits;
      end
    end
  endgenerate

  // The bits of m that count; zeros behind a short V.
  wire [V_WIDTH+M_WIDTH-1:0] normalized = {g_step[0].v, {M_WIDTH{1'b0}}};
  wire [M_WIDTH-1:0] m_0 = normalized[V_WIDTH+M_WIDTH-1-:M_WIDTH];
  wire unused = &{1'b0, normalized[V_WIDTH-1:0]};
  reg [9*K_WIDTH-1:0] k_wait;
  always @(posedge aclk) k_wait <= {k_wait[8*K_WIDTH-1:0], g_step[0].k};
  assign m_k = k_wait[9*K_WIDTH-1-:K_WIDTH];

  // The table's address: whether m is 1/2 or more, then the bits behind its leading one; of those
  // that are not looked at, the middle.
  localparam TABLE_BITS = R_WIDTH / 2;
  localparam Y_FRAC = TABLE_BITS + 4;
  wire half = m_0[M_WIDTH-1];
  wire [TABLE_BITS-1:0] behind = half ? m_0[M_WIDTH-2-:TABLE_BITS] : m_0[M_WIDTH-3-:TABLE_BITS];
  wire [8:0] address;
  wire [11:0] y_table;

  generate
    if (TABLE_BITS < 8) begin : g_short
      localparam [7-TABLE_BITS:0] MIDDLE = 1 << (7 - TABLE_BITS);
      assign address = {half, behind, MIDDLE};
    end else begin : g_full
      assign address = {half, behind};
    end
    if (R_WIDTH < 3 || R_WIDTH > 17) begin : g_illegal_r_width
      R_WIDTH_must_be_3_to_17 stop ();
    end
  endgenerate

  layernorm_rsqrt_rom u_rom (
      .address(address),
      .y      (y_table)
  );

  // u = m y; h = 1 - u y, of which |h| < 2^-TABLE_BITS; R = y + y h / 2.
  localparam U_FRAC = R_WIDTH + 5;
  localparam H_FRAC = R_WIDTH + 3;
  localparam H_WIDTH = H_FRAC - TABLE_BITS + 1;
  localparam R_DROP = Y_FRAC + H_FRAC + 1 - (R_WIDTH - 1);

  reg [M_WIDTH-1:0] m_1;
  reg [Y_FRAC:0] y_1, y_2, y_3, y_4, y_5, y_6, y_7, y_8;
  reg [M_WIDTH+Y_FRAC:0] my_2, my_3;
  wire [U_FRAC:0] u_3 = my_3[M_WIDTH+Y_FRAC-:U_FRAC+1];
  reg [U_FRAC+Y_FRAC+1:0] uy_4, uy_5;
  // Bits above h's sign repeat it; those below it are dropped.
  wire [U_FRAC+Y_FRAC+1:0] h_full = {2'b01, {(U_FRAC + Y_FRAC) {1'b0}}} - uy_5;
  wire unused_h = &{1'b0, h_full, my_3, y_table};
  reg signed [H_WIDTH-1:0] h_6;
  reg signed [H_WIDTH+Y_FRAC+1:0] yh_7, yh_8;
  localparam FULL_WIDTH = R_WIDTH + 1 + R_DROP;
  localparam [FULL_WIDTH-1:0] HALF = 1 << (R_DROP - 1);
  wire [FULL_WIDTH-1:0] correction = {
    {(FULL_WIDTH - H_WIDTH - Y_FRAC - 2) {yh_8[H_WIDTH+Y_FRAC+1]}}, yh_8
  };
  wire [FULL_WIDTH-1:0] r_full = {y_8, {(H_FRAC + 1) {1'b0}}} + correction + HALF;
  wire unused_r = &{1'b0, r_full[R_DROP-1:0]};

  always @(posedge aclk) begin
    m_1  <= m_0;
    y_1  <= {1'b1, y_table[11-:Y_FRAC]};
    my_2 <= m_1 * y_1;
    my_3 <= my_2;
    uy_4 <= u_3 * y_3;
    uy_5 <= uy_4;
    h_6  <= h_full[U_FRAC+Y_FRAC-H_FRAC+:H_WIDTH];
    yh_7 <= h_6 * $signed({1'b0, y_6});
    yh_8 <= yh_7;
    m_r  <= r_full[FULL_WIDTH-1] ? {R_WIDTH{1'b1}} : r_full[R_DROP+:R_WIDTH];
    {y_2, y_3, y_4, y_5, y_6, y_7, y_8} <= {y_1, y_2, y_3, y_4, y_5, y_6, y_7};
  end

endmodule

`default_nettype wire
