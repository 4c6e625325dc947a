// The sum of N signed elements: a tree of adders, a register behind each level, clog2(N) cycles.

`default_nettype none

module layernorm_tree #(
    parameter N     = 1,
    parameter WIDTH = 8
) (
    input  wire                              aclk,
    input  wire        [        N*WIDTH-1:0] s_terms,
    output wire signed [WIDTH+$clog2(N)-1:0] m_sum
);

  // Elaboration stops at a module that is not there.
  generate
    if (N < 1) begin : g_illegal_n
      N_must_be_at_least_1 stop ();
    end
  endgenerate

  localparam LEVELS = $clog2(N);
  // A single element has no adder and needs no clock.
  wire unused = &{1'b0, aclk};

  genvar level, i;
  generate
    for (level = 0; level <= LEVELS; level = level + 1) begin : g_level
      localparam COUNT = (N + (1 << level) - 1) >> level;
      localparam BITS = WIDTH + level;
      wire [COUNT*BITS-1:0] terms;

      if (level == 0) begin : g_leaves
        assign terms = s_terms;
      end else begin : g_adders
        localparam BELOW = (N + (1 << (level - 1)) - 1) >> (level - 1);
        for (i = 0; i < COUNT; i = i + 1) begin : g_term
          reg signed [BITS-1:0] total;
          assign terms[i*BITS+:BITS] = total;
          wire signed [BITS-2:0] a = g_level[level-1].terms[2*i*(BITS-1)+:BITS-1];
          if (2 * i + 1 < BELOW) begin : g_pair
            wire signed [BITS-2:0] b = g_level[level-1].terms[(2*i+1)*(BITS-1)+:BITS-1];
            always @(posedge aclk) total <= a + b;
          end else begin : g_odd
            always @(posedge aclk) total <= {a[BITS-2], a};
          end
        end
      end
    end
  endgenerate

  assign m_sum = g_level[LEVELS].terms;

endmodule

`default_nettype wire
