// What the array does for PAIR tokens, whose activations share its multipliers: products, their sum over the
// depth and over the words, and the rows that are drained while the next sums grow.
//
// Four cycles after s_activations and s_weights the sum over the depth is there: then s_sum adds it to the
// totals, or s_first begins them anew; with s_lift the totals so far count for 16 times as much, where
// activations have too few bits for pixels. s_load copies the totals to be drained.

`default_nettype none

module engine_tokens #(
    parameter COLUMNS = 4,
    parameter DEPTH   = 8,
    parameter A_BITS  = 8,
    parameter PAIR    = 1,
    parameter A_GAP   = 0,
    parameter WEIGHTS = 27,
    parameter N4      = 3,
    parameter G4      = 11,
    parameter N8      = 2,
    parameter G8      = 18,
    parameter SUM     = 26
) (
    input  wire                             aclk,
    input  wire                             s_mode8,
    input  wire [    PAIR*DEPTH*A_BITS-1:0] s_activations,
    input  wire [COLUMNS*DEPTH*WEIGHTS-1:0] s_weights,
    input  wire                             s_sum,
    input  wire                             s_first,
    input  wire                             s_lift,
    input  wire                             s_load,
    input  wire                             s_next,
    output wire [             PAIR*SUM-1:0] m_row
);
  /* verilator no_inline_module */

  localparam ROWS = N4 * COLUMNS;
  localparam PRODUCT = 8 + A_BITS;
  localparam TREE = PRODUCT + (DEPTH > 1 ? $clog2(DEPTH) : 0);

  // Activations of 8 bits hold pixels.
  wire unused = &{1'b0, s_lift};

  genvar c, d, l, j, n, r;
  generate
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_columns
      for (d = 0; d < DEPTH; d = d + 1) begin : g_depth
        wire [PAIR*A_BITS-1:0] pair;
        wire [PAIR*N4*PRODUCT-1:0] products;
        for (l = 0; l < PAIR; l = l + 1) begin : g_pair
          assign pair[l*A_BITS+:A_BITS] = s_activations[(l*DEPTH+d)*A_BITS+:A_BITS];
        end
        engine_multiplier #(
            .PAIR(PAIR), .A_BITS(A_BITS), .A_GAP(A_GAP), .WEIGHTS(WEIGHTS),
            .N4(N4), .G4(G4), .N8(N8), .G8(G8)
        ) multiplier (
            .aclk(aclk),
            .s_mode8(s_mode8),
            .s_activations(pair),
            .s_weights(s_weights[(c*DEPTH+d)*WEIGHTS+:WEIGHTS]),
            .m_products(products)
        );
      end
      for (l = 0; l < PAIR * N4; l = l + 1) begin : g_lanes
        // Node n is the sum of nodes 2n and 2n + 1; the last DEPTH nodes are the products.
        for (n = 1; n < 2 * DEPTH; n = n + 1) begin : g_node
          wire signed [TREE-1:0] value;
          if (n >= DEPTH) begin : g_leaf
            wire [PRODUCT-1:0] product = g_columns[c].g_depth[n-DEPTH].products[l*PRODUCT+:PRODUCT];
            if (TREE > PRODUCT) begin : g_extended
              assign value = {{(TREE - PRODUCT) {product[PRODUCT-1]}}, product};
            end else begin : g_whole
              assign value = product;
            end
          end else begin : g_sum
            assign value = g_node[2*n].value + g_node[2*n+1].value;
          end
        end
        reg signed [TREE-1:0] tree;
        reg signed [SUM-1:0] total;
        wire signed [SUM-1:0] more = {{(SUM - TREE) {tree[TREE-1]}}, tree};
        wire signed [SUM-1:0] kept;
        if (A_BITS < 8) begin : g_lift
          assign kept = s_lift ? total <<< 4 : total;
        end else begin : g_stay
          assign kept = total;
        end
        always @(posedge aclk) begin
          tree <= g_node[1].value;
          if (s_sum) total <= s_first ? more : kept + more;
        end
      end
    end

    for (j = 0; j < PAIR; j = j + 1) begin : g_drain
      for (r = 0; r < ROWS; r = r + 1) begin : g_rows
        reg [SUM-1:0] held;
        wire [SUM-1:0] behind;
        if (r == ROWS - 1) begin : g_end
          assign behind = {SUM{1'b0}};
        end else begin : g_shift
          assign behind = g_drain[j].g_rows[r+1].held;
        end
        always @(posedge aclk) begin
          if (s_load) held <= g_columns[r%COLUMNS].g_lanes[j*N4+r/COLUMNS].total;
          else if (s_next) held <= behind;
        end
      end
      assign m_row[j*SUM+:SUM] = g_drain[j].g_rows[0].held;
    end
  endgenerate

endmodule

`default_nettype wire
