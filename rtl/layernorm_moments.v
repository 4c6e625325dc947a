// Of each token S = sum(x) and V = (D sum(x^2) - S^2 + D^2 eps) 2^GUARD; a beat a cycle, never
// stalled.
//
// Exact in integers but for the constant D^2 eps 2^GUARD, which is rounded half up.
// 8 + clog2(LANES) cycles from the last beat, of which s_* are already registered, to m_valid.

`default_nettype none

module layernorm_moments #(
    parameter D        = 192,
    parameter LANES    = 1,
    parameter IN_WIDTH = 16,
    parameter IN_FRAC  = 10,
    parameter EPS      = 1099512,
    parameter GUARD    = 12
) (
    input wire aclk,
    input wire aresetn,

    input wire                      s_valid,
    input wire                      s_first,
    input wire                      s_last,
    input wire [LANES*IN_WIDTH-1:0] s_x,

    output wire                                           m_valid,
    output wire signed [          IN_WIDTH+$clog2(D)-1:0] m_sum,
    output wire        [2*(IN_WIDTH+$clog2(D))+GUARD-1:0] m_v
);

  localparam SUM_WIDTH = IN_WIDTH + $clog2(D);
  localparam SQUARES_WIDTH = 2 * IN_WIDTH + $clog2(D);
  localparam V_WIDTH = 2 * SUM_WIDTH + GUARD;
  localparam LEVELS = $clog2(LANES);

  // D^2 eps in squared codes: EPS has 40 bits behind its point, a squared code 2 IN_FRAC.
  localparam POINT = 40 - 2 * IN_FRAC - GUARD;
  localparam [191:0] EPS_SQUARES = D * 192'd1 * D * EPS;
  localparam [191:0] EPS_CODE = POINT > 0 ?
      (EPS_SQUARES + (192'd1 << (POINT > 0 ? POINT - 1 : 0))) >> (POINT > 0 ? POINT : 0) :
      EPS_SQUARES << (POINT > 0 ? 0 : -POINT);

  generate
    if (EPS < 0 || EPS_CODE >> (V_WIDTH - 1) != 192'd0) begin : g_illegal_eps
      EPS_must_not_be_negative_nor_above_the_largest_variance stop ();
    end
  endgenerate

  // Squares: two registers, which a DSP block takes in.
  reg  [2*LANES*IN_WIDTH-1:0] squares_1;
  reg  [2*LANES*IN_WIDTH-1:0] squares_2;
  reg  [  LANES*IN_WIDTH-1:0] x_1;
  reg  [  LANES*IN_WIDTH-1:0] x_2;
  wire [2*LANES*IN_WIDTH-1:0] squares_0;

  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin : g_square
      wire signed [IN_WIDTH-1:0] x = s_x[lane*IN_WIDTH+:IN_WIDTH];
      wire signed [2*IN_WIDTH-1:0] square = x * x;
      assign squares_0[2*lane*IN_WIDTH+:2*IN_WIDTH] = square;
    end
  endgenerate

  always @(posedge aclk) begin
    squares_1 <= squares_0;
    squares_2 <= squares_1;
    x_1       <= s_x;
    x_2       <= x_1;
  end

  wire signed [IN_WIDTH+LEVELS-1:0] beat_sum;
  wire signed [2*IN_WIDTH+LEVELS-1:0] beat_squares;

  layernorm_tree #(
      .N    (LANES),
      .WIDTH(IN_WIDTH)
  ) u_sum (
      .aclk   (aclk),
      .s_terms(x_2),
      .m_sum  (beat_sum)
  );

  layernorm_tree #(
      .N    (LANES),
      .WIDTH(2 * IN_WIDTH)
  ) u_squares (
      .aclk   (aclk),
      .s_terms(squares_2),
      .m_sum  (beat_squares)
  );

  // Beside squares and tree: whether there is a beat, and where in its token it is.
  localparam WAIT = 2 + LEVELS;
  reg [WAIT-1:0] valid;
  reg [WAIT-1:0] first;
  reg [WAIT-1:0] last;

  always @(posedge aclk) begin
    if (!aresetn) valid <= {WAIT{1'b0}};
    else valid <= {valid[WAIT-2:0], s_valid};
    first <= {first[WAIT-2:0], s_first};
    last  <= {last[WAIT-2:0], s_last};
  end

  // The sums; `total_valid` says that they are a whole token's.
  reg signed [SUM_WIDTH-1:0] sum;
  reg signed [SQUARES_WIDTH-1:0] squares;
  reg total_valid;
  wire signed [SUM_WIDTH-1:0] sum_before = first[WAIT-1] ? {SUM_WIDTH{1'b0}} : sum;
  wire signed [SQUARES_WIDTH-1:0] squares_before = first[WAIT-1] ? {SQUARES_WIDTH{1'b0}} : squares;

  wire [SUM_WIDTH+IN_WIDTH+LEVELS-1:0] beat_sum_wide = {
    {SUM_WIDTH{beat_sum[IN_WIDTH+LEVELS-1]}}, beat_sum
  };
  wire [SQUARES_WIDTH+2*IN_WIDTH+LEVELS-1:0] beat_squares_wide = {
    {SQUARES_WIDTH{1'b0}}, beat_squares
  };
  wire unused = &{1'b0, beat_sum_wide, beat_squares_wide};

  always @(posedge aclk) begin
    if (!aresetn) total_valid <= 1'b0;
    else total_valid <= valid[WAIT-1] & last[WAIT-1];
    if (valid[WAIT-1]) begin
      sum     <= sum_before + beat_sum_wide[SUM_WIDTH-1:0];
      squares <= squares_before + beat_squares_wide[SQUARES_WIDTH-1:0];
    end
  end

  layernorm_variance #(
      .D       (D),
      .IN_WIDTH(IN_WIDTH),
      .GUARD   (GUARD)
  ) u_variance (
      .aclk     (aclk),
      .aresetn  (aresetn),
      .s_valid  (total_valid),
      .s_sum    (sum),
      .s_squares(squares),
      .s_eps    (EPS_CODE[V_WIDTH-1:0]),
      .m_valid  (m_valid),
      .m_sum    (m_sum),
      .m_v      (m_v)
  );

endmodule

`default_nettype wire
