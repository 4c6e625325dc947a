// Of a token's S = sum(x) and Q = sum(x^2): V = (D Q - S^2 + E) 2^GUARD, in four cycles, one a cycle.
//
// Exact in integers. s_eps is E 2^GUARD = D^2 eps 2^GUARD in squared codes, two cycles behind s_sum.

`default_nettype none

module layernorm_variance #(
    parameter D        = 192,
    parameter IN_WIDTH = 16,
    parameter GUARD    = 12
) (
    input wire aclk,
    input wire aresetn,

    input wire                                           s_valid,
    input wire signed [          IN_WIDTH+$clog2(D)-1:0] s_sum,
    input wire        [        2*IN_WIDTH+$clog2(D)-1:0] s_squares,
    input wire        [2*(IN_WIDTH+$clog2(D))+GUARD-1:0] s_eps,

    output wire                                           m_valid,
    output wire signed [          IN_WIDTH+$clog2(D)-1:0] m_sum,
    output reg         [2*(IN_WIDTH+$clog2(D))+GUARD-1:0] m_v
);

  localparam SUM_WIDTH = IN_WIDTH + $clog2(D);
  localparam SQUARES_WIDTH = 2 * IN_WIDTH + $clog2(D);
  localparam V_WIDTH = 2 * SUM_WIDTH + GUARD;

  // D sum(x^2) by shifts and adds: one adder for D = 192, 384, 768.
  function [2*SUM_WIDTH-1:0] times_d;
    input [SQUARES_WIDTH-1:0] value;
    integer i;
    begin
      times_d = {(2 * SUM_WIDTH) {1'b0}};
      for (i = 0; i <= $clog2(D); i = i + 1)
      if (((D >> i) & 1) != 0)
        times_d = times_d + ({{(2 * SUM_WIDTH - SQUARES_WIDTH) {1'b0}}, value} << i);
    end
  endfunction

  // S^2 has three registers: it takes several DSP blocks.
  reg signed [2*SUM_WIDTH-1:0] sum_squared_1, sum_squared_2, sum_squared_3;
  reg [2*SUM_WIDTH-1:0] d_squares_1;
  reg [V_WIDTH-1:0] d_squares_2, d_squares_3;
  reg signed [SUM_WIDTH-1:0] sum_1, sum_2, sum_3, sum_4;
  reg [3:0] v_valid;

  always @(posedge aclk) begin
    if (!aresetn) v_valid <= 4'b0;
    else v_valid <= {v_valid[2:0], s_valid};
    sum_squared_1 <= s_sum * s_sum;
    sum_squared_2 <= sum_squared_1;
    sum_squared_3 <= sum_squared_2;
    d_squares_1 <= times_d(s_squares);
    d_squares_2 <= {d_squares_1, {GUARD{1'b0}}} + s_eps;
    d_squares_3 <= d_squares_2;
    m_v <= d_squares_3 - {sum_squared_3, {GUARD{1'b0}}};
    {sum_1, sum_2, sum_3, sum_4} <= {s_sum, sum_1, sum_2, sum_3};
  end

  assign m_valid = v_valid[3];
  assign m_sum   = sum_4;

endmodule

`default_nettype wire
